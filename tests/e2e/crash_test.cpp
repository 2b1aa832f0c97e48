// kill -9 and interruption in the middle of a tool call: nothing acknowledged is lost, nothing
// survives.
#include <algorithm>
#include <fstream>
#include <signal.h>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/e2e/world.h"

using namespace sable;
using namespace sable::test;
using namespace std::chrono_literals;

namespace {

Json slow_call() {
  const std::string command = "touch started; sleep 300; touch survived";
  return Json::array({{{"text", "This takes a while."},
                       {"tool_calls", Json::array({tool_call("shell", {{"command", command}})})}},
                      {{"text", "Done."}}});
}

/// Processes whose command line holds this text, sandboxed ones included.
int processes_with(const std::string& text) {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(entry.path() / "cmdline", std::ios::binary);
    const std::string line{std::istreambuf_iterator<char>(in), {}};
    if (line.find(text) != std::string::npos) ++n;
  }
  return n;
}

bool gone_within(const std::string& text, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (processes_with(text) == 0) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

std::vector<std::string> run_arguments(const World& world) {
  auto arguments = world.model_arguments();
  arguments.insert(arguments.begin(),
                   {"run", "wait", "--json", "--repo", world.repository().string()});
  return arguments;
}

}  // namespace

TEST_CASE("kill -9 in the middle of a tool call loses nothing acknowledged, and the log says so") {
  World world;
  world.play(slow_call());
  auto process = world.start(run_arguments(world));
  REQUIRE(world.wait_for(world.repository() / "started"));
  REQUIRE(process.signal(SIGKILL));
  const auto killed = world.finish(process);
  CHECK(killed.signal == SIGKILL);
  CHECK(gone_within("touch started; sleep 300; touch survived", 20s));

  const auto acknowledged = killed.json_lines();
  REQUIRE_FALSE(acknowledged.empty());
  CHECK(types_of(acknowledged).back() == "tool.started");
  const auto id = string_or(acknowledged.front(), "session", "");
  const auto stored = world.sable({"session", "events", id}).json_lines();
  REQUIRE(stored.size() >= acknowledged.size());
  for (size_t i = 0; i < acknowledged.size(); ++i) CHECK(stored[i] == acknowledged[i]);
  const auto shown = world.sable({"session", "show", id});
  CHECK(shown.out.find("whether it took effect is unknown") != std::string::npos);

  CHECK(shown.out.find("sable run --resume " + id) != std::string::npos);

  SECTION("without a task the turn itself goes on, and the model is told") {
    std::filesystem::remove(world.repository() / "started");
    auto& model = world.play(Json::array(
        {{{"expect", {{"contains", Json::array({"Whether it took effect is unknown"})}}},
          {"text", "I have looked."}}}));
    std::vector<std::string> arguments{"run", "--resume", id, "--json"};
    for (const auto& argument : world.model_arguments()) arguments.push_back(argument);
    const auto resumed = world.sable(arguments);
    INFO(resumed.err);
    CHECK(resumed.exit_code == 0);
    CHECK(model.complaints().empty());
    CHECK_FALSE(std::filesystem::exists(world.repository() / "started"));
    CHECK(types_of(resumed.json_lines()) ==
          std::vector<std::string>{"tool.outcome", "turn.continued", "model.requested",
                                   "model.finished", "turn.ended"});
    const auto again = world.sable(arguments);
    CHECK(again.exit_code == 1);
    CHECK(again.err.find("nothing unfinished") != std::string::npos);
  }
  SECTION("going on tells the model, and repeats nothing by itself") {
    std::filesystem::remove(world.repository() / "started");
    auto& model = world.play(Json::array(
        {{{"expect", {{"contains", Json::array({"Whether it took effect is unknown"})}}},
          {"text", "I will check first."}}}));
    const auto resumed = world.run("go on", {"--json", "--resume", id});
    INFO(resumed.err);
    CHECK(resumed.exit_code == 0);
    CHECK(model.complaints().empty());
    CHECK_FALSE(std::filesystem::exists(world.repository() / "started"));
    const auto all = world.sable({"session", "events", id}).json_lines();
    const auto types = types_of(all);
    // What was printed before and after is the whole story, without a gap.
    auto printed = acknowledged;
    for (const auto& event : resumed.json_lines()) printed.push_back(event);
    CHECK(printed == all);
    CHECK(types[acknowledged.size()] == "tool.outcome");
    CHECK(types[acknowledged.size() + 1] == "turn.ended");
  }
}

