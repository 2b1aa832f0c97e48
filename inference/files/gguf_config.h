// ModelConfig and tokenizer arrays from GGUF metadata, and back.
// Keys: ggml-org/llama.cpp src/llama-arch.cpp (prefix "deepseek4.") and ggml docs/gguf.md.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "inference/files/checkpoint.h"
#include "inference/files/gguf.h"
#include "inference/files/model_config.h"

namespace sable::inference {

/// Reads the trunk's configuration; MTP blocks are not counted (see add_mtp_layers). Floats are
/// taken as the shortest decimal that gives the stored FP32, so 1e-6 is 1e-6. expert_dtype stays
/// empty: GGUF types ask for no activation quantization.
Result<ModelConfig> config_from_gguf(const Gguf& gguf);

/// Appends `n` window layers for MTP blocks found in a file.
void add_mtp_layers(ModelConfig& config, int64_t n);

/// tokenizer.ggml.*; nullopt when the file has no tokenizer.
Result<std::optional<TokenizerArrays>> tokenizer_arrays_from_gguf(const Gguf& gguf);

/// The deepseek4.* and general.* keys for a configuration, as llama.cpp's loader wants them.
std::vector<std::pair<std::string, GgufValue>> gguf_metadata_of(const ModelConfig& config);

/// tokenizer.ggml.* keys.
std::vector<std::pair<std::string, GgufValue>> gguf_metadata_of(const TokenizerArrays& tokenizer);

/// The arrays that a byte-level BPE tokenizer.json amounts to; ids without a token become unused
/// placeholders "[PAD<id>]". `vocab_size` is the model's. The pre-tokenizer's name is the caller's:
/// a tokenizer.json carries patterns, not llama.cpp's name for them.
Result<TokenizerArrays> tokenizer_arrays_from_json(const Json& tokenizer, int64_t vocab_size,
                                                   std::string pre);

}  // namespace sable::inference
