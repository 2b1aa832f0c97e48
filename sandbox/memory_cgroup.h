// Memory limits by the kernel's own accounting: a cgroup for each call, where a memory controller
// of either version lets us make one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sable::sandbox {

/// A folder of a cgroup file system in which cgroups with a memory limit can be made.
struct CgroupPlace {
  int version = 2;
  std::filesystem::path folder;

  friend bool operator==(const CgroupPlace&, const CgroupPlace&) = default;
};

/// Where this process may make memory cgroups. The texts are /proc/self/mountinfo and
/// /proc/self/cgroup (cgroups(7)); the folders that they name are asked what they allow. Version 1:
/// below our own cgroup. Version 2: beside it, below the nearest one that hands the memory
/// controller on, unless a limit on the way would be escaped by that. Errors (unsupported) say what
/// is in the way.
Result<CgroupPlace> memory_cgroup_place(std::string_view mountinfo, std::string_view own_cgroups);
/// The same of this process.
Result<CgroupPlace> memory_cgroup_place();

/// Writes the limit into a fresh cgroup: `bytes` of memory and swap together; at the limit, version
/// 2 kills all of it.
Result<void> write_memory_limit(const std::filesystem::path& folder, int version, uint64_t bytes);
/// Whether the kernel has killed somebody in it because of the limit.
bool memory_limit_was_reached(const std::filesystem::path& folder, int version);

class MemoryCgroups;

/// A cgroup with its limit in force, and what is held open of it.
struct LimitedCgroup {
  std::filesystem::path folder;
  UniqueFd entrance, door, alarm;  ///< as of MemoryCgroup
};

/// The cgroup of one call. When this is destroyed, the next one that is made, or the end of them
/// all, removes it.
class MemoryCgroup {
 public:
  MemoryCgroup(std::shared_ptr<MemoryCgroups> owner, LimitedCgroup group, int version);
  ~MemoryCgroup();
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;

  /// A process that writes "0" to this is in the group from then on, with all that it starts. -1
  /// once it is closed.
  int entrance() const { return group_.entrance.get(); }
  /// Of version 2 its folder, which a process can be cloned into, so that it never was outside; -1
  /// otherwise.
  int door() const { return group_.door.get(); }
  void close_entrance() {
    group_.entrance.reset();
    group_.door.reset();
  }

  /// Readable when the limit was reached and nothing could be given back; -1 where the kernel kills
  /// the group as a whole by itself (version 2).
  int alarm() const { return group_.alarm.get(); }
  /// Whether the kernel has killed somebody because of the limit.
  bool limit_was_reached() const { return memory_limit_was_reached(group_.folder, version_); }

  const std::filesystem::path& folder() const { return group_.folder; }

 private:
  const std::shared_ptr<MemoryCgroups> owner_;
  LimitedCgroup group_;
  const int version_;
};

/// The cgroups of one sandbox, in a folder of their own that is locked as long as it lives. Whoever
/// opens the next one removes what a crash left. Its calls may come from any thread. A thread of
/// its own makes the next cgroup ahead and removes the old ones: either can take the kernel
/// milliseconds.
class MemoryCgroups : public std::enable_shared_from_this<MemoryCgroups> {
 public:
  /// Tries the way in with a process of its own. Errors: those of the kernel.
  static Result<std::shared_ptr<MemoryCgroups>> open(const CgroupPlace& place);
  ~MemoryCgroups();
  MemoryCgroups(const MemoryCgroups&) = delete;
  MemoryCgroups& operator=(const MemoryCgroups&) = delete;

  /// One with this limit: that which was made ahead, if it has the same.
  Result<std::unique_ptr<MemoryCgroup>> make(uint64_t bytes);

 private:
  friend class MemoryCgroup;
  MemoryCgroups(CgroupPlace place, std::filesystem::path folder, UniqueFd lock)
      : place_(std::move(place)), folder_(std::move(folder)), lock_(std::move(lock)) {}

  Result<LimitedCgroup> make_limited(uint64_t bytes);
  void remove(std::filesystem::path folder);
  void remove_leftovers();
  void work_ahead(const std::stop_token& stop);

  const CgroupPlace place_;
  const std::filesystem::path folder_;
  const UniqueFd lock_;
  std::mutex mutex_;
  std::condition_variable_any was_taken_;
  uint64_t n_made_ = 0;
  uint64_t bytes_wanted_ = 0;                     ///< what the next one will likely be limited to
  bool wants_work_ = false;                       ///< one was taken since the thread looked
  std::optional<LimitedCgroup> ahead_;            ///< limited to bytes_wanted_
  std::vector<std::filesystem::path> leftovers_;  ///< to be removed
  std::jthread worker_;
};

/// Of this process, or why there are none: then pid 1 of each call watches its memory.
Result<std::shared_ptr<MemoryCgroups>> open_memory_cgroups();

}  // namespace sable::sandbox
