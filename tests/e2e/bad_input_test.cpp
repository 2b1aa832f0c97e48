// What is wrong gets a clear sentence, an exit status, and nothing lost; never a hang or a trace.
#include <catch2/catch.hpp>

#include "tests/e2e/world.h"

using namespace sable;
using namespace sable::test;

namespace {

/// A failure that a person can act on: status, one sentence on standard error, no trace of C++.
void check_refused(const Finished& finished, int status, const std::string& sentence) {
  INFO("standard error: " << finished.err);
  CHECK(finished.exit_code == status);
  CHECK(finished.err.find(sentence) != std::string::npos);
  CHECK(finished.err.find("terminate called") == std::string::npos);
  CHECK(finished.err.find("what():") == std::string::npos);
}

Json fault(const std::string& name) {
  return {{"text", "some words of an answer"}, {"fault", name}};
}

std::string last_session(const World& world) {
  const auto sessions = world.sable({"session", "list", "--json"}).json_lines();
  return sessions.empty() ? "" : string_or(sessions[0], "id", "");
}

}  // namespace

TEST_CASE("a repository or a configuration that cannot be used is named") {
  World world;
  world.play(Json::array());
  check_refused(world.sable({"run", "x", "--repo", "/nonexistent/repository"}), 1,
                "/nonexistent/repository");
  check_refused(
      world.sable({"run", "x", "--repo", world.repository().string(), "--model", "embeded"}), 1,
      "did you mean embedded?");
  const auto broken = world.folder().write("broken.yaml", "limits:\n  stepps: 3\n");
  check_refused(world.run("x", {"--config", broken.string()}), 1, "broken.yaml:2:3");
  check_refused(world.run("x", {"--config", broken.string()}), 1, "steps");
  check_refused(world.sable({"run"}), 2, "task is missing");
  check_refused(world.sable({"rum", "x"}), 2, "rum");
  check_refused(world.run("  \n"), 2, "task is empty");
}

TEST_CASE("a repository's configuration may not widen anything") {
  World world;
  world.play(Json::array());
  for (const char* line :
       {"providers: {x: {base_url: 'http://127.0.0.1:1/v1', model: m}}", "sandbox: {network: open}",
        "approve: all", "model: deepseek", "home: /tmp", "sandbox: {readable: [/root]}"}) {
    INFO(line);
    const auto file =
        world.folder().write("repository/.sable/config.yaml", std::string(line) + "\n");
    check_refused(world.run("x"), 1, ".sable/config.yaml:1:");
    std::filesystem::remove(file);
  }
}

TEST_CASE("a repository's own tools load only after exactly they were trusted") {
  World world;
  const std::string tool =
      "tools:\n  - name: count_lines\n    description: Counts lines.\n"
      "    parameters: {type: object, properties: {}, additionalProperties: false}\n"
      "    run: {argv: [wc, -l, README.md]}\n";
  world.folder().write("repository/.sable/tools/count.yaml", tool);
  const auto listed = [&] {
    return world.sable({"tools", "list", "--repo", world.repository().string()});
  };
  CHECK(listed().out.find("count_lines") == std::string::npos);
  CHECK(listed().err.find("sable trust") != std::string::npos);
  const auto trusted = world.sable({"trust", "--repo", world.repository().string()});
  INFO(trusted.err);
  REQUIRE(trusted.exit_code == 0);
  const auto after = listed();
  INFO(after.err);
  CHECK(after.out.find("count_lines") != std::string::npos);
  world.folder().write("repository/.sable/tools/count.yaml", tool + "\n# changed\n");
  CHECK(listed().out.find("count_lines") == std::string::npos);
}

TEST_CASE("an endpoint that fails for good ends the turn with its reason, and the log has it") {
  World world;
  const auto [reply, sentence] = GENERATE(table<Json, std::string>(
      {{Json{{"fault", "status"}, {"status", 401}, {"message", "bad key"}}, "refused the key"},
       {Json{{"fault", "status"}, {"status", 400}, {"message", "no such parameter"}},
        "no such parameter"},
       {Json{{"fault", "status"}, {"status", 404}}, "no such model"}}));
  world.play(Json::array({reply}));
  const auto ran = world.run("x");
  check_refused(ran, 1, sentence);
  const auto shown = world.sable({"session", "show", last_session(world)});
  CHECK(shown.out.find("failed") != std::string::npos);
}

TEST_CASE("an endpoint that breaks off is asked again, and says so when it never works") {
  World world;
  const std::string name =
      GENERATE("half_stream", "disconnect", "invalid_json", "refuse", "error_event");
  INFO(name);
  auto& model = world.play(Json::array({fault(name), {{"text", "Here I am."}}}));
  const auto ran = world.run("x");
  INFO(ran.err);
  CHECK(ran.exit_code == 0);
  CHECK(ran.out == "Here I am.\n");
  CHECK(model.requests().size() == 2);
}

