// What a configuration costs: parameters, bytes, cache, arithmetic. From the shape alone.
#pragma once

#include <cstdint>

#include "inference/files/model_config.h"
#include "inference/files/tensor.h"
#include "inference/files/tensor_inventory.h"

namespace sable::inference {

struct ParameterCount {
  uint64_t trunk = 0;  ///< embedding, layers, head
  uint64_t mtp = 0;    ///< MTP blocks
  uint64_t active =
      0;  ///< a token of the trunk: chosen and shared experts, head, no embedding table
  uint64_t table_integers = 0;  ///< token-to-expert ids; not parameters
};
ParameterCount count_parameters(const ModelConfig& config);

/// How many trunk layers attend in each way.
struct LayerCensus {
  int64_t window = 0, csa = 0, hca = 0;  ///< compression ratio 0, 4, 128
};
LayerCensus count_layers(const ModelConfig& config);

/// The type that the released checkpoints store a tensor as (FP8 dense, FP4 or FP8 experts by
/// expert_dtype, BF16 and F32 rest), and the bytes of its scales.
DType released_type(const ModelConfig& config, const TensorSpec& spec);
uint64_t released_scale_bytes(const ModelConfig& config, const TensorSpec& spec);

/// The share of a tensor's bytes that decoding one token reads, as the numerator and denominator of
/// bytes * part / whole: experts K/E, one row of tables and of the embedding, all of the rest; MTP
/// none.
struct Share {
  uint64_t part, whole;
};
Share share_per_token(const ModelConfig& config, const TensorSpec& spec);

enum class CacheStorage {
  packed,  ///< FP8 with BF16 rope dims, FP4 index keys
  bf16,
};

/// Bytes of one entry of the window or of a compressed cache. Packed: one byte a non-rope dim, two
/// a rope dim, an exponent for each 64 non-rope dims, padded to 8 bytes (584 for head_dim 512).
uint64_t entry_bytes(const ModelConfig& config, CacheStorage format);

/// Bytes of one index key. Packed: a nibble a dim and an exponent for each 32.
uint64_t index_key_bytes(const ModelConfig& config, CacheStorage format);

/// Bytes of all caches of the trunk after `tokens` tokens: window rings and finished compressed
/// entries.
uint64_t cache_bytes(const ModelConfig& config, uint64_t tokens, CacheStorage format);

/// Floating-point operations to decode one token behind `context` tokens; a multiply-add counts
/// two.
struct FlopsPerToken {
  double projections = 0;  ///< 2 * active parameters
  double attention = 0;    ///< scores and values over window and chosen or dense compressed entries
  double index = 0;        ///< scores of the indexer over all entries of the CSA layers
  double total() const { return projections + attention + index; }
};
FlopsPerToken flops_per_token(const ModelConfig& config, uint64_t context);

}  // namespace sable::inference
