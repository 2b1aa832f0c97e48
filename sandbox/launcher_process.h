// The runtime's end of the launcher: starts it, hands it calls, and is the thing whose end ends it.
#pragma once

#include <filesystem>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::sandbox {

/// Descriptors that go with a call; borrowed while sending.
struct CallFds {
  int status, plan, input, output, errors;
};

/// Owns the launcher process. Its calls may come from any thread.
class LauncherProcess {
 public:
  static Result<LauncherProcess> start(const std::filesystem::path& program);

  LauncherProcess(LauncherProcess&& other) noexcept;
  LauncherProcess& operator=(LauncherProcess&&) = delete;
  /// Closes the control socket, on which the launcher ends with all its calls, and reaps it.
  ~LauncherProcess();

  /// Does not block. exhausted: the launcher is behind, try again in a moment; io: it is gone.
  Result<void> send_call(const CallFds& fds, size_t plan_bytes) const;

  /// False once the launcher has closed its end, that is, ended.
  bool alive() const;

  pid_t pid() const { return pid_; }

 private:
  LauncherProcess(UniqueFd control, pid_t pid) : control_(std::move(control)), pid_(pid) {}

  UniqueFd control_;
  pid_t pid_ = -1;
};

}  // namespace sable::sandbox
