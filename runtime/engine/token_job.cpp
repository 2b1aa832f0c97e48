#include "runtime/engine/token_job.h"

#include <utility>

namespace sable::runtime {

TokenJob::News TokenJob::take() {
  const std::lock_guard lock(mutex_);
  notified_ = false;
  return std::exchange(news_, {});
}

void TokenJob::listen(asio::steady_timer* timer) { timer_ = timer; }

void TokenJob::close() {
  timer_ = nullptr;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  executor_ = {};
}

bool TokenJob::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void TokenJob::deliver(inference::TokenId token) {
  const std::lock_guard lock(mutex_);
  news_.tokens.push_back(token);
  notify();
}

void TokenJob::finish(Result<agent::TokenReply> result) {
  const std::lock_guard lock(mutex_);
  news_.result = std::move(result);
  notify();
}

void TokenJob::notify() {
  if (closed_ || notified_) return;
  notified_ = true;
  asio::post(executor_, [job = shared_from_this()] {
    if (job->timer_ != nullptr) job->timer_->cancel();
  });
}

}  // namespace sable::runtime
