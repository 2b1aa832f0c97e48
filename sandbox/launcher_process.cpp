#include "sandbox/launcher_process.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <utility>

#include "sandbox/wire.h"

namespace sable::sandbox {

Result<LauncherProcess> LauncherProcess::start(const std::filesystem::path& program) {
  if (::access(program.c_str(), X_OK) != 0) {
    return fail(ErrorCode::not_found,
                "the sandbox launcher " + program.string() +
                    " is missing or not executable; it is installed beside sable");
  }
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return fail_errno("socketpair", errno);
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  if (theirs.get() == kControlFd) {
    // dup2 onto itself would leave the close-on-exec flag in place.
    theirs = UniqueFd(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, kControlFd + 1));
    if (!theirs) return fail_errno("dup", errno);
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), kControlFd);
  std::string name = program.string(), parent = std::to_string(::getpid());
  char* const arguments[] = {name.data(), parent.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, name.c_str(), &actions, nullptr, arguments, environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_errno("cannot start the sandbox launcher " + name, error);
  return LauncherProcess(std::move(ours), pid);
}

LauncherProcess::LauncherProcess(LauncherProcess&& other) noexcept
    : control_(std::move(other.control_)), pid_(std::exchange(other.pid_, -1)) {}

LauncherProcess::~LauncherProcess() {
  if (pid_ < 0) return;
  control_.reset();
  ::kill(pid_, SIGKILL);  // its calls die with it; it would also end by itself
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool LauncherProcess::alive() const {
  pollfd control{.fd = control_.get(), .events = 0, .revents = 0};
  return ::poll(&control, 1, 0) == 0;
}

Result<void> LauncherProcess::send_call(const CallFds& fds, size_t plan_bytes) const {
  CallRequest request{.plan_bytes = static_cast<uint32_t>(plan_bytes)};
  const int list[kCallDescriptors] = {fds.status, fds.plan, fds.input, fds.output, fds.errors};
  iovec data{&request, sizeof request};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof list)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof list);
  std::memcpy(CMSG_DATA(part), list, sizeof list);
  while (::sendmsg(control_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ETOOMANYREFS) {
      return fail(ErrorCode::exhausted, "the sandbox launcher is busy");
    }
    return fail(ErrorCode::io, "the sandbox launcher has ended (" +
                                   std::string(std::strerror(errno)) + "); restart sable");
  }
  return {};
}

}  // namespace sable::sandbox
