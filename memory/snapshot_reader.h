// Reading a stored state, every entry checked.
#pragma once

#include <functional>

#include "memory/snapshot_read_ahead.h"

namespace sable::memory {

/// What the index knows of a state, in the order in which it is read.
struct ReadPlan {
  uint64_t n_tokens = 0;
  std::vector<ReadEntry> blocks;
  ReadEntry position;
};

/// Told of an entry that is not what the index says, so that it is dropped.
struct DamageReport {
  std::function<void(const ReadEntry&)> block, position;
};

/// Begins to read. `begun` may have begun before the whole plan was known, with its first blocks.
std::unique_ptr<SnapshotReader> read_snapshot(std::unique_ptr<ReadAhead> begun, ReadPlan plan,
                                              DamageReport damage);

}  // namespace sable::memory
