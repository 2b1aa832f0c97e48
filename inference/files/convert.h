// A checkpoint written again in another container or other types, tensor by tensor.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "inference/files/checkpoint.h"
#include "inference/files/progress.h"

namespace sable::inference {

struct ConvertOptions {
  Container to = Container::gguf;

  /// Attention, shared experts, head (and MTP projections). GGUF: F32, F16, BF16, Q8_0, Q4_K, Q2_K;
  /// safetensors: F32, BF16, F8_E4M3.
  DType dense = DType::q8_0;

  /// Routed experts. GGUF: the same and MXFP4; safetensors: F32, BF16, F8_E4M3, F4_E2M1. FP4 and
  /// MXFP4 turn into each other bit for bit.
  DType experts = DType::mxfp4;

  /// The `tokenizer.ggml.pre` to name when the source is a tokenizer.json.
  std::string pre_tokenizer = "joyai-llm";

  uint64_t shard_bytes_max = uint64_t{8} << 30;  ///< safetensors only

  ProgressCallback progress = {};
  std::stop_token stop = {};
};

struct ConvertReport {
  std::vector<std::filesystem::path> files;  ///< what was written
  uint64_t bytes = 0;
  std::vector<std::string> notes;  ///< what a user should know, e.g. a fallback type for short rows
};

/// Writes `model` to `output`: a new .gguf file (an MTP block goes to NAME.mtp.gguf beside it,
/// where Checkpoint::open finds it), or a new folder of safetensors with config.json and the
/// tokenizer files.
///
/// Norms, hyper-connections, positional biases, sinks and selection biases are written F32
/// (safetensors: norms keep BF16); compressors, router and indexer head weights, which compute in
/// FP32, and the embedding keep F32, F16 or BF16, or become BF16 (with a plain type as `dense` they
/// become that; F32 that holds nothing but BF16 numbers returns to BF16 in safetensors). Rows too
/// short for a block type fall back to Q8_0, then to F16.
///
/// Memory is bounded by 128 rows of the widest tensor. Output appears under its name only when it
/// is whole; an existing one is refused. Errors: invalid_input (types), exhausted (disk), corrupt
/// (non-finite weights, with their tensor), cancelled, io.
Result<ConvertReport> convert(const Checkpoint& model, const std::filesystem::path& output,
                              const ConvertOptions& options);

}  // namespace sable::inference
