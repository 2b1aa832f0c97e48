// Which tensors a DeepSeek-V4 model of a given configuration has: names, shapes and roles.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "inference/files/model_config.h"

namespace sable::inference {

/// What a tensor is for; decides how the released checkpoints store it and how a conversion may.
enum class TensorRole : uint8_t {
  embedding,   ///< embed.weight (BF16)
  head,        ///< head.weight (BF16)
  norm,        ///< RMS norm weights (BF16)
  projection,  ///< dense matrices stored FP8 with 128x128 scales: attention, shared experts, MTP
  expert,      ///< routed experts (FP4 with 1x32 scales, or FP8 in base models)
  plain,       ///< matrices stored BF16: compressors, router, indexer head weights
  exact,       ///< always F32: hyper-connections, positional biases (ape), sinks, selection bias
  table,       ///< token id -> expert ids (I64)
};

struct TensorSpec {
  std::string name;             ///< official name, as in the released checkpoints
  std::vector<uint64_t> shape;  ///< elements
  TensorRole role;
  int64_t layer;  ///< -1 top level; 0..L-1 trunk; L.. MTP blocks

  uint64_t n_elements() const;
};

/// Calls `visit` for every tensor, MTP blocks included, in the official file order; stops at the
/// first error and returns it. `config` has passed check().
Result<void> for_each_tensor(const ModelConfig& config,
                             const std::function<Result<void>(const TensorSpec&)>& visit);

/// How many tensors for_each_tensor visits.
uint64_t count_tensors(const ModelConfig& config);

}  // namespace sable::inference
