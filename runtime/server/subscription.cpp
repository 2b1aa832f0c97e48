#include "runtime/server/subscription.h"

#include <algorithm>

namespace sable::runtime {

namespace {
constexpr size_t kEventsPerRead = 16;  ///< large ones must not overfill the outbox at once
}

Subscription::Subscription(SessionHost& host, Outbox& outbox, std::string session,
                           memory::Seq after, bool behind, Deliver deliver)
    : host_(host),
      outbox_(outbox),
      session_(std::move(session)),
      next_(after + 1),
      behind_(behind),
      deliver_(std::move(deliver)) {}

void Subscription::take(const memory::Event& event) {
  if (ended_ || event.seq != next_) return;
  ++next_;
  deliver_(event);
}

bool Subscription::follow(const memory::Event& event) {
  if (ended_ || event.seq < next_) return false;
  if (!behind_ && event.seq == next_ && outbox_.has_room()) {
    take(event);
    return false;
  }
  newest_ = std::max(newest_, event.seq);
  return !std::exchange(behind_, true);
}

asio::awaitable<Result<void>> Subscription::catch_up() {
  while (!ended_) {
    co_await outbox_.wait_for_room();
    if (ended_ || outbox_.closing()) break;
    SABLE_CO_TRY(const auto events, co_await host_.read(session_, next_, kEventsPerRead));
    const auto before = next_;
    for (const auto& event : events) take(event);
    if (ended_) break;
    // Nothing more in the store, and nothing was announced meanwhile that is not there yet.
    if (events.empty() && next_ > newest_) break;
    if (next_ == before) {
      co_return fail(ErrorCode::corrupt, "the session's log lacks event " + std::to_string(next_));
    }
  }
  behind_ = false;
  co_return Result<void>();
}

}  // namespace sable::runtime
