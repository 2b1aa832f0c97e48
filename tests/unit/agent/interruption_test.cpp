// A turn that is stopped between two events: what was asked for by then says by whom it ended.
#include "agent/interruption.h"

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "tests/support/plain_sandbox.h"
#include "tests/support/run_coroutine.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::agent;
using namespace sable::test;

namespace {

/// Writes a file, always.
class WritingProvider final : public Provider {
 public:
  std::string name() const override { return "scripted"; }
  std::string model() const override { return "model"; }
  asio::awaitable<Result<Reply>> complete(StepRequest, DeltaSink) override {
    Reply reply{.finish = FinishReason::tool_calls};
    reply.tool_calls = {{"call", "write_file", R"({"path":"file","content":"text"})"}};
    co_return reply;
  }
};

/// Stops the turn as soon as an event of `type` is told.
class StoppingObserver final : public Observer {
 public:
  StoppingObserver(Session& session, std::string type)
      : session_(session), type_(std::move(type)) {}
  void on_event(const memory::Event& event) override {
    events.push_back(to_json(event));
    if (event.type == type_) session_.interrupt("enough");
  }
  void on_preview(const Preview&) override {}

  /// The data of the only event of `type`; null if none was told.
  Json only(std::string_view type) const {
    Json found;
    for (const auto& event : events) {
      if (event.at("type") != type) continue;
      CHECK(found.is_null());
      found = event.at("data");
    }
    return found;
  }
  std::vector<Json> events;

 private:
  Session& session_;
  std::string type_;
};

/// One turn that is stopped by the first event of `type`, approving everything.
struct StoppedTurn {
  explicit StoppedTurn(std::string type) {
    std::filesystem::create_directories(repository());
    auto opened = memory::Store::open(folder / "home");
    REQUIRE(opened.has_value());
    const auto store = std::move(*opened);
    Services services{*store, sandbox, workers, system_clock(), Log::none()};
    SessionSetup setup{.repository = repository(),
                       .approval = ApprovalMode::all,
                       .limits = {.steps_max = 3},
                       .checkpoints = false};
    auto session = run(Session::create(services, setup, provider, registry, "stopped"));
    REQUIRE(session.has_value());
    StoppingObserver observer(**session, std::move(type));
    (*session)->add_observer(observer);
    const auto turn = run((*session)->run_turn("write"));
    REQUIRE(turn.has_value());
    status = turn->status;
    approval = observer.only("approval.decided");
    started = observer.only("tool.started");
    outcome = observer.only("tool.outcome");
  }
  std::filesystem::path repository() const { return folder / "repository"; }
  bool wrote() const { return std::filesystem::exists(repository() / "file"); }

  TemporaryFolder folder;
  WritingProvider provider;
  PlainSandbox sandbox;
  asio::thread_pool workers{1};
  tools::Registry registry = tools::Registry::with_builtins();
  std::string status;
  Json approval, started, outcome;
};

}  // namespace

TEST_CASE("a call that was asked for when the turn is stopped is refused by the interruption") {
  const StoppedTurn turn("tool.intent");
  CHECK(turn.status == "interrupted");
  REQUIRE(turn.approval.is_object());
  CHECK(turn.approval.at("decision") == "refused");
  CHECK(turn.approval.at("by") == "interruption");
  CHECK(turn.started.is_null());
  REQUIRE(turn.outcome.is_object());
  CHECK(turn.outcome.at("status") == "cancelled");
  CHECK_FALSE(turn.wrote());
}

TEST_CASE("a call that had been allowed when the turn is stopped does not run") {
  const StoppedTurn turn("approval.decided");
  CHECK(turn.status == "interrupted");
  CHECK(turn.approval.at("by") == "tool");
  REQUIRE(turn.outcome.is_object());
  CHECK(turn.outcome.at("status") == "cancelled");
  CHECK_FALSE(turn.wrote());
}
