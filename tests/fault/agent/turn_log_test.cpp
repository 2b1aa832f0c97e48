// A log that fails at each of its appends: what was shown was durable, and nothing took effect that
// the log does not know.
#include <deque>

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "base/check.h"
#include "tests/fault/agent/failing_store.h"
#include "tests/support/plain_sandbox.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;

using sable::test::run;

namespace {

Reply calling(const char* id, const char* tool, const char* arguments) {
  return {.text = "next",
          .tool_calls = {{.id = id, .name = tool, .arguments = arguments}},
          .finish = FinishReason::tool_calls};
}

/// Replies in order, with a preview of each text.
class PlayedProvider final : public Provider {
 public:
  std::string name() const override { return "played"; }
  std::string model() const override { return "model"; }
  asio::awaitable<Result<Reply>> complete(StepRequest request, DeltaSink on_delta) override {
    SABLE_CHECK(!request.messages.empty());
    if (replies.empty()) co_return Reply{.text = "done"};
    Reply reply = std::move(replies.front());
    replies.pop_front();
    on_delta(TextDelta{reply.text});
    co_return reply;
  }

  std::deque<Reply> replies;
};

class Watcher final : public Observer {
 public:
  void on_event(const memory::Event& event) override { seen.push_back(to_json(event)); }
  void on_preview(const Preview&) override {}

  std::vector<Json> seen;
};

/// A home, a repository, a provider with a script of three calls and a last word.
struct World {
  World() {
    repository.write("counted.txt", "");
    auto opened = memory::Store::open(home.path());
    SABLE_CHECK(opened.has_value());
    store = std::move(*opened);
    provider.replies = {calling("a", "read_file", R"({"path": "counted.txt"})"),
                        calling("b", "write_file", R"({"path": "made.txt", "content": "made\n"})"),
                        calling("c", "shell", R"({"command": "printf x >> counted.txt"})")};
  }

  Services services(memory::Store& through) {
    return {.store = through,
            .sandbox = sandbox,
            .workers = workers,
            .clock = system_clock(),
            .log = Log::none()};
  }
  SessionSetup setup() { return {.repository = repository.path(), .approval = ApprovalMode::all}; }
  std::vector<Json> log_of(const std::string& session) {
    const auto events = run(store->read(session, 1, 1000));
    SABLE_CHECK(events.has_value());
    std::vector<Json> all;
    for (const auto& event : *events) all.push_back(to_json(event));
    return all;
  }

  test::TemporaryFolder home, repository;
  std::unique_ptr<memory::Store> store;
  test::PlainSandbox sandbox;
  asio::thread_pool workers{1};
  PlayedProvider provider;
  tools::Registry registry = tools::Registry::with_builtins();
};

bool has(const std::vector<Json>& log, const char* type, const char* call) {
  return std::any_of(log.begin(), log.end(), [&](const Json& event) {
    return event["type"] == type && event["data"].value("call_id", "") == call;
  });
}

std::string outcome_of(const std::vector<Json>& log, const char* call) {
  for (const Json& event : log) {
    if (event["type"] == "tool.outcome" && event["data"].value("call_id", "") == call) {
      return event["data"].value("status", "");
    }
  }
  return "";
}

size_t count(const std::vector<Json>& log, const char* type) {
  return static_cast<size_t>(std::count_if(
      log.begin(), log.end(), [&](const Json& event) { return event["type"] == type; }));
}

struct Attempt {
  std::string session;
  Result<TurnResult> turn;
  std::vector<Json> shown;
  size_t n_appends;
};

/// One turn whose appends fail from number `fails_from` of the turn on.
Attempt attempt(World& world, std::optional<size_t> fails_from) {
  test::FailingStore failing(*world.store);
  auto session = run(Session::create(world.services(failing), world.setup(), world.provider,
                                     world.registry, "count"));
  SABLE_CHECK(session.has_value());
  Watcher watcher;
  (*session)->add_observer(watcher);
  const size_t n_before = failing.n_appends();
  if (fails_from) failing.fail_from(n_before + *fails_from);
  auto turn = run((*session)->run_turn("count"));
  return {(*session)->id(), std::move(turn), std::move(watcher.seen),
          failing.n_appends() - n_before};
}

}  // namespace

TEST_CASE("a log that fails at any append shows nothing that is not durable") {
  size_t n_appends = 0;
  {
    World world;
    const auto whole = attempt(world, std::nullopt);
    REQUIRE(whole.turn);
    REQUIRE(whole.turn->status == "finished");
    CHECK(world.repository.read("counted.txt") == "x");
    n_appends = whole.n_appends;
    REQUIRE(n_appends > 10);
  }
  for (size_t at = 0; at < n_appends; ++at) {
    INFO("append " << at << " of " << n_appends);
    World world;
    const auto broken = attempt(world, at);
    REQUIRE_FALSE(broken.turn);
    CHECK(broken.turn.error().code == ErrorCode::exhausted);

    const auto log = world.log_of(broken.session);
    // What was shown is the end of what is durable, number by number.
    REQUIRE(broken.shown.size() <= log.size());
    CHECK(std::equal(broken.shown.rbegin(), broken.shown.rend(), log.rbegin()));
    // Nothing took effect that the log had not announced.
    CHECK((world.repository.read("made.txt").empty() || has(log, "tool.started", "b")));
    CHECK((world.repository.read("counted.txt").empty() || has(log, "tool.started", "c")));

    // The next owner is told what is not known, and goes on without repeating it.
    const std::string effect = world.repository.read("counted.txt");
    world.provider.replies.clear();
    auto resumed = run(Session::resume(world.services(*world.store), world.setup(), world.provider,
                                       world.registry, broken.session, BrokenTurn::ended));
    REQUIRE(resumed);
    const auto turn = run((*resumed)->run_turn("go on"));
    REQUIRE(turn);
    CHECK(turn->status == "finished");
    CHECK(world.repository.read("counted.txt") == effect);
    const auto whole = world.log_of(broken.session);
    for (const char* call : {"a", "b", "c"}) {
      CHECK(has(whole, "tool.intent", call) <= has(whole, "tool.outcome", call));
      if (has(log, "tool.outcome", call) || !has(whole, "tool.outcome", call)) continue;
      CHECK(outcome_of(whole, call) == (has(log, "tool.started", call) ? "unknown" : "cancelled"));
    }
    CHECK(count(whole, "turn.started") == count(whole, "turn.ended"));
  }
}
