// sable-launcher: makes sandboxes for the runtime that started it. Small, single-threaded, static,
// without secrets, and gone with its parent. Descriptor 3 is the control socket (wire.h).
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/sched.h>
#include <optional>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sandbox/launcher/call.h"
#include "sandbox/plan_codec.h"

namespace sable::sandbox {

namespace {

// Descriptors of calls start here, above the numbers that pid 1 puts its own at.
constexpr int kReservedFds = 8;

struct Request {
  CallRequest header;
  UniqueFd fds[kCallDescriptors];
};

// Takes one request off the control socket. Nothing: the runtime is gone.
enum class Received { request, nonsense, closed };

Received receive(Request& request) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kCallDescriptors)];
  iovec data{&request.header, sizeof request.header};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(kControlFd, &message, MSG_CMSG_CLOEXEC);
  if (size < 0) return errno == EINTR || errno == EAGAIN ? Received::nonsense : Received::closed;
  if (size == 0) return Received::closed;
  int n_fds = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && n_fds < kCallDescriptors; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      request.fds[n_fds++] = UniqueFd(fd);
    }
  }
  const bool whole = size == sizeof request.header && request.header.magic == CallRequest{}.magic &&
                     n_fds == kCallDescriptors &&
                     (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  return whole ? Received::request : Received::nonsense;
}

std::optional<Plan> read_plan(int fd, size_t size) {
  if (size > kPlanBytesMax) return std::nullopt;
  std::vector<uint8_t> bytes(size);
  size_t filled = 0;
  while (filled < size) {
    const ssize_t n = ::pread(fd, bytes.data() + filled, size - filled, static_cast<off_t>(filled));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    filled += static_cast<size_t>(n);
  }
  return decode_plan(bytes);
}

void send_created(int status, int pidfd) {
  StatusMessage created{.kind = StatusMessage::Kind::created};
  iovec data{&created, sizeof created};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(part), &pidfd, sizeof pidfd);
  while (::sendmsg(status, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

class Launcher {
 public:
  Launcher() : self_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))) {}

  int serve() {
    sigset_t watched;
    ::sigemptyset(&watched);
    ::sigaddset(&watched, SIGCHLD);
    const UniqueFd children(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!children || !self_) return 1;
    while (true) {
      pollfd waited[] = {{.fd = kControlFd, .events = POLLIN, .revents = 0},
                         {.fd = children.get(), .events = POLLIN, .revents = 0}};
      if (::poll(waited, 2, -1) < 0 && errno != EINTR) break;
      if (waited[1].revents != 0) reap(children.get());
      if (waited[0].revents == 0) continue;
      Request request;
      const Received received = receive(request);
      if (received == Received::closed) break;
      if (received == Received::request) start(request);
    }
    for (const pid_t pid : running_) ::kill(pid, SIGKILL);
    return 0;
  }

 private:
  void start(Request& request) {
    const CallDescriptors fds{.status = request.fds[0].get(),
                              .plan = request.fds[1].get(),
                              .input = request.fds[2].get(),
                              .output = request.fds[3].get(),
                              .errors = request.fds[4].get()};
    const FailureReport report(fds.status);
    auto plan = read_plan(fds.plan, request.header.plan_bytes);
    if (!plan) {
      report.send({.kind = StatusMessage::Kind::failed, .step = Step::read_plan, .error = EBADMSG});
      return;
    }
    PreparedCall call(std::move(*plan));
    call.launcher_pidfd = self_.get();

    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                      CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (call.plan.own_network) arguments.flags |= CLONE_NEWNET;
    arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid == 0) run_first_process(call, fds);
    if (pid < 0) {
      report.send(
          {.kind = StatusMessage::Kind::failed, .step = Step::create_namespaces, .error = errno});
      return;
    }
    running_.push_back(pid);
    send_created(fds.status, pidfd);
    ::close(pidfd);
  }

  void reap(int signals) {
    signalfd_siginfo ignored[8];
    while (::read(signals, ignored, sizeof ignored) > 0) {
    }
    while (true) {
      const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
      if (pid <= 0) return;
      running_.erase(std::remove(running_.begin(), running_.end(), pid), running_.end());
    }
  }

  UniqueFd self_;
  std::vector<pid_t> running_;
};

// Every inherited disposition and mask is the runtime's business, not ours nor the programs'.
void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

// Keeps the low numbers free, so that pid 1 can put its descriptors there without closing a source.
bool reserve_low_descriptors() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return false;
  for (int fd = 0; fd < kReservedFds; ++fd) {
    if (fd == kControlFd || fd == null) continue;
    if (::dup3(null, fd, O_CLOEXEC) < 0) return false;
  }
  if (null >= kReservedFds) ::close(null);
  return ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC) == 0;
}

}  // namespace

}  // namespace sable::sandbox

// Arguments: the parent's process id.
int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const pid_t parent = static_cast<pid_t>(std::strtol(argv[1], nullptr, 10));
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != parent) return 1;
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  sable::sandbox::reset_signals();
  ::setsid();  // an interrupt typed at the runtime's terminal is the runtime's to handle
  if (::close_range(sable::sandbox::kControlFd + 1, ~0U, 0) != 0) return 1;
  if (::chdir("/") != 0 || !sable::sandbox::reserve_low_descriptors()) return 1;
  return sable::sandbox::Launcher().serve();
}