TEST_CASE("Ctrl-C ends the turn long before its tool, and its end is logged") {
  World world;
  world.play(slow_call());
  auto process = world.start(run_arguments(world));
  REQUIRE(world.wait_for(world.repository() / "started"));
  const auto before = std::chrono::steady_clock::now();
  REQUIRE(process.signal(SIGINT));
  const auto finished = world.finish(process);
  CHECK(std::chrono::steady_clock::now() - before < 60s);
  INFO(finished.err);
  CHECK(finished.exit_code == 130);
  CHECK(gone_within("touch started; sleep 300; touch survived", 20s));
  const auto events = finished.json_lines();
  REQUIRE(types_of(events).back() == "turn.ended");
  CHECK(events.back()["data"]["status"] == "interrupted");
  CHECK(events.back()["data"]["reason"] == "the user pressed Ctrl-C");
}

TEST_CASE("a second signal quits at once, and the session is whole afterwards") {
  World world;
  world.play(slow_call());
  auto process = world.start(run_arguments(world));
  REQUIRE(world.wait_for(world.repository() / "started"));
  // Both wait when it goes on, so there is no time for the first one's orderly end.
  REQUIRE(process.signal(SIGSTOP));
  REQUIRE(process.signal(SIGINT));
  REQUIRE(process.signal(SIGTERM));
  REQUIRE(process.signal(SIGCONT));
  const auto finished = world.finish(process);
  CHECK(finished.exit_code > 128);
  CHECK(gone_within("touch started; sleep 300; touch survived", 20s));
  const auto before = finished.json_lines();
  REQUIRE_FALSE(before.empty());
  CHECK(types_of(before).back() != "turn.ended");
  const auto listed = world.sable({"session", "list", "--json"}).json_lines();
  REQUIRE(listed.size() == 1);
  const auto id = string_or(listed[0], "id", "");
  const auto after = world.sable({"session", "events", id}).json_lines();
  REQUIRE(after.size() >= before.size());
  for (size_t i = 0; i < before.size(); ++i) CHECK(after[i] == before[i]);
}

TEST_CASE(
    "Ctrl-C ends the turn also while the files of a large repository are kept for the first time") {
  World world;
  const auto many = world.repository() / "many";
  for (int folder = 0; folder < 20; ++folder) {
    const auto path = many / std::to_string(folder);
    std::filesystem::create_directories(path);
    for (int i = 0; i < 500; ++i) {
      std::ofstream(path / std::to_string(i)) << "file " << folder << " " << i << "\n";
    }
  }
  world.play(slow_call());
  auto process = world.start(run_arguments(world));
  for (int i = 0; i < 3000; ++i) {
    if (world.folder().read("run.out").find("\"tool.intent\"") != std::string::npos) break;
    std::this_thread::sleep_for(2ms);
  }
  std::this_thread::sleep_for(50ms);
  const auto before = std::chrono::steady_clock::now();
  REQUIRE(process.signal(SIGINT));
  const auto finished = world.finish(process);
  const auto took = std::chrono::steady_clock::now() - before;
  INFO(finished.err);
  CHECK(finished.exit_code == 130);
  CHECK(took < 60s);
  const auto events = finished.json_lines();
  const auto types = types_of(events);
  CHECK(std::count(types.begin(), types.end(), "approval.decided") == 1);
  CHECK(std::count(types.begin(), types.end(), "files.checkpointed") == 0);
  CHECK(std::count(types.begin(), types.end(), "tool.started") == 0);
  REQUIRE(std::count(types.begin(), types.end(), "tool.outcome") == 1);
  const auto& outcome = events[static_cast<size_t>(
      std::find(types.begin(), types.end(), "tool.outcome") - types.begin())];
  CHECK(outcome["data"]["status"] == "cancelled");
  CHECK(string_or(outcome["data"], "text", "").find("before this call began; it had no effect") !=
        std::string::npos);
  CHECK_FALSE(std::filesystem::exists(world.repository() / "started"));
}

TEST_CASE(
    "a running session is owned: a second writer is told by whom, readers are not disturbed") {
  World world;
  world.play(slow_call());
  auto process = world.start(run_arguments(world));
  REQUIRE(world.wait_for(world.repository() / "started"));
  const auto listed = world.sable({"session", "list", "--json"}).json_lines();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0]["owner_pid"] == process.pid());
  const auto id = string_or(listed[0], "id", "");
  const auto refused =
      world.sable({"run", "me too", "--repo", world.repository().string(), "--resume", id,
                   "--base-url", world.model().base_url(), "--model", "m"});
  CHECK(refused.exit_code == 1);
  CHECK(refused.err.find(std::to_string(process.pid())) != std::string::npos);
  REQUIRE(process.signal(SIGTERM));
  CHECK(world.finish(process).exit_code == 143);
}
