// Sessions over time: fork, export and import, retention.
#include <fstream>

#include "base/file.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

std::string data_of(const std::vector<Event>& events) {
  std::string text;
  for (const auto& event : events) {
    text += event.type + to_rfc3339(event.time) + dump_json(event.data) + "\n";
  }
  return text;
}

std::vector<std::string> ids_of(const std::vector<ExpiredSession>& sessions) {
  std::vector<std::string> ids;
  for (const auto& session : sessions) ids.push_back(session.id);
  return ids;
}

std::vector<std::string> retain(Store& store, Retention policy) {
  const auto expired = ids_of(must(store.expired(policy)));
  const auto removed = ids_of(must(store.retain(policy)));
  CHECK(removed == expired);  // what was announced is what goes
  return removed;
}

}  // namespace

TEST_CASE("a fork at any event shares the history up to it and then goes its own way") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "original"}));
  must(store->append(*lease, {{"tool.started", Json{{"call_id", "a"}}}}));
  must(store->append(*lease, notes(3, 9)));
  must(store->append(*lease, {{"tool.outcome", Json{{"call_id", "a"}}}}));
  const auto id = lease->session();
  const auto history = must(store->read(id, 1, 100));
  for (Seq at = 1; at <= history.size(); ++at) {
    INFO("at " << at);
    auto fork = must(store->fork(id, at));  // the original has a live owner
    CHECK(fork->last_seq() == at + 1);
    auto events = must(store->read(fork->session(), 1, 100));
    REQUIRE(events.size() == at + 1);
    CHECK(events.back().type == "session.forked");
    CHECK(events.back().data["from"] == id);
    CHECK(events.back().data["seq"] == at);
    events.pop_back();
    CHECK(data_of(events) == data_of({history.begin(), history.begin() + static_cast<long>(at)}));
    must(store->append(*fork, notes(0, 0)));
    const auto info = must(store->find(fork->session()));
    CHECK(info.title == "original");
    CHECK(info.parent == id);
    CHECK(info.parent_seq == at);
    const bool open = at >= 2 && at < history.size();
    CHECK(must(store->unfinished_calls(fork->session())).size() == (open ? 1 : 0));
  }
  CHECK(must(store->read(id, 1, 100)).size() == history.size());
  CHECK(await(store->fork(id, 0)).error().code == ErrorCode::invalid_input);
  CHECK(await(store->fork(id, history.size() + 1)).error().code == ErrorCode::invalid_input);
  CHECK(await(store->fork("s_none", 1)).error().code == ErrorCode::not_found);
  CHECK(check(home.path()).value().problems.empty());
}

TEST_CASE("a fork outlives the removal of its original, blobs included") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  const auto blob = must(store->put_blob("kept"));
  must(store->append(*lease, {{"note.added", Json{{"blob", blob}}}}));
  const auto id = lease->session();
  const auto fork = must(store->fork(id, 2))->session();
  lease.reset();
  must(store->remove(id));
  CHECK(must(store->read(fork, 1, 10)).size() == 3);
  CHECK(must(store->get_blob(blob)) == "kept");
}

TEST_CASE("a long session is forked in steps and whole") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  must(store->append(*lease, notes(2, 5000)));
  auto fork = must(store->fork(lease->session(), 4999));
  CHECK(must(store->read(fork->session(), 1, 10000)).size() == 5000);
}

TEST_CASE("a session carried to another home in a file is the same there") {
  TemporaryFolder home, other, files;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "travels", .model = "m"}));
  const std::string bytes("binary\0\n{}", 10);
  const auto blob = must(store->put_blob(bytes));
  must(store->append(*lease, {{"tool.started", Json{{"call_id", "a"}}},
                              {"note.added", Json{{"blob", blob}, {"text", "\n\"\\\u00e9"}}}}));
  must(store->append(*lease, notes(4, 3000)));
  const auto id = lease->session();
  must(store->export_session(id, files / "s"));

  auto target = open_store(other.path());
  CHECK(must(target->import_session(files / "s")) == id);
  CHECK(data_of(must(target->read(id, 1, 10000))) == data_of(must(store->read(id, 1, 10000))));
  CHECK(must(target->get_blob(blob)) == bytes);
  CHECK(must(target->find(id)).title == "travels");
  CHECK(must(target->unfinished_calls(id)).size() == 1);
  must(target->append(*must(target->acquire(id)), notes(0, 0)));

  const auto twice = must(target->import_session(files / "s"));
  CHECK(twice != id);
  CHECK(must(target->read(twice, 1, 10000)).size() == 3000);
  CHECK(check(other.path()).value().problems.empty());
  must(target->export_session(twice, files / "t"));
  CHECK(must(target->import_session(files / "t")) != twice);
}

