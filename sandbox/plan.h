// What the launcher does for one call, step by step and fully resolved: values made by the planner,
// carried as bytes, obeyed without further decisions. A plan is the sandbox, an execution is what
// runs in it. The launcher builds from this header too, so it uses the standard library only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sable::sandbox {

/// How one entry of the view comes to be. Entries are made in their order.
enum class ViewKind : uint8_t {
  directory,        ///< an empty directory of the private file system, with `mode`
  symlink,          ///< a link whose text is `source`
  empty_file,       ///< a mount point for a file
  private_folder,   ///< a writable folder of the private file system (all of them share its size)
  bind,             ///< the host's `source`, with everything mounted below it
  overlay,          ///< `source` below, and over it the changes that are kept in `store`
  process_folder,   ///< a fresh, read-only /proc of the call's own processes
  terminal_folder,  ///< a fresh /dev/pts of the call's own
  cover_file,       ///< an empty file over what is there
  cover_folder,     ///< an empty folder over what is there
};

/// What Landlock grants at and below an entry; the mount flags follow from it where they can.
enum class Access : uint8_t {
  none,    ///< nothing (what lies above may grant)
  list,    ///< reading directories
  read,    ///< reading and executing
  write,   ///< everything except making devices
  device,  ///< reading and writing one device node
};

inline constexpr size_t kViewEntriesMax = 8192;

struct ViewEntry {
  ViewKind kind = ViewKind::directory;
  Access access = Access::none;
  std::string target;   ///< absolute, in the view
  std::string source;   ///< absolute, on the host; or the text of a symlink
  uint64_t device = 0;  ///< of a bind's source when it was resolved: a swap is noticed
  uint64_t inode = 0;
  uint32_t mode = 0755;  ///< of a made directory
  std::string store;     ///< of an overlay: absolute, on the host; holds `upper` and `work`

  friend bool operator==(const ViewEntry&, const ViewEntry&) = default;
};

/// One classic BPF instruction; the layout of struct sock_filter.
struct FilterInstruction {
  uint16_t code = 0;
  uint8_t jump_true = 0, jump_false = 0;
  uint32_t operand = 0;

  friend bool operator==(const FilterInstruction&, const FilterInstruction&) = default;
};

using Filter = std::vector<FilterInstruction>;

/// What a planned sandbox is for.
enum class Role : uint8_t {
  call,    ///< one program, with namespaces and a view of its own
  keeper,  ///< no program: holds what the calls of one session share, and starts them
  worker,  ///< one program in a keeper's namespaces, with an own process and mount namespace
};

struct Plan {
  Role role = Role::call;
  uint32_t user = 0, group = 0;  ///< mapped to themselves; nobody else exists
  bool own_network = true;       ///< a network namespace of its own
  bool loopback_up = false;
  uint16_t proxy_port = 0;      ///< a listener on it, on loopback, goes to the runtime; 0: none
  bool terminal = false;        ///< the program gets a terminal instead of three streams
  std::vector<ViewEntry> view;  ///< of a worker: what it adds to its keeper's
  uint64_t private_bytes = 0;   ///< size of the private file system
  uint64_t private_files = 0;   ///< and its number of inodes
  uint64_t cpu_seconds = 0, file_bytes = 0, open_files = 0;  ///< resource limits of each process
  uint64_t processes = 0;  ///< RLIMIT_NPROC; 0: not set (it does not bind root)
  uint32_t pid_max = 0;    ///< kernel.pid_max of the pid namespace; 0: not written
  /// Of all processes together: of their cgroup, else watched by pid 1; 0: no limit.
  uint64_t memory_bytes = 0;
  uint32_t watch_interval_ms = 50;
  /// Folders of the view whose file systems' free space and inodes pid 1 watches.
  std::vector<std::string> disk_roots;
  uint64_t disk_bytes = 0, disk_files = 0;  ///< what each of them may lose
  uint64_t landlock_files = 0;              ///< the file rights that this kernel knows
  uint64_t landlock_network = 0;            ///< TCP rights that are handled and granted to nobody
  uint64_t landlock_scopes = 0;
  std::vector<Filter> filters;  ///< seccomp, installed in this order

  friend bool operator==(const Plan&, const Plan&) = default;
};

/// Whether the view mounts the store of a transaction, which only one view may at a time.
inline bool has_overlay(const Plan& plan) {
  for (const auto& entry : plan.view) {
    if (entry.kind == ViewKind::overlay) return true;
  }
  return false;
}

struct Execution {
  std::vector<std::string> programs;     ///< absolute paths in the view, tried in this order
  std::vector<std::string> arguments;    ///< argv
  std::vector<std::string> environment;  ///< "NAME=value"
  std::string working_directory;         ///< absolute, in the view

  friend bool operator==(const Execution&, const Execution&) = default;
};

}  // namespace sable::sandbox
