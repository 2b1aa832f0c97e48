#include "sandbox/running_call.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "sandbox/denials.h"
#include "sandbox/memory_file.h"
#include "sandbox/plan_codec.h"
#include "sandbox/step_text.h"

namespace sable::sandbox {

namespace {

using std::chrono::milliseconds;

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr milliseconds kBusyPause{1};
constexpr size_t kUnwrittenMax = size_t{1} << 20;
constexpr size_t kLastOutput = size_t{8} << 10;  // where a program that failed says why
constexpr size_t kPieceBytes = size_t{1}
                               << 20;  // of standard input, written between two turns of the loop

std::string seconds_of(milliseconds duration) {
  const auto whole = duration.count() / 1000, rest = duration.count() % 1000;
  if (rest == 0) return std::to_string(whole) + " s";
  return std::to_string(duration.count()) + " ms";
}

}  // namespace

asio::awaitable<Result<MadeCall>> take_call(PreparedCalls& prepared, const Plan& plan) {
  while (true) {
    auto made = prepared.take(plan);
    if (made || made.error().code != ErrorCode::exhausted) co_return made;
    co_await sleep_for(kBusyPause);
  }
}

Interaction interaction_of(const Command& command) {
  return {
      .open_input = command.input != nullptr, .source = command.input, .handle = command.handle};
}

Policy policy_for(const Command& command, Policy policy) {
  if (command.wall) policy.limits.wall = std::min(policy.limits.wall, *command.wall);
  return policy;
}

asio::awaitable<Result<RunResult>> run_call(PreparedCalls& prepared, Plan plan, Execution execution,
                                            Policy policy, std::string stdin_data,
                                            OutputSink output, Interaction interaction) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  SABLE_CO_TRY(MadeCall made, co_await take_call(prepared, plan));
  RunningCall call(executor, prepared.control(), std::move(made), plan, execution, policy,
                   std::move(output), std::move(interaction));
  SABLE_CO_TRY_VOID(co_await call.start(std::move(stdin_data)));
  prepared.replenish(plan);
  co_return co_await call.finish();
}

RunningCall::RunningCall(asio::any_io_executor executor, const ControlSocket& control,
                         MadeCall made, const Plan& plan, const Execution& execution,
                         const Policy& policy, OutputSink output, Interaction interaction)
    : executor_(executor),
      control_(control),
      plan_(plan),
      execution_(execution),
      policy_(policy),
      limits_(policy.limits),
      output_(std::move(output)),
      tasks_(executor),
      changed_(executor, asio::steady_timer::time_point::max()),
      status_(executor, made.status.release()),
      pidfd_(executor),
      input_(executor),
      memory_(std::move(made.memory)),
      memory_alarm_(executor),
      interaction_(std::move(interaction)),
      has_input_(executor, asio::steady_timer::time_point::max()),
      outputs_(
          executor, limits_.output_bytes,
          [this](Stream stream, std::string_view bytes) { deliver(stream, bytes); },
          [this] { end(End::output_limit); }) {}

RunningCall::~RunningCall() {
  if (interaction_.handle) interaction_.handle->detach();
}

asio::awaitable<Result<RunResult>> RunningCall::finish() {
  co_await asio::this_coro::throw_if_cancelled(false);
  tasks_.spawn(follow_status());
  if (!interaction_.terminal) {
    tasks_.spawn(outputs_.read(Stream::standard_output));
    tasks_.spawn(outputs_.read(Stream::standard_error));
  }
  tasks_.spawn(keep_deadline());
  if (memory_ && memory_->alarm() >= 0) tasks_.spawn(heed_memory());
  if (input_.is_open()) tasks_.spawn(feed());
  const auto& handle = interaction_.handle;
  if (handle)
    handle->attach([this](int number) { signal(number); }, [this] { end(End::cancelled); });
  co_await wait_until_over();
  if (handle) handle->detach();
  // Nothing is alive from here on, so nothing may interrupt the little that is left to do.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await outputs_.wait_for_rest();
  tasks_.cancel();
  co_await tasks_.join();
  if (proxy_) co_await proxy_->stop();
  auto outcome = result();
  if (outcome && proxy_) {
    outcome->network_decisions = proxy_->take_decisions();
    outcome->network_decisions_left_out = proxy_->take_left_out();
    add_refusals(*outcome);
  }
  co_return outcome;
}

