// A long scripted session with storage that fails at each of its operations: what was acknowledged
// is there, no effect happens twice, and the next start goes on where the log ends.
//
// The session has turns of ten steps. A turn starts from a copy of the home as the uninterrupted
// session left it after the turn before, so that each operation of the whole session is failed once
// without playing everything before it again. Operations are those of the log: SQLite's and our
// own.
#include <fstream>
#include <iostream>
#include <sqlite3.h>

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "base/check.h"
#include "tests/fault/memory/faults.h"
#include "tests/support/daily_slice.h"
#include "tests/support/plain_sandbox.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

constexpr int kStepsInTurn = 10;

/// Step n of the script, whatever happened before: every other step has an effect that must not
/// happen twice, the others are read-only or write a file.
class ScriptedProvider final : public Provider {
 public:
  std::string name() const override { return "scripted"; }
  std::string model() const override { return "model"; }
  asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink) override {
    int n_replies = 0;
    for (const auto& message : request.messages) n_replies += message.role == Role::assistant;
    const std::string number = std::to_string(n_replies);
    Reply reply{.text = "step " + number, .finish = FinishReason::tool_calls};
    const std::string id = "c" + number;
    if (n_replies % 2 == 0) {
      reply.tool_calls = {{id, "shell", R"({"command":"effect )" + number + R"("})"}};
    } else if (n_replies % 4 == 1) {
      reply.tool_calls = {
          {id, "write_file", R"({"path":"file","content":"content )" + number + R"("})"}};
    } else {
      reply.tool_calls = {{id, "read_file", R"({"path":"constant"})"}};
    }
    co_return reply;
  }
};

/// Counts what it is asked to run, in this process.
class CountingSandbox final : public sandbox::Sandbox {
 public:
  asio::awaitable<Result<sandbox::RunResult>> run(sandbox::Policy, sandbox::Command command,
                                                  sandbox::OutputSink) override {
    ++effects[command.argv.back()];
    co_return sandbox::RunResult{};
  }
  asio::awaitable<Result<std::unique_ptr<sandbox::Session>>> open_session(
      sandbox::Policy policy) override {
    std::unique_ptr<sandbox::Session> session =
        std::make_unique<test::UnsharedSession>(*this, std::move(policy));
    co_return session;
  }
  std::map<std::string, int> effects;
};

class Acknowledged final : public Observer {
 public:
  void on_event(const memory::Event& event) override { events.push_back(to_json(event)); }
  void on_preview(const Preview&) override {}
  std::vector<Json> events;
};

/// One process that plays one turn.
struct Player {
  fs::path home, repository;
  int n_steps = kStepsInTurn;
  ScriptedProvider provider;
  CountingSandbox sandbox;
  asio::thread_pool workers{1};
  Acknowledged told;
  std::unique_ptr<memory::Store> store;

  /// Opens the store where it is not open.
  Result<void> start() {
    if (store) return {};
    SABLE_TRY(store, memory::Store::open(home));
    return {};
  }

  /// Resumes the session, or begins it when `id` is empty; returns its id, or the error that ended
  /// it.
  Result<std::string> play(std::string id) {
    static const tools::Registry registry = tools::Registry::with_builtins();
    SABLE_TRY_VOID(start());
    Services services{*store, sandbox, workers, system_clock(), Log::none()};
    SessionSetup setup{.repository = repository,
                       .approval = ApprovalMode::all,
                       .limits = {.steps_max = n_steps},
                       .checkpoints = false};
    auto opened =
        id.empty()
            ? run(Session::create(services, setup, provider, registry, "script"))
            : run(Session::resume(services, setup, provider, registry, id, BrokenTurn::ended));
    if (!opened) return fail(opened.error());
    (*opened)->add_observer(told);
    const auto turn = run((*opened)->run_turn("go on"));
    if (!turn) return fail(turn.error());
    return (*opened)->id();
  }

  /// Events `from`.. of the log.
  std::vector<memory::Event> log(const std::string& id, memory::Seq from) {
    const auto started = start();
    INFO((started ? "" : started.error().message));
    REQUIRE(started.has_value());
    auto events = run(store->read(id, from, 1'000'000));
    INFO((events ? "" : events.error().message));
    REQUIRE(events.has_value());
    return std::move(*events);
  }

  void stop() { store.reset(); }
};

