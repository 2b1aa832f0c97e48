// The control group with a memory controller that this process is in, as the kernel shows it:
// cgroups(7), proc(5).
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace sable {

struct MemoryControlGroup {
  int version = 0;               ///< of the hierarchy: 1 or 2
  std::filesystem::path top;     ///< where the hierarchy is mounted
  std::filesystem::path folder;  ///< the process's own group: `top`, or below it
};

/// The texts are /proc/self/mountinfo and /proc/self/cgroup. A controller belongs to one version at
/// a time; where version 1 has it, that is the one. unsupported: no such hierarchy is mounted, or
/// the group lies outside of what is mounted.
Result<MemoryControlGroup> memory_control_group(std::string_view mountinfo,
                                                std::string_view own_groups);
/// The same, of the process files below `root`; what is mounted lies below it too.
Result<MemoryControlGroup> memory_control_group(const std::filesystem::path& root = "/");

}  // namespace sable
