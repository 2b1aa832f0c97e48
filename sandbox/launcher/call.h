// One call inside the launcher: what the parent half prepares, and what pid 1 does with it.
// Whoever clones is single-threaded, so the child may allocate.
#pragma once

#include <cerrno>
#include <vector>

#include "sandbox/plan.h"
#include "sandbox/wire.h"

namespace sable::sandbox {

/// What Landlock will grant at and below something in the view.
struct LandlockRule {
  Access access = Access::none;
  int place = -1;  ///< O_PATH descriptor
};

/// A decoded plan and what belongs to its way into force.
struct PreparedCall {
  Plan plan;
  int status = -1;               ///< borrowed until the clone: the call's status socket
  int launcher_pidfd = -1;       ///< borrowed: to notice a parent that is gone already
  int memory_group = -1;         ///< borrowed: cgroup.procs of its memory cgroup; -1: none
  int memory_door = -1;          ///< borrowed: that cgroup's folder; -1: it cannot be cloned into
  bool in_memory_group = false;  ///< it was cloned into it
  std::vector<LandlockRule> rules;  ///< of the view's entries; of a worker also its keeper's
};

/// Reports failures of one call and ends the process.
class FailureReport {
 public:
  explicit FailureReport(int status_fd) : status_fd_(status_fd) {}

  int status_fd() const { return status_fd_; }
  /// `fd` goes along unless it is -1.
  void send(const StatusMessage& message, int fd = -1) const;
  /// With errno as it is.
  [[noreturn]] void fail(Step step, int index = -1) const;

 private:
  int status_fd_;
};

/// Clones pid 1 of `call` and tells the runtime; its life is the function for its role. Returns its
/// pid, or -1 after a failure was reported.
int make_first_process(PreparedCall& call);

/// The life of pid 1: builds the sandbox, waits for a program, starts it, waits for it.
[[noreturn]] void run_first_process(PreparedCall& call);
/// The life of a keeper: builds what the calls of a session share, and makes them.
[[noreturn]] void run_keeper(PreparedCall& call);

// The parts of it, in the order of their use.
void take_on_life(const PreparedCall& call,
                  const FailureReport& report);  ///< and dies with its parent
/// Before anything is allocated for the program: from here on all is accounted. Without a group,
/// pid 1 has to watch.
void enter_memory_group(PreparedCall& call, const FailureReport& report);
void map_user(const Plan& plan, const FailureReport& report);
void build_view(PreparedCall& call, const FailureReport& report);
/// Brings up what the plan wants; returns the proxy's listener, or -1.
int set_up_network(const Plan& plan, const FailureReport& report);
void set_resource_limits(const Plan& plan, const FailureReport& report);
void drop_privileges(PreparedCall& call,
                     const FailureReport& report);  ///< up to the seccomp filter
/// Waits until the runtime says what to run, and starts it; returns its pid. Ends the process when
/// nobody asks.
int start_program(const Plan& plan, const FailureReport& report);
[[noreturn]] void supervise(const Plan& plan, int program_pid, int process_folder,
                            const FailureReport& report);

}  // namespace sable::sandbox
