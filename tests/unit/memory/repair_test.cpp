// check() and repair(): damage is named, what can be proven is kept.
#include <fstream>
#include <random>

#include "base/file.h"
#include "memory/checkpoint_folder.h"
#include "tests/support/daily_slice.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

constexpr size_t kPageBytes = 4096;

/// A home with a few sessions of events small and large, closed cleanly; returns all events.
std::map<std::string, std::vector<Event>> make_home(const fs::path& home) {
  std::map<std::string, std::vector<Event>> all;
  auto store = open_store(home);
  std::vector<std::unique_ptr<Lease>> leases;
  for (int i = 0; i < 3; ++i)
    leases.push_back(must(store->create_session({.title = "some title"})));
  for (int round = 0; round < 12; ++round) {
    for (auto& lease : leases) {
      const size_t bytes = round % 4 == 3 ? 9000 : static_cast<size_t>(40 * round);
      must(store->append(*lease, {{"tool.started", Json{{"call_id", std::to_string(round)}}},
                                  {"note.added", Json{{"text", std::string(bytes, 'x')}}}}));
    }
  }
  const auto blob = must(store->put_blob("blob"));
  must(store->append(*leases[0], {{"tool.outcome", Json{{"call_id", "1"}, {"output", blob}}}}));
  for (auto& lease : leases) all[lease->session()] = must(store->read(lease->session(), 1, 1000));
  return all;
}

std::string events_text(const std::vector<Event>& events) {
  std::string text;
  for (const auto& event : events) text += dump_json(to_json(event)) + "\n";
  return text;
}

/// What a reader gets to see: empty when anything is refused.
std::string everything_readable(const fs::path& home) {
  auto store = Store::open(home);
  if (!store) return "";
  const auto sessions = await((*store)->list(100));
  if (!sessions) return "";
  std::map<std::string, std::string> text;
  for (const auto& session : *sessions) {
    const auto events = await((*store)->read(session.id, 1, 1000));
    if (!events) return "";
    const auto calls = await((*store)->unfinished_calls(session.id));
    if (!calls) return "";
    text[session.id] = session.title + session.status + std::to_string(session.n_events) +
                       events_text(*events) + events_text(*calls);
  }
  std::string all;
  for (const auto& [id, one] : text) all += id + one;
  return all;
}

void flip(const fs::path& file, size_t offset) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const char byte = static_cast<char>(stream.get() ^ 0x40);
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(byte);
}

void copy_home(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

/// Flips one byte, then: either the check reports it or no reader can see a difference; and a
/// repair keeps exact prefixes of every session.
void damage_and_repair(const fs::path& original, const fs::path& home, size_t offset,
                       const std::map<std::string, std::vector<Event>>& all,
                       const std::string& readable, size_t& n_detected) {
  INFO("offset " << offset << ", page " << offset / kPageBytes + 1);
  copy_home(original, home);
  flip(home / "sable.db", offset);
  const auto health = check(home);
  if (!health) {  // the header names another version or another program
    CHECK(health.error().code == ErrorCode::unsupported);
    ++n_detected;
    return;
  }
  if (health->problems.empty()) {
    CHECK(everything_readable(home) == readable);
    return;
  }
  ++n_detected;
  const auto report = repair(home);
  INFO((report ? "" : report.error().message));
  REQUIRE(report);
  REQUIRE(!report->was_sound);
  CHECK(fs::exists(report->moved_to / "sable.db"));
  CHECK(check(home).value().problems.empty());
  auto store = open_store(home);
  size_t n_kept = 0;
  for (const auto& salvaged : report->sessions) {
    const auto events = must(store->read(salvaged.id, 1, salvaged.n_kept));
    REQUIRE(events.size() == salvaged.n_kept);
    n_kept += events.size();
    const auto known = all.find(salvaged.id);
    if (known == all.end()) continue;  // its id was what was damaged
    REQUIRE(events.size() <= known->second.size());
    const std::vector<Event> prefix(known->second.begin(),
                                    known->second.begin() + static_cast<long>(events.size()));
    CHECK(events_text(events) == events_text(prefix));
    CHECK(salvaged.n_kept + salvaged.n_lost >= known->second.size());
    if (salvaged.n_lost > 0) {
      const auto told = must(store->read(salvaged.id, salvaged.n_kept + 1, 1));
      CHECK(told.front().type == "session.recovered");
      CHECK(told.front().data["n_lost"] == salvaged.n_lost);
    }
  }
  CHECK(n_kept == report->n_events);
}

void damage_pages(size_t n_per_page, unsigned seed) {
  TemporaryFolder original, scratch;
  const auto all = make_home(original.path());
  const auto readable = everything_readable(original.path());
  REQUIRE(!readable.empty());
  const size_t n_pages = fs::file_size(original / "sable.db") / kPageBytes;
  std::mt19937 random(seed);
  size_t n_pages_detected = 0;
  for (size_t page = 0; page < n_pages; ++page) {
    size_t n_detected = 0;
    for (size_t i = 0; i < n_per_page; ++i) {
      // Once where each page begins, once where its content ends, then anywhere.
      const size_t within = i == 0 ? (page == 0 ? 3 : 0) : i == 1 ? 4090 : random() % kPageBytes;
      damage_and_repair(original.path(), scratch / "home", page * kPageBytes + within, all,
                        readable, n_detected);
    }
    INFO("page " << page + 1 << " of " << n_pages);
    CHECK(n_detected > 0);
    n_pages_detected += n_detected > 0 ? 1 : 0;
  }
  CHECK(n_pages_detected == n_pages);
}

}  // namespace

