// sable-launcher: makes sandboxes for the runtime that started it. Small, single-threaded, static,
// without secrets, and gone with its parent. Descriptor 3 is the control socket (wire.h).
#include <cstdlib>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/launcher/call.h"
#include "sandbox/launcher/call_server.h"

namespace sable::sandbox {

namespace {

// Descriptors of calls start here, above the numbers that pid 1 puts its own at.
constexpr int kReservedFds = 8;

class Launcher final : public CallServer {
 public:
  using CallServer::CallServer;

 private:
  bool accepts(PreparedCall& call) override { return call.plan.role != Role::worker; }
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
  using namespace sable::sandbox;
  if (argc != 2) return 2;
  const pid_t parent = static_cast<pid_t>(std::strtol(argv[1], nullptr, 10));
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != parent) return 1;
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  reset_signals();
  ::setsid();  // an interrupt typed at the runtime's terminal is the runtime's to handle
  if (::close_range(kControlFd + 1, ~0U, 0) != 0) return 1;
  if (::chdir("/") != 0 || !reserve_low_descriptors()) return 1;
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (self < 0) return 1;
  Launcher(kControlFd, self).serve();
  return 0;
}
