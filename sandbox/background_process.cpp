#include "sandbox/background_process.h"

namespace sable::sandbox {

namespace {

constexpr std::chrono::hours kNever{24 * 365 * 10};

// What bounds one call does not bound a server: it ends with its session.
Policy without_end(Policy policy) {
  policy.limits.wall = kNever;
  policy.limits.output_bytes = UINT64_MAX;
  return policy;
}

}  // namespace

BackgroundProcess::BackgroundProcess(asio::any_io_executor executor, const ControlSocket& control,
                                     MadeCall made, Plan plan, Execution execution, Policy policy,
                                     ProcessOptions options)
    : plan_(std::move(plan)),
      execution_(std::move(execution)),
      policy_(without_end(std::move(policy))),
      options_(options) {
  changed_.emplace(executor, asio::steady_timer::time_point::max());
  const Interaction interaction{.open_input = true, .terminal = options.terminal};
  call_.emplace(
      executor, control, std::move(made), plan_, execution_, policy_,
      [this](Stream, std::string_view bytes) { keep(bytes); }, interaction);
}

asio::awaitable<Result<void>> BackgroundProcess::start(std::string stdin_data) {
  return call_->start(std::move(stdin_data));
}

asio::awaitable<void> BackgroundProcess::follow(std::shared_ptr<BackgroundProcess> self) {
  auto result = co_await self->call_->finish();
  self->result_ = std::move(result);
  self->changed_->cancel();
  self->changed_.reset();
  self->call_.reset();
}

asio::awaitable<ProcessOutput> BackgroundProcess::read(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (unread_.empty() && running() && std::chrono::steady_clock::now() < until) {
    changed_->expires_at(until);
    boost::system::error_code ignored;
    co_await changed_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) break;
  }
  co_return ProcessOutput{.bytes = std::exchange(unread_, {}),
                          .skipped = std::exchange(skipped_, 0),
                          .running = running()};
}

Result<void> BackgroundProcess::write(std::string_view bytes) {
  if (!running()) return fail(ErrorCode::invalid_input, "the program has ended");
  return call_->write(bytes);
}

Result<void> BackgroundProcess::close_input() {
  if (!running()) return fail(ErrorCode::invalid_input, "the program has ended");
  return call_->close_input();
}

Result<void> BackgroundProcess::resize(TerminalSize size) {
  if (!running()) return fail(ErrorCode::invalid_input, "the program has ended");
  return call_->resize(size);
}

asio::awaitable<Result<RunResult>> BackgroundProcess::wait() {
  while (running()) {
    changed_->expires_at(asio::steady_timer::time_point::max());
    boost::system::error_code ignored;
    co_await changed_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (running() && state.cancelled() != asio::cancellation_type::none) {
      co_return fail(ErrorCode::cancelled, "the wait was cancelled; the program runs on");
    }
  }
  co_return *result_;
}

asio::awaitable<Result<RunResult>> BackgroundProcess::stop() {
  if (running()) call_->stop();
  return wait();
}

void BackgroundProcess::keep(std::string_view bytes) {
  unread_ += bytes;
  // A little beyond the limit is let be, so that not every byte moves all others.
  if (unread_.size() > options_.output_kept + options_.output_kept / 2) {
    const size_t n = unread_.size() - options_.output_kept;
    skipped_ += n;
    unread_.erase(0, n);
  }
  changed_->cancel();
}

}  // namespace sable::sandbox
