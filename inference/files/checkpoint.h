// A model on disk, whatever its container: validated, memory-mapped, tensors by official name.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/files/model_config.h"
#include "inference/files/tensor.h"

namespace sable::inference {

/// An opened checkpoint: a folder of safetensors with config.json, or one GGUF file. Immutable; views
/// stay valid as long as it lives. Opening validates everything that can be known without reading the
/// weights: sizes, offsets, overlaps, dtypes, shapes against the configuration, duplicates, missing ones.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  /// `path`: a folder, its config.json, or a .gguf file.
  static Result<std::unique_ptr<Checkpoint>> open(const std::filesystem::path& path);

  const ModelConfig& config() const { return config_; }
  const std::filesystem::path& path() const { return path_; }

  /// Official names (deepseek-v4 reference, section 4.1), e.g. "layers.3.ffn.experts.7.w1.weight";
  /// GGUF tensors answer to them too (a stacked expert tensor gives one expert's rows). nullptr when
  /// the model has no such tensor. Thread-safe.
  virtual const Tensor* find(std::string_view official_name) const = 0;

  /// Every tensor in the file's order, scales folded into their weights.
  virtual const std::vector<Tensor>& tensors() const = 0;

  /// Where the tokenizer is: tokenizer.json's text, or the GGUF's metadata rendered by its reader.
  virtual Result<std::string> tokenizer_json() const = 0;

 protected:
  ModelConfig config_;
  std::filesystem::path path_;
};

}  // namespace sable::inference
