#include "sandbox/launcher_process.h"

#include <cerrno>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/socket.h>
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
  return LauncherProcess(ControlSocket(std::move(ours)), pid);
}

LauncherProcess::LauncherProcess(LauncherProcess&& other) noexcept
    : control_(std::move(other.control_)), pid_(std::exchange(other.pid_, -1)) {}

LauncherProcess::~LauncherProcess() {
  if (pid_ < 0) return;
  control_.close();
  ::kill(pid_, SIGKILL);  // its calls die with it; it would also end by itself
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace sable::sandbox
