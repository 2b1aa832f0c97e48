#include <algorithm>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "tests/e2e/world.h"
#include "tools/schema.h"

using namespace sable;
using namespace sable::test;

namespace {

const Json kFix{{"path", "interval_set.cpp"},
                {"old_text", "return interval.end > added.begin;"},
                {"new_text", "return interval.end >= added.begin;"}};

/// How a model finds and fixes the example's bug.
Json story_of_a_fix() {
  Json replies = Json::array();
  replies.push_back({{"text", "I run the tests — first."},
                     {"tool_calls", Json::array({tool_call("shell", {{"command", "make test"}})})},
                     {"piece_bytes", 5}});
  replies.push_back(
      {{"reasoning", "Touching intervals stay apart."},
       {"expect", {{"last_role", "tool"}, {"last_contains", Json::array({"touching_intervals"})}}},
       {"tool_calls", Json::array({tool_call("search", {{"pattern", "added.begin"}}),
                                   tool_call("read_file", {{"path", "interval_set.cpp"}})})}});
  replies.push_back({{"tool_calls", Json::array({tool_call("edit_file", kFix)})}});
  replies.push_back(
      {{"tool_calls", Json::array({tool_call("shell", {{"command", "make test"}})})}});
  replies.push_back(
      {{"expect", {{"last_contains", Json::array({"10 of 10 tests passed"})}}},
       {"text", "Fixed: intervals that touch become one."},
       {"usage", {{"prompt_tokens", 900}, {"completion_tokens", 12}, {"cached_tokens", 800}}}});
  return replies;
}

Json find_event(const std::vector<Json>& events, const std::string& type, size_t n = 0) {
  for (const auto& event : events) {
    if (string_or(event, "type", "") == type && n-- == 0) return event["data"];
  }
  return {};
}

}  // namespace

TEST_CASE("an agent fixes the example's failing test, and the log tells the whole story in order") {
  World world;
  auto& model = world.play(story_of_a_fix());
  CHECK(world
            .sable({"tools", "call", "shell", "--args", R"({"command":"make test"})", "--repo",
                    world.repository().string()})
            .exit_code == 1);

  const auto ran = world.run("the tests fail; find the bug and fix it", {"--json"});
  INFO(ran.err);
  REQUIRE(ran.exit_code == 0);
  CHECK(model.complaints().empty());
  CHECK(world
            .sable({"tools", "call", "shell", "--args", R"({"command":"make test"})", "--repo",
                    world.repository().string()})
            .exit_code == 0);

  const auto events = ran.json_lines();
  CHECK(types_of(events) ==
        std::vector<std::string>{
            "session.started",    "context.built",      "turn.started",     "task.goal",
            "model.requested",    "model.finished",     "tool.intent",      "approval.decided",
            "files.checkpointed", "tool.started",       "tool.outcome",     "model.requested",
            "model.finished",     "tool.intent",        "approval.decided", "tool.started",
            "tool.outcome",       "tool.intent",        "approval.decided", "tool.started",
            "tool.outcome",       "model.requested",    "model.finished",   "tool.intent",
            "approval.decided",   "files.checkpointed", "tool.started",     "tool.outcome",
            "model.requested",    "model.finished",     "tool.intent",      "approval.decided",
            "files.checkpointed", "tool.started",       "tool.outcome",     "model.requested",
            "model.finished",     "turn.ended"});
  uint64_t seq = 1;
  for (const auto& event : events) CHECK(event["seq"] == seq++);
  CHECK(find_event(events, "model.finished")["text"] == "I run the tests — first.");
  CHECK(find_event(events, "tool.outcome")["status"] == "failed");
  const auto edited = find_event(events, "tool.outcome", 3);
  CHECK(edited["changes"][0]["diff"].get<std::string>().find("+") != std::string::npos);
  const auto schema = tools::Schema::compile(
      parse_json(
          read_file(std::filesystem::path(SABLE_SOURCE_DIR) / "docs/events.schema.json").value())
          .value());
  REQUIRE(schema);
  for (const auto& event : events) {
    INFO(dump_json(event));
    CHECK(schema->check(event).empty());
  }
  const auto ended = find_event(events, "turn.ended");
  CHECK(ended["status"] == "finished");
  CHECK(ended["usage"]["cached_tokens"].get<uint64_t>() >= 800);
  const auto files = ended["files_changed"].dump();
  CHECK(files.find("interval_set.cpp") != std::string::npos);

  SECTION("what was printed is what is stored, byte for byte") {
    const auto id = string_or(events.front(), "session", "");
    const auto stored = world.sable({"session", "events", id});
    CHECK(stored.exit_code == 0);
    CHECK(stored.out == ran.out);
    const auto shown = world.sable({"session", "show", id});
    CHECK(shown.out.find("find the bug") != std::string::npos);
    CHECK(shown.out.find("Fixed: intervals that touch become one.") != std::string::npos);
    const auto listed = world.sable({"session", "list", "--json"}).json_lines();
    REQUIRE(listed.size() == 1);
    CHECK(listed[0]["id"] == id);
  }
}

