// What the machine can spare, and whether an engine fits into it: asked before anything grows,
// since a machine that swaps helps nobody.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "inference/graph/cache_layout.h"

namespace sable::inference {

/// Bytes that this process could take without swapping: the kernel's estimate (proc(5),
/// /proc/meminfo MemAvailable), or what the process's control groups leave where that is less
/// (cgroups(7): version 2's memory.max, version 1's memory.limit_in_bytes). `root` is the file
/// system to look in. A machine that tells nothing has no limit: UINT64_MAX.
uint64_t available_memory(const std::filesystem::path& root = "/");

struct MemoryWish {
  uint64_t available = 0;  ///< for scratch and caches together
  uint64_t scratch = 0;    ///< of steps of rows_in_step tokens
  size_t rows_in_step = 0;
  uint64_t caches = 0;  ///< 0: half of what scratch leaves
};

/// How many bytes the caches may take. exhausted when it does not fit, saying what would.
Result<uint64_t> cache_budget(const MemoryWish& wish, const CacheLayout& layout);

}  // namespace sable::inference
