#include "memory/snapshot_lookup.h"

#include <algorithm>

namespace sable::memory {

namespace {

Result<std::optional<FoundSnapshot>> plan_of(SnapshotIndex& index, const std::vector<Digest>& keys,
                                             size_t n_blocks, int64_t last,
                                             const StoredPosition& position) {
  ReadPlan plan{.n_tokens = n_blocks * kSnapshotBlockTokens + position.tail.size()};
  plan.position = {position_key(keys[n_blocks], position.tail), position.place, position.number};
  SABLE_TRY(auto blocks, blocks_to(index, keys, n_blocks, last));
  const bool sound = blocks.has_value() && is_possible(position.place);
  if (blocks) plan.blocks = std::move(*blocks);
  return FoundSnapshot{std::move(plan), sound};
}

}  // namespace

Result<StoredChain> longest_chain(SnapshotIndex& index, const std::vector<Digest>& keys) {
  SABLE_TRY(const auto engine, index.block(keys[0]));
  if (!engine) return StoredChain{};
  StoredChain chain{0, engine->number};
  // A stored block's parent is stored, so the end of the chain is found by halving.
  for (size_t low = 1, high = keys.size(); low < high;) {
    const size_t middle = low + (high - low) / 2;
    SABLE_TRY(const auto block, index.block(keys[middle]));
    if (block) {
      chain = {middle, block->number};
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return chain;
}

Result<std::optional<std::vector<ReadEntry>>> blocks_to(SnapshotIndex& index,
                                                        const std::vector<Digest>& keys,
                                                        size_t n_blocks, int64_t last) {
  const auto block_keys = std::span(keys).subspan(1, n_blocks);
  SABLE_TRY(const auto chain, index.chain_to(last, block_keys));
  if (chain.size() != n_blocks) return std::nullopt;
  std::vector<ReadEntry> blocks;
  blocks.reserve(n_blocks);
  for (size_t i = 0; i < n_blocks; ++i) {
    if (!is_possible(chain[i].place)) return std::nullopt;
    blocks.push_back({block_keys[i], chain[i].place, chain[i].number});
  }
  return blocks;
}

Result<std::optional<FoundSnapshot>> longest_stored(SnapshotIndex& index,
                                                    const std::vector<Digest>& keys,
                                                    const TokenStream& stream) {
  SABLE_TRY(const auto chain, longest_chain(index, keys));
  int64_t block = chain.last;
  for (size_t n = chain.n_blocks; block != 0; --n) {
    SABLE_TRY(const auto positions, index.positions_behind(block));
    const StoredPosition* best = nullptr;
    const auto rest = stream.tokens.subspan(n * kSnapshotBlockTokens);
    for (const StoredPosition& position : positions) {
      const auto& tail = position.tail;
      if (tail.size() <= rest.size() && std::equal(tail.begin(), tail.end(), rest.begin()) &&
          (!best || tail.size() > best->tail.size())) {
        best = &position;
      }
    }
    if (best) return plan_of(index, keys, n, block, *best);
    if (n == 0) break;
    SABLE_TRY(const auto parent, index.parent_of(block));
    block = parent ? parent->number : 0;
  }
  return std::nullopt;
}

}  // namespace sable::memory
