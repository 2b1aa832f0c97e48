// The runtime's end of the launcher: starts it, hands it calls, and is the thing whose end ends it.
#pragma once

#include <filesystem>
#include <sys/types.h>

#include "base/result.h"
#include "sandbox/control_socket.h"

namespace sable::sandbox {

/// Owns the launcher process. Its calls may come from any thread.
class LauncherProcess {
 public:
  static Result<LauncherProcess> start(const std::filesystem::path& program);

  LauncherProcess(LauncherProcess&& other) noexcept;
  LauncherProcess& operator=(LauncherProcess&&) = delete;
  /// Closes the control socket, on which the launcher ends with all its calls, and reaps it.
  ~LauncherProcess();

  const ControlSocket& control() const { return control_; }

  pid_t pid() const { return pid_; }

 private:
  LauncherProcess(ControlSocket control, pid_t pid) : control_(std::move(control)), pid_(pid) {}

  ControlSocket control_;
  pid_t pid_ = -1;
};

}  // namespace sable::sandbox
