// The model that comes with the program, doing what the program is for.
#include <algorithm>
#include <map>

#include <catch2/catch.hpp>

#include "tests/e2e/world.h"

using namespace sable;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

fs::path copy_of_league(const World& world) {
  const fs::path copy = world.folder() / "league";
  fs::copy(fs::path(SABLE_SOURCE_DIR) / "configs/examples/league", copy,
           fs::copy_options::recursive);
  fs::remove(copy / "tests");  // what `make` may have left beside the sources
  return copy;
}

Finished evaluate(const World& world, const fs::path& work, std::vector<std::string> further) {
  fs::remove_all(work);
  std::vector<std::string> arguments{"eval", "agent", "--json", "--work", work.string()};
  arguments.insert(arguments.end(), further.begin(), further.end());
  return world.sable(std::move(arguments));
}

/// The tokens of every reply of a session, in order.
std::vector<Json> tokens_of_session(const World& world, const fs::path& work,
                                    const std::string& session) {
  auto process = world.start_program({"/usr/bin/env", "SABLE_HOME=" + (work / "home").string(),
                                      World::program(), "session", "events", session},
                                     "events");
  return tokens_of(world.finish(process, "events").json_lines());
}

/// By task: the tokens of its replies.
std::map<std::string, std::vector<Json>> tokens_by_task(const World& world, const fs::path& work,
                                                        const Finished& finished) {
  std::map<std::string, std::vector<Json>> tokens;
  for (const Json& line : finished.json_lines()) {
    if (!line.contains("task")) continue;
    tokens[line["task"].get<std::string>()] = tokens_of_session(world, work, line["session"]);
  }
  return tokens;
}

}  // namespace

TEST_CASE("the embedded model mends the example and says so only when its test passes") {
  const World world;
  const fs::path league = copy_of_league(world);
  const auto ran = world.sable(
      {"run", "Fix the failing test.", "--repo", league.string(), "--approve", "all", "--json"});
  INFO(ran.out << ran.err);
  CHECK(ran.exit_code == 0);
  auto test = world.start_program({"/usr/bin/make", "-C", league.string(), "test"}, "make");
  CHECK(world.finish(test, "make").exit_code == 0);
  const auto events = ran.json_lines();
  REQUIRE_FALSE(events.empty());
  CHECK(events.front()["data"]["model"] == "built-in/embedded");
  CHECK(events.front()["data"]["agent"] == "embedded");
  const auto changed = events.back()["data"]["files_changed"].get<std::vector<std::string>>();
  CHECK(std::find(changed.begin(), changed.end(), "league.cpp") != changed.end());
}

TEST_CASE("eight tasks at once decode the very tokens that each decodes alone") {
  const World world;
  const fs::path work = world.folder() / "work";  // the same: the prompt names the repository
  const std::vector<std::string> tasks{"--tasks", "find",   "rename",  "set", "add",    "report",
                                       "run",     "refuse", "--count", "2",   "--seed", "21"};
  auto together = tasks, alone = tasks;
  together.insert(together.end(), {"--jobs", "8"});
  const auto first = evaluate(world, work, together);
  INFO(first.out << first.err);
  REQUIRE(first.exit_code == 0);
  const auto by_eight = tokens_by_task(world, work, first);
  const auto second = evaluate(world, work, alone);
  REQUIRE(second.exit_code == 0);
  const auto by_one = tokens_by_task(world, work, second);
  CHECK(by_eight.size() == 14);
  for (const auto& [task, tokens] : by_eight) {
    INFO(task);
    CHECK_FALSE(tokens.empty());
    CHECK(tokens == by_one.at(task));
  }
}

TEST_CASE("at temperature 1 every call still parses and fits its schema", "[slow]") {
  const World world;
  const auto ran = evaluate(world, world.folder() / "work",
                            {"--count", "25", "--seed", "9", "--jobs", "2", "--temperature", "1"});
  REQUIRE(ran.exit_code == 0);
  const auto summary = ran.json_lines().back()["summary"];
  CHECK(summary["all"]["n"] == 200);
  CHECK(summary["all"]["malformed_calls"] == 0);
  CHECK(summary["all"]["tool_calls"].get<int>() > 200);
}
