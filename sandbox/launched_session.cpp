#include "sandbox/launched_session.h"

#include <cerrno>
#include <sys/socket.h>

#include "sandbox/memory_file.h"
#include "sandbox/plan_codec.h"
#include "sandbox/planner.h"
#include "sandbox/prepared_calls.h"
#include "sandbox/running_call.h"
#include "sandbox/session_plan.h"
#include "sandbox/step_text.h"

namespace sable::sandbox {

namespace {

class LaunchedSession : public Session {
 public:
  LaunchedSession(UniqueFd keeper, const Host& host, ProtectedRoots& roots,
                  const std::vector<Filter>& filters, Policy policy, Plan shared)
      : control_(std::move(keeper)),
        host_(host),
        roots_(roots),
        filters_(filters),
        policy_(std::move(policy)),
        shared_(std::move(shared)) {}

  asio::awaitable<Result<RunResult>> run(Command command, OutputSink output) override {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto roots = roots_.of(policy_, host_);
    const ProtectedPaths before = co_await look_at(roots);
    SABLE_CO_TRY(const Execution execution, make_execution(policy_, command, host_));
    SABLE_CO_TRY(Plan plan, plan_of(before));
    auto result = co_await run_call(prepared_, std::move(plan), execution, policy_.limits,
                                    std::move(command.stdin_data), std::move(output));
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const ProtectedPaths after = co_await look_at(roots);
    if (result) result->protected_changes = changes_between(before, after);
    co_return result;
  }

 private:
  Result<Plan> plan_of(const ProtectedPaths& held) const {
    SABLE_TRY(Plan whole, make_plan(policy_, host_, held));
    SABLE_TRY(Plan plan, worker_plan(shared_, std::move(whole), held));
    plan.filters = filters_;
    return plan;
  }

  const ControlSocket control_;
  PreparedCalls prepared_{control_};
  const Host& host_;
  ProtectedRoots& roots_;
  const std::vector<Filter>& filters_;
  const Policy policy_;
  const Plan shared_;
};

// Waits for the keeper to be ready; its status socket is its control socket from then on.
asio::awaitable<Result<UniqueFd>> until_prepared(UniqueFd status, const Plan& plan) {
  asio::posix::stream_descriptor socket(co_await asio::this_coro::executor, status.release());
  boost::system::error_code error;
  while (true) {
    co_await socket.async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail(ErrorCode::cancelled, "cancelled before the session was open");
    StatusMessage message;
    const ssize_t size = ::recv(socket.native_handle(), &message, sizeof message, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size != sizeof message) {
      co_return fail(ErrorCode::io, "the sandbox launcher ended before the session was open");
    }
    if (message.kind == StatusMessage::Kind::failed) {
      co_return fail(explain_failure(message, plan));
    }
    if (message.kind == StatusMessage::Kind::prepared) co_return UniqueFd(socket.release());
  }
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<Session>>> open_launched_session(
    const ControlSocket& launcher, const Host& host, ProtectedRoots& roots,
    const std::vector<Filter>& filters, Policy policy) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto indexes = roots.of(policy, host);
  const ProtectedPaths held = co_await look_at(indexes);
  SABLE_CO_TRY(const Plan whole, make_plan(policy, host, held));
  const Plan shared = keeper_plan(whole);
  const auto bytes = encode_plan(shared);
  SABLE_CO_TRY(const UniqueFd file, memory_file_of(bytes));
  SABLE_CO_TRY(UniqueFd status, launcher.request_call(file.get(), CallRequest::When::now));
  SABLE_CO_TRY(UniqueFd keeper, co_await until_prepared(std::move(status), shared));
  std::unique_ptr<Session> session = std::make_unique<LaunchedSession>(
      std::move(keeper), host, roots, filters, std::move(policy), shared);
  co_return session;
}

}  // namespace sable::sandbox
