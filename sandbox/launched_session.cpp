#include "sandbox/launched_session.h"

#include <cerrno>

#include "base/task_group.h"
#include "sandbox/background_process.h"
#include "sandbox/denials.h"
#include "sandbox/memory_file.h"
#include "sandbox/plan_codec.h"
#include "sandbox/planner.h"
#include "sandbox/prepared_calls.h"
#include "sandbox/running_call.h"
#include "sandbox/session_plan.h"
#include "sandbox/step_text.h"

namespace sable::sandbox {

namespace {

struct Keeper {
  UniqueFd control;
  UniqueFd listener;  ///< of the proxy, if there is one
};

// What a caller holds: when it lets go of it, the program ends.
class Handle : public Process {
 public:
  explicit Handle(std::shared_ptr<BackgroundProcess> process) : process_(std::move(process)) {}
  ~Handle() override {
    if (process_->running()) process_->kill();
  }

  bool running() const override { return process_->running(); }
  asio::awaitable<ProcessOutput> read(std::chrono::milliseconds patience) override {
    return process_->read(patience);
  }
  Result<void> write(std::string_view bytes) override { return process_->write(bytes); }
  Result<void> close_input() override { return process_->close_input(); }
  Result<void> resize(TerminalSize size) override { return process_->resize(size); }
  asio::awaitable<Result<RunResult>> wait() override { return process_->wait(); }
  asio::awaitable<Result<RunResult>> stop() override { return process_->stop(); }

 private:
  const std::shared_ptr<BackgroundProcess> process_;
};

class LaunchedSession : public Session {
 public:
  LaunchedSession(asio::any_io_executor executor, Keeper keeper, const Host& host,
                  ProtectedRoots& roots, const std::vector<Filter>& filters,
                  std::shared_ptr<MemoryCgroups> memory, Policy policy, Plan shared)
      : executor_(executor),
        tasks_(executor),
        control_(std::move(keeper.control)),
        prepared_(control_, std::move(memory)),
        host_(with_mounted_system(host)),
        roots_(roots),
        filters_(filters),
        policy_(std::move(policy)),
        shared_(std::move(shared)) {
    if (!keeper.listener) return;
    proxy_ =
        std::make_unique<EgressProxy>(executor, std::move(keeper.listener), policy_.allowed_hosts);
    proxy_->start();
  }

  asio::awaitable<Result<RunResult>> run(Command command, OutputSink output) override {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto roots = roots_.of(policy_, host_);
    const auto before = co_await look_at(roots);
    SABLE_CO_TRY(const Execution execution, make_execution(policy_, command, host_));
    SABLE_CO_TRY(Plan plan, plan_of(*before, false));
    Interaction interaction = interaction_of(command);
    auto result =
        co_await run_call(prepared_, std::move(plan), execution, policy_for(command, policy_),
                          std::move(command.stdin_data), std::move(output), std::move(interaction));
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (!result) doubt(roots);
    const auto after = co_await look_at(roots, GitSettings::held);
    if (!result) co_return result;
    if (after != before) result->protected_changes = changes_between(*before, *after);
    if (proxy_) {
      result->network_decisions = proxy_->take_decisions();
      result->network_decisions_left_out = proxy_->take_left_out();
      add_refusals(*result);
    }
    co_return result;
  }

  asio::awaitable<Result<std::shared_ptr<Process>>> start(Command command,
                                                          ProcessOptions options) override {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto roots = roots_.of(policy_, host_);
    doubt(roots);
    const auto held = co_await look_at(roots);
    Policy policy = policy_;
    if (options.terminal) policy.environment.insert({"TERM", "xterm-256color"});
    SABLE_CO_TRY(Execution execution, make_execution(policy, command, host_));
    SABLE_CO_TRY(Plan plan, plan_of(*held, options.terminal.has_value()));
    SABLE_CO_TRY(MadeCall made, co_await take_call(prepared_, plan));
    const auto process =
        std::make_shared<BackgroundProcess>(executor_, control_, std::move(made), std::move(plan),
                                            std::move(execution), std::move(policy), options);
    SABLE_CO_TRY_VOID(co_await process->start(std::move(command.stdin_data)));
    std::erase_if(processes_, [](const auto& entry) { return entry.expired(); });
    processes_.push_back(process);
    tasks_.spawn(BackgroundProcess::follow(process));
    std::shared_ptr<Process> handle = std::make_shared<Handle>(process);
    co_return handle;
  }

  asio::awaitable<void> close() override {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    for (const auto& entry : processes_) {
      if (const auto process = entry.lock()) process->kill();
    }
    co_await tasks_.join();
    if (proxy_) co_await proxy_->stop();
    control_.close();
  }

 private:
  Result<Plan> plan_of(const ProtectedPaths& held, bool terminal) const {
    SABLE_TRY(Plan whole, make_plan(policy_, host_, held));
    if (terminal) give_terminal(whole);
    SABLE_TRY(Plan plan, worker_plan(shared_, std::move(whole), held));
    plan.filters = filters_;
    return plan;
  }

  const asio::any_io_executor executor_;
  TaskGroup tasks_;
  std::vector<std::weak_ptr<BackgroundProcess>> processes_;
  std::unique_ptr<EgressProxy> proxy_;
  ControlSocket control_;
  PreparedCalls prepared_;
  const Host host_;
  ProtectedRoots& roots_;
  const std::vector<Filter>& filters_;
  const Policy policy_;
  const Plan shared_;
};

// Waits for the keeper to be ready; its status socket is its control socket from then on.
asio::awaitable<Result<Keeper>> until_prepared(UniqueFd status, const Plan& plan) {
  asio::posix::stream_descriptor socket(co_await asio::this_coro::executor, status.release());
  boost::system::error_code error;
  while (true) {
    co_await socket.async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail(ErrorCode::cancelled, "cancelled before the session was open");
    StatusMessage message;
    UniqueFd fd;
    const ssize_t size = receive_status_message(socket.native_handle(), message, fd);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size != sizeof message) {
      co_return fail(ErrorCode::io, "the sandbox launcher ended before the session was open");
    }
    if (message.kind == StatusMessage::Kind::failed) {
      co_return fail(explain_failure(message, plan));
    }
    if (message.kind != StatusMessage::Kind::prepared) continue;
    Keeper keeper{.control = UniqueFd(socket.release()), .listener = std::move(fd)};
    co_return keeper;
  }
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<Session>>> open_launched_session(
    const ControlSocket& launcher, const Host& host, ProtectedRoots& roots,
    const std::vector<Filter>& filters, std::shared_ptr<MemoryCgroups> memory, Policy policy) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto indexes = roots.of(policy, host);
  doubt(indexes);
  const auto held = co_await look_at(indexes);
  SABLE_CO_TRY(const Plan whole, make_plan(policy, host, *held));
  const Plan shared = keeper_plan(whole);
  const auto bytes = encode_plan(shared);
  SABLE_CO_TRY(const UniqueFd file, memory_file_of(bytes));
  SABLE_CO_TRY(UniqueFd status, launcher.request_call(file.get(), CallRequest::When::now));
  SABLE_CO_TRY(Keeper keeper, co_await until_prepared(std::move(status), shared));
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  std::unique_ptr<Session> session =
      std::make_unique<LaunchedSession>(executor, std::move(keeper), host, roots, filters,
                                        std::move(memory), std::move(policy), shared);
  co_return session;
}

}  // namespace sable::sandbox
