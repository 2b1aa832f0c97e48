// One request on its way through the scheduler: what crosses between the loop and the engine.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "agent/agent.h"

namespace sable::runtime {

/// Shared by the coroutine that waits and the thread that decodes.
class TokenJob : public std::enable_shared_from_this<TokenJob> {
 public:
  TokenJob(asio::any_io_executor executor, agent::TokenRequest request)
      : request_(std::move(request)), executor_(std::move(executor)) {}

  // ---- the loop

  struct News {
    std::vector<inference::TokenId> tokens;
    std::optional<Result<agent::TokenReply>> result;
  };
  News take();
  /// Whom to wake when there is news; `timer` belongs to the waiting coroutine.
  void listen(asio::steady_timer* timer);
  /// Nobody waits any more: nothing is posted from here on, and the engine gives the job up.
  void close();

  // ---- the engine's thread

  agent::TokenRequest& request() { return request_; }
  bool closed() const;
  void deliver(inference::TokenId token);
  void finish(Result<agent::TokenReply> result);

 private:
  void notify();  // with the mutex held

  agent::TokenRequest request_;
  mutable std::mutex mutex_;
  asio::any_io_executor executor_;
  News news_;
  bool closed_ = false;
  bool notified_ = false;                // a wake-up is on its way
  asio::steady_timer* timer_ = nullptr;  // touched on the loop only
};

}  // namespace sable::runtime
