// What the file systems of the writable roots have lost since a program began to run. Without a
// quota this is all that can be asked about what a program writes: it need not be alive any more,
// and its file may have no name.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sandbox/plan.h"

namespace sable::sandbox {

/// Pure, for tests: how much of what was free may go.
constexpr uint64_t disk_allowance(uint64_t free_before, uint64_t limit, uint64_t reserve) {
  const uint64_t kept = reserve < free_before / 2 ? reserve : free_before / 2;
  const uint64_t most = free_before - kept;
  return limit < most ? limit : most;
}

inline constexpr uint64_t kDiskBytesReserve = uint64_t{256} << 20;
inline constexpr uint64_t kDiskFilesReserve = 10'000;

class DiskWatch {
 public:
  /// Looks at what is free now. `plan` outlives this.
  explicit DiskWatch(const Plan& plan);

  bool watches() const { return n_ > 0; }

  struct Finding {
    int root = -1;       ///< of plan.disk_roots; -1: none lost too much
    bool files = false;  ///< inodes, not bytes
  };
  Finding look() const;

 private:
  static constexpr size_t kRootsMax = 64;
  struct Free {
    bool known = false;
    uint64_t bytes = 0, files = 0;
  };
  static Free free_of(const char* path);

  const Plan& plan_;
  size_t n_ = 0;
  Free before_[kRootsMax];
};

}  // namespace sable::sandbox
