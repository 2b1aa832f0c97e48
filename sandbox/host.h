// What the planner knows about this machine. Everything it asks of the file system goes through
// `look_up`, so that a test can hand it any machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace sable::sandbox {

/// What lies at a path.
struct PathFacts {
  enum class Kind { missing, unreadable, folder, file, device, other };

  Kind kind = Kind::missing;         ///< of what the path leads to, links followed
  std::filesystem::path canonical;   ///< absolute, without links; empty when missing
  std::string link_text;             ///< when the path itself is a symbolic link
  std::filesystem::path first_link;  ///< the first component of the path that is a symbolic link
  uint64_t device = 0, inode = 0;    ///< of the canonical path
};

struct Host {
  uint32_t user = 0, group = 0;
  int landlock_abi = 0;      ///< 0: none
  bool own_pid_max = false;  ///< kernel.pid_max belongs to the pid namespace (Linux 6.14)
  std::function<PathFacts(const std::filesystem::path&)> look_up;
  /// For the system's own paths: may remember an answer as long as the path itself is unchanged.
  std::function<PathFacts(const std::string&)> look_up_system;
};

/// This machine and this process's user.
Host this_host();

/// `host`, but the system's own paths stay what they were when they were first asked for: for a
/// view that is mounted already. One thread.
Host with_mounted_system(const Host& host);

}  // namespace sable::sandbox