/// The hash of a session's event: the chain makes it speak for all events up to there. Read without
/// the store; the home has one session.
std::string hash_of(const fs::path& home, memory::Seq seq) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open_v2((home / "sable.db").c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) ==
          SQLITE_OK);
  sqlite3_stmt* select = nullptr;
  REQUIRE(sqlite3_prepare_v2(database, "SELECT hex(hash) FROM event WHERE key & 0xFFFFFFFFFF = ?",
                             -1, &select, nullptr) == SQLITE_OK);
  sqlite3_bind_int64(select, 1, static_cast<sqlite3_int64>(seq));
  REQUIRE(sqlite3_step(select) == SQLITE_ROW);
  std::string hash = reinterpret_cast<const char*>(sqlite3_column_text(select, 0));
  sqlite3_finalize(select);
  sqlite3_close(database);
  return hash;
}

std::string text_of(const Message& message) {
  std::string text = std::string(name_of(message.role)) + ":" + message.text;
  for (const auto& call : message.tool_calls) text += call.name + call.arguments;
  return text;
}

/// What the model sees of these events.
std::vector<std::string> replayed(const std::vector<memory::Event>& events) {
  const auto messages = messages_from(events);
  REQUIRE(messages.has_value());
  std::vector<std::string> texts;
  for (const auto& message : *messages) texts.push_back(text_of(message));
  return texts;
}

/// A turn of the uninterrupted session, and the home as it was before it.
struct Base {
  fs::path home;
  memory::Seq n_events = 0;
  std::string hash;                   ///< of the last of them
  std::vector<std::string> messages;  ///< of the turn
};

/// The uninterrupted session.
class Uninterrupted {
 public:
  explicit Uninterrupted(int n_turns, int n_steps_in_turn = kStepsInTurn)
      : n_steps(n_steps_in_turn) {
    Player player{
        .home = folder_ / "home", .repository = folder_ / "repository", .n_steps = n_steps};
    fs::create_directory(player.repository);
    std::ofstream(player.repository / "constant") << "the same in every turn";
    memory::Seq n_events = 0;
    for (int turn = 0; turn < n_turns; ++turn) {
      const fs::path copy = folder_ / ("base" + std::to_string(turn));
      if (turn > 0) fs::copy(player.home, copy, fs::copy_options::recursive);
      const auto played = player.play(id);
      REQUIRE(played.has_value());
      id = *played;
      const auto events = player.log(id, n_events + 1);
      player.stop();
      if (turn > 0) bases.push_back({copy, n_events, hash_of(copy, n_events), replayed(events)});
      n_events += events.size();
    }
    repository = player.repository;
  }

  const int n_steps;  ///< in a turn
  std::string id;
  fs::path repository;
  std::vector<Base> bases;  ///< before turns 1, 2, ...

 private:
  TemporaryFolder folder_;
};

void verify(const fs::path& home, const Uninterrupted& whole, const Base& base,
            const Player& broken) {
  const auto health = memory::check(home);
  REQUIRE(health.has_value());
  INFO((health->problems.empty() ? "" : health->problems.front()));
  CHECK(health->problems.empty());
  // What was there before is as it was, and nothing acknowledged since is lost or changed.
  CHECK(hash_of(home, base.n_events) == base.hash);
  Player next{.home = home, .repository = whole.repository, .n_steps = 2};
  const auto events = next.log(whole.id, base.n_events + 1);
  size_t n_lost = 0;
  for (const auto& told : broken.told.events) {
    const auto index = told["seq"].get<size_t>() - base.n_events - 1;
    n_lost += index >= events.size() || to_json(events[index]) != told;
  }
  CHECK(n_lost == 0);
  // Replaying gives what the uninterrupted session had at this place.
  auto messages = replayed(events);
  messages.resize(std::min(messages.size(), base.messages.size()));
  CHECK(std::equal(messages.begin(), messages.end(), base.messages.begin()));
  // The next start is clean, tells what is not known, and repeats no effect: not the last one,
  // which may be unfinished, and so none before it.
  const auto went_on = next.play(whole.id);
  INFO((went_on ? "" : went_on.error().message));
  REQUIRE(went_on.has_value());
  CHECK(next.sandbox.effects.size() == 1);
  for (const auto& [command, n] : broken.sandbox.effects) {
    const auto again = next.sandbox.effects.find(command);
    CHECK(n + (again == next.sandbox.effects.end() ? 0 : again->second) == 1);
  }
  size_t n_intents = 0, n_outcomes = 0, n_turns = 0, n_ends = 0;
  for (const auto& event : next.log(whole.id, base.n_events + 1)) {
    n_intents += event.type == "tool.intent";
    n_outcomes += event.type == "tool.outcome";
    n_turns += event.type == "turn.started";
    n_ends += event.type == "turn.ended";
  }
  CHECK(n_outcomes >= n_intents);
  CHECK(n_turns == n_ends);
}

