// Sessions over time through the program's own commands: what is pruned, removed, carried, repaired
// and migrated, also where the program is killed in the middle.
#include <fstream>
#include <iostream>
#include <set>
#include <signal.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "memory/memory.h"
#include "tests/e2e/front_end.h"
#include "tests/e2e/world.h"
#include "tests/support/daily_slice.h"
#include "tests/support/fake_clock.h"
#include "tests/support/made_up_state.h"
#include "tests/support/run_coroutine.h"

using namespace sable;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

/// A session of one turn that wrote a file and printed `n_lines` lines, most of which are kept
/// aside.
std::string made_session(World& world, const std::string& content, int n_lines) {
  world.play(Json::array(
      {{{"tool_calls",
         Json::array({tool_call("shell", {{"command", "echo " + content + " > made.txt; seq 1 " +
                                                          std::to_string(n_lines)}})})}},
       {{"text", "Made it."}}}));
  const auto ran = world.run("make a file", {"--json", "--approve", "all"});
  INFO(ran.err);
  REQUIRE(ran.exit_code == 0);
  return string_or(ran.json_lines().at(0), "session", "");
}

void keep_snapshot(const fs::path& home, const std::string& session, size_t n_tokens) {
  auto cache = memory::SnapshotStore::open(home, {.free_bytes_min = 0});
  REQUIRE(cache.has_value());
  MadeUpState state(made_up_tokens(n_tokens, static_cast<int32_t>(n_tokens)));
  REQUIRE((*cache)->save(session, state.stream(), state).has_value());
}

void replace_folder(const fs::path& folder, const fs::path& with) {
  fs::remove_all(folder);
  fs::copy(with, folder, fs::copy_options::recursive);
}

/// A session with this much in it as a program wrote it at that time.
std::string stored_session(const World& world, const Clock& clock, size_t n_bytes) {
  auto store = memory::Store::open(world.home(), {.clock = &clock});
  REQUIRE(store.has_value());
  auto lease = run((*store)->create_session({.title = "stored"}));
  REQUIRE(lease.has_value());
  const Json data{{"text", std::string(n_bytes, 'x')}};
  REQUIRE(run((*store)->append(**lease, {{"note.added", data}})).has_value());
  return (*lease)->session();
}

/// Everything that is kept for sessions beside the database, and the number of their snapshots.
std::set<std::string> kept_files(const fs::path& home) {
  std::set<std::string> files;
  for (const char* part : {"blobs", "locks", "checkpoints"}) {
    if (!fs::exists(home / part)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(home / part)) {
      if (entry.is_regular_file()) files.insert(fs::relative(entry.path(), home).string());
    }
  }
  auto cache = memory::SnapshotStore::open(home, {.free_bytes_min = 0});
  REQUIRE(cache.has_value());
  files.insert("snapshots: " + std::to_string((*cache)->usage()->n_snapshots));
  return files;
}

/// The program, killed right before its n-th operation on the home.
Finished killed_at(const World& world, std::vector<std::string> arguments, long index) {
  std::vector<std::string> argv{"/usr/bin/env",
                                "LD_PRELOAD=" SABLE_KILL_AT,
                                "SABLE_TEST_KILL_BELOW=" + world.home().string(),
                                "SABLE_TEST_KILL_COUNT=" + (world.folder() / "count").string(),
                                "SABLE_TEST_KILL_AT=" + std::to_string(index),
                                World::program()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto process = world.start_program(std::move(argv), "killed");
  return world.finish(process, "killed");
}

/// Of an uninterrupted run.
size_t n_operations(const World& world, const std::vector<std::string>& arguments) {
  const auto ran = killed_at(world, arguments, -1);
  INFO(ran.err);
  REQUIRE(ran.exit_code == 0);
  return std::stoul(world.folder().read("count"));
}

std::set<std::string> listed(const World& world) {
  const auto list = world.sable({"session", "list", "--json"});
  INFO(list.err);
  REQUIRE(list.exit_code == 0);
  std::set<std::string> ids;
  for (const auto& line : list.json_lines()) ids.insert(line["id"].get<std::string>());
  return ids;
}

void check_sound(const fs::path& home) {
  const auto health = memory::check(home);
  REQUIRE(health.has_value());
  CHECK(health->problems == std::vector<std::string>());
}

/// A home with two sessions that share some of what belongs to them; one is deleted and the program
/// killed on the way, before each of its operations that the slice names.
void kill_deletes(const Slice& slice) {
  World world;
  const auto stays = made_session(world, "one", 7000);
  const auto goes = made_session(world, "two", 8000);
  keep_snapshot(world.home(), stays, 300);
  keep_snapshot(world.home(), goes, 400);
  const fs::path base = world.folder() / "base";
  fs::copy(world.home(), base, fs::copy_options::recursive);
  const std::vector<std::string> remove{"session", "delete", goes};
  const size_t n_existing = n_operations(world, remove);
  const auto expected = kept_files(world.home());
  CHECK(expected.size() < kept_files(base).size());
  const auto kill_at = [&](size_t index) {
    INFO("operation " << index);
    replace_folder(world.home(), base);
    const auto killed = killed_at(world, remove, static_cast<long>(index));
    const auto left = listed(world);  // a start like any other
    CHECK(left.contains(stays));
    check_sound(world.home());
    if (left.contains(goes)) {
      const auto again = world.sable(remove);
      INFO(again.err);
      REQUIRE(again.exit_code == 0);
    }
    CHECK(kept_files(world.home()) == expected);
    return killed.signal == SIGKILL;
  };
  const Coverage coverage{slice.for_each(n_existing, kill_at), n_existing};
  std::cout << "kill -9 of a delete: " << coverage << "\n";
  CHECK(coverage.n_covered > 0);
}

}  // namespace

