// What is said between the runtime, the launcher, keepers of sessions and pid 1 of a call; standard
// library only.
//
// A call is asked for over a control socket (the launcher's, or a keeper's for its session) with a
// CallRequest and two to four descriptors: the far end of the call's own status socket, the plan in
// a memory file, and if there is a memory cgroup for it, its cgroup.procs and (version 2) its
// folder. From then on the two ends of the status socket talk: whoever made pid 1 sends `created`
// with its pidfd; pid 1 sends `prepared` when everything is in force, and waits. A StartRequest
// with the execution and three streams starts the program, at once or later. Closing a status
// socket ends its call; closing a control socket ends everything that was asked for over it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sable::sandbox {

inline constexpr int kControlFd = 3;  ///< of the launcher, and of a keeper

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
  mount_overlay,
  mount_process_folder,
  mount_terminal_folder,
  forbid_namespaces,
  limit_processes,
  limit_memory,
  change_root,
  leave_old_root,
  bring_up_loopback,
  listen_for_proxy,
  set_host_name,
  set_resource_limits,
  close_descriptors,
  drop_capabilities,
  no_new_privileges,
  landlock_rules,
  landlock_restrict,
  install_filter,
  read_execution,
  open_terminal,
  create_process,
  enter_working_directory,
  execute_program,
  last = execute_program,
};

struct CallRequest {
  static constexpr uint32_t kMagic = 0x4c4c4143;  ///< "CALL"
  enum class When : uint32_t {
    now,
    soon,   ///< ahead of its use: after what is being done now
    hurry,  ///< no new call: what was asked for `soon` is wanted now
  };
  uint32_t magic = kMagic;
  When when = When::now;
};
inline constexpr int kCallDescriptors = 2;     ///< always
inline constexpr int kCallDescriptorsMax = 4;  ///< with a memory cgroup of version 2

/// One datagram on a status socket.
struct StatusMessage {
  enum class Kind : uint32_t {
    created,       ///< pid 1 exists; its pidfd comes along
    prepared,      ///< everything of the plan is in force; its proxy's listener comes along
    failed,        ///< step, error: nothing ran
    running,       ///< the program was executed; with a terminal, its master side comes along
    exited,        ///< value: exit code; nothing that the program started is alive
    signalled,     ///< value: signal; nothing that the program started is alive
    memory_limit,  ///< the processes together used more memory than they may; all are being killed
    disk_limit,    ///< the disk root `index` lost too much: space (value 0) or inodes (1); likewise
  };
  Kind kind = Kind::created;
  Step step = Step::none;
  int32_t error = 0;   ///< errno
  int32_t index = -1;  ///< of the view entry at fault
  int32_t value = 0;
};

/// Runtime to pid 1: start the program. The execution follows in the same datagram when it is
/// small; otherwise it is in a memory file, the first descriptor, and the count is 0. Standard
/// input, output and error come along unless the plan has a terminal.
struct StartRequest {
  static constexpr uint32_t kMagic = 0x54525453;  ///< "STRT"
  uint32_t magic = kMagic;
  uint32_t execution_bytes = 0;
  uint16_t rows = 0, columns = 0;  ///< of the terminal, before the program can ask
};
inline constexpr size_t kInlineExecutionMax = size_t{32} << 10;
inline constexpr int kStartDescriptorsMax = 4;

/// Runtime to pid 1: send this signal to the program's process group.
struct SignalRequest {
  static constexpr uint32_t kMagic = 0x4c4e4753;  ///< "SGNL"
  uint32_t magic = kMagic;
  int32_t signal = 0;
};

}  // namespace sable::sandbox