TEST_CASE("a damaged export is refused, wherever it is damaged, and leaves nothing visible") {
  TemporaryFolder home, other, files;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  const auto blob = must(store->put_blob("content"));
  must(store->append(*lease, {{"note.added", Json{{"blob", blob}}}}));
  must(store->export_session(lease->session(), files / "s"));
  const auto whole = files.read("s");

  auto target = open_store(other.path());
  const auto refused = [&](const std::string& content) {
    files.write("damaged", content);
    const auto result = await(target->import_session(files / "damaged"));
    return !result && (result.error().code == ErrorCode::corrupt ||
                       result.error().code == ErrorCode::unsupported ||
                       result.error().code == ErrorCode::invalid_input);
  };
  for (size_t n = 0; n < whole.size(); n += 17) {
    INFO("cut at " << n);
    CHECK(refused(whole.substr(0, n)));
  }
  for (size_t at = whole.find("\"event\""); at < whole.size() - 14; at += 13) {
    INFO("byte " << at << ": " << whole.substr(at, 20));
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK(refused(changed));
  }
  CHECK(refused("{}\n"));
  CHECK(refused(std::string(100000, 'x')));
  CHECK(refused(R"({"format":"sable-session","version":2,"id":"s_1","n_events":1,"head":""})"
                "\n"));
  CHECK(await(target->import_session(files / "none")).error().code == ErrorCode::not_found);
  CHECK(must(target->list(10)).empty());
  target.reset();
  target = open_store(other.path());  // takes away what was half imported
  CHECK(check(other.path()).value().n_events == 0);
  CHECK(check(other.path()).value().problems.empty());
}

TEST_CASE("retention removes the oldest sessions that nobody owns, by age and by size") {
  TemporaryFolder home;
  FakeClock clock;
  auto store = open_store(home.path(), {.clock = &clock});
  std::vector<std::string> ids;
  std::unique_ptr<Lease> owned;
  for (int i = 0; i < 6; ++i) {
    auto lease = must(store->create_session({.title = std::to_string(i)}));
    ids.push_back(lease->session());
    must(store->append(*lease, {{"note.added", Json{{"text", std::string(10000, 'x')}}}}));
    if (i == 0) owned = std::move(lease);
    clock.now += std::chrono::hours(24);
  }
  CHECK(retain(*store, {}).empty());
  CHECK(retain(*store, {.age_max = std::chrono::hours(24 * 4 + 1)}) ==
        std::vector<std::string>{ids[1]});
  CHECK(retain(*store, {.bytes_max = 35000}) == std::vector<std::string>{ids[2], ids[3]});
  CHECK(must(store->list(10)).size() == 3);
  owned.reset();
  CHECK(retain(*store, {.bytes_max = 0}).size() == 3);
}

TEST_CASE("a clock that jumps forward lets no session go by age") {
  TemporaryFolder home;
  FakeClock clock;
  auto store = open_store(home.path(), {.clock = &clock});
  const auto made = [&] { return must(store->create_session({.title = "x"}))->session(); };
  const auto old = made();
  clock.now += std::chrono::hours(24 * 7);
  const auto newest = made();
  const auto limit = std::chrono::hours(24 * 5);
  clock.now += limit + std::chrono::hours(1);
  CHECK(retain(*store, {.age_max = limit}).empty());
  clock.now += std::chrono::hours(24 * 3650);
  CHECK(retain(*store, {.age_max = limit}).empty());
  // Someone was here: what is old by that goes.
  const auto fresh = made();
  CHECK(retain(*store, {.age_max = limit}) == std::vector<std::string>{old, newest});
  clock.now += std::chrono::hours(24 * 3650);
  CHECK(retain(*store, {.age_max = limit, .bytes_max = 0}) == std::vector<std::string>{fresh});
}

