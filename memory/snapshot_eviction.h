// Which snapshots go when there is no room, and getting their space back.
#pragma once

#include <optional>

#include "memory/snapshot_index.h"

namespace sable::memory {

/// Positions that must stay: the newest one of each session that has a live owner.
Result<std::vector<int64_t>> positions_in_use(SnapshotIndex& index,
                                              const std::filesystem::path& locks);

/// Drops longest unused positions but `kept` (sorted) until `bytes` are in use at most; returns how
/// many went. It may end with more in use.
Result<uint64_t> evict_down_to(SnapshotIndex& index, const SegmentFolder& folder, uint64_t bytes,
                               const std::vector<int64_t>& kept);

/// After the index has committed: the space of what it no longer names.
void give_back(SnapshotIndex& index, const SegmentFolder& folder, const FreedPlaces& freed);

/// Frees what no row names: what processes left that died between the index and the disk. The
/// caller is alone.
Result<void> reconcile(SnapshotIndex& index, const SegmentFolder& folder);

}  // namespace sable::memory