TEST_CASE("session prune removes what is beyond the limits, says so, and tries it out before") {
  World world;
  const auto first = made_session(world, "one", 7000);
  const auto second = made_session(world, "two", 8000);
  const auto nothing = world.sable({"session", "prune"});
  CHECK(nothing.exit_code == 0);
  CHECK(nothing.out.find("no limit is set") != std::string::npos);
  CHECK(object_of(world.sable({"session", "prune", "--older-than", "1", "--json"}))["sessions"]
            .empty());
  uint64_t all_bytes = 0;
  const auto all =
      object_of(world.sable({"session", "prune", "--larger-than", "0", "--dry-run", "--json"}));
  REQUIRE(all["sessions"].size() == 2);
  for (const Json& session : all["sessions"]) all_bytes += session["bytes"].get<uint64_t>();
  const auto limit = std::to_string(all_bytes - 1);
  const auto announced =
      object_of(world.sable({"session", "prune", "--larger-than", limit, "--dry-run", "--json"}));
  CHECK(announced["dry_run"] == true);
  REQUIRE(announced["sessions"].size() == 1);
  CHECK(announced["sessions"][0]["id"] == first);
  CHECK(listed(world) == std::set<std::string>{first, second});
  const auto pruned = world.sable({"session", "prune", "--larger-than", limit});
  CHECK(pruned.exit_code == 0);
  CHECK(pruned.out.find("removed " + first) != std::string::npos);
  CHECK(listed(world) == std::set<std::string>{second});
  CHECK(world.sable({"session", "prune", "--larger-than", "much"}).exit_code != 0);
}

