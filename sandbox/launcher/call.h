// One call inside the launcher: what the parent half prepares, and what pid 1 does with it.
// Everything that runs after the clone uses only system calls on data prepared before it.
#pragma once

#include <cerrno>
#include <vector>

#include "sandbox/plan.h"
#include "sandbox/wire.h"

namespace sable::sandbox {

/// Descriptors as they came with the request; owned by whoever holds the struct's call.
struct CallDescriptors {
  int status = -1, plan = -1, input = -1, output = -1, errors = -1;
};

/// A decoded plan plus the flat arrays that execve and the Landlock rules need.
struct PreparedCall {
  explicit PreparedCall(Plan decoded);
  PreparedCall(const PreparedCall&) = delete;
  PreparedCall& operator=(const PreparedCall&) = delete;

  Plan plan;
  std::vector<char*> arguments, environment;  ///< null-terminated; they point into `plan`
  std::vector<int> entry_fds;                 ///< of each view entry, for its Landlock rule; or -1
  int launcher_pidfd = -1;  ///< borrowed: to notice a launcher that is gone already
};

/// Reports failures of one call and ends the process.
class FailureReport {
 public:
  explicit FailureReport(int status_fd) : status_fd_(status_fd) {}

  int status_fd() const { return status_fd_; }
  void send(const StatusMessage& message) const;
  /// With errno as it is.
  [[noreturn]] void fail(Step step, int index = -1) const;

 private:
  int status_fd_;
};

/// The life of pid 1: builds the sandbox, starts the program, waits for it. Never returns.
[[noreturn]] void run_first_process(PreparedCall& call, const CallDescriptors& descriptors);

// The parts of it, in the order of their use.
void map_user(const Plan& plan, const FailureReport& report);
void build_view(PreparedCall& call, const FailureReport& report);  ///< ends in the new root
void bring_up_loopback(const FailureReport& report);
void set_resource_limits(const Plan& plan, const FailureReport& report);
void drop_privileges(PreparedCall& call,
                     const FailureReport& report);  ///< up to the seccomp filter
[[noreturn]] void supervise(const Plan& plan, int program_pid, int process_folder,
                            const FailureReport& report);

}  // namespace sable::sandbox
