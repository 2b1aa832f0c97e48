#include "runtime/eval/trial.h"

#include <functional>

#include "base/task_group.h"
#include "runtime/session_parts.h"

namespace sable::runtime {

namespace {

/// Counts what the log tells.
class Counter final : public agent::Observer {
 public:
  explicit Counter(TrialEnd& end) : end_(end) {}
  void on_event(const memory::Event& event) override {
    if (event.type == "model.finished") ++end_.n_steps;
    if (event.type != "tool.outcome") return;
    ++end_.n_tool_calls;
    if (string_or(event.data, "status", "") == "invalid") ++end_.n_malformed_calls;
  }
  void on_preview(const agent::Preview& /*preview*/) override {}

 private:
  TrialEnd& end_;
};

}  // namespace

asio::awaitable<Result<TrialEnd>> run_trial(const Program& program, agent::Services services,
                                            Models& models, Trial trial) {
  const std::function<Result<SessionParts>()> work = [&]() -> Result<SessionParts> {
    SABLE_TRY(const auto root, resolve_repository(trial.repository.string()));
    SABLE_TRY(const auto loaded, program.load_config(root));
    return make_session_parts(program, loaded, root, {models, services.workers}, services.log);
  };
  SABLE_CO_TRY(auto parts, co_await run_blocking(services.workers, work));
  parts.setup.approval = agent::ApprovalMode::all;
  TrialEnd end{.agent = parts.setup.agent.name,
               .model = parts.provider->name() + "/" + parts.provider->model()};
  Counter counter(end);
  SABLE_CO_TRY(const auto session,
               co_await agent::Session::create(services, parts.setup, *parts.provider,
                                               parts.registry, trial.name));
  end.session = session->id();
  session->add_observer(counter);
  auto turn = co_await session->run_turn(trial.instruction);
  session->remove_observer(counter);
  co_await session->close();
  if (!turn) co_return fail(std::move(turn.error()));
  end.turn = std::move(*turn);
  co_return end;
}

}  // namespace sable::runtime