TEST_CASE("sable run removes the sessions that the settings no longer keep, beside its own work") {
  World world;
  const auto old = made_session(world, "one", 200'000);  // more than a mebibyte
  const auto config = world.folder().write("mine.yaml", "retention:\n  size: 1M\n");
  const auto go_on = world.folder() / "go-on";
  world.play(Json::array({{{"text", "Nothing to do."}, {"wait_for", go_on.string()}}}));
  std::vector<std::string> arguments{
      "run",      "nothing",      "--json", "--repo", world.repository().string(),
      "--config", config.string()};
  const auto model = world.model_arguments();
  arguments.insert(arguments.end(), model.begin(), model.end());
  auto process = world.start(arguments, "beside");
  // The turn waits for its model meanwhile. Each look is a start of the program: ample.
  for (int looks = 0; looks < 500 && listed(world).contains(old); ++looks) {
  }
  std::ofstream(go_on) << "on";
  const auto ran = world.finish(process, "beside");
  INFO(ran.err);
  CHECK(ran.exit_code == 0);
  const auto own = string_or(ran.json_lines().at(0), "session", "");
  CHECK(listed(world) == std::set<std::string>{own});
  CHECK(ran.err.find(old) != std::string::npos);
}

TEST_CASE(
    "sable serve removes what the settings no longer keep while it serves, but no live session") {
  const std::string limit = GENERATE("days: 2", "size: 2M");
  World world;
  world.play(Json::array({{{"text", "Nothing to do."}}}));
  const auto config = world.folder().write("mine.yaml", "retention:\n  " + limit + "\n");
  std::string live, old, fresh;
  {
    FakeClock clock;
    clock.now = system_clock().wall_now() - std::chrono::hours(240);
    live = stored_session(world, clock, 1'200'000);
    clock.now += std::chrono::hours(24);
    old = stored_session(world, clock, 1'200'000);
    clock.now = system_clock().wall_now();
    fresh = stored_session(world, clock, 1000);
  }
  // Another process works on the oldest one.
  auto store = memory::Store::open(world.home());
  REQUIRE(store.has_value());
  auto lease = run((*store)->acquire(live));
  REQUIRE(lease.has_value());

  Serving serving(world, {"--config", config.string()});
  FrontEnd client = serving.connect();
  const auto own = client.begin(world.repository());
  // Each look is a start of the program: ample.
  for (int looks = 0; looks < 500 && listed(world).contains(old); ++looks) {
  }
  CHECK(listed(world) == std::set<std::string>{live, fresh, own});
  CHECK(client.prompt(own, "nothing")["result"]["stopReason"] == "end_turn");
  CHECK(run((*store)->append(**lease, {{"note.added", Json{{"text", "goes on"}}}})).has_value());
  const auto ended = serving.stop();
  CHECK(ended.exit_code == 143);
  CHECK(ended.err.find(old) != std::string::npos);
  CHECK(ended.err.find(live) == std::string::npos);
  lease->reset();
  store->reset();
  check_sound(world.home());
}

TEST_CASE("a program killed anywhere in a delete leaves nothing behind after the next start") {
  kill_deletes(Slice::of_the_day(9));
}

TEST_CASE("a program killed at every operation of a delete leaves nothing behind", "[slow]") {
  kill_deletes(Slice::fixed(1));
}

TEST_CASE(
    "a program killed anywhere while it migrates a home has that migrated at the next start") {
  World world;
  const fs::path golden = fs::path(SABLE_SOURCE_DIR) / "tests/golden/home_v1/home";
  const auto restore = [&] {
    replace_folder(world.home(), golden);
    fs::permissions(world.home(), fs::perms::owner_all);
  };
  restore();
  const std::vector<std::string> list{"session", "list", "--json"};
  const size_t n_existing = n_operations(world, list);
  const auto expected = kept_files(world.home());
  const auto sessions = listed(world);
  CHECK(sessions.size() == 3);
  const auto kill_at = [&](size_t index) {
    INFO("operation " << index);
    restore();
    const auto killed = killed_at(world, list, static_cast<long>(index));
    CHECK(listed(world) == sessions);
    check_sound(world.home());
    CHECK(kept_files(world.home()) == expected);
    return killed.signal == SIGKILL;
  };
  const Coverage coverage{Slice::fixed(1).for_each(n_existing, kill_at), n_existing};
  std::cout << "kill -9 of a migration: " << coverage << "\n";
  CHECK(coverage.n_covered > 0);
}

TEST_CASE("a session that came in a file is rewound with its files, and removed whole") {
  World world;
  const auto id = made_session(world, "one", 7000);
  REQUIRE(read_file(world.repository() / "made.txt").value() == "one\n");
  const auto file = (world.folder() / "session.export").string();
  const auto exported = object_of(world.sable({"session", "export", id, file, "--json"}));
  CHECK(exported["checkpoint_objects"].get<int>() > 0);
  CHECK(exported["files_left_out"] == "");
  fs::remove_all(world.home());
  const auto imported = object_of(world.sable({"session", "import", file, "--json"}));
  CHECK(imported["session"] == id);
  CHECK(imported["working_directory"] == world.repository().string());
  const auto rewound = object_of(world.sable({"session", "rewind", id, "--to", "2", "--json"}));
  CHECK(rewound["n_removed"] == 1);
  CHECK_FALSE(fs::exists(world.repository() / "made.txt"));
  const auto undo = std::to_string(rewound["undo"].get<int>());
  object_of(world.sable({"session", "rewind", id, "--to", undo, "--json"}));
  CHECK(read_file(world.repository() / "made.txt").value() == "one\n");
}

TEST_CASE("doctor --repair gives up a kept output or a checkpoint that is damaged, and says so") {
  World world;
  const auto id = made_session(world, "one", 7000);
  const auto store_finding = [&] {
    const auto doctor = world.sable({"doctor", "--json"});
    const auto lines = doctor.json_lines();
    REQUIRE(lines.size() == 1);
    for (const Json& finding : lines[0]["findings"]) {
      if (finding["name"] == "store") return finding;
    }
    return Json();
  };
  REQUIRE(store_finding()["ok"] == true);
  const auto damage_one_below = [&](const fs::path& folder) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      fs::permissions(entry.path(), fs::perms::owner_all);
      std::ofstream(entry.path(), std::ios::trunc) << "damaged";
      return;
    }
  };
  const auto before = read_file(world.home() / "sable.db").value();
  damage_one_below(world.home() / "blobs");
  CHECK(store_finding()["ok"] == false);
  const auto said = world.sable({"doctor", "--repair"});
  CHECK(said.exit_code == 0);
  CHECK(said.out.find("1 kept outputs are lost") != std::string::npos);
  CHECK(said.out.find("the database was sound") != std::string::npos);
  CHECK(store_finding()["ok"] == true);
  const auto events = world.sable({"session", "events", id}).json_lines();
  CHECK(events.back()["type"] == "blobs.lost");
  CHECK(fs::exists(world.home() / "damaged" / "1" / "blobs"));

  fs::path objects;
  for (const auto& folder : fs::directory_iterator(world.home() / "checkpoints")) {
    objects = folder.path() / "objects";
  }
  damage_one_below(objects);
  CHECK(store_finding()["ok"] == false);
  const auto repaired = object_of(world.sable({"doctor", "--repair", "--json"}));
  CHECK(repaired["was_sound"] == false);
  CHECK(repaired["rebuilt"] == false);
  CHECK(repaired["n_objects_lost"] == 1);
  CHECK(repaired["n_blobs_lost"] == 0);
  CHECK(store_finding()["ok"] == true);
  CHECK(object_of(world.sable({"doctor", "--repair", "--json"}))["was_sound"] == true);
  CHECK(world.sable({"session", "delete", id}).exit_code == 0);
  CHECK(fs::is_empty(world.home() / "locks"));
}

