// Commands as they are: what the user gets who asks for no sandbox.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include "base/child_process.h"
#include "base/file.h"
#include "base/task_group.h"
#include "sandbox/host.h"
#include "sandbox/memory_file.h"
#include "sandbox/planner.h"
#include "sandbox/protected_roots.h"
#include "sandbox/sandbox.h"
#include "sandbox/streams.h"

namespace sable::sandbox {

namespace {

using std::chrono::milliseconds;

// One child process, from its start to its end. Lives in the frame of the coroutine that runs it.
class UnconfinedCall {
 public:
  UnconfinedCall(asio::any_io_executor executor, const Limits& limits, const Command& command,
                 OutputSink output, ChildProcess child)
      : limits_(limits),
        command_(command),
        child_(std::move(child)),
        tasks_(executor),
        changed_(executor, asio::steady_timer::time_point::max()),
        ended_(executor),
        input_(executor),
        outputs_(executor, limits.output_bytes, std::move(output),
                 [this] { end(End::output_limit); }) {}

  ~UnconfinedCall() {
    if (command_.handle) command_.handle->detach();
  }

  /// `input` is where its input is written, if it is.
  Result<void> take(std::array<UniqueFd, 2> pipes, UniqueFd input) {
    if (input) {
      ::fcntl(input.get(), F_SETFL, O_NONBLOCK);
      input_.assign(input.release());
    }
    outputs_.assign(Stream::standard_output, std::move(pipes[0]));
    outputs_.assign(Stream::standard_error, std::move(pipes[1]));
    const int handle = ::fcntl(child_.pidfd(), F_DUPFD_CLOEXEC, 0);
    if (handle < 0) return fail_errno("dup", errno);
    ended_.assign(handle);
    return {};
  }

  asio::awaitable<Result<RunResult>> finish() {
    co_await asio::this_coro::throw_if_cancelled(false);
    tasks_.spawn(outputs_.read(Stream::standard_output));
    tasks_.spawn(outputs_.read(Stream::standard_error));
    tasks_.spawn(keep_deadline());
    tasks_.spawn(wait_for_end());
    if (input_.is_open()) tasks_.spawn(feed());
    if (command_.handle) {
      command_.handle->attach([this](int number) { ::kill(-child_.pid(), number); },
                              [this] { end(End::cancelled); });
    }
    while (!over_) {
      boost::system::error_code ignored;
      co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() == asio::cancellation_type::none || over_) continue;
      end(End::cancelled);
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (command_.handle) command_.handle->detach();
    auto status = child_.wait();  // has ended; and what it left in its group is killed
    co_await outputs_.wait_for_rest();
    tasks_.cancel();
    co_await tasks_.join();
    if (!status) co_return fail(status.error());
    co_return result(*status);
  }

 private:
  asio::awaitable<void> keep_deadline() {
    asio::steady_timer timer(changed_.get_executor(), started_ + limits_.wall);
    boost::system::error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (error || over_) co_return;
    if (!cause_) cause_ = End::deadline;
    ::kill(-child_.pid(), SIGTERM);
    timer.expires_after(limits_.grace);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (!error && !over_) ::kill(-child_.pid(), SIGKILL);
  }

  asio::awaitable<void> wait_for_end() {
    boost::system::error_code error;
    co_await ended_.async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    over_ = true;
    changed_.cancel();
  }

