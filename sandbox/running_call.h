// One call from the runtime's side, from the request until nothing of it is alive.
#pragma once

#include "base/task_group.h"
#include "base/unique_fd.h"
#include "sandbox/control_socket.h"
#include "sandbox/egress_proxy.h"
#include "sandbox/plan.h"
#include "sandbox/prepared_calls.h"
#include "sandbox/sandbox.h"
#include "sandbox/streams.h"
#include "sandbox/wire.h"

namespace sable::sandbox {

/// How a program is talked to while it runs.
struct Interaction {
  bool open_input = false;  ///< write() feeds its standard input, or `source` does
  std::optional<TerminalSize> terminal = {};  ///< the plan must have one as well
  InputSource source = {};
  std::shared_ptr<CommandHandle> handle = {};
};

/// What the command asks for.
Interaction interaction_of(const Command& command);

/// Waits while the other end of the control socket is behind.
asio::awaitable<Result<MadeCall>> take_call(PreparedCalls& prepared, const Plan& plan);

/// The policy with the limits that hold for this very command.
Policy policy_for(const Command& command, Policy policy);

/// One program from its start to its end in a sandbox made by `plan`, ahead or now; has the next
/// one made meanwhile. `prepared` outlives it.
asio::awaitable<Result<RunResult>> run_call(PreparedCalls& prepared, Plan plan, Execution execution,
                                            Policy policy, std::string stdin_data,
                                            OutputSink output, Interaction interaction);

/// Runs on one thread. Lives in the frame of the coroutine that runs it; finish() must complete
/// before it is destroyed.
class RunningCall {
 public:
  /// `control`, which the call was asked for at, `plan`, `execution` and `policy` outlive the call;
  /// `made` is what came of it.
  RunningCall(asio::any_io_executor executor, const ControlSocket& control, MadeCall made,
              const Plan& plan, const Execution& execution, const Policy& policy, OutputSink output,
              Interaction interaction = {});

  ~RunningCall();

  /// Has the program started.
  asio::awaitable<Result<void>> start(std::string stdin_data);

  /// Follows it to its end; after start(). Cancellation of the caller ends the call, and is part of
  /// the result.
  asio::awaitable<Result<RunResult>> finish();

  // While finish() runs.
  /// exhausted: more than 1 MiB waits to be read; invalid_input: the input is closed.
  Result<void> write(std::string_view bytes);
  Result<void> close_input();
  Result<void> resize(TerminalSize size);
  /// As at the deadline, now.
  void stop();
  void signal(int number);
  void kill();

 private:
  asio::awaitable<Result<UniqueFd>> input_of(std::string stdin_data);
  asio::awaitable<void> follow_status();
  asio::awaitable<void> keep_deadline();
  asio::awaitable<void> heed_memory();
  asio::awaitable<void> end_gently(End cause);
  asio::awaitable<void> feed();
  asio::awaitable<bool> wait_for_input();
  asio::awaitable<void> wait_until_over();

  bool receive_status();
  void take_descriptor(StatusMessage::Kind kind, UniqueFd fd);
  void deliver(Stream stream, std::string_view bytes);
  void end(End cause);
  void notify() { changed_.cancel(); }
  /// Nothing of the program is alive; and a transaction's store is let go of.
  bool is_over() const {
    if (ended_ && !has_overlay(plan_)) return true;
    return status_over_ && (!pidfd_.is_open() || dead_);
  }
  bool memory_limit_was_reached() const { return memory_ && memory_->limit_was_reached(); }
  Result<RunResult> result() const;
  std::string explanation(const RunResult& result) const;
  std::string disk_explanation() const;

  const asio::any_io_executor executor_;
  const ControlSocket& control_;
  const Plan& plan_;
  const Execution& execution_;
  const Policy& policy_;
  const Limits& limits_;
  const OutputSink output_;
  TaskGroup tasks_;
  asio::steady_timer changed_;  ///< cancelled when something happened
  asio::posix::stream_descriptor status_, pidfd_, input_;
  const std::unique_ptr<MemoryCgroup> memory_;
  asio::posix::stream_descriptor memory_alarm_;
  const Interaction interaction_;
  std::string unwritten_;         ///< of the input
  bool input_closing_ = false;    ///< after what is unwritten
  asio::steady_timer has_input_;  ///< cancelled when there is something to write
  OutputReader outputs_;
  std::string last_output_;             ///< of both, for what it tells of denials
  std::unique_ptr<EgressProxy> proxy_;  ///< of a fresh call with Network::allow
  std::chrono::steady_clock::time_point started_;

  std::optional<End> cause_;             ///< why we ended it, if we did
  StatusMessage disk_;                   ///< of a disk_limit: which, and of what
  std::optional<StatusMessage> ending_;  ///< failed, exited or signalled
  bool kill_wanted_ = false, status_over_ = false, dead_ = false;
  bool ended_ = false;  ///< pid 1 said so: nothing that the program started is alive
};

}  // namespace sable::sandbox
