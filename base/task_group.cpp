#include "base/task_group.h"

#include <boost/system/system_error.hpp>

#include "base/check.h"

namespace sable {

namespace {

bool is_cancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    return error.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

}  // namespace

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : executor_(executor), all_done_(executor, asio::steady_timer::time_point::max()) {}

TaskGroup::~TaskGroup() { SABLE_CHECK(children_.empty()); }

void TaskGroup::spawn(asio::awaitable<void> child) {
  if (cancelled_) return;
  const auto it = children_.emplace(children_.end());
  asio::co_spawn(
      executor_, std::move(child),
      asio::bind_cancellation_slot(it->stop.slot(), [this, it](const std::exception_ptr& failure) {
        if (failure && !is_cancellation(failure)) {
          if (!first_failure_) first_failure_ = failure;
          cancel();
        }
        children_.erase(it);
        if (children_.empty()) all_done_.cancel();
      }));
}

void TaskGroup::cancel() {
  cancelled_ = true;
  // A child may finish inside emit(), so the list is walked by a copy of the addresses that remain.
  for (auto it = children_.begin(); it != children_.end();) {
    auto& child = *it++;
    child.stop.emit(asio::cancellation_type::terminal);
  }
}

asio::awaitable<void> TaskGroup::join() {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!children_.empty()) {
    boost::system::error_code ignored;
    co_await all_done_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (!children_.empty() && state.cancelled() != asio::cancellation_type::none) {
      cancel();
      // From here on nothing may interrupt the wait: the children still use what we own.
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    }
  }
  if (first_failure_) std::rethrow_exception(std::exchange(first_failure_, nullptr));
}

asio::awaitable<void> sleep_for(std::chrono::milliseconds duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  boost::system::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace sable
