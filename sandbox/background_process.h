// A program in the background of a session: its call, and what it said that nobody has read.
#pragma once

#include "sandbox/running_call.h"

namespace sable::sandbox {

/// Lives in a shared_ptr until follow() has completed.
class BackgroundProcess : public Process {
 public:
  BackgroundProcess(asio::any_io_executor executor, const ControlSocket& control, MadeCall made,
                    Plan plan, Execution execution, Policy policy, ProcessOptions options);

  /// Has the program started.
  asio::awaitable<Result<void>> start(std::string stdin_data);
  /// To its end; `self` keeps it alive.
  static asio::awaitable<void> follow(std::shared_ptr<BackgroundProcess> self);
  void kill() {
    if (call_) call_->kill();
  }

  bool running() const override { return !result_.has_value(); }
  asio::awaitable<ProcessOutput> read(std::chrono::milliseconds patience) override;
  Result<void> write(std::string_view bytes) override;
  Result<void> close_input() override;
  Result<void> resize(TerminalSize size) override;
  asio::awaitable<Result<RunResult>> wait() override;
  asio::awaitable<Result<RunResult>> stop() override;

 private:
  void keep(std::string_view bytes);

  const Plan plan_;
  const Execution execution_;
  const Policy policy_;
  const ProcessOptions options_;
  std::string unread_;
  uint64_t skipped_ = 0;
  std::optional<Result<RunResult>> result_;
  // Until the end; a handle may outlive its session, and the loop they ran on.
  std::optional<asio::steady_timer> changed_;  ///< cancelled when there is something to read
  std::optional<RunningCall> call_;
};

}  // namespace sable::sandbox