// Makes the streams and hands their far ends, with what to run, to pid 1.
asio::awaitable<Result<void>> RunningCall::start(std::string stdin_data) {
  started_ = std::chrono::steady_clock::now();
  std::vector<UniqueFd> far;
  if (interaction_.terminal) {
    // It comes with the word that the program runs.
    unwritten_ = std::move(stdin_data);
  } else {
    if (interaction_.open_input) {
      SABLE_CO_TRY(auto input, pipe_pair());
      input_.assign(input.second.release());
      ::fcntl(input_.native_handle(), F_SETFL, O_NONBLOCK);
      far.push_back(std::move(input.first));
      unwritten_ = std::move(stdin_data);
    } else {
      SABLE_CO_TRY(UniqueFd input, co_await input_of(std::move(stdin_data)));
      far.push_back(std::move(input));
    }
    for (const auto stream : {Stream::standard_output, Stream::standard_error}) {
      SABLE_CO_TRY(auto pair, pipe_pair());
      outputs_.assign(stream, std::move(pair.first));
      far.push_back(std::move(pair.second));
    }
  }

  const auto bytes = encode_execution(execution_);
  if (bytes.size() > kPlanBytesMax) {
    co_return fail(ErrorCode::invalid_input,
                   "the command's arguments and environment are too long");
  }
  const bool in_file = bytes.size() > kInlineExecutionMax;
  const TerminalSize size = interaction_.terminal.value_or(TerminalSize{.columns = 0, .rows = 0});
  const StartRequest request{.execution_bytes = in_file ? 0 : static_cast<uint32_t>(bytes.size()),
                             .rows = size.rows,
                             .columns = size.columns};
  std::vector<std::string_view> parts{{reinterpret_cast<const char*>(&request), sizeof request}};
  std::vector<int> fds;
  for (const auto& fd : far) fds.push_back(fd.get());
  UniqueFd file;
  if (in_file) {
    SABLE_CO_TRY(file, memory_file_of(bytes));
    fds.insert(fds.begin(), file.get());
  } else {
    parts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  // Whether it arrived shows in what pid 1 answers, or in its silence.
  send_with_descriptors(status_.native_handle(), parts, fds);
  co_return Result<void>();
}

asio::awaitable<Result<UniqueFd>> RunningCall::input_of(std::string stdin_data) {
  if (stdin_data.empty()) co_return empty_input();
  // A sealed file in memory: nobody has to feed it, and a program that does not read it blocks
  // nobody.
  SABLE_CO_TRY(UniqueFd input, memory_file());
  for (size_t at = 0; at < stdin_data.size(); at += kPieceBytes) {
    SABLE_CO_TRY_VOID(write_all(input.get(), std::string_view(stdin_data).substr(at, kPieceBytes)));
    if (stdin_data.size() > kPieceBytes) co_await asio::post(executor_, asio::use_awaitable);
  }
  seal(input);
  co_return input;
}

asio::awaitable<void> RunningCall::wait_until_over() {
  while (true) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none && !is_over()) {
      end(End::cancelled);
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    }
    if (is_over()) co_return;
    boost::system::error_code ignored;
    co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<void> RunningCall::follow_status() {
  boost::system::error_code error;
  while (!status_over_) {
    co_await status_.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    while (receive_status()) {
    }
  }
  if (pidfd_.is_open()) {
    // Readable when pid 1 is gone, which is after every process of its namespace.
    co_await pidfd_.async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    dead_ = true;
  }
  notify();
}

// One message off the status socket; false when there is none now, or none will come.
bool RunningCall::receive_status() {
  StatusMessage message;
  UniqueFd fd;
  const ssize_t size = receive_status_message(status_.native_handle(), message, fd);
  if (size < 0 && errno == EINTR) return true;
  if (size < 0 && errno == EAGAIN) return false;
  if (size <= 0) {
    status_over_ = true;
    return false;
  }
  if (size != sizeof message) return true;
  if (fd) take_descriptor(message.kind, std::move(fd));
  switch (message.kind) {
    case StatusMessage::Kind::created:
    case StatusMessage::Kind::prepared:
    case StatusMessage::Kind::running:
      break;
    case StatusMessage::Kind::memory_limit:
      if (!cause_) cause_ = End::memory_limit;
      break;
    case StatusMessage::Kind::disk_limit:
      if (!cause_) cause_ = End::disk_limit;
      disk_ = message;
      break;
    case StatusMessage::Kind::exited:
    case StatusMessage::Kind::signalled:
      ended_ = true;
      ending_ = message;
      notify();
      break;
    case StatusMessage::Kind::failed:
      ending_ = message;
      break;
  }
  return true;
}

void RunningCall::take_descriptor(StatusMessage::Kind kind, UniqueFd fd) {
  if (kind == StatusMessage::Kind::created) {
    pidfd_.assign(fd.release());
    if (kill_wanted_) kill();
  } else if (kind == StatusMessage::Kind::prepared && !proxy_) {
    proxy_ = std::make_unique<EgressProxy>(executor_, std::move(fd), policy_.allowed_hosts);
    proxy_->start();
  } else if (kind == StatusMessage::Kind::running && interaction_.terminal) {
    outputs_.assign(Stream::standard_output, std::move(fd));
    input_.assign(::fcntl(outputs_.descriptor(Stream::standard_output), F_DUPFD_CLOEXEC, 0));
    ::fcntl(input_.native_handle(), F_SETFL, O_NONBLOCK);
    tasks_.spawn(outputs_.read(Stream::standard_output));
    tasks_.spawn(feed());
  }
}

void RunningCall::deliver(Stream stream, std::string_view bytes) {
  if (output_) output_(stream, bytes);
  last_output_ += bytes.substr(bytes.size() - std::min(bytes.size(), kLastOutput));
  if (last_output_.size() > 2 * kLastOutput)
    last_output_.erase(0, last_output_.size() - kLastOutput);
}

asio::awaitable<void> RunningCall::keep_deadline() {
  asio::steady_timer timer(executor_, started_ + limits_.wall);
  boost::system::error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (!error) co_await end_gently(End::deadline);
}

// The kernel has killed one of its processes, or is about to: the others go too.
asio::awaitable<void> RunningCall::heed_memory() {
  boost::system::error_code error;
  memory_alarm_.assign(::fcntl(memory_->alarm(), F_DUPFD_CLOEXEC, 0), error);
  if (error) co_return;
  co_await memory_alarm_.async_wait(asio::posix::stream_descriptor::wait_read,
                                    asio::redirect_error(asio::use_awaitable, error));
  if (!error) end(End::memory_limit);
}

asio::awaitable<void> RunningCall::end_gently(End cause) {
  if (ending_ || cause_) co_return;
  cause_ = cause;
  // It is read after the word of what to run: whether the program was said to run by now does not
  // matter.
  signal(SIGTERM);
  asio::steady_timer timer(executor_, limits_.grace);
  boost::system::error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (!error) kill();
}

// Writes to the program's input as it takes it.
asio::awaitable<void> RunningCall::feed() {
  boost::system::error_code error;
  while (input_.is_open()) {
    if (unwritten_.empty()) {
      if (input_closing_) break;
      const bool go_on = co_await wait_for_input();
      if (!go_on) co_return;
      continue;
    }
    co_await input_.async_wait(asio::posix::stream_descriptor::wait_write,
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    const std::string_view piece = std::string_view(unwritten_).substr(0, kReadBytes);
    const ssize_t written = write_quietly(input_.native_handle(), piece);
    if (written > 0) unwritten_.erase(0, static_cast<size_t>(written));
    if (written < 0 && errno != EAGAIN && errno != EINTR) break;
  }
  input_closing_ = true;
  unwritten_.clear();
  input_.close(error);
}

// False when the call is over.
asio::awaitable<bool> RunningCall::wait_for_input() {
  if (interaction_.source) {
    std::string more = co_await interaction_.source();
    if (more.empty()) input_closing_ = true;
    unwritten_ = std::move(more);
  } else {
    boost::system::error_code ignored;
    co_await has_input_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() == asio::cancellation_type::none;
}

Result<void> RunningCall::write(std::string_view bytes) {
  if (input_closing_ || ending_) {
    return fail(ErrorCode::invalid_input, "the program's input is closed");
  }
  if (unwritten_.size() + bytes.size() > kUnwrittenMax) {
    return fail(ErrorCode::exhausted, "the program does not read its input");
  }
  unwritten_ += bytes;
  has_input_.cancel();
  return {};
}

Result<void> RunningCall::close_input() {
  // A terminal has no end of its own: a program in its usual mode takes this for it.
  if (interaction_.terminal) return write("\x04");
  input_closing_ = true;
  has_input_.cancel();
  return {};
}

Result<void> RunningCall::resize(TerminalSize size) {
  if (!interaction_.terminal) return fail(ErrorCode::invalid_input, "the program has no terminal");
  const winsize window{.ws_row = size.rows, .ws_col = size.columns, .ws_xpixel = 0, .ws_ypixel = 0};
  const int terminal = outputs_.descriptor(Stream::standard_output);
  if (terminal >= 0 && ::ioctl(terminal, TIOCSWINSZ, &window) != 0) {
    return fail_errno("resizing the terminal", errno);
  }
  return {};
}

void RunningCall::stop() { tasks_.spawn(end_gently(End::cancelled)); }

void RunningCall::signal(int number) {
  const SignalRequest request{.signal = number};
  ::send(status_.native_handle(), &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void RunningCall::end(End cause) {
  if (!cause_ && !ending_) cause_ = cause;
  kill();
}

// Pid 1 takes its whole namespace with it.
void RunningCall::kill() {
  kill_wanted_ = true;
  if (pidfd_.is_open()) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.native_handle(), SIGKILL, nullptr, 0);
  }
}

Result<RunResult> RunningCall::result() const {
  using Kind = StatusMessage::Kind;
  if (!cause_ && ending_ && ending_->kind == Kind::failed) {
    return fail(explain_failure(*ending_, plan_, execution_));
  }
  RunResult result;
  result.wall =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - started_);
  result.stdout_bytes = outputs_.bytes(Stream::standard_output);
  result.stderr_bytes = outputs_.bytes(Stream::standard_error);
  if (ending_ && ending_->kind == Kind::exited) {
    result.exit_code = ending_->value;
  } else if (ending_ && ending_->kind == Kind::signalled) {
    result.end = End::signalled;
    result.signal = ending_->value;
  } else if (!cause_ && !control_.alive() && !memory_limit_was_reached()) {
    return fail(
        ErrorCode::io,
        "the sandbox launcher ended during the command, and the command with it; restart sable");
  } else {
    result.end = End::signalled;
    result.signal = SIGKILL;
  }
  if (cause_) {
    result.end = *cause_;
  } else if ((result.signal != 0 || result.exit_code != 0) && memory_limit_was_reached()) {
    result.end = End::memory_limit;
  }
  result.explanation = explanation(result);
  if (result.end != End::exited || result.exit_code != 0) {
    result.denials = explain_denials(policy_, execution_.working_directory, last_output_);
  }
  return result;
}

// Its last message is from pid 1 of the call, whose word is taken within bounds.
std::string RunningCall::disk_explanation() const {
  const auto index = static_cast<size_t>(disk_.index);
  const bool known = disk_.index >= 0 && index < plan_.disk_roots.size();
  const std::string limit = disk_.value == 1 ? std::to_string(limits_.disk_files) + " files"
                                             : std::to_string(limits_.disk_bytes) + " bytes";
  return "the command was ended because the file system of \"" +
         escape_controls(known ? plan_.disk_roots[index] : "a writable folder") +
         "\" lost more than its limit of " + limit +
         ", or nearly all that was free, while it ran (what others write there counts too); what "
         "it "
         "wrote is still there";
}

std::string RunningCall::explanation(const RunResult& result) const {
  switch (result.end) {
    case End::exited:
      return "";
    case End::deadline:
      return "the command was ended because it ran longer than its limit of " +
             seconds_of(limits_.wall);
    case End::cancelled:
      return "the command was cancelled";
    case End::output_limit:
      return "the command was ended because it wrote more than its limit of " +
             std::to_string(limits_.output_bytes) + " bytes of output";
    case End::memory_limit:
      return "the command was ended because its processes together used more than their limit of " +
             std::to_string(limits_.memory_bytes) + " bytes of memory";
    case End::disk_limit:
      return disk_explanation();
    case End::signalled:
      break;
  }
  if (!ending_) return "the command was killed from outside the sandbox";
  std::string text = "the command died of signal " + std::to_string(result.signal) + " (" +
                     ::strsignal(result.signal) + ")";
  if (result.signal == SIGXCPU) {
    text += ": it used more than its limit of " + std::to_string(limits_.cpu.count()) +
            " s of processor time";
  } else if (result.signal == SIGXFSZ) {
    text += ": a file grew beyond the limit of " + std::to_string(limits_.file_bytes) + " bytes";
  } else if (result.signal == SIGSYS) {
    text += ": it entered the kernel through another architecture's system calls";
  }
  return text;
}

}  // namespace sable::sandbox
