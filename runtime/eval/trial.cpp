#include "runtime/eval/trial.h"

#include <functional>

#include "base/task_group.h"
#include "runtime/net/http_client.h"
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

/// What a session borrows; the transport outlives the provider.
struct Parts {
  tools::Registry registry;
  std::unique_ptr<agent::HttpTransport> transport;
  std::unique_ptr<agent::Provider> provider;
  agent::SessionSetup setup;
};

Result<std::unique_ptr<Parts>> assemble(const Program& program, const agent::Services& services,
                                        Models& models, const std::filesystem::path& repository) {
  SABLE_TRY(const auto root, resolve_repository(repository.string()));
  SABLE_TRY(const auto loaded, program.load_config(root));
  SABLE_TRY(const auto trusted, check_trust(loaded, root));
  auto parts = std::make_unique<Parts>();
  SABLE_TRY(parts->registry, make_registry(loaded, root, trusted));
  SABLE_TRY(parts->setup, make_setup(loaded, root, trusted, services.log));
  parts->setup.approval = agent::ApprovalMode::all;
  SABLE_TRY(parts->transport, make_transport(loaded));
  const ProviderParts provider{.transport = *parts->transport,
                               .models = models,
                               .workers = services.workers,
                               .log = services.log};
  SABLE_TRY(parts->provider, make_provider(program, loaded, provider));
  return parts;
}

}  // namespace

asio::awaitable<Result<TrialEnd>> run_trial(const Program& program, agent::Services services,
                                            Models& models, Trial trial) {
  using Assembled = Result<std::unique_ptr<Parts>>;
  const std::function<Assembled()> work = [&] {
    return assemble(program, services, models, trial.repository);
  };
  auto assembled = co_await run_blocking(services.workers, work);
  if (!assembled) co_return fail(std::move(assembled.error()));
  Parts& parts = **assembled;
  TrialEnd end{.agent = parts.setup.agent.name,
               .model = parts.provider->name() + "/" + parts.provider->model()};
  Counter counter(end);
  SABLE_CO_TRY(const auto session,
               co_await agent::Session::create(services, std::move(parts.setup), *parts.provider,
                                               parts.registry, trial.name));
  end.session = session->id();
  session->add_observer(counter);
  auto turn = co_await session->run_turn(trial.instruction);
  session->remove_observer(counter);
  if (!turn) co_return fail(std::move(turn.error()));
  end.turn = std::move(*turn);
  co_return end;
}

}  // namespace sable::runtime