TEST_CASE("an endpoint that keeps failing is given up after a few tries") {
  World world;
  auto& model =
      world.play(Json::array({fault("half_stream"), fault("half_stream"), fault("half_stream"),
                              fault("half_stream"), fault("half_stream")}));
  check_refused(world.run("x"), 1, "tried 4 times");
  CHECK(model.requests().size() == 4);
}

TEST_CASE("a silent endpoint is given up by the turn's own time limit") {
  World world;
  world.play(Json::array({fault("hang")}));
  check_refused(world.run("x", {"--timeout", "1"}), 1, "time limit");
}

TEST_CASE("calls that cannot be understood are told to the model, a bounded number of times") {
  World world;
  Json replies = Json::array();
  for (int i = 0; i < 3; ++i) {
    replies.push_back({{"tool_calls", Json::array({tool_call("no_such_tool", Json::object())})}});
  }
  auto& model = world.play(replies);
  check_refused(world.run("x"), 1, "in a row");
  CHECK(model.complaints().empty());

  auto& second = world.play(Json::array(
      {{{"tool_calls", Json::array({{{"name", "read_file"}, {"arguments", "{broken"}}})}},
       {{"expect", {{"last_contains", Json::array({"not valid JSON"})}}},
        {"tool_calls", Json::array({tool_call("read_file", {{"file", 3}})})}},
       {{"expect", {{"last_role", "tool"}}}, {"text", "I see."}}}));
  CHECK(world.run("x").exit_code == 0);
  CHECK(second.complaints().empty());
}

TEST_CASE(
    "a tool that prints a gigabyte, or binary, costs little and ends the call, not the program") {
  World world;
  auto& model = world.play(Json::array(
      {{{"tool_calls", Json::array({tool_call("shell", {{"command", "yes | head -c 1000000000"}}),
                                    tool_call("shell", {{"command", "head -c 4096 /dev/urandom"}}),
                                    tool_call("shell", {{"command", "printf 'a\\033[31mb'"}})})}},
       {{"text", "Much."}}}));
  const auto ran = world.run("x", {"--json"});
  INFO(ran.err);
  CHECK(ran.exit_code == 0);
  CHECK(ran.out.size() < 2'000'000);
  REQUIRE(model.requests().size() == 2);
  CHECK(dump_json(model.requests()[1]).size() < 400'000);
  CHECK(dump_json(model.requests()[1]["messages"]).find("\\u001b") == std::string::npos);
}

TEST_CASE("a full disk is told, and what was acknowledged stays") {
  World world;
  world.play(Json::array({{{"text", std::string(3'000'000, 'x')}, {"delta_chars", 0}}}));
  // The home on a file system of one megabyte, in a mount namespace of the test's own.
  std::filesystem::create_directory(world.home());
  const auto words = world.model_arguments();
  const std::string script =
      "mount -t tmpfs -o size=1m none " + world.home().string() + " && " + World::program() +
      " run x --json --repo " + world.repository().string() + " --base-url " + words[1] +
      " --model m; echo status=$?; " + World::program() + " session list --json";
  auto process = world.start_program(
      {"/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", script},
      "full");
  const auto finished = world.finish(process, "full");
  INFO(finished.out);
  INFO(finished.err);
  CHECK(finished.out.find("status=1") != std::string::npos);
  CHECK(finished.err.find("disk") != std::string::npos);
  const auto lines = finished.json_lines();
  REQUIRE(lines.size() >= 2);
  const auto& listed = lines.back();
  uint64_t n_acknowledged = 0;
  for (const auto& line : lines) n_acknowledged += line.contains("seq") ? 1 : 0;
  CHECK(listed["n_events"].get<uint64_t>() >= n_acknowledged);
}

TEST_CASE("an option that may be repeated takes one value, whatever stands behind it") {
  World world;
  world.play(Json::array({{{"text", "Done."}}}));
  auto arguments = world.model_arguments();
  arguments.insert(arguments.begin(),
                   {"run", "--approve", "all", "--max-steps", "3", "--timeout", "60", "--agent",
                    "default", "--network", "none", "x", "--repo", world.repository().string()});
  const auto ran = world.sable(std::move(arguments));
  INFO(ran.err);
  CHECK(ran.exit_code == 0);
  const auto boxed =
      world.sable({"sandbox", "run", "--writable", world.repository().string(), "--timeout", "20",
                   "--memory", "1G", "--", "sh", "-c", "echo one two"});
  INFO(boxed.err);
  CHECK(boxed.exit_code == 0);
  CHECK(boxed.out == "one two\n");
}
