// The bridge from a thread of the store to the coroutine that awaits its answer.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>

#include "base/asio.h"
#include "base/result.h"

namespace sable::memory {

/// One answer on its way. Shared by the job and the waiting coroutine, so either may go first: a
/// coroutine that is destroyed while it waits is never touched again. The executor runs one thing
/// at a time (a loop thread or a strand).
template <class T>
class Pending {
 public:
  explicit Pending(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// From any thread, once. Where there is no memory to wake the one who waits, it is tried again
  /// until there is: an answer is never lost, and nobody waits for ever for one that is there.
  static void complete(const std::shared_ptr<Pending>& self, Result<T> result) noexcept {
    {
      const std::lock_guard lock(self->mutex_);
      self->result_.emplace(std::move(result));
    }
    while (!try_to_wake(self)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  /// Waits for the answer. Cancellation does not end the wait: what was accepted is carried out,
  /// and the caller hears how it went; its next await then sees the cancellation.
  static asio::awaitable<Result<T>> wait(std::shared_ptr<Pending> self) {
    asio::steady_timer wake(self->executor_, asio::steady_timer::time_point::max());
    const Waiting waiting(*self, wake);
    while (!self->is_done()) {
      boost::system::error_code ignored;
      co_await wake.async_wait(asio::bind_cancellation_slot(
          asio::cancellation_slot(), asio::redirect_error(asio::use_awaitable, ignored)));
    }
    co_return std::move(*self->result_);
  }

 private:
  static bool try_to_wake(const std::shared_ptr<Pending>& self) {
    const std::lock_guard lock(self->mutex_);
    if (!self->wake_) return true;
    try {
      asio::post(self->executor_, [self] {
        const std::lock_guard on_executor(self->mutex_);
        if (self->wake_) self->wake_->cancel();
      });
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  /// Names the coroutine's timer for as long as the coroutine exists.
  class Waiting {
   public:
    Waiting(Pending& pending, asio::steady_timer& wake) : pending_(pending) {
      const std::lock_guard lock(pending_.mutex_);
      pending_.wake_ = &wake;
    }
    ~Waiting() {
      const std::lock_guard lock(pending_.mutex_);
      pending_.wake_ = nullptr;
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    Pending& pending_;
  };

  bool is_done() {
    const std::lock_guard lock(mutex_);
    return result_.has_value();
  }

  asio::any_io_executor executor_;
  std::mutex mutex_;
  asio::steady_timer* wake_ = nullptr;
  std::optional<Result<T>> result_;
};

}  // namespace sable::memory
