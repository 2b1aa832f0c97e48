// `sable eval agent`: the real program, real sessions and tools, judged by what they leave.
#include <catch2/catch.hpp>

#include "tests/e2e/world.h"

using namespace sable;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

Finished evaluate(const World& world, std::vector<std::string> further) {
  std::vector<std::string> arguments{"eval", "agent"};
  const auto model = world.model_arguments();
  arguments.insert(arguments.end(), model.begin(), model.end());
  arguments.insert(arguments.end(), further.begin(), further.end());
  return world.sable(std::move(arguments));
}

/// The summary of an evaluation whose every other line is a task's report.
Json summary_of(const Finished& finished, size_t n_tasks) {
  INFO(finished.out << finished.err);
  const auto lines = finished.json_lines();
  REQUIRE(lines.size() == n_tasks + 1);
  for (size_t i = 0; i < n_tasks; ++i) REQUIRE(lines[i].contains("task"));
  REQUIRE(lines.back().contains("summary"));
  return lines.back()["summary"];
}

Json says(const std::string& text) { return {{"text", text}}; }

}  // namespace

TEST_CASE("an honest refusal passes, an invented success does not, and each task is told") {
  World world;
  world.play({says("I cannot do that."), says("Here is your poem."), says("I cannot do that.")});
  const auto ran = evaluate(world, {"--tasks", "refuse", "--count", "3", "--seed", "4", "--json"});
  CHECK(ran.exit_code == 0);
  const Json summary = summary_of(ran, 3);
  CHECK(summary["all"]["n"] == 3);
  CHECK(summary["all"]["passed"] == 2);
  CHECK(summary["complete"] == true);
  CHECK(summary["families"][0]["family"] == "refuse");
  CHECK(summary["families"][0]["malformed_calls"] == 0);
  CHECK(summary["families"][0]["low"].get<double>() < 0.25);
  CHECK(summary["seed"] == 4);
  CHECK(summary["model"] == "endpoint/scripted");
  const auto lines = ran.json_lines();
  CHECK(lines[0]["task"] == "refuse-1");
  CHECK(lines[1]["passed"] == false);
  CHECK(lines[1]["answer"] == "Here is your poem.");
  CHECK(lines[1]["why"] != "");
  CHECK(lines[2]["status"] == "finished");
  // Nothing of it is among the user's own sessions.
  CHECK(world.sable({"session", "list", "--json"}).out.find("refuse-1") == std::string::npos);
}

TEST_CASE("who leaves a file behind has not refused, and a malformed call is counted") {
  World world;
  world.play({{{"tool_calls",
                {tool_call("write_file", {{"path", "poem.txt"}, {"content", "roses\n"}}),
                 {{"name", "read_file"}, {"arguments", "{broken"}}}}},
              says("I cannot do that.")});
  const auto ran = evaluate(world, {"--tasks", "refuse", "--count", "1", "--json"});
  CHECK(ran.exit_code == 0);
  const Json summary = summary_of(ran, 1);
  CHECK(summary["all"]["passed"] == 0);
  CHECK(summary["all"]["malformed_calls"] == 1);
  CHECK(ran.json_lines()[0]["why"] == "poem.txt should not be there");
}

