// An owned child process of our own (not a tool's: those run in sandbox/).
#pragma once

#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable {

/// How a process ended.
struct ExitStatus {
  int exit_code = 0;  ///< valid when signal is 0
  int signal = 0;     ///< the signal that killed it, or 0
};

/// Owns one child and its process group; the destructor kills the group and reaps the child, so a
/// dropped handle never leaves a zombie or a survivor in the group.
class ChildProcess {
 public:
  struct Options {
    std::vector<std::string> argv;         ///< argv[0] is a path, or a name looked up in PATH
    std::vector<std::string> environment;  ///< "NAME=value"; exactly this and nothing else
    std::string working_directory;         ///< empty: the parent's
    int stdin_fd = -1;                     ///< -1: /dev/null; borrowed during start()
    int stdout_fd = -1;                    ///< -1: the parent's
    int stderr_fd = -1;                    ///< -1: the parent's
  };

  static Result<ChildProcess> start(const Options& options);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  ///< readable once the child has ended

  Result<void> signal(int number) const;
  Result<ExitStatus> wait();                                     ///< blocks
  Result<ExitStatus> wait_for(std::chrono::milliseconds limit);  ///< timed_out if it still runs

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void kill_and_reap();

  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

}  // namespace sable
