// What the index knows of a stream, as a plan to read it.
#pragma once

#include <optional>
#include <vector>

#include "memory/snapshot_index.h"
#include "memory/snapshot_key.h"
#include "memory/snapshot_reader.h"

namespace sable::memory {

/// The longest chain of stored blocks.
struct StoredChain {
  size_t n_blocks = 0;
  int64_t last = 0;  ///< row of the last block, or of the engine; 0 when not even that is stored
};

/// By the keys of a stream (block_keys()): the engine's, then one for each block.
Result<StoredChain> longest_chain(SnapshotIndex& index, const std::vector<Digest>& keys);

/// The first `n_blocks` blocks of a stream, the last of them in row `last`; none where the index
/// holds no such chain.
Result<std::optional<std::vector<ReadEntry>>> blocks_to(SnapshotIndex& index,
                                                        const std::vector<Digest>& keys,
                                                        size_t n_blocks, int64_t last);

/// A stored state that a stream begins with.
struct FoundSnapshot {
  ReadPlan plan;
  bool sound = false;  ///< false: the index contradicts itself; only the position's row is known
};

/// The one with the most tokens.
Result<std::optional<FoundSnapshot>> longest_stored(SnapshotIndex& index,
                                                    const std::vector<Digest>& keys,
                                                    const TokenStream& stream);

}  // namespace sable::memory
