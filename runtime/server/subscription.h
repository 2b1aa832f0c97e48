// A client's place in one session's log: catches up from the store, then follows, without a gap.
#pragma once

#include <functional>
#include <string>

#include "runtime/server/outbox.h"
#include "runtime/server/session_host.h"

namespace sable::runtime {

/// Hands out every event after a number exactly once and in order, as fast as the client takes
/// them. An event that comes when the outbox is full is not queued: it is read from the store again
/// once there is room. Lives on the loop's thread.
class Subscription {
 public:
  using Deliver = std::function<void(const memory::Event&)>;

  /// `behind`: earlier events may be waiting in the store, so catch_up() must run first.
  Subscription(SessionHost& host, Outbox& outbox, std::string session, memory::Seq after,
               bool behind, Deliver deliver);

  /// Takes a live event. True when the subscription has just fallen behind: run catch_up().
  bool follow(const memory::Event& event);

  /// Reads from the store until nothing is left; then the subscription follows again. Only one runs
  /// at a time. Ends early, without error, after end().
  asio::awaitable<Result<void>> catch_up();

  void end() { ended_ = true; }
  bool behind() const { return behind_; }
  memory::Seq last_delivered() const { return next_ - 1; }

 private:
  void take(const memory::Event& event);

  SessionHost& host_;
  Outbox& outbox_;
  std::string session_;
  memory::Seq next_;
  memory::Seq newest_ = 0;  ///< seen live while behind
  bool behind_;
  bool ended_ = false;
  Deliver deliver_;
};

}  // namespace sable::runtime