TEST_CASE("text output shows progress on standard error and the answer on standard output") {
  World world;
  world.play(Json::array({{{"text", "All is well."}}}));
  const auto ran = world.run("look around");
  CHECK(ran.exit_code == 0);
  CHECK(ran.out == "All is well.\n");
  CHECK(ran.err.find("finished") != std::string::npos);
  CHECK(ran.err.find("\x1b[") == std::string::npos);
}

TEST_CASE(
    "a tool cannot write outside the repository, reach the network or read the user's secrets") {
  World world;
  world.folder().write("user/.ssh/id_ed25519", "PRIVATE");
  const std::string outside = (world.folder() / "outside").string();
  const std::string command =
      "touch " + outside + "; cat " + (world.folder() / "user/.ssh/id_ed25519").string() +
      "; env; exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(world.play(Json::array()).port());
  auto& model = world.play(Json::array(
      {{{"tool_calls",
         Json::array({tool_call("shell", {{"command", command}}),
                      tool_call("write_file", {{"path", "../outside"}, {"content", "x"}}),
                      tool_call("read_file", {{"path", "/etc/passwd"}})})}},
       {{"text", "I could not."}}}));
  const auto ran = world.run("escape", {"--json", "--api-key-env", "TEST_KEY"});
  CHECK(ran.exit_code == 0);
  CHECK_FALSE(std::filesystem::exists(outside));
  CHECK(ran.out.find("PRIVATE") == std::string::npos);
  CHECK(ran.out.find("secret-key-of-the-test") == std::string::npos);
  CHECK(ran.out.find("root:x:0:0") == std::string::npos);
  const auto events = ran.json_lines();
  for (size_t i = 0; i < 3; ++i) {
    CHECK(find_event(events, "tool.outcome", i)["status"] == "failed");
  }
  REQUIRE(model.requests().size() == 2);
  CHECK(model.requests()[0]["authorization"] == "Bearer secret-key-of-the-test");
}

TEST_CASE("a tool that asks is refused where nobody can be asked, and the model is told why") {
  World world;
  const auto config = world.folder().write("ask.yaml", "tools: {shell: {approval: ask}}\n");
  auto& model = world.play(
      Json::array({{{"tool_calls", Json::array({tool_call("shell", {{"command", "touch made"}})})}},
                   {{"expect", {{"last_contains", Json::array({"nobody can be asked"})}}},
                    {"text", "I will not."}}}));
  const auto ran = world.run("make it", {"--json", "--config", config.string()});
  CHECK(ran.exit_code == 0);
  CHECK(model.complaints().empty());
  CHECK_FALSE(std::filesystem::exists(world.repository() / "made"));
  const auto decided = find_event(ran.json_lines(), "approval.decided");
  CHECK(decided["decision"] == "refused");
  CHECK(decided["by"] == "mode");

  world.play(
      Json::array({{{"tool_calls", Json::array({tool_call("shell", {{"command", "touch made"}})})}},
                   {{"text", "Done."}}}));
  CHECK(world.run("make it", {"--approve", "all", "--config", config.string()}).exit_code == 0);
  CHECK(std::filesystem::exists(world.repository() / "made"));
}

