// A GGUF file, or several when it is split, with an MTP block in a file of its own beside it.
#include <fmt/format.h>

#include "base/text.h"
#include "inference/files/gguf.h"
#include "inference/files/gguf_config.h"
#include "inference/files/gguf_names.h"
#include "inference/files/indexed_checkpoint.h"

namespace sable::inference {

namespace {

namespace fs = std::filesystem;

/// "model-00001-of-00003.gguf" -> the path of part `part` (from 1); nothing when the name has no
/// such ending or another total.
std::optional<fs::path> split_part(const fs::path& first, int64_t part, int64_t total) {
  const std::string name = first.filename().string();
  const std::string ending = fmt::format("-00001-of-{:05}.gguf", total);
  if (!name.ends_with(ending)) return std::nullopt;
  const std::string stem = name.substr(0, name.size() - ending.size());
  return first.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", stem, part, total);
}

class GgufCheckpoint final : public IndexedCheckpoint {
 public:
  Result<void> open(const fs::path& path) {
    path_ = path;
    SABLE_TRY(const Gguf first, read(path));
    auto config = config_from_gguf(first);
    if (!config) return fail_in(path.string(), config.error());
    config_ = std::move(*config);
    auto tokenizer = tokenizer_arrays_from_gguf(first);
    if (!tokenizer) return fail_in(path.string(), tokenizer.error());
    tokenizer_ = std::move(*tokenizer);
    tokenizer_json_ = first.text("tokenizer.huggingface.json");
    if (auto added = add_tensors(first); !added) return fail_in(path.string(), added.error());
    SABLE_TRY_VOID(read_split(first));
    SABLE_TRY_VOID(read_mtp());
    if (auto valid = index_and_validate(); !valid) return fail_in(path.string(), valid.error());
    return {};
  }

  Result<std::string> tokenizer_json() const override {
    if (tokenizer_json_) return *tokenizer_json_;
    return fail(ErrorCode::not_found, path_.string() + " has no tokenizer.huggingface.json");
  }
  const TokenizerArrays* tokenizer_arrays() const override {
    return tokenizer_ ? &*tokenizer_ : nullptr;
  }
  Container container() const override { return Container::gguf; }

 private:
  Result<Gguf> read(const fs::path& path) {
    SABLE_TRY(MappedFile mapped, MappedFile::open(path));
    auto gguf = parse_gguf(mapped.bytes());
    if (!gguf) return fail_in(path.string(), gguf.error());
    files_.push_back(std::move(mapped));
    return gguf;
  }

  Result<void> read_split(const Gguf& first) {
    const int64_t total = first.integer("split.count").value_or(1);
    if (total <= 1) return {};
    if (total > 4096)
      return fail(ErrorCode::corrupt, fmt::format("{}: {} splits", path_.string(), total));
    if (first.integer("split.no").value_or(0) != 0) {
      return fail(ErrorCode::invalid_input, path_.string() + " is not the first part of its split");
    }
    for (int64_t part = 2; part <= total; ++part) {
      const auto file = split_part(path_, part, total);
      if (!file) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("{} is split into {} files but not named NAME-00001-of-{:05}.gguf",
                                path_.string(), total, total));
      }
      SABLE_TRY(const Gguf gguf, read(*file));
      if (gguf.integer("split.no") != part - 1 || gguf.integer("split.count") != total) {
        return fail(ErrorCode::corrupt, fmt::format("{} does not say that it is part {} of {}",
                                                    file->string(), part, total));
      }
      if (auto added = add_tensors(gguf); !added) return fail_in(file->string(), added.error());
    }
    return {};
  }

  /// The trunk's loader elsewhere refuses files with an MTP block inside, so it lies beside:
  /// NAME.mtp.gguf.
  Result<void> read_mtp() {
    const fs::path file = fs::path(path_).replace_extension(".mtp.gguf");
    std::error_code none;
    if (fs::exists(file, none)) {
      SABLE_TRY(const Gguf gguf, read(file));
      if (auto added = add_tensors(gguf); !added) return fail_in(file.string(), added.error());
    }
    int64_t n = 0;
    for (const Tensor& tensor : tensors_) {
      if (tensor.name.starts_with("mtp.") && tensor.name.ends_with(".e_proj.weight")) ++n;
    }
    add_mtp_layers(config_, std::min<int64_t>(n, 16));
    return {};
  }

  Result<void> add_tensors(const Gguf& gguf) {
    for (const GgufTensor& stored : gguf.tensors) {
      const auto place = place_of_gguf(stored.name);
      if (!place) {
        if (nextn(stored.name)) continue;
        return fail(ErrorCode::corrupt,
                    fmt::format("tensor \"{}\": not part of a DeepSeek-V4 model",
                                escape_controls(stored.name)));
      }
      if (nextn(stored.name)) continue;
      if (place->stacked) {
        SABLE_TRY_VOID(add_experts(stored, *place));
      } else {
        tensors_.push_back({place->official, stored.type, stored.shape, stored.bytes, {}});
      }
    }
    return {};
  }

  /// Blocks behind the trunk: llama.cpp's "nextn" form of MTP lacks the block's own stream head, so
  /// it cannot be computed as trained and is left out.
  bool nextn(std::string_view name) const {
    if (!name.starts_with("blk.")) return false;
    int64_t block = 0;
    for (const char c : name.substr(4, 6)) {
      if (c < '0' || c > '9') break;
      block = block * 10 + (c - '0');
    }
    return block >= config_.num_hidden_layers;
  }

  Result<void> add_experts(const GgufTensor& stored, const GgufPlace& place) {
    const auto n_experts = static_cast<uint64_t>(config_.n_routed_experts);
    if (stored.shape.size() != 3 || stored.shape[0] != n_experts) {
      return fail(
          ErrorCode::corrupt,
          fmt::format("tensor \"{}\": expected {} stacked matrices, found shape [{}]",
                      escape_controls(stored.name), n_experts, fmt::join(stored.shape, ", ")));
    }
    const uint64_t each =
        stored.bytes.size() / n_experts;  // rows are whole blocks, so this is exact
    for (uint64_t x = 0; x < n_experts; ++x) {
      tensors_.push_back({fmt::format("{}{}.{}.weight", place.official, x, place.matrix),
                          stored.type,
                          {stored.shape[1], stored.shape[2]},
                          stored.bytes.subspan(x * each, each),
                          {}});
    }
    return {};
  }

  std::optional<TokenizerArrays> tokenizer_;
  std::optional<std::string> tokenizer_json_;
};

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_gguf_checkpoint(const fs::path& path) {
  auto checkpoint = std::make_unique<GgufCheckpoint>();
  SABLE_TRY_VOID(checkpoint->open(path));
  return std::unique_ptr<Checkpoint>(std::move(checkpoint));
}

}  // namespace sable::inference
