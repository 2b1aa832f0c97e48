// The program of a call: waits for the word of what to run, and starts it.
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/launcher/call.h"
#include "sandbox/launcher/message.h"
#include "sandbox/plan_codec.h"

namespace sable::sandbox {

namespace {

// A sandbox that was made ahead of its use ends by itself when nobody wants it for so long.
constexpr timespec kIdleMax{600, 0};

struct Start {
  Execution execution;
  UniqueFd streams[3];  ///< unless there is a terminal
  winsize size{};       ///< of the terminal
};

// The program shares our memory until it is executed, so what went wrong is left here.
struct Launch {
  const Execution* execution;
  char* const* arguments;
  char* const* environment;
  int streams[3];
  const char* terminal;  ///< path, or null
  volatile Step step;
  volatile int error;
};

alignas(16) char program_stack[64 * 1024];
alignas(StartRequest) char datagram[sizeof(StartRequest) + kInlineExecutionMax];

[[noreturn]] void give_up(Launch& launch, Step step, int error) {
  launch.step = step;
  launch.error = error;
  ::_exit(126);
}

void take_streams(Launch& launch) {
  if (launch.terminal != nullptr) {
    const int fd = ::open(launch.terminal, O_RDWR);
    if (fd < 0 || ::ioctl(fd, TIOCSCTTY, 0) != 0) give_up(launch, Step::open_terminal, errno);
    for (int& stream : launch.streams) stream = fd;
  }
  for (int i = 0; i < 3; ++i) {
    if (::dup2(launch.streams[i], i) < 0) give_up(launch, Step::close_descriptors, errno);
  }
  if (launch.terminal != nullptr) ::close(launch.streams[0]);
}

int execute_program(void* argument) {
  auto& launch = *static_cast<Launch*>(argument);
  sigset_t none;
  ::sigemptyset(&none);
  ::setsid();
  take_streams(launch);
  if (::chdir(launch.execution->working_directory.c_str()) != 0) {
    give_up(launch, Step::enter_working_directory, errno);
  }
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  int error = ENOENT;
  for (const auto& program : launch.execution->programs) {
    ::execve(program.c_str(), launch.arguments, launch.environment);
    if (errno != ENOENT && errno != ENOTDIR) {
      error = errno;
      if (errno != EACCES) break;
    }
  }
  give_up(launch, Step::execute_program, error);
}

// Ends the process when the runtime lets go of this call, or forgets it.
Start wait_for_start(const Plan& plan, const FailureReport& report) {
  Start start;
  UniqueFd fds[kStartDescriptorsMax];
  const auto refuse = [&] {
    errno = EBADMSG;
    report.fail(Step::read_execution);
  };
  while (true) {
    pollfd status{.fd = report.status_fd(), .events = POLLIN, .revents = 0};
    const int ready = ::ppoll(&status, 1, &kIdleMax, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) ::_exit(0);
    int n_fds = 0;
    const ssize_t size =
        receive_message(report.status_fd(), datagram, sizeof datagram, fds, n_fds, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size <= 0) ::_exit(0);
    StartRequest request;
    if (static_cast<size_t>(size) < sizeof request) {
      // A signal before there was anybody to hear it.
      if (static_cast<size_t>(size) == sizeof(SignalRequest)) ::_exit(0);
      refuse();
    }
    std::memcpy(&request, datagram, sizeof request);
    const int n_streams = plan.terminal ? 0 : 3;
    const bool in_file = request.execution_bytes == 0;
    if (request.magic != StartRequest::kMagic || n_fds != n_streams + (in_file ? 1 : 0)) refuse();
    std::optional<Execution> execution;
    if (in_file) {
      const auto bytes = read_memory_file(fds[0].get());
      if (bytes) execution = decode_execution(*bytes);
    } else if (static_cast<size_t>(size) == sizeof request + request.execution_bytes) {
      execution = decode_execution(
          {reinterpret_cast<const uint8_t*>(datagram) + sizeof request, request.execution_bytes});
    }
    if (!execution) refuse();
    start.execution = std::move(*execution);
    start.size = {
        .ws_row = request.rows, .ws_col = request.columns, .ws_xpixel = 0, .ws_ypixel = 0};
    for (int i = 0; i < n_streams; ++i) start.streams[i] = std::move(fds[i + (in_file ? 1 : 0)]);
    return start;
  }
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (auto& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Opens the call's own terminal; `path` becomes the name of its other side.
UniqueFd open_terminal(const winsize& size, char (&path)[32], const FailureReport& report) {
  UniqueFd master(::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  int unlock = 0, number = 0;
  if (!master || ::ioctl(master.get(), TIOCSPTLCK, &unlock) != 0 ||
      ::ioctl(master.get(), TIOCGPTN, &number) != 0 ||
      ::ioctl(master.get(), TIOCSWINSZ, &size) != 0) {
    report.fail(Step::open_terminal);
  }
  constexpr char kFolder[] = "/dev/pts/";
  std::memcpy(path, kFolder, sizeof kFolder);
  char digits[12];
  int n = 0;
  do {
    digits[n++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  char* at = path + sizeof kFolder - 1;
  while (n > 0) *at++ = digits[--n];
  *at = '\0';
  return master;
}

}  // namespace

int start_program(const Plan& plan, const FailureReport& report) {
  Start start = wait_for_start(plan, report);
  const auto arguments = pointers_to(start.execution.arguments);
  const auto environment = pointers_to(start.execution.environment);
  char terminal[32] = {};
  UniqueFd master;
  if (plan.terminal) master = open_terminal(start.size, terminal, report);
  // Sharing memory until the program is executed costs no page tables and carries its errno back.
  Launch launch{.execution = &start.execution,
                .arguments = arguments.data(),
                .environment = environment.data(),
                .streams = {start.streams[0].get(), start.streams[1].get(), start.streams[2].get()},
                .terminal = plan.terminal ? terminal : nullptr,
                .step = Step::none,
                .error = 0};
  const int program = ::clone(execute_program, program_stack + sizeof program_stack,
                              CLONE_VM | CLONE_VFORK | SIGCHLD, &launch);
  if (program < 0) report.fail(Step::create_process);
  if (launch.step != Step::none) {
    errno = launch.error;
    report.fail(launch.step);
  }
  report.send({.kind = StatusMessage::Kind::running}, master.get());
  return program;
}

}  // namespace sable::sandbox