TEST_CASE("a byte changed in any page is detected, and a repair keeps the longest valid prefixes") {
  damage_pages(2, 1);
}

TEST_CASE("many bytes changed in every page are detected or harmless", "[slow]") {
  damage_pages(64, day_of_run());
}

TEST_CASE("a sound home is left as it is by a repair") {
  TemporaryFolder home;
  const auto all = make_home(home.path());
  const auto before = home.read("sable.db");
  const auto health = check(home.path()).value();
  CHECK(health.problems.empty());
  CHECK(health.n_sessions == 3);
  CHECK(health.n_events == 3 * 25 + 1);
  const auto report = repair(home.path()).value();
  CHECK(report.was_sound);
  CHECK(home.read("sable.db") == before);
  CHECK(!fs::exists(home / "damaged"));
}

TEST_CASE("a truncated database is detected and its readable part salvaged") {
  TemporaryFolder original, scratch;
  const auto all = make_home(original.path());
  const size_t n_pages = fs::file_size(original / "sable.db") / kPageBytes;
  for (size_t pages = 1; pages < n_pages; pages += 5) {
    INFO(pages << " pages of " << n_pages);
    copy_home(original.path(), scratch / "home");
    fs::resize_file(scratch / "home/sable.db", pages * kPageBytes + 7);
    CHECK(!check(scratch / "home").value().problems.empty());
    const auto report = repair(scratch / "home");
    REQUIRE(report);
    CHECK(check(scratch / "home").value().problems.empty());
  }
}

TEST_CASE("a repair is refused while the home is in use") {
  TemporaryFolder home;
  make_home(home.path());
  tamper(home.path(), "DELETE FROM session_view");
  auto store = open_store(home.path());
  CHECK(!check(home.path()).value().problems.empty());
  CHECK(repair(home.path()).error().code == ErrorCode::denied);
  CHECK(rebuild_projections(home.path()).error().code == ErrorCode::denied);
}

TEST_CASE("everything derived can be rebuilt from the events") {
  TemporaryFolder home;
  make_home(home.path());
  const auto readable = everything_readable(home.path());
  tamper(home.path(), "DELETE FROM session_view; DELETE FROM open_call; DELETE FROM blob_ref");
  CHECK(everything_readable(home.path()) != readable);
  REQUIRE(rebuild_projections(home.path()));
  CHECK(everything_readable(home.path()) == readable);
  CHECK(check(home.path()).value().problems.empty());
}

TEST_CASE("a missing or damaged blob is reported") {
  TemporaryFolder home;
  make_home(home.path());
  for (const auto& entry : fs::recursive_directory_iterator(home / "blobs")) {
    if (entry.is_regular_file()) flip(entry.path(), 0);
  }
  const auto health = check(home.path()).value();
  REQUIRE(health.problems.size() == 1);
  CHECK(health.problems.front().find("blob") != std::string::npos);
}

TEST_CASE("a damaged blob is given up without touching the database, and is whole when put again") {
  TemporaryFolder home;
  std::string id, locator;
  {
    auto store = open_store(home.path());
    auto lease = must(store->create_session({.title = "x"}));
    id = lease->session();
    locator = must(store->put_blob("content"));
    must(store->append(*lease, {{"note.added", Json{{"blob", locator}}}}));
  }
  for (const auto& entry : fs::recursive_directory_iterator(home / "blobs")) {
    if (entry.is_regular_file()) flip(entry.path(), 0);
  }
  const auto report = repair(home.path()).value();
  CHECK_FALSE(report.was_sound);
  CHECK_FALSE(report.rebuilt);
  CHECK(report.n_blobs_lost == 1);
  CHECK(fs::exists(report.moved_to / "blobs"));
  CHECK(check(home.path())->problems.empty());
  CHECK(repair(home.path())->was_sound);
  auto store = open_store(home.path());
  const auto events = must(store->read(id, 1, 10));
  REQUIRE(events.size() == 3);
  CHECK(events.back().type == "blobs.lost");
  CHECK(await(store->get_blob(locator)).error().code == ErrorCode::not_found);
  CHECK(must(store->put_blob("content")) == locator);
  CHECK(must(store->get_blob(locator)) == "content");
}

