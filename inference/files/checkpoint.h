// A model on disk, whatever its container: validated, memory-mapped, tensors by official name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/files/model_config.h"
#include "inference/files/tensor.h"

namespace sable::inference {

/// A tokenizer as GGUF stores it (keys tokenizer.ggml.*): arrays instead of a tokenizer.json.
struct TokenizerArrays {
  std::string model;                ///< "gpt2" for byte-level BPE
  std::string pre;                  ///< names the pre-tokenizer, e.g. "joyai-llm"; may be empty
  std::vector<std::string> tokens;  ///< by id; printable byte-level alphabet for normal tokens
  std::vector<int32_t> types;  ///< as long as tokens, or empty: 1 normal, 2 unknown, 3 control,
                               ///< 4 user defined, 5 unused, 6 byte (llama.cpp's numbering)
  std::vector<std::string> merges;  ///< "left right", best first
  std::optional<int64_t> bos_token_id, eos_token_id, pad_token_id, unk_token_id;
  bool add_bos = false, add_eos = false;
};

/// Which files a checkpoint is made of.
enum class Container { safetensors, gguf };

/// An opened checkpoint: a folder of safetensors with config.json, or one GGUF file. Immutable;
/// views stay valid as long as it lives. Opening validates everything that can be known without
/// reading the weights: sizes, offsets, overlaps, dtypes, shapes against the configuration,
/// duplicates, missing ones; of the contents only the token-to-expert tables are read, so that
/// every id in them is an expert.
///
/// A trunk without its MTP block opens with num_nextn_predict_layers = 0 and no MTP tensors.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  /// `path`: a folder, its config.json, or a .gguf file.
  static Result<std::unique_ptr<Checkpoint>> open(const std::filesystem::path& path);

  const ModelConfig& config() const { return config_; }
  const std::filesystem::path& path() const { return path_; }

  /// Official names (those of the released checkpoints), e.g. "layers.3.ffn.experts.7.w1.weight";
  /// GGUF tensors answer to them too (a stacked expert tensor gives one expert's rows). nullptr
  /// when the model has no such tensor. Thread-safe.
  virtual const Tensor* find(std::string_view official_name) const = 0;

  /// Every tensor in the file's order, scales folded into their weights.
  virtual const std::vector<Tensor>& tensors() const = 0;

  /// tokenizer.json's text: the file beside the weights, or a GGUF's tokenizer.huggingface.json.
  /// When it is not_found, ask tokenizer_arrays().
  virtual Result<std::string> tokenizer_json() const = 0;

  /// The tokenizer of a GGUF; nullptr for safetensors and for a GGUF without one.
  virtual const TokenizerArrays* tokenizer_arrays() const { return nullptr; }

  virtual Container container() const = 0;

  /// Bytes of all weight files, and how many of them are in memory now (the page cache's view).
  virtual uint64_t file_bytes() const = 0;
  /// When the last of them was written to: nanoseconds since the epoch.
  virtual int64_t modified() const = 0;
  virtual Result<uint64_t> resident_bytes() const = 0;

  /// Advice about a tensor's pages; `tensor` is one of ours. release() unmaps them from this
  /// process, evict() also gives them back to the system (how a resident set is capped), prefetch()
  /// asks for them ahead.
  virtual void release(const Tensor& tensor) const = 0;
  virtual void evict(const Tensor& tensor) const = 0;
  virtual void prefetch(const Tensor& tensor) const = 0;

  /// Reads all files into memory, in their order, and maps them; comes back when they are there or
  /// soon after `stop` asks. Thread-safe.
  virtual void populate(const std::stop_token& stop) const = 0;

 protected:
  ModelConfig config_;
  std::filesystem::path path_;
};

}  // namespace sable::inference
