// What a stored block is called: a hash chain over the engine and every token up to its end.
#pragma once

#include <vector>

#include "memory/snapshots.h"

namespace sable::memory {

/// keys[0] stands for the engine alone, keys[i] for the first i blocks of the stream:
/// SHA-256(keys[i - 1], 128 tokens). Equal keys mean equal engines and equal tokens.
std::vector<Digest> block_keys(const TokenStream& stream);

/// Of the first blocks only, `n_blocks` at most. `keys` holds a beginning of them and is continued.
void continue_keys(const TokenStream& stream, size_t n_blocks, std::vector<Digest>& keys);

/// The name of a position record: the blocks before it and the tokens behind them.
Digest position_key(const Digest& last_block, std::span<const int32_t> tail);

}  // namespace sable::memory