TEST_CASE("a file that is mostly free after a removal is made smaller") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session({.title = "x"}));
  for (int i = 0; i < 24; ++i) {
    must(store->append(*lease, {{"note.added", Json{{"text", std::string(1 << 20, 'x')}}}}));
  }
  lease.reset();
  retain(*store, {.bytes_max = 0});
  CHECK(must(store->shrink()));
  CHECK(fs::file_size(home / "sable.db") < (1u << 20));
}

TEST_CASE("kept outputs count for retention, once, and are removed with their last session") {
  TemporaryFolder home;
  FakeClock clock;
  auto store = open_store(home.path(), {.clock = &clock});
  const auto session_with = [&](const std::string& content) {
    auto lease = must(store->create_session({.title = "x"}));
    const auto blob = must(store->put_blob(content));
    must(store->append(*lease, {{"note.added", Json{{"blob", blob}}}}));
    clock.now += std::chrono::hours(1);
    return lease->session();
  };
  const auto alone = session_with(std::string(50'000, 'a'));
  const auto old = session_with(std::string(70'000, 'b'));
  const auto fresh = session_with(std::string(70'000, 'b'));
  CHECK(retain(*store, {.bytes_max = 130'000}).empty());
  CHECK(retain(*store, {.bytes_max = 80'000}) == std::vector<std::string>{alone});
  CHECK(must(store->find(fresh)).n_events == 2);
  CHECK(retain(*store, {.bytes_max = 1000}) == std::vector<std::string>{old, fresh});
}

TEST_CASE("what a session's events take is counted as they come, and counted again by a rebuild") {
  TemporaryFolder home;
  uint64_t listed = 0;
  const auto size_of_all = [&](Store& store) {
    uint64_t bytes = 0;
    for (const auto& session : must(store.expired({.bytes_max = 0}))) bytes += session.bytes;
    return bytes;
  };
  {
    auto store = open_store(home.path());
    auto lease = must(store->create_session({.title = "x"}));
    must(store->append(*lease, notes(1, 50)));
    must(store->append(*lease, {{"note.added", Json{{"text", std::string(5000, 'x')}}}}));
    must(store->append(*lease, {{"note.added", Json{{"text", "\u00e4\u20ac"}}}}));
    must(store->fork(lease->session(), 30));
    must(store->export_session(lease->session(), home / "session"));
    must(store->import_session(home / "session"));
    lease.reset();
    listed = size_of_all(*store);
    uint64_t rendered = 0;
    for (const auto& session : must(store->list(10))) {
      for (const auto& event : must(store->read(session.id, 1, 1000))) {
        rendered += dump_json(event.data).size();
      }
    }
    CHECK(listed == rendered);
  }
  tamper(home.path(), "UPDATE session_view SET data_bytes = 1");
  CHECK(check(home.path())->problems.size() == 3);
  CHECK(size_of_all(*open_store(home.path())) == 3);
  REQUIRE(rebuild_projections(home.path()));
  CHECK(check(home.path())->problems.empty());
  CHECK(size_of_all(*open_store(home.path())) == listed);
  tamper(home.path(), "UPDATE session_view SET data_bytes = 1");
  REQUIRE(repair(home.path())->rebuilt);
  CHECK(size_of_all(*open_store(home.path())) == listed);
}

TEST_CASE("retention that is asked to stop gives up") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  must(store->create_session({.title = "x"}));
  std::stop_source stop;
  stop.request_stop();
  const auto given_up = await(store->retain({.bytes_max = 0}, stop.get_token()));
  REQUIRE_FALSE(given_up.has_value());
  CHECK(given_up.error().code == ErrorCode::cancelled);
  CHECK(must(store->list(10)).size() == 1);
}
