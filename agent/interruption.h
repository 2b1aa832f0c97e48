// How a running turn is stopped from outside: by a person, a shutdown, or its own deadline.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/asio.h"

namespace sable::agent {

/// One turn's stop button. interrupt() and the deadline both end whatever `guard` runs; the first
/// reason stays.
class Interruption {
 public:
  Interruption(const asio::any_io_executor& executor,
               std::chrono::steady_clock::time_point deadline)
      : timer_(executor, deadline) {}

  void interrupt(std::string reason) {
    if (!reason_.empty()) return;
    reason_ = std::move(reason);
    timer_.cancel();
  }

  bool stopped() const { return !reason_.empty() || deadline_passed_; }
  bool deadline_passed() const { return deadline_passed_; }
  const std::string& reason() const { return reason_; }

  /// Runs `work` until it ends or the turn is stopped; nothing when it was stopped. The work has
  /// always ended when this returns.
  template <class T>
  asio::awaitable<std::optional<T>> guard(asio::awaitable<T> work) {
    using namespace asio::experimental::awaitable_operators;
    if (stopped()) co_return std::nullopt;
    auto first = co_await (std::move(work) || until_stopped());
    if (auto* result = std::get_if<0>(&first)) co_return std::move(*result);
    // Neither a reason nor the deadline: the coroutine that runs the turn was cancelled itself.
    if (!stopped()) reason_ = "the program is stopping";
    co_return std::nullopt;
  }

 private:
  asio::awaitable<void> until_stopped() {
    boost::system::error_code error;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (!error && reason_.empty()) deadline_passed_ = true;
  }

  asio::steady_timer timer_;
  std::string reason_;
  bool deadline_passed_ = false;
};

}  // namespace sable::agent
