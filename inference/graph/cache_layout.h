// How many bytes each kind of cache content takes, and how it is cut into pages.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "inference/files/model_config.h"
#include "inference/kernels/backend.h"

namespace sable::inference {

/// Tokens in one exported block: the least common multiple of the compression ratios 4 and 128.
inline constexpr uint64_t kBlockTokens = 128;

struct CacheLayout {
  CacheLayout(const ModelConfig& config, CacheFormat format, std::vector<size_t> ratios);

  CacheFormat format;
  std::vector<size_t> ratios;  ///< of each layer: 0, 4 or 128
  uint64_t window;             ///< positions that a query sees directly, its own included
  PackedEntryShape entry_shape;
  size_t head_dim, key_dim;
  size_t entry_bytes, key_bytes;

  /// Bytes of the caches of a sequence of n tokens.
  uint64_t bytes_for(uint64_t n_tokens) const;

  static constexpr size_t kWindowPage = 32;  ///< positions in a page of the window

  /// Entries in a page: a whole number of blocks of 128 tokens, or 16 entries of ratio 128.
  static size_t entries_per_page(size_t ratio) { return ratio == 4 ? 32 : 16; }

  /// A compressor's rows: the previous block (ratio 4 only) and the unfinished one; each row is
  /// `width` values, then `width` gates.
  static size_t previous_rows(size_t ratio) { return ratio == 4 ? 4 : 0; }
  static size_t compressor_width(size_t ratio, size_t dim) { return ratio == 4 ? 2 * dim : dim; }
  static size_t compressor_bytes(size_t ratio, size_t dim) {
    return (previous_rows(ratio) + ratio) * 2 * compressor_width(ratio, dim) * sizeof(float);
  }
};

}  // namespace sable::inference
