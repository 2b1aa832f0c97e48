// The keeper of a session: pid 1 of the namespaces that its calls share (user, network, ipc, host
// name, temporary folders). It runs no program. Each call is a clone of it with a process and a
// mount namespace of its own, whose end ends all of that call and nothing of the others.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/launcher/call.h"
#include "sandbox/launcher/call_server.h"

namespace sable::sandbox {

namespace {

class Keeper final : public CallServer {
 public:
  Keeper(int control, int self, const PreparedCall& shared)
      : CallServer(control, self), shared_(shared) {}

 private:
  bool accepts(PreparedCall& call) override {
    call.rules = shared_.rules;
    return call.plan.role == Role::worker;
  }

  const PreparedCall& shared_;
};

}  // namespace

void run_keeper(PreparedCall& call) {
  // What was inherited of the launcher and its other calls is let go of before anything is opened.
  if (::dup3(call.status, kControlFd, O_CLOEXEC) < 0)
    FailureReport(call.status).fail(Step::close_descriptors);
  const FailureReport report(kControlFd);
  take_on_life(call, report);
  if (::close_range(8, ~0U, 0) != 0) report.fail(Step::close_descriptors);
  map_user(call.plan, report);
  ::umask(022);
  build_view(call, report);
  const int listener = set_up_network(call.plan, report);
  if (::sethostname("sable", 5) != 0) report.fail(Step::set_host_name);
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (self < 0) report.fail(Step::close_descriptors);
  report.send({.kind = StatusMessage::Kind::prepared}, listener);
  if (listener >= 0) ::close(listener);
  Keeper(kControlFd, self, call).serve();
  ::_exit(0);  // and with us every call of the session
}

}  // namespace sable::sandbox
