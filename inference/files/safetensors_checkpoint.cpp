// The official layout: config.json beside safetensors shards; FP8 and FP4 scales in tensors of
// their own.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "inference/files/indexed_checkpoint.h"
#include "inference/files/safetensors.h"

namespace sable::inference {

namespace {

namespace fs = std::filesystem;

constexpr size_t kShardsMax = 4096;
constexpr size_t kConfigBytesMax = size_t{4} << 20;
constexpr size_t kIndexBytesMax = size_t{256} << 20;
constexpr size_t kTokenizerBytesMax = size_t{256} << 20;

tl::unexpected<Error> wrong(std::string_view tensor, std::string reason) {
  return fail(ErrorCode::corrupt,
              fmt::format("tensor \"{}\": {}", escape_controls(tensor), reason));
}

/// "layers.0.attn.wq_a.weight" -> "layers.0.attn.wq_a.scale"; empty for other names.
std::string scale_name_of(std::string_view weight) {
  constexpr std::string_view kSuffix = ".weight";
  if (!weight.ends_with(kSuffix)) return {};
  return std::string(weight.substr(0, weight.size() - kSuffix.size())) + ".scale";
}

class SafetensorsCheckpoint final : public IndexedCheckpoint {
 public:
  Result<void> open(const fs::path& folder) {
    path_ = folder;
    SABLE_TRY_VOID(read_config());
    SABLE_TRY_VOID(read_weights());
    if (auto folded = fold_scales(); !folded) return fail_in(folder.string(), folded.error());
    if (auto valid = index_and_validate(); !valid) return fail_in(folder.string(), valid.error());
    return {};
  }

  Result<std::string> tokenizer_json() const override {
    return read_file(path_ / "tokenizer.json", kTokenizerBytesMax);
  }
  Container container() const override { return Container::safetensors; }

 private:
  Result<void> read_config() {
    const fs::path file = path_ / "config.json";
    SABLE_TRY(const std::string text, read_file(file, kConfigBytesMax));
    auto json = parse_json(text);
    if (!json) return fail_in(file.string(), json.error());
    auto config = config_from_json(*json);
    if (!config) return fail_in(file.string(), config.error());
    config_ = std::move(*config);
    return {};
  }

  Result<void> read_weights() {
    std::error_code none;
    const fs::path index = path_ / "model.safetensors.index.json";
    if (fs::exists(index, none)) return read_shards(index);
    if (fs::exists(path_ / "model.safetensors", none))
      return read_file_named("model.safetensors", nullptr);
    return fail(
        ErrorCode::not_found,
        path_.string() + " holds neither model.safetensors.index.json nor model.safetensors");
  }

  Result<void> read_shards(const fs::path& index) {
    SABLE_TRY(const std::string text, read_file(index, kIndexBytesMax));
    auto entries = parse_safetensors_index(text);
    if (!entries) return fail_in(index.string(), entries.error());
    std::map<std::string, size_t>
        expected;  // tensors a shard must hold; ordered: errors are repeatable
    std::unordered_map<std::string, std::string> shard_of;
    for (ShardEntry& entry : *entries) {
      ++expected[entry.file];
      shard_of.emplace(std::move(entry.tensor), std::move(entry.file));
    }
    if (expected.size() > kShardsMax) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: {} shards are more than the limit of {}", index.string(),
                              expected.size(), kShardsMax));
    }
    for (const auto& [file, n_tensors] : expected) {
      const size_t before = stored_.size();
      SABLE_TRY_VOID(read_file_named(file, &shard_of));
      if (stored_.size() - before != n_tensors) {
        return fail(ErrorCode::corrupt,
                    fmt::format("{}: {} tensors, the index expects {}", (path_ / file).string(),
                                stored_.size() - before, n_tensors));
      }
    }
    return {};
  }

  Result<void> read_file_named(const std::string& name,
                               const std::unordered_map<std::string, std::string>* shard_of) {
    const fs::path file = path_ / name;
    SABLE_TRY(MappedFile mapped, MappedFile::open(file));
    auto tensors = parse_safetensors(mapped.bytes());
    if (!tensors) return fail_in(file.string(), tensors.error());
    for (StoredTensor& tensor : *tensors) {
      if (shard_of != nullptr) {
        const auto it = shard_of->find(tensor.name);
        if (it == shard_of->end() || it->second != name) {
          return fail_in(file.string(),
                         wrong(tensor.name, "the index does not list it in this file").value());
        }
      }
      stored_.push_back(std::move(tensor));
    }
    files_.push_back(std::move(mapped));
    return {};
  }

  /// Joins each quantized weight with its scales and moves everything to tensors_.
  Result<void> fold_scales() {
    std::unordered_map<std::string_view, const StoredTensor*> scales;
    for (const StoredTensor& tensor : stored_) {
      if (tensor.type == DType::f8_e8m0 && !scales.emplace(tensor.name, &tensor).second) {
        return wrong(tensor.name, "appears twice");
      }
    }
    size_t n_used = 0;
    for (const StoredTensor& tensor : stored_) {
      if (tensor.type == DType::f8_e8m0) continue;
      Tensor out{tensor.name, tensor.type, tensor.shape, tensor.bytes, {}};
      const auto scale = scales.find(scale_name_of(tensor.name));
      const bool has_scale = scale != scales.end();
      if (has_scale || tensor.type == DType::f8_e4m3) {
        if (!has_scale) return wrong(tensor.name, "FP8 without a .scale tensor");
        SABLE_TRY_VOID(fold(out, *scale->second));
        ++n_used;
      }
      tensors_.push_back(std::move(out));
    }
    if (n_used != scales.size())
      return fail(ErrorCode::corrupt, "a .scale tensor belongs to no weight");
    stored_ = {};
    return {};
  }

  static Result<void> fold(Tensor& weight, const StoredTensor& scale) {
    if (weight.shape.size() != 2)
      return wrong(weight.name, "a quantized weight must have two dimensions");
    std::vector<uint64_t> expected;
    if (weight.type == DType::f8_e4m3) {
      expected = {weight.shape[0] / 128 + (weight.shape[0] % 128 != 0 ? 1 : 0),
                  weight.shape[1] / 128 + (weight.shape[1] % 128 != 0 ? 1 : 0)};
    } else if (weight.type == DType::i8) {
      weight.type = DType::f4_e2m1;
      weight.shape[1] *= 2;  // cannot overflow: the stored bytes exist
      expected = {weight.shape[0], weight.shape[1] / 32};
      if (weight.shape[1] % 32 != 0)
        return wrong(weight.name, "FP4 rows must be a multiple of 32 elements");
    } else {
      return wrong(weight.name, fmt::format("{} with a .scale tensor", name_of(weight.type)));
    }
    if (scale.shape != expected) {
      return wrong(scale.name,
                   fmt::format("shape [{}], its weight asks for [{}]", fmt::join(scale.shape, ", "),
                               fmt::join(expected, ", ")));
    }
    weight.scales = scale.bytes;
    return {};
  }

  std::vector<StoredTensor> stored_;  // while opening
};

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_safetensors_checkpoint(const fs::path& path) {
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>();
  SABLE_TRY_VOID(checkpoint->open(path.filename() == "config.json" ? path.parent_path() : path));
  return std::unique_ptr<Checkpoint>(std::move(checkpoint));
}

}  // namespace sable::inference