TEST_CASE("doctor --repair finds a session's file checkpoints again in its log, and says so") {
  World world;
  const auto id = made_session(world, "one", 20);
  fs::path head;
  for (const auto& folder : fs::directory_iterator(world.home() / "checkpoints")) {
    head = folder.path() / "sessions" / id;
  }
  const auto name = read_file(head).value();
  std::ofstream(head, std::ios::trunc) << "damaged";
  const auto doctor = world.sable({"doctor", "--json"});
  CHECK(doctor.exit_code != 0);
  CHECK(doctor.out.find("newest file checkpoint is damaged") != std::string::npos);
  const auto repaired = object_of(world.sable({"doctor", "--repair", "--json"}));
  CHECK(repaired["n_heads_restored"] == 1);
  CHECK(repaired["n_heads_lost"] == 0);
  CHECK(read_file(head).value() == name);
  check_sound(world.home());
  fs::remove(head);
  const auto said = world.sable({"doctor", "--repair"});
  CHECK(said.out.find("file checkpoint of 1 sessions is known again") != std::string::npos);
  object_of(world.sable({"session", "rewind", id, "--to", "2", "--json"}));
  CHECK_FALSE(fs::exists(world.repository() / "made.txt"));
}

TEST_CASE("doctor --repair salvages a damaged database and says what was kept") {
  World world;
  const auto id = made_session(world, "one", 20);
  const auto n_events = world.sable({"session", "events", id}).json_lines().size();
  {
    std::fstream file(world.home() / "sable.db", std::ios::in | std::ios::out | std::ios::binary);
    const auto text = read_file(world.home() / "sable.db").value();
    const auto at = text.find("\"status\":\"finished\"");
    REQUIRE(at != std::string::npos);
    file.seekp(static_cast<std::streamoff>(at));
    file << "X";
  }
  CHECK(world.sable({"doctor", "--json"}).exit_code != 0);
  const auto repaired = object_of(world.sable({"doctor", "--repair", "--json"}));
  CHECK(repaired["rebuilt"] == true);
  CHECK(repaired["sessions"][0]["n_kept"] == n_events - 1);
  CHECK(repaired["sessions"][0]["n_lost"] == 1);
  CHECK(fs::exists(world.home() / "damaged" / "1" / "sable.db"));
  const auto events = world.sable({"session", "events", id}).json_lines();
  CHECK(events.back()["type"] == "session.recovered");
}

TEST_CASE("a session with an event of a newer version is shown and exported, but not taken up") {
  World world;
  const auto id = made_session(world, "one", 20);
  {
    auto store = memory::Store::open(world.home());
    REQUIRE(store.has_value());
    auto lease = run((*store)->acquire(id));
    REQUIRE(lease.has_value());
    REQUIRE(run((*store)->append(**lease, {{"turn.started", Json{{"task", "new"}}, 2}})));
  }
  CHECK(listed(world) == std::set<std::string>{id});
  CHECK(world.sable({"session", "events", id}).json_lines().back()["version"] == 2);
  CHECK(world.sable({"session", "export", id, (world.folder() / "s").string()}).exit_code == 0);
  const auto model = world.model_arguments();
  std::vector<std::string> resume{"run", "go on", "--resume", id};
  resume.insert(resume.end(), model.begin(), model.end());
  const auto refused = world.sable(resume);
  CHECK(refused.exit_code == 1);
  CHECK(refused.err.find("version 2") != std::string::npos);
  CHECK(world.sable({"session", "rewind", id, "--to", "2"}).exit_code == 1);
  check_sound(world.home());
}
