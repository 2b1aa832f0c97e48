// A trained model as a checkpoint folder that every loader of the format reads.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "training/parameters.h"

namespace sable::training {

/// Writes folder/config.json, model.safetensors (all F32, token tables I64) and tokenizer.json.
/// The folder is made; existing weights in it are refused.
Result<void> write_f32_checkpoint(const Parameters& parameters, const std::vector<float>& values,
                                  std::string_view tokenizer_json,
                                  const std::filesystem::path& folder);

/// The same in the shipped formats: FP8 matrices, FP4 experts, BF16 tables. `folder` must not
/// exist; it appears whole. A folder of F32 weights beside it is made and removed on the way.
Result<void> write_shipped_checkpoint(const Parameters& parameters,
                                      const std::vector<float>& values,
                                      std::string_view tokenizer_json,
                                      const std::filesystem::path& folder);

}  // namespace sable::training
