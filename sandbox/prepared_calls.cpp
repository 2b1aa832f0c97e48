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

Result<MadeCall> PreparedCalls::take(const Plan& plan) {
  const std::lock_guard lock(mutex_);
  SABLE_TRY(Kept* const kept, find(plan));
  if (kept->made.status) {
    MadeCall made = std::move(kept->made);
    const State state = state_of(made.status);
    if (state == State::asked_for) control_.hurry();
    if (state != State::gone) return made;
  }
  return request(*kept, CallRequest::When::now);
}

// A cgroup that cannot be made is no reason to fail: pid 1 watches instead.
Result<MadeCall> PreparedCalls::request(const Kept& kept, CallRequest::When when) const {
  MadeCall made;
  if (memory_ && kept.plan.memory_bytes != 0) {
    if (auto group = memory_->make(kept.plan.memory_bytes)) made.memory = std::move(*group);
  }
  const int entrance = made.memory ? made.memory->entrance() : -1;
  const int door = made.memory ? made.memory->door() : -1;
  SABLE_TRY(made.status, control_.request_call(kept.encoded.get(), when, entrance, door));
  if (made.memory) made.memory->close_entrance();
  return made;
}

void PreparedCalls::replenish(const Plan& plan) {
  // Two mounts of one store would take each other's work away.
  if (has_overlay(plan)) return;
  const std::lock_guard lock(mutex_);
  auto kept = find(plan);
  if (!kept || (*kept)->made.status) return;
  auto made = request(**kept, CallRequest::When::soon);
  if (made) (*kept)->made = std::move(*made);
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
  kept_.push_front({.plan = plan, .encoded = std::move(file), .made = {}});
  if (kept_.size() > kPlansMax) kept_.pop_back();
  return &kept_.front();
}

}  // namespace sable::sandbox
