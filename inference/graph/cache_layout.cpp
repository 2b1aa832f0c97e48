#include "inference/graph/cache_layout.h"

#include <algorithm>
#include <utility>

namespace sable::inference {

CacheLayout::CacheLayout(const ModelConfig& config, CacheFormat f, std::vector<size_t> r)
    : format(f), ratios(std::move(r)) {
  window = static_cast<uint64_t>(config.sliding_window);
  head_dim = static_cast<size_t>(config.head_dim);
  key_dim = static_cast<size_t>(config.index_head_dim);
  entry_shape = {.head_dim = head_dim, .rope_dim = static_cast<size_t>(config.qk_rope_head_dim)};
  const bool packed = format == CacheFormat::packed;
  entry_bytes = packed ? entry_shape.bytes() : head_dim * sizeof(float);
  key_bytes = packed ? packed_key_bytes(key_dim) : key_dim * sizeof(float);
}

uint64_t CacheLayout::bytes_for(uint64_t n_tokens) const {
  uint64_t bytes = 0;
  for (const size_t ratio : ratios) {
    bytes += std::min<uint64_t>(n_tokens, window) * entry_bytes;
    if (ratio == 0) continue;
    bytes += n_tokens / ratio * (entry_bytes + (ratio == 4 ? key_bytes : 0));
    bytes += compressor_bytes(ratio, head_dim);
    if (ratio == 4) bytes += compressor_bytes(ratio, key_dim);
  }
  return bytes;
}

}  // namespace sable::inference