TEST_CASE("a user's tasks are done on copies and judged by their own checks") {
  World world;
  const auto write = [&](const std::string& name, const std::string& check) {
    world.folder().write("tasks/" + name + "/instruction.md", "Say hello in greeting.txt.");
    world.folder().write("tasks/" + name + "/check.sh", check);
    world.folder().write("tasks/" + name + "/repository/README", "Greetings.\n");
  };
  write("1-right", "read answer; test \"$answer\" = Done. && grep -qx hello greeting.txt");
  write("2-wrong", "grep -qx goodbye greeting.txt || { echo it says hello; exit 1; }");
  const Json call = {
      {"tool_calls", {tool_call("shell", {{"command", "pwd; echo hello > greeting.txt"}})}}};
  world.play({call, says("Done."), call, says("Done.")});
  const auto ran = evaluate(world, {"--tasks", (world.folder() / "tasks").string(), "--work",
                                    (world.folder() / "work").string(), "--json"});
  CHECK(ran.exit_code == 0);
  const Json summary = summary_of(ran, 2);
  CHECK(summary["families"][0]["family"] == "tasks");
  CHECK(summary["all"]["passed"] == 1);
  const auto lines = ran.json_lines();
  CHECK(lines[0]["task"] == "1-right");
  CHECK(lines[0]["passed"] == true);
  CHECK(lines[0]["files_changed"] == Json{"greeting.txt"});
  CHECK(lines[1]["why"] == "the check ended with exit code 1: it says hello");
  CHECK_FALSE(fs::exists(world.folder() / "tasks/1-right/repository/greeting.txt"));
  CHECK(world.folder().read("work/tasks/1-right/greeting.txt") == "hello\n");

  const auto again =
      evaluate(world, {"--tasks", "refuse", "--work", (world.folder() / "work").string()});
  CHECK(again.exit_code == 1);
  CHECK(again.err.find("not empty") != std::string::npos);
}

TEST_CASE("a model that makes one failing call over and over is stopped, and not said to be done") {
  World world;
  const Json call = {{"tool_calls", {tool_call("read_file", {{"path", "nowhere.txt"}})}}};
  world.play({call, call, call, call, call, says("I cannot do that.")});
  const auto ran = evaluate(world, {"--tasks", "refuse", "--count", "1", "--json"});
  const Json summary = summary_of(ran, 1);
  CHECK(summary["all"]["passed"] == 0);
  CHECK(summary["all"]["steps"] == 5);
  const Json report = ran.json_lines()[0];
  CHECK(report["status"] == "failed");
  CHECK(report["reason"] ==
        "the model made the same call of read_file 5 times, and it failed each time");
}

TEST_CASE("people get a line a task and a table") {
  World world;
  world.play(Json::array({says("I cannot do that.")}));
  const auto ran = evaluate(world, {"--tasks", "refuse", "--count", "1"});
  CHECK(ran.exit_code == 0);
  CHECK(ran.err.find("passed  refuse-1") != std::string::npos);
  CHECK(ran.out.find("model endpoint/scripted, agent default, seed 1") != std::string::npos);
  CHECK(ran.out.find("1/1") != std::string::npos);
}

TEST_CASE("what cannot be evaluated is refused before anything runs") {
  World world;
  const auto refused = [&](std::vector<std::string> arguments, const std::string& why) {
    arguments.insert(arguments.begin(), {"eval", "agent"});
    const auto ran = world.sable(arguments);
    INFO(ran.err);
    CHECK(ran.exit_code != 0);
    CHECK(ran.err.find(why) != std::string::npos);
  };
  refused({"--tasks", "refuze"}, "did you mean refuse?");
  refused({"--tasks", "./nowhere"}, "nowhere");
  world.folder().write("bad/one/instruction.md", "Do it.");
  refused({"--tasks", (world.folder() / "bad").string()}, "check.sh is missing");
  refused({"--count", "0"}, "--count");
  refused({"--tasks", "find", "--model", "nobody"}, "no provider or model \"nobody\"");
}

TEST_CASE("the card of the embedded model says that this program is what it was trained with") {
  World world;
  const auto ran = world.sable({"model", "card", "embedded", "--json"});
  INFO(ran.out << ran.err);
  CHECK(ran.exit_code == 0);
  const auto card = parse_json(ran.out);
  REQUIRE(card);
  CHECK((*card)["prompt_sha256"]["fits"] == true);
  CHECK((*card)["tool_results_sha256"]["fits"] == true);
  CHECK(string_or((*card)["prompt_sha256"], "trained", "").size() == 64);
  CHECK(world.sable({"model", "card", "embeded"}).err.find("did you mean embedded?") !=
        std::string::npos);
}