/// False when the turn has no operation `at`.
bool run_with_fault(const Uninterrupted& whole, const Base& base, FaultKind kind, size_t at,
                    bool lasting) {
  INFO(base.home.filename() << ", operation " << at << (lasting ? " and all after it" : ""));
  TemporaryFolder folder;
  const fs::path home = folder / "home";
  fs::copy(base.home, home, fs::copy_options::recursive);
  Player broken{.home = home, .repository = whole.repository, .n_steps = whole.n_steps};
  faults().watch(home);
  faults().arm(kind, at, lasting);
  const auto played = broken.play(whole.id);
  broken.stop();
  const bool struck = faults().struck();
  const bool power = kind == FaultKind::power_loss;
  if (!power) {
    faults().disarm();
    if (!played) {
      INFO(played.error().message);
      CHECK((played.error().code == ErrorCode::io || played.error().code == ErrorCode::exhausted));
    }
    if (struck) verify(home, whole, base, broken);
    return struck;
  }
  for (const unsigned seed : {0u, static_cast<unsigned>(at) + 1}) {
    INFO("seed " << seed);
    const fs::path image = folder / ("image" + std::to_string(seed));
    faults().disarm();
    faults().write_crash_image(home, image, seed);
    if (struck) verify(image, whole, base, broken);
  }
  return struck;
}

/// Operations of this kind in the turn, when none of them fails.
size_t count_operations(const Uninterrupted& whole, const Base& base, FaultKind kind) {
  TemporaryFolder folder;
  const fs::path home = folder / "home";
  fs::copy(base.home, home, fs::copy_options::recursive);
  Player player{.home = home, .repository = whole.repository, .n_steps = whole.n_steps};
  faults().watch(home);  // what tools read and write is the user's
  faults().arm(kind, SIZE_MAX, /*lasting=*/false);
  const auto played = player.play(whole.id);
  player.stop();
  faults().disarm();
  REQUIRE(played.has_value());
  return faults().n_operations();
}

void run_kind(const Uninterrupted& whole, FaultKind kind, bool lasting, const Slice& slice,
              Coverage& total) {
  Coverage coverage;
  for (const auto& base : whole.bases) {
    const size_t n_existing = count_operations(whole, base, kind);
    coverage +=
        {slice.for_each(n_existing,
                        [&](size_t at) { return run_with_fault(whole, base, kind, at, lasting); }),
         n_existing};
  }
  std::cout << name_of(kind) << (lasting ? ", lasting" : "") << ": " << coverage << "\n";
  CHECK(coverage.n_covered > 0);
  total += coverage;
}

/// Which indices fail: of operations and power loss; of allocations; of variants of the first,
/// which last or store a part.
struct Slices {
  Slice operations, allocations, variants;
};

/// Of the database's many allocations: in every turn those right after an operation, and all of a
/// turn of four steps, one of each kind.
void run_single_faults(const Uninterrupted& whole, const Slices& slices) {
  Coverage total;
  const auto run = [&](FaultKind kind) {
    run_kind(whole, kind, /*lasting=*/false, slices.operations, total);
  };
  run(FaultKind::disk_full);
  run(FaultKind::io_error);
  run(FaultKind::no_memory_after);
  run_kind(Uninterrupted(2, 4), FaultKind::no_memory, /*lasting=*/false, slices.allocations, total);
  std::cout << "single faults: " << total << "\n";
}

void run_lasting_faults(const Uninterrupted& whole, const Slices& slices) {
  Coverage total;
  const auto run = [&](FaultKind kind, bool lasting, const Slice& slice) {
    run_kind(whole, kind, lasting, slice, total);
  };
  run(FaultKind::power_loss, true, slices.operations);
  run(FaultKind::disk_full, true, slices.variants);
  run(FaultKind::io_error, true, slices.variants);
  run(FaultKind::short_write, false, slices.variants);
  std::cout << "power loss and lasting faults: " << total << "\n";
}

/// Two halves of the long test, which run side by side.
Slices of_the_day() {
  return {Slice::of_the_day(19), Slice::of_the_day(19 * 11), Slice::of_the_day(19 * 11, 5)};
}

}  // namespace

TEST_CASE("a session whose storage fails loses nothing and repeats nothing") {
  const Uninterrupted whole(2);
  const Slices some{Slice::fixed(41), Slice::fixed(41 * 97), Slice::fixed(41)};
  run_single_faults(whole, some);
  run_lasting_faults(whole, some);
}

TEST_CASE("a fault at every operation of a session of 200 steps loses and repeats nothing",
          "[slow][single]") {
  run_single_faults(Uninterrupted(21), of_the_day());
}

TEST_CASE("no power or no disk from any operation of a session of 200 steps on loses nothing",
          "[slow][lasting]") {
  run_lasting_faults(Uninterrupted(21), of_the_day());
}
