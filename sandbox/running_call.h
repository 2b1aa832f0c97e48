// One call from the runtime's side, from the request until nothing of it is alive.
#pragma once

#include <array>

#include "base/task_group.h"
#include "base/unique_fd.h"
#include "sandbox/launcher_process.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"
#include "sandbox/wire.h"

namespace sable::sandbox {

/// Runs on one thread. Lives in the frame of the coroutine that runs it; run() must complete before
/// it is destroyed.
class RunningCall {
 public:
  /// `launcher` and `plan` outlive the call.
  RunningCall(asio::any_io_executor executor, const LauncherProcess& launcher, const Plan& plan,
              Limits limits, OutputSink output);

  /// Cancellation of the caller ends the call, and is part of the result.
  asio::awaitable<Result<RunResult>> run(std::string stdin_data);

 private:
  struct Output {
    explicit Output(const asio::any_io_executor& executor) : pipe(executor) {}
    asio::posix::stream_descriptor pipe;
    uint64_t bytes = 0;
    bool open = true;
  };

  asio::awaitable<Result<void>> send(std::string stdin_data);
  asio::awaitable<void> follow_status();
  asio::awaitable<void> pump(Stream stream);
  asio::awaitable<void> keep_deadline();
  asio::awaitable<void> wait_until_over();
  asio::awaitable<void> wait_for_output();

  bool receive_status();
  void deliver(Stream stream, std::string_view bytes);
  void end(End cause);
  void kill();
  void notify() { changed_.cancel(); }
  bool is_over() const { return status_over_ && (!pidfd_.is_open() || dead_); }
  Result<RunResult> result() const;
  std::string explanation(const RunResult& result) const;

  const asio::any_io_executor executor_;
  const LauncherProcess& launcher_;
  const Plan& plan_;
  const Limits limits_;
  const OutputSink output_;
  TaskGroup tasks_;
  asio::steady_timer changed_;  ///< cancelled when something happened
  asio::posix::stream_descriptor status_, pidfd_;
  std::array<Output, 2> outputs_;
  std::chrono::steady_clock::time_point started_;

  std::optional<End> cause_;             ///< why we ended it, if we did
  std::optional<StatusMessage> ending_;  ///< failed, exited or signalled
  bool kill_wanted_ = false, running_ = false, status_over_ = false, dead_ = false;
};

}  // namespace sable::sandbox
