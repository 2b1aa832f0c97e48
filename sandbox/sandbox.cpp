#include "sandbox/sandbox.h"

#include <array>
#include <mutex>

#include "sandbox/host.h"
#include "sandbox/launcher_process.h"
#include "sandbox/planner.h"
#include "sandbox/prepared_calls.h"
#include "sandbox/protected_paths.h"
#include "sandbox/running_call.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/trial.h"

namespace sable::sandbox {

namespace {

class LaunchedSandbox : public Sandbox {
 public:
  LaunchedSandbox(LauncherProcess launcher, std::array<std::vector<Filter>, 3> filters)
      : launcher_(std::move(launcher)), filters_(std::move(filters)), host_(this_host()) {}

  asio::awaitable<Result<RunResult>> run(Policy policy, Command command,
                                         OutputSink output) override {
    co_await asio::this_coro::throw_if_cancelled(false);
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto indexes = indexes_of(policy);
    const ProtectedPaths before = co_await look(indexes);
    SABLE_CO_TRY(const Execution execution, make_execution(policy, command, host_));
    SABLE_CO_TRY(Plan plan, make_plan(policy, host_, before));
    plan.filters = filters_[static_cast<size_t>(policy.network)];
    SABLE_CO_TRY(UniqueFd status, co_await take(plan));
    RunningCall call(executor, launcher_.control(), std::move(status), plan, execution,
                     policy.limits, std::move(output));
    SABLE_CO_TRY_VOID(co_await call.start(std::move(command.stdin_data)));
    prepared_.replenish(plan);
    auto result = co_await call.finish();
    // Also after a cancelled call: what it left must be known.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const ProtectedPaths after = co_await look(indexes);
    if (result) result->protected_changes = changes_between(before, after);
    co_return result;
  }

 private:
  using Indexes = std::vector<std::shared_ptr<ProtectedIndex>>;

  // One for each writable root, kept for the calls to come.
  Indexes indexes_of(const Policy& policy) {
    const std::lock_guard lock(mutex_);
    if (known_roots_.size() > kRootsKept) {
      std::erase_if(known_roots_, [](const auto& entry) { return entry.second.use_count() == 1; });
    }
    Indexes indexes;
    for (const auto& path : policy.writable) {
      const PathFacts facts = host_.look_up(path.lexically_normal());
      if (facts.kind != PathFacts::Kind::folder) continue;
      auto& index = known_roots_[facts.canonical];
      if (!index) index = std::make_shared<ProtectedIndex>(facts.canonical);
      indexes.push_back(index);
    }
    return indexes;
  }

  // Waits while the launcher is behind.
  asio::awaitable<Result<UniqueFd>> take(const Plan& plan) {
    while (true) {
      auto status = prepared_.take(plan);
      if (status || status.error().code != ErrorCode::exhausted) co_return status;
      co_await sleep_for(kBusyPause);
    }
  }

  // In short slices, so that a large tree does not hold up the loop.
  static asio::awaitable<ProtectedPaths> look(Indexes indexes) {
    ProtectedPaths all;
    for (const auto& index : indexes) {
      while (!index->advance(kSlice)) {
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      }
      all.merge(index->found());
    }
    co_return all;
  }

  static constexpr std::chrono::microseconds kSlice{800};
  static constexpr std::chrono::milliseconds kBusyPause{1};
  static constexpr size_t kRootsKept = 32;  // each holds a descriptor and its watches

  const LauncherProcess launcher_;
  PreparedCalls prepared_{launcher_.control()};
  const std::array<std::vector<Filter>, 3> filters_;
  const Host host_;
  std::mutex mutex_;
  std::map<std::filesystem::path, std::shared_ptr<ProtectedIndex>> known_roots_;
};

}  // namespace

Result<std::unique_ptr<Sandbox>> Sandbox::start(const std::filesystem::path& launcher) {
  SABLE_TRY(auto process, LauncherProcess::start(launcher));
  std::array<std::vector<Filter>, 3> filters;
  for (const auto network : {Network::none, Network::loopback, Network::open}) {
    SABLE_TRY(filters[static_cast<size_t>(network)], make_filters(network));
  }
  SABLE_TRY(Plan plan, make_plan({}, this_host()));
  plan.filters = filters[static_cast<size_t>(Network::none)];
  SABLE_TRY_VOID(try_out(process, plan));
  return std::make_unique<LaunchedSandbox>(std::move(process), std::move(filters));
}

}  // namespace sable::sandbox
