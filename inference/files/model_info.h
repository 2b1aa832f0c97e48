// What `sable model info` prints: facts of an opened model, without reading its weights.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "inference/files/checkpoint.h"
#include "inference/files/model_arithmetic.h"

namespace sable::inference {

struct TypeBytes {
  DType type;
  uint64_t n_tensors = 0, bytes = 0;  ///< scales count as F8_E8M0
};

/// Cost at one length of context.
struct ContextCost {
  uint64_t tokens = 0;
  uint64_t cache_bytes_packed = 0, cache_bytes_bf16 = 0;
  FlopsPerToken flops;
};

struct ModelInfo {
  std::string path, container;
  ModelConfig config;
  LayerCensus layers;
  ParameterCount parameters;
  std::vector<TypeBytes> bytes_by_type;  ///< largest first
  uint64_t n_tensors = 0;                ///< weights; scales not counted
  uint64_t tensor_bytes = 0, file_bytes = 0;
  uint64_t bytes_per_token = 0;       ///< weights that decoding one token touches
  std::vector<ContextCost> contexts;  ///< 8K, 128K and 1M tokens
};

/// Facts of an opened checkpoint.
ModelInfo model_info(const Checkpoint& model);

/// The same for a configuration as the released checkpoints would store it; path and file_bytes are
/// empty.
ModelInfo model_info(const ModelConfig& config);

Json to_json(const ModelInfo& info);

/// Lines for people, aligned, ending in a newline. Control characters of the path are escaped.
std::string to_text(const ModelInfo& info);

}  // namespace sable::inference
