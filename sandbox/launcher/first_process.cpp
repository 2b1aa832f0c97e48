// Pid 1 of a call: sets everything up, starts the program, and is the thread by which all of it
// hangs. When pid 1 is gone, the kernel has killed every process of the call.
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/launcher/call.h"

namespace sable::sandbox {

namespace {

// Where descriptors lie once the standard three are in place.
constexpr int kStatusFd = 3;
constexpr int kProcessFolderFd = 4;
constexpr int kFirstForeignFd = 5;

// The program shares our memory until it is executed, so what went wrong is left here.
struct Launch {
  const PreparedCall* call;
  volatile int error;
};

alignas(16) char program_stack[64 * 1024];

int execute_program(void* argument) {
  auto& launch = *static_cast<Launch*>(argument);
  const PreparedCall& call = *launch.call;
  sigset_t none;
  ::sigemptyset(&none);
  ::setsid();
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  int error = ENOENT;
  for (const auto& program : call.plan.programs) {
    ::execve(program.c_str(), call.arguments.data(), call.environment.data());
    if (errno != ENOENT && errno != ENOTDIR) {
      error = errno;
      if (errno != EACCES) break;
    }
  }
  launch.error = error;
  ::_exit(126);
}

void take_descriptors(const CallDescriptors& from, const FailureReport& report) {
  if (::dup2(from.input, 0) < 0 || ::dup2(from.output, 1) < 0 || ::dup2(from.errors, 2) < 0) {
    report.fail(Step::close_descriptors);
  }
}

void no_operation(int /*signal*/) {}

// A pid 1 gets only the signals it has handlers for; SIGCHLD is let in while we wait in ppoll().
void handle_child_signals() {
  struct sigaction action {};
  action.sa_handler = no_operation;
  ::sigaction(SIGCHLD, &action, nullptr);
}

}  // namespace

PreparedCall::PreparedCall(Plan decoded)
    : plan(std::move(decoded)), entry_fds(plan.view.size(), -1) {
  const auto pointers = [](std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (auto& text : strings) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
  };
  arguments = pointers(plan.arguments);
  environment = pointers(plan.environment);
}

void FailureReport::send(const StatusMessage& message) const {
  while (::send(status_fd_, &message, sizeof message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void FailureReport::fail(Step step, int index) const {
  send({.kind = StatusMessage::Kind::failed, .step = step, .error = errno, .index = index});
  ::_exit(126);
}

void run_first_process(PreparedCall& call, const CallDescriptors& descriptors) {
  const Plan& plan = call.plan;
  const FailureReport early(descriptors.status);

  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) early.fail(Step::parent_death_signal);
  pollfd launcher{.fd = call.launcher_pidfd, .events = POLLIN, .revents = 0};
  if (::poll(&launcher, 1, 0) != 0) ::_exit(126);  // it died before the signal was asked for
  ::prctl(PR_SET_NAME, "sable-init", 0, 0, 0);
  handle_child_signals();
  take_descriptors(descriptors, early);

  map_user(plan, early);
  ::umask(022);
  build_view(call, early);
  if (plan.loopback_up) bring_up_loopback(early);
  if (::sethostname("sable", 5) != 0) early.fail(Step::set_host_name);

  const int working_directory =
      ::open(plan.working_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (working_directory < 0 || ::fchdir(working_directory) != 0) {
    early.fail(Step::enter_working_directory);
  }
  ::close(working_directory);
  const int process_folder = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (process_folder < 0) early.fail(Step::close_descriptors);

  set_resource_limits(plan, early);
  drop_privileges(call, early);

  // Requests come with descriptors above these two numbers, so neither dup closes a source.
  if (::dup3(descriptors.status, kStatusFd, O_CLOEXEC) < 0 ||
      ::dup3(process_folder, kProcessFolderFd, O_CLOEXEC) < 0 ||
      ::close_range(kFirstForeignFd, ~0U, 0) != 0) {
    early.fail(Step::close_descriptors);
  }
  const FailureReport report(kStatusFd);
  if (plan.probe) {
    report.send({.kind = StatusMessage::Kind::probed});
    ::_exit(0);
  }

  // Sharing memory until the program is executed costs no page tables and carries its errno back.
  Launch launch{.call = &call, .error = 0};
  const int program = ::clone(execute_program, program_stack + sizeof program_stack,
                              CLONE_VM | CLONE_VFORK | SIGCHLD, &launch);
  if (program < 0) report.fail(Step::create_process);
  if (launch.error != 0) {
    errno = launch.error;
    report.fail(Step::execute_program);
  }
  ::close(0);
  ::close(1);
  ::close(2);
  report.send({.kind = StatusMessage::Kind::running});
  supervise(plan, program, kProcessFolderFd, report);
}

}  // namespace sable::sandbox
