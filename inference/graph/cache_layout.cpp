#include "inference/graph/cache_layout.h"

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

}  // namespace sable::inference
