#include "sandbox/trial.h"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/file.h"
#include "sandbox/plan_codec.h"
#include "sandbox/step_text.h"

namespace sable::sandbox {

namespace {

constexpr std::chrono::seconds kPatience{10};

// The next message, or nothing when the call is over or too slow.
std::optional<StatusMessage> next_message(int status, std::chrono::steady_clock::time_point until) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd waited{.fd = status, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&waited, 1, static_cast<int>(left.count())) == 0)
      return std::nullopt;
    StatusMessage message;
    const ssize_t size = ::recv(status, &message, sizeof message, MSG_DONTWAIT);
    if (size == sizeof message) return message;
    if (size >= 0 || (errno != EAGAIN && errno != EINTR)) return std::nullopt;
  }
}

}  // namespace

Result<void> try_out(const LauncherProcess& launcher, Plan plan) {
  plan.probe = true;
  const auto bytes = encode_plan(plan);
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return fail_errno("socketpair", errno);
  }
  const UniqueFd near(sockets[0]);
  UniqueFd far(sockets[1]);
  const UniqueFd plan_file(::memfd_create("plan", MFD_CLOEXEC));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!plan_file || !null) return fail_errno("preparing a trial of the sandbox", errno);
  SABLE_TRY_VOID(
      write_all(plan_file.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  SABLE_TRY_VOID(launcher.send_call({.status = far.get(),
                                     .plan = plan_file.get(),
                                     .input = null.get(),
                                     .output = null.get(),
                                     .errors = null.get()},
                                    bytes.size()));
  far.reset();
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (const auto message = next_message(near.get(), until)) {
    if (message->kind == StatusMessage::Kind::failed) return fail(explain_failure(*message, plan));
    if (message->kind == StatusMessage::Kind::probed) return {};
  }
  return fail(ErrorCode::io, launcher.alive() ? "the sandbox launcher does not answer"
                                              : "the sandbox launcher ended right after its start");
}

}  // namespace sable::sandbox
