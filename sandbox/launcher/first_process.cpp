// Pid 1 of a call: sets everything up, starts the program, and is the thread by which all of it
// hangs. When pid 1 is gone, the kernel has killed every process of the call.
#include <cstring>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sandbox/launcher/call.h"
#include "sandbox/launcher/left_out.h"

namespace sable::sandbox {

namespace {

// Where descriptors lie once everything is in force; 0 to 2 are /dev/null.
constexpr int kStatusFd = 3;
constexpr int kProcessFolderFd = 4;
constexpr int kListenerFd = 5;  // until it is handed out

void no_operation(int /*signal*/) {}

// A pid 1 gets only the signals it has handlers for; SIGCHLD is let in while we wait in ppoll().
void handle_child_signals() {
  struct sigaction action {};
  action.sa_handler = no_operation;
  ::sigaction(SIGCHLD, &action, nullptr);
}

uint64_t namespaces_of(const Plan& plan) {
  if (plan.role == Role::worker) return CLONE_NEWNS | CLONE_NEWPID;
  uint64_t flags =
      CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (plan.own_network && kLeftOut != LeftOut::network_namespace) flags |= CLONE_NEWNET;
  return flags;
}

}  // namespace

void FailureReport::send(const StatusMessage& message, int fd) const {
  StatusMessage copy = message;
  iovec data{&copy, sizeof copy};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  }
  while (::sendmsg(status_fd_, &header, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void FailureReport::fail(Step step, int index) const {
  send({.kind = StatusMessage::Kind::failed, .step = step, .error = errno, .index = index});
  ::_exit(126);
}

namespace {

// Into its cgroup from the first instruction on, where the kernel and the cgroup's owner let us;
// else it goes there by itself (enter_memory_group()).
pid_t clone_first_process(PreparedCall& call, int& pidfd) {
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD | namespaces_of(call.plan);
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (call.memory_door >= 0) {
    clone_args inside = arguments;
    inside.flags |= CLONE_INTO_CGROUP;
    inside.cgroup = static_cast<uint64_t>(call.memory_door);
    call.in_memory_group = true;
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &inside, sizeof inside));
    if (pid >= 0) return pid;
    call.in_memory_group = false;
  }
  return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

}  // namespace

int make_first_process(PreparedCall& call) {
  int pidfd = -1;
  const pid_t pid = clone_first_process(call, pidfd);
  if (pid == 0) {
    if (call.plan.role == Role::keeper) run_keeper(call);
    run_first_process(call);
  }
  const FailureReport report(call.status);
  if (pid < 0) {
    report.send(
        {.kind = StatusMessage::Kind::failed, .step = Step::create_namespaces, .error = errno});
    return -1;
  }
  report.send({.kind = StatusMessage::Kind::created}, pidfd);
  ::close(pidfd);
  return pid;
}

void take_on_life(const PreparedCall& call, const FailureReport& report) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) report.fail(Step::parent_death_signal);
  pollfd parent{.fd = call.launcher_pidfd, .events = POLLIN, .revents = 0};
  if (::poll(&parent, 1, 0) != 0) ::_exit(126);  // it died before the signal was asked for
  ::prctl(PR_SET_NAME, "sable-init", 0, 0, 0);
  handle_child_signals();
}

void enter_memory_group(PreparedCall& call, const FailureReport& report) {
  if (call.memory_group < 0) return;
  // Whoever opened it had the right to; "0" is whoever writes.
  if (!call.in_memory_group && ::write(call.memory_group, "0", 1) != 1)
    report.fail(Step::limit_memory);
  ::close(call.memory_group);
  if (call.memory_door >= 0) ::close(call.memory_door);
  call.plan.memory_bytes = 0;
}

void run_first_process(PreparedCall& call) {
  const Plan& plan = call.plan;
  const FailureReport early(call.status);
  take_on_life(call, early);
  enter_memory_group(call, early);
  ::umask(022);
  const bool alone = plan.role == Role::call;
  if (alone) map_user(plan, early);
  build_view(call, early);
  const int listener = alone ? set_up_network(plan, early) : -1;
  if (alone && ::sethostname("sable", 5) != 0) early.fail(Step::set_host_name);
  const int process_folder = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (process_folder < 0) early.fail(Step::close_descriptors);

  set_resource_limits(plan, early);
  drop_privileges(call, early);

  if (listener >= 0 && ::dup3(listener, kListenerFd, O_CLOEXEC) < 0)
    early.fail(Step::close_descriptors);
  // Requests come with descriptors above these numbers, so no dup closes a source.
  if (::dup3(call.status, kStatusFd, O_CLOEXEC) < 0 ||
      ::dup3(process_folder, kProcessFolderFd, O_CLOEXEC) < 0 ||
      ::close_range(kListenerFd + 1, ~0U, 0) != 0) {
    early.fail(Step::close_descriptors);
  }
  const FailureReport report(kStatusFd);
  report.send({.kind = StatusMessage::Kind::prepared}, listener >= 0 ? kListenerFd : -1);
  ::close(kListenerFd);
  const int program = start_program(plan, report);
  supervise(plan, program, kProcessFolderFd, report);
}

}  // namespace sable::sandbox