TEST_CASE("a session is resumed with all it knew") {
  World world;
  world.play(Json::array({{{"text", "The answer is 42."}}}));
  const auto first = world.run("think", {"--json"});
  REQUIRE(first.exit_code == 0);
  const auto id = string_or(first.json_lines().front(), "session", "");
  auto& model = world.play(Json::array(
      {{{"expect", {{"n_messages", 4}, {"contains", Json::array({"The answer is 42."})}}},
        {"text", "Again 42."}}}));
  const auto second = world.run("and now?", {"--json", "--resume", id});
  INFO(second.err);
  CHECK(second.exit_code == 0);
  CHECK(model.complaints().empty());
  CHECK(string_or(second.json_lines().front(), "session", "") == id);
  // A turn that ended well needs no repair.
  const auto types = types_of(world.sable({"session", "events", id}).json_lines());
  CHECK(std::count(types.begin(), types.end(), "turn.ended") == 2);
  CHECK(std::count(types.begin(), types.end(), "tool.outcome") == 0);
}

TEST_CASE("a session goes on under the rules of its own repository, from wherever it is resumed") {
  World world;
  world.folder().write("user/.config/sable/config.yaml", "limits: {steps: 5}\n");
  world.folder().write("repository/.sable/config.yaml", "tools: {shell: {approval: deny}}\n");
  world.play(Json::array({{{"text", "Ready."}}}));
  const auto first = world.run("begin", {"--json"});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const auto id = string_or(first.json_lines().front(), "session", "");

  auto& model = world.play(Json::array(
      {{{"tool_calls", Json::array({tool_call("shell", {{"command", "touch made"}})})}},
       {{"expect", {{"last_contains", Json::array({"denied here"})}}}, {"text", "I may not."}}}));
  std::vector<std::string> arguments{"run", "go on", "--json", "--resume", id};
  const auto named_model = world.model_arguments();
  arguments.insert(arguments.end(), named_model.begin(), named_model.end());
  SECTION("which is found without its being named") {
    const auto resumed = world.sable(arguments);  // works in the folder above the repository
    INFO(resumed.err);
    CHECK(resumed.exit_code == 0);
    CHECK(model.complaints().empty());
    CHECK_FALSE(std::filesystem::exists(world.repository() / "made"));
    CHECK(find_event(resumed.json_lines(), "approval.decided")["decision"] == "refused");
  }
  SECTION("and another one is refused") {
    arguments.insert(arguments.end(), {"--repo", world.folder().path().string()});
    const auto refused = world.sable(arguments);
    CHECK(refused.exit_code == 1);
    CHECK(refused.err.find("works in " + world.repository().string()) != std::string::npos);
    CHECK(model.requests().empty());
  }
}

TEST_CASE("output that is lost is a failure, one that nobody wants any more is not") {
  World world;
  world.play(Json::array({{{"text", "All is well."}}}));
  const auto words = world.model_arguments();
  const std::string run = World::program() + " run look --repo " + world.repository().string() +
                          " --base-url " + words[1] + " --model m";
  const std::string config = World::program() + " config show";
  const std::string list = World::program() + " session list";
  const auto in_shell = [&](const std::string& script) {
    auto process = world.start_program({"/bin/sh", "-c", script}, "shell");
    return world.finish(process, "shell");
  };
  for (const auto& command : {run + " --json", config, list, World::program() + " --help"}) {
    INFO(command);
    const auto finished = in_shell(command + " > /dev/full");
    INFO(finished.err);
    CHECK(finished.exit_code == 1);
    CHECK(finished.err.find("standard output: No space left on device") != std::string::npos);
  }
  CHECK(in_shell("(" + list + "; echo $? > status) | true; cat status").out == "0\n");
}
