#include "sandbox/prepared_calls.h"

#include <algorithm>
#include <poll.h>

#include "sandbox/memory_file.h"
#include "sandbox/plan_codec.h"

namespace sable::sandbox {

namespace {

enum class State { asked_for, there, gone };

// Whoever makes a call says so first; whoever ends, hangs up.
State state_of(const UniqueFd& status) {
  pollfd waited{.fd = status.get(), .events = POLLIN, .revents = 0};
  ::poll(&waited, 1, 0);
  if ((waited.revents & (POLLHUP | POLLERR)) != 0) return State::gone;
  return (waited.revents & POLLIN) != 0 ? State::there : State::asked_for;
}

}  // namespace

Result<UniqueFd> PreparedCalls::take(const Plan& plan) {
  const std::lock_guard lock(mutex_);
  SABLE_TRY(Kept* const kept, find(plan));
  if (kept->status) {
    UniqueFd status = std::move(kept->status);
    const State state = state_of(status);
    if (state == State::asked_for) control_.hurry();
    if (state != State::gone) return status;
  }
  return control_.request_call(kept->encoded.get(), CallRequest::When::now);
}

void PreparedCalls::replenish(const Plan& plan) {
  // Two mounts of one store would take each other's work away.
  if (has_overlay(plan)) return;
  const std::lock_guard lock(mutex_);
  auto kept = find(plan);
  if (!kept || (*kept)->status) return;
  auto status = control_.request_call((*kept)->encoded.get(), CallRequest::When::soon);
  if (status) (*kept)->status = std::move(*status);
}

Result<PreparedCalls::Kept*> PreparedCalls::find(const Plan& plan) {
  const auto known =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.plan == plan; });
  if (known != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, known);
    return &kept_.front();
  }
  const auto bytes = encode_plan(plan);
  if (bytes.size() > kPlanBytesMax) {
    return fail(ErrorCode::invalid_input,
                "the writable folders hold too many protected paths: grant a smaller folder");
  }
  SABLE_TRY(UniqueFd file, memory_file_of(bytes));
  kept_.push_front({.plan = plan, .encoded = std::move(file), .status = {}});
  if (kept_.size() > kPlansMax) kept_.pop_back();
  return &kept_.front();
}

}  // namespace sable::sandbox
