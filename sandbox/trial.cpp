#include "sandbox/trial.h"

#include <cerrno>
#include <chrono>
#include <optional>
#include <poll.h>
#include <sys/socket.h>

#include "sandbox/memory_file.h"
#include "sandbox/plan_codec.h"
#include "sandbox/step_text.h"

namespace sable::sandbox {

namespace {

constexpr std::chrono::seconds kTrialPatience{10};

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

Result<void> try_out(const LauncherProcess& launcher, const Plan& plan) {
  SABLE_TRY(const UniqueFd plan_file, memory_file_of(encode_plan(plan)));
  SABLE_TRY(const UniqueFd near,
            launcher.control().request_call(plan_file.get(), CallRequest::When::now));
  const auto until = std::chrono::steady_clock::now() + kTrialPatience;
  while (const auto message = next_message(near.get(), until)) {
    if (message->kind == StatusMessage::Kind::failed) return fail(explain_failure(*message, plan));
    if (message->kind == StatusMessage::Kind::prepared) return {};
  }
  return fail(ErrorCode::io, launcher.control().alive()
                                 ? "the sandbox launcher does not answer"
                                 : "the sandbox launcher ended right after its start");
}

}  // namespace sable::sandbox
