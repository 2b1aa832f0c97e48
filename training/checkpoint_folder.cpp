#include "training/checkpoint_folder.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "inference/files/output_file.h"
#include "inference/files/safetensors.h"
#include "training/shipped_rounding.h"

namespace sable::training {

namespace fs = std::filesystem;

namespace {

Result<void> make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, fmt::format("{}: {}", folder.string(), error.message()));
  return {};
}

}  // namespace

Result<void> write_f32_checkpoint(const Parameters& parameters, const std::vector<float>& values,
                                  std::string_view tokenizer_json, const fs::path& folder) {
  using inference::DType;
  SABLE_TRY_VOID(make_folder(folder));
  ModelConfig config = parameters.config();
  config.expert_dtype.clear();
  SABLE_TRY_VOID(write_file_atomically(folder / "config.json",
                                       inference::config_to_json(config).dump(2) + "\n"));
  SABLE_TRY_VOID(write_file_atomically(folder / "tokenizer.json", tokenizer_json));
  std::vector<inference::StoredTensor> tensors;
  for (const Parameter& p : parameters.list()) tensors.push_back({p.name, DType::f32, p.shape, {}});
  for (size_t i = 0; i < parameters.layers.size(); ++i) {
    const auto& table = parameters.layers[i].experts_of_token;
    if (table.empty()) continue;
    const auto k = static_cast<uint64_t>(config.num_experts_per_tok);
    tensors.push_back(
        {fmt::format("layers.{}.ffn.gate.tid2eid", i), DType::i64, {table.size() / k, k}, {}});
  }
  SABLE_TRY(auto file, inference::OutputFile::create(folder / "model.safetensors"));
  SABLE_TRY_VOID(file.write(std::string_view(inference::safetensors_header(tensors))));
  for (const Parameter& p : parameters.list()) {
    SABLE_TRY_VOID(file.write(std::as_bytes(std::span(values.data() + p.offset, p.size()))));
  }
  for (const LayerAt& layer : parameters.layers) {
    const std::vector<int64_t> wide(layer.experts_of_token.begin(), layer.experts_of_token.end());
    SABLE_TRY_VOID(file.write(std::as_bytes(std::span(wide))));
  }
  return file.finish();
}

Result<void> write_shipped_checkpoint(const Parameters& parameters,
                                      const std::vector<float>& values,
                                      std::string_view tokenizer_json, const fs::path& folder) {
  std::vector<float> rounded(values.size());
  round_to_shipped(parameters, 0, parameters.list().size(), values.data(), rounded.data());
  fs::path plain = folder;
  plain += ".f32";
  std::error_code ignored;
  fs::remove_all(plain, ignored);
  SABLE_TRY_VOID(write_f32_checkpoint(parameters, rounded, tokenizer_json, plain));
  SABLE_TRY(const auto checkpoint, Checkpoint::open(plain));
  auto written = inference::convert(*checkpoint, folder,
                                    {.to = inference::Container::safetensors,
                                     .dense = inference::DType::f8_e4m3,
                                     .experts = inference::DType::f4_e2m1});
  fs::remove_all(plain, ignored);
  if (!written) return fail(std::move(written.error()));
  return {};
}

}  // namespace sable::training
