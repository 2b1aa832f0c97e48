// Blocking work on a worker that a cancelled coroutine can stop.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "base/asio.h"

namespace sable {

/// As run_blocking, for work that takes long and looks at its stop token: cancelling the coroutine
/// asks the work to stop, and waits until it has. What it returns then is for the caller to see.
template <class Function>
asio::awaitable<std::invoke_result_t<Function, std::stop_token>> run_stoppable(
    asio::thread_pool& workers, Function function) {
  using Value = std::invoke_result_t<Function, std::stop_token>;
  struct Shared {
    explicit Shared(const asio::any_io_executor& executor)
        : done(executor, asio::steady_timer::time_point::max()) {}
    std::stop_source stop;
    asio::steady_timer done;     // touched on the executor only
    std::optional<Value> value;  // so is this
  };
  const auto executor = co_await asio::this_coro::executor;
  const auto shared = std::make_shared<Shared>(executor);
  asio::post(workers, [held = shared, executor, work = std::move(function)]() mutable {
    auto value = std::make_shared<Value>(work(held->stop.get_token()));
    // Given away: the worker may outlive the executor's context, in which the timer has to end.
    asio::post(executor, [shared = std::move(held), value] {
      shared->value.emplace(std::move(*value));
      shared->done.cancel();
    });
  });
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!shared->value) {
    boost::system::error_code woken;
    co_await shared->done.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) shared->stop.request_stop();
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return std::move(*shared->value);
}

}  // namespace sable
