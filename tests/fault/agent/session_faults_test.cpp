// A long scripted session with storage that fails at each of its operations: what was acknowledged
// is there, no effect happens twice, and the next start goes on where the log ends.
//
// The session has turns of ten steps. A turn starts from a copy of the home as the uninterrupted
// session left it after the turn before, so that each operation of the whole session is failed once
// without playing everything before it again. Operations are those of the log: SQLite's and our
// own.
#include <fstream>
#include <iostream>

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
  ScriptedProvider provider;
  CountingSandbox sandbox;
  asio::thread_pool workers{1};
  tools::Registry registry = tools::Registry::with_builtins();
  Acknowledged told;

  /// Resumes the session, or begins it when `id` is empty; returns its id, or the error that ended
  /// it.
  Result<std::string> play(std::string id) {
    SABLE_TRY(const auto store, memory::Store::open(home));
    Services services{*store, sandbox, workers, system_clock(), Log::none()};
    SessionSetup setup{.repository = repository,
                       .approval = ApprovalMode::all,
                       .limits = {.steps_max = kStepsInTurn},
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
};

std::vector<memory::Event> log_of(const fs::path& home, const std::string& id) {
  auto store = memory::Store::open(home);
  INFO((store ? "" : store.error().message));
  REQUIRE(store.has_value());
  const auto events = run((*store)->read(id, 1, 1'000'000));
  INFO((events ? "" : events.error().message));
  REQUIRE(events.has_value());
  return *events;
}

struct Base {
  fs::path home;
  int n_steps = 0;
};

/// The uninterrupted session, with a copy of its home before each turn.
class Uninterrupted {
 public:
  explicit Uninterrupted(int n_turns) {
    Player player{.home = folder_ / "home", .repository = folder_ / "repository"};
    fs::create_directory(player.repository);
    std::ofstream(player.repository / "constant") << "the same in every turn";
    for (int turn = 0; turn < n_turns; ++turn) {
      if (turn > 0) {
        const fs::path copy = folder_ / ("base" + std::to_string(turn));
        fs::copy(player.home, copy, fs::copy_options::recursive);
        bases.push_back(copy);
      }
      const auto played = player.play(id);
      REQUIRE(played.has_value());
      id = *played;
    }
    messages = messages_from(log_of(player.home, id)).value();
    repository = player.repository;
  }

  std::string id;
  fs::path repository;
  std::vector<fs::path> bases;    ///< before turns 1, 2, ...
  std::vector<Message> messages;  ///< of the whole session

 private:
  TemporaryFolder folder_;
};

std::string text_of(const Message& message) {
  std::string text = std::string(name_of(message.role)) + ":" + message.text;
  for (const auto& call : message.tool_calls) text += call.name + call.arguments;
  return text;
}

void verify(const fs::path& home, const Uninterrupted& whole, const Player& broken) {
  const auto health = memory::check(home);
  REQUIRE(health.has_value());
  INFO((health->problems.empty() ? "" : health->problems.front()));
  CHECK(health->problems.empty());
  const auto events = log_of(home, whole.id);
  // Nothing acknowledged is lost or changed.
  for (const auto& told : broken.told.events) {
    const auto seq = told["seq"].get<size_t>();
    REQUIRE(seq <= events.size());
    CHECK(to_json(events[seq - 1]) == told);
  }
  // Replaying gives what the uninterrupted session had at this place.
  const auto messages = messages_from(events);
  REQUIRE(messages.has_value());
  for (size_t i = 0; i < std::min(messages->size(), whole.messages.size()); ++i) {
    CHECK(text_of((*messages)[i]) == text_of(whole.messages[i]));
  }
  // The next start is clean, tells what is not known, and repeats no effect.
  Player next{.home = home, .repository = whole.repository};
  const auto went_on = next.play(whole.id);
  INFO((went_on ? "" : went_on.error().message));
  REQUIRE(went_on.has_value());
  for (const auto& [command, n] : broken.sandbox.effects) {
    const auto again = next.sandbox.effects.find(command);
    CHECK(n + (again == next.sandbox.effects.end() ? 0 : again->second) == 1);
  }
  const auto after = log_of(home, whole.id);
  size_t n_intents = 0, n_outcomes = 0, n_turns = 0, n_ends = 0;
  for (const auto& event : after) {
    n_intents += event.type == "tool.intent";
    n_outcomes += event.type == "tool.outcome";
    n_turns += event.type == "turn.started";
    n_ends += event.type == "turn.ended";
  }
  CHECK(n_outcomes >= n_intents);
  CHECK(n_turns == n_ends);
}

/// False when the turn has no operation `at`.
bool run_with_fault(const Uninterrupted& whole, const fs::path& base, FaultKind kind, size_t at,
                    bool lasting) {
  INFO(base.filename() << ", operation " << at << (lasting ? " and all after it" : ""));
  TemporaryFolder folder;
  const fs::path home = folder / "home";
  fs::copy(base, home, fs::copy_options::recursive);
  Player broken{.home = home, .repository = whole.repository};
  faults().watch(home);
  faults().arm(kind, at, lasting);
  const auto played = broken.play(whole.id);
  const bool struck = faults().struck();
  const bool power = kind == FaultKind::power_loss;
  if (!power) {
    faults().disarm();
    if (!played) {
      INFO(played.error().message);
      CHECK((played.error().code == ErrorCode::io || played.error().code == ErrorCode::exhausted));
    }
    if (struck) verify(home, whole, broken);
    return struck;
  }
  for (const unsigned seed : {0u, static_cast<unsigned>(at) + 1}) {
    INFO("seed " << seed);
    const fs::path image = folder / ("image" + std::to_string(seed));
    faults().disarm();
    faults().write_crash_image(home, image, seed);
    if (struck) verify(image, whole, broken);
  }
  return struck;
}

/// Operations of this kind in the turn, when none of them fails.
size_t count_operations(const Uninterrupted& whole, const fs::path& base, FaultKind kind) {
  TemporaryFolder folder;
  const fs::path home = folder / "home";
  fs::copy(base, home, fs::copy_options::recursive);
  Player player{.home = home, .repository = whole.repository};
  faults().watch(home);  // what tools read and write is the user's
  faults().arm(kind, SIZE_MAX, /*lasting=*/false);
  const auto played = player.play(whole.id);
  faults().disarm();
  REQUIRE(played.has_value());
  return faults().n_operations();
}

void run_kind(const Uninterrupted& whole, const char* name, FaultKind kind, bool lasting,
              const Slice& slice, Coverage& total) {
  Coverage coverage;
  for (const auto& base : whole.bases) {
    const size_t n_existing = count_operations(whole, base, kind);
    coverage +=
        {slice.for_each(n_existing,
                        [&](size_t at) { return run_with_fault(whole, base, kind, at, lasting); }),
         n_existing};
  }
  std::cout << name << (lasting ? ", lasting" : "") << ": " << coverage << "\n";
  CHECK(coverage.n_covered > 0);
  total += coverage;
}

/// Which operations fail: of single faults and power loss; of those that last, and writes that
/// store a part; of the database's allocations, which are many and alike.
struct Slices {
  Slice faults, variants, allocations;
};

void run_all(int n_turns, const Slices& slices) {
  const Uninterrupted whole(n_turns);
  Coverage total;
  const auto run = [&](const char* name, FaultKind kind, bool lasting, const Slice& slice) {
    run_kind(whole, name, kind, lasting, slice, total);
  };
  run("full disk", FaultKind::disk_full, false, slices.faults);
  run("input/output error", FaultKind::io_error, false, slices.faults);
  run("power loss", FaultKind::power_loss, true, slices.faults);
  run("full disk", FaultKind::disk_full, true, slices.variants);
  run("input/output error", FaultKind::io_error, true, slices.variants);
  run("short write", FaultKind::short_write, false, slices.variants);
  run("no memory", FaultKind::no_memory, false, slices.allocations);
  std::cout << "together: " << total << "\n";
}

}  // namespace

TEST_CASE("a session whose storage fails loses nothing and repeats nothing") {
  run_all(2, {Slice::fixed(41), Slice::fixed(41), Slice::fixed(41 * 97)});
}

TEST_CASE("a fault at every operation of a session of 200 steps loses and repeats nothing",
          "[slow]") {
  run_all(21, {Slice::of_the_day(19), Slice::of_the_day(19 * 11), Slice::of_the_day(19 * 11 * 97)});
}
