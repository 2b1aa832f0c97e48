// Checkpoints of any shape with random weights, for benches and large tests: quick to write, the
// same bytes for the same arguments everywhere.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "inference/files/checkpoint.h"

namespace sable::test {

/// About 1.4 billion parameters, a quarter of them active a token; every kind of layer.
inference::ModelConfig billion_parameter_config();

struct SyntheticOptions {
  inference::ModelConfig config = billion_parameter_config();
  inference::Container container = inference::Container::gguf;
  inference::DType dense =
      inference::DType::q8_0;  ///< GGUF: any type; safetensors: F8_E4M3 or BF16
  inference::DType experts =
      inference::DType::mxfp4;  ///< GGUF: any type; safetensors: F4_E2M1 or BF16
  inference::DType plain = inference::DType::bf16;  ///< GGUF: embedding, compressors, router
  uint64_t seed = 1;
};

/// One CSA and one HCA layer with entries of 584 and keys of 68 bytes, for a million tokens; the
/// rest as wide as asked.
SyntheticOptions long_context_model(int64_t hidden, int64_t n_index_heads);

/// Writes a new .gguf file (trunk only) or a new folder of one safetensors file with config.json
/// and tokenizer.json (MTP blocks included when the configuration has them). Quantized elements are
/// random codes under scales that make a matrix keep the size of what it multiplies, so activations
/// stay tame; the tokenizer has one token a byte, and placeholders.
Result<void> write_synthetic_checkpoint(const std::filesystem::path& output,
                                        const SyntheticOptions& options);

}  // namespace sable::test
