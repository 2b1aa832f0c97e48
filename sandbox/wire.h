// What is said between the runtime, the launcher and pid 1 of a call; standard library only.
//
// Runtime to launcher, over the control socket: one CallRequest with five descriptors (the call's
// status socket, the plan in a memory file, and standard input, output and error). Everything after
// that goes over the call's own status socket, whose other end the runtime keeps: the launcher
// sends `created` with a pidfd of pid 1, then pid 1 speaks. Closing a status socket ends its call;
// closing the control socket ends all of them.
#pragma once

#include <cstdint>

namespace sable::sandbox {

inline constexpr int kControlFd = 3;  ///< of the launcher

/// Each set-up action, in the order of its doing. A failure names one.
enum class Step : uint32_t {
  none,
  read_plan,
  create_namespaces,
  parent_death_signal,
  map_user,
  private_mounts,
  private_file_system,
  make_directory,
  make_symlink,
  make_file,
  open_source,
  source_changed,
  clone_mount,
  restrict_mount,
  attach_mount,
  mount_process_folder,
  forbid_namespaces,
  limit_processes,
  change_root,
  leave_old_root,
  bring_up_loopback,
  set_host_name,
  enter_working_directory,
  set_resource_limits,
  close_descriptors,
  drop_capabilities,
  no_new_privileges,
  landlock_rules,
  landlock_restrict,
  install_filter,
  create_process,
  execute_program,
  last = execute_program,
};

struct CallRequest {
  uint32_t magic = 0x4c4c4143;  ///< "CALL"
  uint32_t plan_bytes = 0;
};
inline constexpr int kCallDescriptors = 5;

/// One datagram on a status socket.
struct StatusMessage {
  enum class Kind : uint32_t {
    created,       ///< pid 1 exists; its pidfd comes along
    failed,        ///< step, error: nothing ran
    running,       ///< the program was executed
    exited,        ///< value: exit code
    signalled,     ///< value: signal
    memory_limit,  ///< the processes together used more memory than they may; all are being killed
    probed,        ///< every step of a probe succeeded
  };
  Kind kind = Kind::created;
  Step step = Step::none;
  int32_t error = 0;   ///< errno
  int32_t index = -1;  ///< of the view entry at fault
  int32_t value = 0;
};

/// Runtime to pid 1: end the program's process group with SIGTERM.
struct TerminateRequest {
  uint32_t magic = 0x4d524554;  ///< "TERM"
};

}  // namespace sable::sandbox
