// Removing sessions beside the work of others: one that somebody names, those that a policy no
// longer keeps, and what removals left that were cut off.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "memory/session_removal.h"
#include "memory/store_threads.h"

namespace sable::memory {

/// Takes each removal through its steps (session_removal.h), a short transaction or a piece of
/// blocking work each. What the functions promise stands at Store's of the same names.
class SessionRemover {
 public:
  SessionRemover(const Home& home, const Clock& clock, StoreThreads& threads)
      : home_(home), clock_(clock), threads_(threads) {}

  asio::awaitable<Result<void>> remove(std::string session);
  asio::awaitable<Result<Swept>> sweep();
  asio::awaitable<Result<std::vector<ExpiredSession>>> expired(Retention policy);
  asio::awaitable<Result<std::vector<ExpiredSession>>> retain(Retention policy,
                                                              std::stop_token stop);

  /// What is left to do of a removal, its row last. Errors: cancelled after `stop`.
  asio::awaitable<Result<void>> finish(std::shared_ptr<std::optional<Removing>> removing,
                                       size_t n_purged_at_once, std::stop_token stop);

 private:
  asio::awaitable<Result<std::vector<ExpiredSession>>> choose(Retention policy,
                                                              std::stop_token stop);
  asio::awaitable<Result<void>> remove_in_steps(std::string session, size_t n_purged_at_once,
                                                std::stop_token stop);

  const Home& home_;
  const Clock& clock_;
  StoreThreads& threads_;
};

}  // namespace sable::memory
