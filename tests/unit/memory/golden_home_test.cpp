// A home that an older program wrote is brought up to date and is what it was
// (tests/golden/home_v1).
#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "memory/checkpoint_folder.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

const fs::path kGolden = fs::path(SABLE_SOURCE_DIR) / "tests/golden/home_v1";
const std::string kSession = "s_02q31hs7cp", kFork = "s_02q31hsvtm", kShort = "s_02q31hs528";

int64_t pragma(const fs::path& home, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((home / "sable.db").c_str(), &database) == SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  REQUIRE(sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
  const auto value = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return value;
}

struct OldHome {
  TemporaryFolder folder;
  fs::path home = folder / "home";
  OldHome() { fs::copy(kGolden / "home", home, fs::copy_options::recursive); }
};

std::vector<std::string> events_then() {
  const auto text = read_file(kGolden / "session.events").value();
  std::vector<std::string> lines;
  for (const auto line : split_lines(text)) {
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

void check_is_what_it_was(Store& store, const std::string& id) {
  std::vector<std::string> lines;
  for (const auto& event : must(store.read(id, 1, 1000)))
    lines.push_back(dump_json(to_json(event)));
  CHECK(lines == events_then());
}

}  // namespace

TEST_CASE("a home of schema version 1 is checked as it is, without being changed") {
  OldHome old;
  REQUIRE(pragma(old.home, "PRAGMA user_version") == 1);
  const auto before = read_file(old.home / "sable.db").value();
  const auto health = check(old.home);
  REQUIRE(health.has_value());
  CHECK(health->problems == std::vector<std::string>());
  CHECK(health->n_sessions == 3);
  CHECK(read_file(old.home / "sable.db").value() == before);
  CHECK(repair(old.home)->was_sound);
}

TEST_CASE("a home of schema version 1 is migrated with everything in it") {
  OldHome old;
  {
    auto store = open_store(old.home);
    check_is_what_it_was(*store, kSession);
    const auto sessions = must(store->list(10));
    REQUIRE(sessions.size() == 3);
    CHECK(sessions[0].id == kShort);
    CHECK(must(store->find(kFork)).parent == kSession);
    CHECK(must(store->find(kShort)).n_events == 6);
    CHECK(must(store->find_events(kSession, kRewound, 1, 10)).size() == 1);
    CHECK(must(store->find_events(kSession, "files.checkpointed", 1, 10)).size() ==
          must(store->find_events(kFork, "files.checkpointed", 1, 10)).size());
    auto lease = must(store->acquire(kSession));
    must(store->append(*lease, notes(1, 1)));
    must(store->fork(kFork, 10));
    must(store->remove(kShort));
  }
  CHECK(pragma(old.home, "PRAGMA user_version") == 3);
  CHECK(pragma(old.home, "SELECT count(*) FROM tombstone") == 2);
  CHECK(check(old.home)->problems == std::vector<std::string>());
}

TEST_CASE("a migration counts what the events of each session take") {
  OldHome old;
  auto store = open_store(old.home);
  for (const auto& session : must(store->expired({.bytes_max = 0}))) {
    INFO(session.id);
    uint64_t bytes = 0;
    for (const auto& event : must(store->read(session.id, 1, 1000))) {
      bytes += dump_json(event.data).size();
    }
    CHECK(session.bytes >= bytes);  // and a kept output, once
    if (session.id == kShort) CHECK(session.bytes == bytes);
  }
  store.reset();
  CHECK(check(old.home)->problems == std::vector<std::string>());
}

TEST_CASE("the file checkpoints of an older home can be restored") {
  OldHome old;
  auto store = open_store(old.home);
  const auto folder = checkpoint_folder(old.home, "/srv/repository");
  auto objects = GitObjects::open(folder / "objects", false);
  REQUIRE(objects.has_value());
  for (const auto& event : must(store->find_events(kSession, "files.checkpointed", 1, 10))) {
    const auto commit = object_id(event.data["checkpoint"].get<std::string>());
    REQUIRE(commit.has_value());
    CHECK(objects->read_commit(*commit).has_value());
  }
  CHECK(must(store->sweep()).nothing());
  CHECK(newest_checkpoint(folder, kSession)->has_value());
}

TEST_CASE("a session that an older program exported is imported") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  REQUIRE(must(store->import_session(kGolden / "session.export")) == kSession);
  check_is_what_it_was(*store, kSession);
}