TEST_CASE("a damaged object of a checkpoint is given up, written anew, and swept like any other") {
  TemporaryFolder folder;
  const auto home = folder / "home", root = folder / "root";
  fs::create_directory(root);
  std::ofstream(root / "file") << "content";
  std::string id, checkpoint;
  {
    auto store = open_store(home);
    id = must(store->create_session({.title = "x", .working_directory = root}))->session();
    auto files = FileCheckpoints::open(home, root);
    REQUIRE(files.has_value());
    checkpoint = (*files)->take(id)->id;
  }
  const auto blob = hex_of(GitObjects::name_of(ObjectKind::blob, "content").value());
  const auto object =
      checkpoint_folder(home, root) / "objects" / blob.substr(0, 2) / blob.substr(2);
  fs::permissions(object, fs::perms::owner_all);
  fs::resize_file(object, 5);
  CHECK(check(home)->problems.size() == 1);
  const auto report = repair(home).value();
  CHECK(report.n_objects_lost == 1);
  CHECK_FALSE(report.rebuilt);
  CHECK(check(home)->problems.empty());
  CHECK_FALSE(fs::exists(object));
  {
    auto files = FileCheckpoints::open(home, root);
    REQUIRE(files.has_value());
    std::ofstream(root / "file") << "other";
    CHECK_FALSE((*files)->check(checkpoint).has_value());
    std::ofstream(root / "file") << "content";
    REQUIRE((*files)->take(id).has_value());  // which brings the object back
    std::ofstream(root / "file") << "other";
    CHECK((*files)->check(checkpoint).has_value());
  }
  fs::remove(object);  // lost again: known
  auto store = open_store(home);
  must(store->remove(id));
  for (const auto& entry :
       fs::recursive_directory_iterator(checkpoint_folder(home, root) / "objects")) {
    CHECK_FALSE(entry.is_regular_file());
  }
}

TEST_CASE("a repaired database that waited for its place takes it at the next start") {
  TemporaryFolder home, sound;
  const auto all = make_home(sound.path());
  make_home(home.path());
  // As after a crash between the last sync of a repair and the exchange of the files.
  fs::copy(sound / "sable.db", home / "sable.db.repaired");
  home.write("sable.db-wal", "stale");
  auto store = open_store(home.path());
  CHECK(must(store->list(10)).size() == all.size());
  for (const auto& [id, events] : all) {
    CHECK(events_text(must(store->read(id, 1, 1000))) == events_text(events));
  }
  CHECK(home.read("damaged/1/sable.db-wal") == "stale");
  CHECK(fs::exists(home / "damaged/1/sable.db"));
  CHECK(!fs::exists(home / "sable.db.repaired"));
}

TEST_CASE("a write-ahead log with a flipped bit is noticed through what was acknowledged") {
  TemporaryFolder home, copy;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  for (int i = 2; i < 30; ++i) must(store->append(*lease, notes(i, i)));
  const auto id = lease->session();
  const auto lock = home.read("locks/" + id);
  const auto database = home.read("sable.db"), wal = home.read("sable.db-wal");
  // Those in use carry the log's salt; behind them there may be zeros.
  size_t n_frames = 0;
  while (32 + (n_frames + 1) * (kPageBytes + 24) <= wal.size() &&
         wal.compare(32 + n_frames * (kPageBytes + 24) + 8, 8, wal, 16, 8) == 0) {
    ++n_frames;
  }
  REQUIRE(n_frames > 20);
  for (size_t frame = 0; frame < n_frames; frame += 3) {
    INFO("frame " << frame << " of " << n_frames);
    copy_home(home.path(), copy / "home");
    fs::remove(copy / "home/sable.db-shm");
    copy.write("home/sable.db", database);
    copy.write("home/sable.db-wal", wal);
    copy.write("home/locks/" + id, lock);
    flip(copy / "home/sable.db-wal", 32 + frame * (kPageBytes + 24) + 24 + 4000);
    auto damaged = Store::open(copy / "home");
    if (!damaged) continue;  // so much of it is gone that there is no schema
    const auto refused = await((*damaged)->acquire(id));
    REQUIRE(!refused);
    CHECK((refused.error().code == ErrorCode::corrupt ||
           refused.error().code == ErrorCode::not_found));
  }
}
