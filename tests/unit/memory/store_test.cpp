#include <thread>

#include "base/task_group.h"
#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/process_memory.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace {

SessionStart start_of(std::string title) {
  return {.title = std::move(title), .working_directory = "/repo", .agent = "coder", .model = "m"};
}

}  // namespace

TEST_CASE("what was appended is read back in order, also by the next process") {
  TemporaryFolder home;
  std::string id;
  {
    auto store = open_store(home.path());
    auto lease = must(store->create_session(start_of("first words")));
    id = lease->session();
    CHECK(lease->last_seq() == 1);
    const auto appended = must(store->append(*lease, notes(2, 4)));
    REQUIRE(appended.size() == 3);
    CHECK(appended.front().seq == 2);
    CHECK(lease->last_seq() == 4);
    must(store->append(*lease, notes(5, 5)));
  }
  auto store = open_store(home.path());
  const auto events = must(store->read(id, 1, 100));
  REQUIRE(events.size() == 5);
  CHECK(events[0].type == "session.started");
  CHECK(events[0].data["title"] == "first words");
  for (Seq seq = 2; seq <= 5; ++seq) {
    CHECK(events[seq - 1].seq == seq);
    CHECK(events[seq - 1].data["number"] == seq);
    CHECK(events[seq - 1].session == id);
  }
  CHECK(must(store->read(id, 3, 2)).front().seq == 3);
  CHECK(must(store->read(id, 3, 2)).size() == 2);
  CHECK(must(store->read(id, 6, 2)).empty());
  CHECK(must(store->read(id, 0, 1)).front().seq == 1);
  CHECK(await(store->read("s_unknown", 1, 1)).error().code == ErrorCode::not_found);
}

TEST_CASE("an event is one JSON object in the documented order of keys") {
  Event event{"s_1", 7, WallTime(std::chrono::milliseconds(0)), "turn.started", 1, Json{{"a", 1}}};
  CHECK(dump_json(to_json(event)) ==
        R"({"session":"s_1","seq":7,"time":"1970-01-01T00:00:00.000Z","type":"turn.started",)"
        R"("version":1,"data":{"a":1}})");
}

TEST_CASE("an append is all or nothing, and a bad one does not disturb its neighbours") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session(start_of("x")));
  auto mixed = notes(2, 3);
  mixed.push_back({"not a type", Json{}});
  CHECK(await(store->append(*lease, mixed)).error().code == ErrorCode::invalid_input);
  CHECK(lease->last_seq() == 1);
  must(store->append(*lease, notes(2, 2)));
  CHECK(must(store->read(lease->session(), 1, 10)).size() == 2);
}

TEST_CASE("data that JSON cannot hold is refused or shown as it is stored") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session(start_of("x")));
  const auto appended = must(store->append(
      *lease, {{"note.added", Json{{"text", "bad \xff byte"}, {"nan", std::nan("")}}}}));
  const auto stored = must(store->read(lease->session(), 2, 1));
  CHECK(appended.front().data == stored.front().data);
  CHECK(stored.front().data["text"] == "bad \xef\xbf\xbd byte");
  CHECK(stored.front().data["nan"].is_null());

  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
  CHECK(await(store->append(*lease, {{"note.added", deep}})).error().code ==
        ErrorCode::invalid_input);
  const std::string big(17u << 20, 'x');
  CHECK(await(store->append(*lease, {{"note.added", big}})).error().code ==
        ErrorCode::invalid_input);
  for (const char* type : {"", ".", "a", "a.", ".a", "a..b", "A.b", "a b.c", "a.b\n"}) {
    INFO(type);
    CHECK(await(store->append(*lease, {{type, Json{}}})).error().code == ErrorCode::invalid_input);
  }
  CHECK(lease->last_seq() == 2);
}

TEST_CASE("the list shows what the events say, newest first") {
  TemporaryFolder home;
  FakeClock clock;
  auto store = open_store(home.path(), {.clock = &clock});
  auto one = must(store->create_session(start_of("one")));
  clock.now += std::chrono::seconds(1);
  auto two = must(store->create_session(start_of("two")));
  auto sessions = must(store->list(10));
  REQUIRE(sessions.size() == 2);
  CHECK(sessions[0].title == "two");
  clock.now += std::chrono::seconds(1);
  must(store->append(*one, {{"turn.started", Json::object()}}));
  sessions = must(store->list(10));
  CHECK(sessions[0].title == "one");
  CHECK(sessions[0].status == "running");
  CHECK(sessions[0].owner_pid == ::getpid());
  CHECK(sessions[0].working_directory == "/repo");
  CHECK(sessions[0].updated == clock.now);
  CHECK(sessions[0].n_events == 2);
  CHECK(must(store->list(1)).size() == 1);
}

