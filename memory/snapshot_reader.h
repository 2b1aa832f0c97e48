// Reading a stored state, every entry checked.
#pragma once

#include <functional>

#include "memory/snapshot_segment.h"

namespace sable::memory {

/// One entry of a state that is read, and the row of the index that names it.
struct ReadEntry {
  Digest key;
  EntryPlace place;
  int64_t row = 0;
};

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

std::unique_ptr<SnapshotReader> read_snapshot(SegmentFolder folder, ReadPlan plan,
                                              DamageReport damage);

}  // namespace sable::memory
