// A change to the log whose answer a coroutine awaits.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "memory/commit_thread.h"
#include "memory/out_of_memory.h"
#include "memory/pending.h"

namespace sable::memory {

/// `made` runs in the transaction; `durable`, which must not throw, after its commit, when it
/// succeeded.
template <class T>
class AwaitedChange : public Change {
 public:
  using Make = std::function<Result<T>(LogDatabase&)>;

  AwaitedChange(std::shared_ptr<Pending<T>> pending, Make make, std::function<void()> durable,
                bool alone)
      : pending_(std::move(pending)),
        make_(std::move(make)),
        durable_(std::move(durable)),
        alone_(alone) {}

  bool make(LogDatabase& database) override {
    result_.emplace(make_(database));
    return result_->has_value();
  }
  void settle(const Result<void>& committed) noexcept override {
    if (!committed && (!result_ || *result_)) {
      result_.reset();  // a lease goes before anybody hears of the failure
      result_.emplace(unless_out_of_memory([&]() -> Result<T> { return fail(committed.error()); }));
    }
    if (*result_ && durable_) durable_();
    // A session that they hold is free by the time somebody hears that it is.
    make_ = nullptr;
    durable_ = nullptr;
    Pending<T>::complete(pending_, std::move(*result_));
  }
  bool alone() const override { return alone_; }

 private:
  std::shared_ptr<Pending<T>> pending_;
  Make make_;
  std::function<void()> durable_;
  const bool alone_;
  std::optional<Result<T>> result_;
};

}  // namespace sable::memory
