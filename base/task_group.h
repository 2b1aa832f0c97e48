// Structured concurrency: children do not outlive their parent, and a deadline wraps the work.
#pragma once

#include <chrono>
#include <exception>
#include <list>
#include <string>

#include "base/asio.h"
#include "base/result.h"
#include "base/stoppable_work.h"

namespace sable {

/// Owns running child coroutines. join() must complete before destruction (checked). One thread
/// only: every call and every child runs on `executor`.
class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts a child; one that throws cancels its siblings. After cancel() a new child is not
  /// started.
  void spawn(asio::awaitable<void> child);

  /// Asks all children to stop (terminal cancellation); may be called twice.
  void cancel();

  /// Waits for all children, also when the waiting coroutine itself is cancelled, then rethrows the
  /// first failure that was not a cancellation.
  asio::awaitable<void> join();

  size_t size() const { return children_.size(); }

 private:
  struct Child {
    asio::cancellation_signal stop;
  };

  asio::any_io_executor executor_;
  std::list<Child> children_;
  asio::steady_timer all_done_;
  std::exception_ptr first_failure_;
  bool cancelled_ = false;
};

/// Waits; returns early (without error) when the timer's coroutine is cancelled.
asio::awaitable<void> sleep_for(std::chrono::milliseconds duration);

/// Runs `work` for at most `limit`, then cancels it and fails with timed_out.
template <class T>
asio::awaitable<Result<T>> with_deadline(asio::awaitable<Result<T>> work,
                                         std::chrono::milliseconds limit, std::string what) {
  using namespace asio::experimental::awaitable_operators;
  auto first = co_await (std::move(work) || sleep_for(limit));
  if (auto* result = std::get_if<0>(&first)) co_return std::move(*result);
  co_return fail(ErrorCode::timed_out,
                 what + ": no answer within " + std::to_string(limit.count()) + " ms");
}

/// Runs a blocking function on a worker pool and continues on the caller's executor. The function
/// must not touch anything of the loop's thread; it is not interrupted by cancellation, so it must
/// end by itself. A coroutine that was cancelled meanwhile still gets what the function returned.
template <class Function>
asio::awaitable<std::invoke_result_t<Function>> run_blocking(asio::thread_pool& workers,
                                                             Function function) {
  auto work = [function = std::move(function)](const std::stop_token&) mutable {
    return function();
  };
  co_return co_await run_stoppable(workers, std::move(work));
}

}  // namespace sable