TEST_CASE("words are found in all sessions, with where they stand, newest first") {
  TemporaryFolder home;
  FakeClock clock;
  auto store = open_store(home.path(), {.clock = &clock});
  auto one = must(store->create_session(start_of("one")));
  auto two = must(store->create_session(start_of("two")));
  must(store->append(*one, {{"note.added", Json{{"text", "the Marmot\nsleeps \"deeply\""}}}}));
  clock.now += std::chrono::seconds(1);
  must(store->append(*two, {{"tool.outcome", Json{{"deep", {{"list", {1, "a marmot woke"}}}}}}}));
  const auto hits = must(store->search("marmot", 10));
  REQUIRE(hits.size() == 2);
  CHECK(hits[0].session == two->session());
  CHECK(hits[0].title == "two");
  CHECK(hits[0].seq == 2);
  CHECK(hits[0].type == "tool.outcome");
  CHECK(hits[0].excerpt == "a marmot woke");
  CHECK(hits[1].excerpt == "the Marmot sleeps \"deeply\"");
  CHECK(must(store->search("marmot", 1)).size() == 1);
  // What JSON escapes, and what a pattern would mean.
  CHECK(must(store->search("\nsleeps \"deep", 10)).size() == 1);
  for (const char* nothing : {"m%t", "m_rmot", "text", "\\n"}) {
    INFO(nothing);
    CHECK(must(store->search(nothing, 10)).empty());
  }
  must(store->append(*one, {{"note.added", Json{{"text", "100%_^ sure"}}}}));
  CHECK(must(store->search("0%_^", 10)).size() == 1);
  CHECK(await(store->search("", 1)).error().code == ErrorCode::invalid_input);
  // An excerpt is cut between characters.
  std::string umlauts;
  for (int i = 0; i < 500; ++i) umlauts += "\u00fc";
  must(store->append(*one, {{"note.added", Json{{"text", "x" + umlauts + "needle" + umlauts}}}}));
  const auto cut = must(store->search("needle", 10)).at(0).excerpt;
  CHECK(cut.size() < 220);
  CHECK(is_utf8(cut));
  must(store->append(*two, {{"note.added", Json{{"text", "gone soon"}}}}));
  const auto gone = two->session();
  two.reset();
  must(store->remove(gone));
  CHECK(must(store->search("gone soon", 10)).empty());
}

TEST_CASE("a clock that jumps back does not reorder events") {
  TemporaryFolder home;
  FakeClock clock;
  auto store = open_store(home.path(), {.clock = &clock});
  auto lease = must(store->create_session(start_of("x")));
  clock.now -= std::chrono::years(60);  // before 1970
  must(store->append(*lease, notes(2, 2)));
  clock.now += std::chrono::years(80);
  must(store->append(*lease, notes(3, 3)));
  const auto events = must(store->read(lease->session(), 1, 10));
  REQUIRE(events.size() == 3);
  CHECK(events[1].data["number"] == 2);
  CHECK(events[2].time == clock.now);
}

TEST_CASE("a session is found by the beginning of its id when only one begins so") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto one = must(store->create_session(start_of("one")));
  CHECK(must(store->find(one->session())).title == "one");
  CHECK(must(store->find(one->session().substr(0, 9))).title == "one");
  auto two = must(store->create_session(start_of("two")));
  CHECK(await(store->find("s_")).error().code == ErrorCode::invalid_input);
  CHECK(await(store->find("s_zzz")).error().code == ErrorCode::not_found);
  CHECK(await(store->find("../../etc")).error().code == ErrorCode::not_found);
  CHECK(await(store->find("%")).error().code == ErrorCode::not_found);
  CHECK(await(store->find("")).error().code == ErrorCode::not_found);
}

TEST_CASE("calls that were started and have no outcome are known") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session(start_of("x")));
  const auto call = [](const char* type, const char* id) {
    return NewEvent{type, Json{{"call_id", id}}};
  };
  must(store->append(
      *lease, {call("tool.intent", "a"), call("tool.started", "a"), call("tool.intent", "b"),
               call("tool.started", "b"), call("tool.intent", "c"), call("tool.outcome", "a")}));
  const auto calls = must(store->unfinished_calls(lease->session()));
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].type == "tool.started");
  CHECK(calls[0].data["call_id"] == "b");
}

namespace {

asio::awaitable<void> append_once(Store& store, Lease& lease, int number, int& n_done) {
  auto result = co_await store.append(lease, notes(number, number));
  if (result) ++n_done;
}

asio::awaitable<void> append_many(Store& store, Lease& lease, int n, int& n_done) {
  TaskGroup group(co_await asio::this_coro::executor);
  for (int i = 0; i < n; ++i) group.spawn(append_once(store, lease, i, n_done));
  co_await group.join();
}

}  // namespace

