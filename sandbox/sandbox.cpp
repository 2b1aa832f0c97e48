#include "sandbox/sandbox.h"

#include <array>

#include "sandbox/host.h"
#include "sandbox/launched_session.h"
#include "sandbox/launcher_process.h"
#include "sandbox/planner.h"
#include "sandbox/prepared_calls.h"
#include "sandbox/protected_roots.h"
#include "sandbox/running_call.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/trial.h"

namespace sable::sandbox {

namespace {

using Filters = std::array<std::vector<Filter>, 4>;  // by network

class LaunchedSandbox : public Sandbox {
 public:
  LaunchedSandbox(LauncherProcess launcher, Filters filters, std::shared_ptr<MemoryCgroups> memory)
      : memory_(std::move(memory)),
        launcher_(std::move(launcher)),
        filters_(std::move(filters)),
        host_(this_host()) {}

  asio::awaitable<Result<RunResult>> run(Policy policy, Command command,
                                         OutputSink output) override {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto roots = roots_.of(policy, host_);
    const auto before = co_await look_at(roots);
    SABLE_CO_TRY(const Execution execution, make_execution(policy, command, host_));
    SABLE_CO_TRY(Plan plan, make_plan(policy, host_, *before));
    plan.filters = filters_[static_cast<size_t>(policy.network)];
    Interaction interaction = interaction_of(command);
    auto result = co_await run_call(
        prepared_, std::move(plan), execution, policy_for(command, std::move(policy)),
        std::move(command.stdin_data), std::move(output), std::move(interaction));
    // Also after a cancelled call: what it left must be known.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (!result) doubt(roots);
    const auto after = co_await look_at(roots, GitSettings::held);
    if (result && after != before) result->protected_changes = changes_between(*before, *after);
    co_return result;
  }

  asio::awaitable<Result<std::unique_ptr<Session>>> open_session(Policy policy) override {
    const auto& filters = filters_[static_cast<size_t>(policy.network)];
    return open_launched_session(launcher_.control(), host_, roots_, filters, memory_,
                                 std::move(policy));
  }

 private:
  const std::shared_ptr<MemoryCgroups> memory_;  ///< goes last: when nothing is in them
  const LauncherProcess launcher_;
  PreparedCalls prepared_{launcher_.control(), memory_};
  const Filters filters_;
  const Host host_;
  ProtectedRoots roots_;
};

}  // namespace

asio::awaitable<Result<std::unique_ptr<Session>>> Sandbox::open_session(Policy /*policy*/) {
  co_return fail(ErrorCode::unsupported, "this sandbox has no sessions");
}

Result<std::unique_ptr<Sandbox>> Sandbox::start(const std::filesystem::path& launcher,
                                                bool memory_cgroups) {
  SABLE_TRY(auto process, LauncherProcess::start(launcher));
  Filters filters;
  for (const auto network : {Network::none, Network::loopback, Network::allow, Network::open}) {
    SABLE_TRY(filters[static_cast<size_t>(network)], make_filters(network));
  }
  SABLE_TRY(Plan plan, make_plan({}, this_host()));
  plan.filters = filters[static_cast<size_t>(Network::none)];
  SABLE_TRY_VOID(try_out(process, plan));
  std::shared_ptr<MemoryCgroups> memory;
  if (memory_cgroups) memory = open_memory_cgroups().value_or(nullptr);
  return std::make_unique<LaunchedSandbox>(std::move(process), std::move(filters),
                                           std::move(memory));
}

}  // namespace sable::sandbox