  asio::awaitable<void> feed() {
    boost::system::error_code error;
    std::string unwritten = command_.stdin_data;
    while (true) {
      if (unwritten.empty()) {
        std::string more = co_await command_.input();
        if (more.empty()) break;
        unwritten = std::move(more);
      }
      co_await input_.async_wait(asio::posix::stream_descriptor::wait_write,
                                 asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      const ssize_t written = write_quietly(input_.native_handle(), unwritten);
      if (written > 0) unwritten.erase(0, static_cast<size_t>(written));
      if (written < 0 && errno != EAGAIN && errno != EINTR) break;
    }
    input_.close(error);
  }

  void end(End cause) {
    if (!cause_) cause_ = cause;
    if (!over_) ::kill(-child_.pid(), SIGKILL);
  }

  RunResult result(const ExitStatus& status) const {
    RunResult result{.end = status.signal != 0 ? End::signalled : End::exited,
                     .exit_code = status.exit_code,
                     .signal = status.signal,
                     .stdout_bytes = outputs_.bytes(Stream::standard_output),
                     .stderr_bytes = outputs_.bytes(Stream::standard_error),
                     .wall = std::chrono::duration_cast<milliseconds>(
                         std::chrono::steady_clock::now() - started_)};
    if (cause_) result.end = *cause_;
    if (result.end != End::exited) {
      result.explanation = "the command was ended (" + std::string(name_of(result.end)) +
                           "); it ran without a sandbox, and what it left running may go on";
    }
    return result;
  }

  const Limits& limits_;
  const Command& command_;
  ChildProcess child_;
  TaskGroup tasks_;
  asio::steady_timer changed_;  ///< cancelled when something happened
  asio::posix::stream_descriptor ended_, input_;
  OutputReader outputs_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::optional<End> cause_;
  bool over_ = false;
};

Result<UniqueFd> input_of(const std::string& bytes) {
  if (bytes.empty()) return empty_input();
  return memory_file_of({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

// Its calls share nothing but the policy.
class UnconfinedSession : public Session {
 public:
  UnconfinedSession(Sandbox& box, Policy policy) : box_(box), policy_(std::move(policy)) {}

  asio::awaitable<Result<RunResult>> run(Command command, OutputSink output) override {
    return box_.run(policy_, std::move(command), std::move(output));
  }
  asio::awaitable<Result<std::shared_ptr<Process>>> start(Command /*command*/,
                                                          ProcessOptions /*options*/) override {
    co_return fail(ErrorCode::unsupported,
                   "programs in the background need the sandbox, which would end them with their "
                   "session; this one runs without (--no-sandbox)");
  }
  asio::awaitable<void> close() override { co_return; }

 private:
  Sandbox& box_;
  const Policy policy_;
};

class Unconfined : public Sandbox {
 public:
  asio::awaitable<Result<RunResult>> run(Policy policy, Command command,
                                         OutputSink output) override {
    co_await asio::this_coro::throw_if_cancelled(false);
    if (policy.files == FileEffects::transaction && !policy.writable.empty()) {
      co_return fail(ErrorCode::unsupported,
                     "the policy keeps changes apart, which only the sandbox can; this one runs "
                     "without (--no-sandbox)");
    }
    policy.network = Network::open;
    if (command.wall) policy.limits.wall = std::min(policy.limits.wall, *command.wall);
    take_own_places(policy, command);
    const auto roots = roots_.of(policy, host_);
    const auto before = co_await look_at(roots);
    SABLE_CO_TRY(Execution execution, make_execution(policy, command, host_));
    UniqueFd input, input_far;
    if (command.input) {
      SABLE_CO_TRY(auto pair, pipe_pair());
      input_far = std::move(pair.first);
      input = std::move(pair.second);
    } else {
      SABLE_CO_TRY(input_far, input_of(command.stdin_data));
    }
    std::array<UniqueFd, 2> near, far;
    for (size_t i = 0; i < near.size(); ++i) {
      SABLE_CO_TRY(auto pair, pipe_pair());
      near[i] = std::move(pair.first);
      far[i] = std::move(pair.second);
    }
    auto child = ChildProcess::start({.argv = std::move(execution.arguments),
                                      .environment = std::move(execution.environment),
                                      .working_directory = execution.working_directory,
                                      .stdin_fd = input_far.get(),
                                      .stdout_fd = far[0].get(),
                                      .stderr_fd = far[1].get()});
    if (!child) co_return fail(ErrorCode::not_found, child.error().message);
    for (auto& fd : far) fd.reset();
    input_far.reset();
    const auto executor = co_await asio::this_coro::executor;
    UnconfinedCall call(executor, policy.limits, command, std::move(output), std::move(*child));
    SABLE_CO_TRY_VOID(call.take(std::move(near), std::move(input)));
    auto result = co_await call.finish();
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const auto after = co_await look_at(roots);
    if (result) result->protected_changes = changes_between(*before, *after);
    co_return result;
  }

  asio::awaitable<Result<std::unique_ptr<Session>>> open_session(Policy policy) override {
    std::unique_ptr<Session> session =
        std::make_unique<UnconfinedSession>(*this, std::move(policy));
    co_return session;
  }

 private:
  // The home that programs expect; a sandbox's own would not be there.
  static void take_own_places(Policy& policy, Command& command) {
    const passwd* user = ::getpwuid(::geteuid());
    if (user == nullptr) return;
    policy.environment.insert({"HOME", user->pw_dir});
    policy.environment.insert({"USER", user->pw_name});
    policy.environment.insert({"LOGNAME", user->pw_name});
    if (policy.writable.empty() && command.working_directory.empty())
      command.working_directory = user->pw_dir;
  }

  const Host host_ = this_host();
  ProtectedRoots roots_;
};

}  // namespace

std::unique_ptr<Sandbox> without_sandbox() { return std::make_unique<Unconfined>(); }

}  // namespace sable::sandbox
