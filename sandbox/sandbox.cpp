#include "sandbox/sandbox.h"

#include <array>

#include "sandbox/host.h"
#include "sandbox/launcher_process.h"
#include "sandbox/planner.h"
#include "sandbox/running_call.h"
#include "sandbox/seccomp_filter.h"

namespace sable::sandbox {

namespace {

class LaunchedSandbox : public Sandbox {
 public:
  LaunchedSandbox(LauncherProcess launcher, std::array<std::vector<Filter>, 3> filters)
      : launcher_(std::move(launcher)), filters_(std::move(filters)), host_(this_host()) {}

  asio::awaitable<Result<RunResult>> run(Policy policy, Command command,
                                         OutputSink output) override {
    co_await asio::this_coro::throw_if_cancelled(false);
    SABLE_CO_TRY(Plan plan, make_plan(policy, command, host_));
    plan.filters = filters_[static_cast<size_t>(policy.network)];
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    RunningCall call(executor, launcher_, plan, policy.limits, std::move(output));
    co_return co_await call.run(std::move(command.stdin_data));
  }

 private:
  const LauncherProcess launcher_;
  const std::array<std::vector<Filter>, 3> filters_;
  const Host host_;
};

}  // namespace

Result<std::unique_ptr<Sandbox>> Sandbox::start(const std::filesystem::path& launcher) {
  SABLE_TRY(auto process, LauncherProcess::start(launcher));
  std::array<std::vector<Filter>, 3> filters;
  for (const auto network : {Network::none, Network::loopback, Network::open}) {
    SABLE_TRY(filters[static_cast<size_t>(network)], make_filters(network));
  }
  return std::make_unique<LaunchedSandbox>(std::move(process), std::move(filters));
}

}  // namespace sable::sandbox