TEST_CASE("appends that wait together all become durable, in the order they came") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session(start_of("x")));
  asio::io_context context;
  int n_done = 0;
  asio::co_spawn(context, append_many(*store, *lease, 500, n_done),
                 [](const std::exception_ptr& failure) { REQUIRE(!failure); });
  context.run();
  CHECK(n_done == 500);
  const auto events = must(store->read(lease->session(), 2, 1000));
  REQUIRE(events.size() == 500);
  for (size_t i = 0; i < events.size(); ++i) CHECK(events[i].data["number"] == i);
}

TEST_CASE("an append whose caller is cancelled is still carried out, and its caller waits for it") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session(start_of("x")));
  asio::io_context context;
  asio::cancellation_signal stop;
  int n_done = 0;
  asio::co_spawn(context, append_once(*store, *lease, 2, n_done),
                 asio::bind_cancellation_slot(stop.slot(), [](const std::exception_ptr&) {}));
  context.poll_one();  // starts the append
  stop.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(n_done == 1);
  CHECK(must(store->read(lease->session(), 2, 10)).size() == 1);
}

TEST_CASE("a loop that is thrown away while appends are under way harms nothing") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session(start_of("x")));
  for (int round = 0; round < 50; ++round) {
    int n_done = 0;
    asio::io_context context;
    for (int i = 0; i < 20; ++i) {
      asio::co_spawn(context, append_once(*store, *lease, i, n_done),
                     [](const std::exception_ptr&) {});
    }
    context.poll();
  }
  must(store->append(*lease, notes(0, 0)));
  CHECK(must(store->read(lease->session(), 1, 10000)).size() == lease->last_seq());
  CHECK(lease->last_seq() == 2 + 50 * 20);
}

TEST_CASE("memory stays flat over a session of a hundred thousand events", "[slow]") {
  TemporaryFolder home;
  auto store = open_store(home.path());
  auto lease = must(store->create_session(start_of("long")));
  const std::string text(600, 'x');
  const auto grow_to = [&](Seq n_events) {
    while (lease->last_seq() < n_events) {
      std::vector<NewEvent> events(200, NewEvent{"note.added", Json{{"text", text}}});
      must(store->append(*lease, std::move(events)));
    }
    // As whoever follows a session does: the newest, then all in pieces.
    CHECK(must(store->read(lease->session(), n_events - 10, 100)).size() >= 10);
    for (Seq from = 1; from < n_events; from += 1000) {
      REQUIRE_FALSE(must(store->read(lease->session(), from, 1000)).empty());
    }
    CHECK(must(store->list(10)).size() == 1);
  };
  grow_to(10'000);
  const size_t before = resident_bytes();
  grow_to(100'000);
  const size_t after = resident_bytes();
  WARN("resident: " << before / 1024 << " KiB at 10,000 events, " << after / 1024
                    << " KiB at 100,000");
  CHECK(after < before + (size_t{4} << 20));
}

TEST_CASE("a removed session is gone from the lists and from the files, and leaves a tombstone") {
  TemporaryFolder home;
  std::string id;
  {
    auto store = open_store(home.path());
    auto lease = must(store->create_session(start_of("secret-title")));
    id = lease->session();
    must(store->append(*lease, {{"note.added", Json{{"text", "the-secret-word"}}}}));
    CHECK(await(store->remove(id)).error().code == ErrorCode::denied);
    lease.reset();
    must(store->remove(id));
    CHECK(must(store->list(10)).empty());
    CHECK(await(store->find(id)).error().code == ErrorCode::not_found);
    CHECK(await(store->remove(id)).error().code == ErrorCode::not_found);
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(home.path())) {
    if (!entry.is_regular_file()) continue;
    const auto name = std::filesystem::relative(entry.path(), home.path()).string();
    INFO(name);
    CHECK(home.read(name).find("the-secret-word") == std::string::npos);
    CHECK(home.read(name).find("secret-title") == std::string::npos);
  }
}

TEST_CASE("events cannot be changed or deleted through the database") {
  TemporaryFolder home;
  {
    auto store = open_store(home.path());
    auto lease = must(store->create_session(start_of("x")));
  }
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((home / "sable.db").c_str(), &database) == SQLITE_OK);
  // As our own connections do; without it REPLACE deletes behind the triggers' backs.
  REQUIRE(sqlite3_exec(database, "PRAGMA recursive_triggers=ON", nullptr, nullptr, nullptr) == 0);
  for (const char* sql : {"UPDATE event SET data = '{}'", "DELETE FROM event",
                          "INSERT OR REPLACE INTO event SELECT * FROM event"}) {
    INFO(sql);
    CHECK(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_CONSTRAINT);
  }
  sqlite3_close(database);
}
