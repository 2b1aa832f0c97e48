#include "inference/files/convert.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "inference/files/convert_plan.h"
#include "inference/files/encode_tensor.h"
#include "inference/files/gguf.h"
#include "inference/files/gguf_config.h"
#include "inference/files/output_file.h"
#include "inference/files/safetensors.h"

namespace sable::inference {

namespace {

namespace fs = std::filesystem;
using Metadata = std::vector<std::pair<std::string, GgufValue>>;

constexpr size_t kTokenizerBytesMax = size_t{256} << 20;

uint64_t bytes_of(const std::vector<PlannedTensor>& tensors) {
  uint64_t total = 0;
  for (const PlannedTensor& tensor : tensors)
    total += tensor.element_bytes() + tensor.scale_bytes();
  return total;
}

/// What both containers share: the plan, progress and cancellation.
class Conversion {
 public:
  Conversion(const Checkpoint& model, const ConvertOptions& options, ConvertPlan plan)
      : model_(model), options_(options), plan_(std::move(plan)) {
    progress_.total_bytes = bytes_of(plan_.trunk) + bytes_of(plan_.mtp);
    report_.notes = plan_.notes;
  }

  Result<ConvertReport> run(const fs::path& output) {
    SABLE_TRY_VOID(check_disk_space(output, progress_.total_bytes));
    if (options_.to == Container::gguf) {
      SABLE_TRY_VOID(write_gguf(output));
    } else {
      SABLE_TRY_VOID(write_folder(output));
    }
    return std::move(report_);
  }

 private:
  /// Sends all matrices of one planned tensor to the file; returns the scales in `scales`.
  Result<void> write_tensor(const PlannedTensor& tensor, OutputFile& file,
                            std::vector<std::byte>& scales) {
    progress_.tensor = tensor.name;
    const ByteSink sink = [&](std::span<const std::byte> bytes) -> Result<void> {
      if (options_.stop.stop_requested()) return fail(ErrorCode::cancelled, "conversion stopped");
      SABLE_TRY_VOID(file.write(bytes));
      progress_.done_bytes += bytes.size();
      if (options_.progress) options_.progress(progress_);
      return {};
    };
    for (const Tensor* source : tensor.sources) {
      SABLE_TRY_VOID(encode_tensor(*source, tensor.type, sink, scales));
      model_.release(*source);
    }
    return {};
  }

  // ---- GGUF

  Result<void> write_gguf(const fs::path& output) {
    SABLE_TRY(Metadata metadata, trunk_metadata());
    const fs::path mtp = fs::path(output).replace_extension(".mtp.gguf");
    std::error_code none;
    if (!plan_.mtp.empty() && fs::exists(mtp, none)) {
      return fail(ErrorCode::invalid_input, mtp.string() + " exists already");
    }
    // Both are whole before either appears under its name; the MTP block first, so that a trunk is
    // never seen without it.
    std::optional<OutputFile> mtp_file;
    if (!plan_.mtp.empty()) {
      const Metadata mtp_metadata{{"general.architecture", gguf_string("deepseek4_mtp_support")}};
      SABLE_TRY(mtp_file, write_gguf_file(mtp, mtp_metadata, plan_.mtp));
    }
    SABLE_TRY(OutputFile trunk_file, write_gguf_file(output, metadata, plan_.trunk));
    if (mtp_file) {
      SABLE_TRY_VOID(mtp_file->finish());
      note_file(mtp, mtp_file->size());
    }
    SABLE_TRY_VOID(trunk_file.finish());
    note_file(output, trunk_file.size());
    return {};
  }

  void note_file(const fs::path& path, uint64_t bytes) {
    report_.files.push_back(path);
    report_.bytes += bytes;
  }

  /// Written but not finished.
  Result<OutputFile> write_gguf_file(const fs::path& path, const Metadata& metadata,
                                     const std::vector<PlannedTensor>& tensors) {
    std::vector<GgufTensor> entries;
    entries.reserve(tensors.size());
    for (const PlannedTensor& tensor : tensors) {
      entries.push_back({tensor.name, tensor.type, tensor.shape, {}});
    }
    SABLE_TRY(OutputFile file, OutputFile::create(path));
    SABLE_TRY_VOID(file.write(gguf_header(metadata, entries)));
    std::vector<std::byte> no_scales;
    for (const PlannedTensor& tensor : tensors) {
      SABLE_TRY_VOID(write_tensor(tensor, file, no_scales));
      SABLE_TRY_VOID(file.pad_to(kGgufAlignment));
    }
    SABLE_CHECK(no_scales.empty());
    return file;
  }

  Result<Metadata> trunk_metadata() {
    Metadata metadata = gguf_metadata_of(model_.config());
    if (const TokenizerArrays* arrays = model_.tokenizer_arrays()) {
      append(metadata, gguf_metadata_of(*arrays));
      if (auto text = model_.tokenizer_json()) {
        metadata.emplace_back("tokenizer.huggingface.json", gguf_string(std::move(*text)));
      }
      return metadata;
    }
    auto text = model_.tokenizer_json();
    if (!text) {
      report_.notes.push_back("the source has no tokenizer: the GGUF has none either");
      return metadata;
    }
    SABLE_TRY(const Json json, parse_json(*text, {.bytes_max = kTokenizerBytesMax}));
    SABLE_TRY(TokenizerArrays arrays,
              tokenizer_arrays_from_json(json, model_.config().vocab_size, options_.pre_tokenizer));
    arrays.bos_token_id = model_.config().bos_token_id;
    arrays.eos_token_id = model_.config().eos_token_id;
    append(metadata, gguf_metadata_of(arrays));
    metadata.emplace_back("tokenizer.huggingface.json", gguf_string(std::move(*text)));
    return metadata;
  }

  static void append(Metadata& to, Metadata&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }

  // ---- safetensors

  Result<void> write_folder(const fs::path& output) {
    std::error_code error;
    if (fs::exists(output, error))
      return fail(ErrorCode::invalid_input, output.string() + " exists already");
    fs::path partial = output;
    partial += ".partial";
    fs::remove_all(partial, error);
    fs::create_directories(partial, error);
    if (error) return fail(ErrorCode::io, partial.string() + ": " + error.message());
    Result<void> written = write_into(partial);
    if (!written) {
      fs::remove_all(partial, error);
      return fail(std::move(written.error()));
    }
    fs::rename(partial, output, error);
    if (error) return fail(ErrorCode::io, output.string() + ": " + error.message());
    for (fs::path& file : report_.files) file = output / file.filename();
    return {};
  }

  Result<void> write_into(const fs::path& folder) {
    const std::vector<std::span<const PlannedTensor>> shards = cut_shards();
    std::string index = "{\"metadata\":{\"total_size\":" + std::to_string(progress_.total_bytes) +
                        "},\"weight_map\":{";
    bool first = true;
    for (size_t i = 0; i < shards.size(); ++i) {
      const std::string name = shards.size() == 1 ? "model.safetensors"
                                                  : fmt::format("model-{:05}-of-{:05}.safetensors",
                                                                i + 1, shards.size());
      SABLE_TRY(const std::vector<std::string> stored, write_shard(folder / name, shards[i]));
      for (const std::string& tensor : stored) {
        index += fmt::format("{}\n\"{}\":\"{}\"", first ? "" : ",", tensor, name);
        first = false;
      }
    }
    if (shards.size() > 1) {
      SABLE_TRY_VOID(write_text(folder / "model.safetensors.index.json", index + "\n}}\n"));
    }
    SABLE_TRY_VOID(write_text(folder / "config.json", output_config().dump(2) + "\n"));
    return copy_tokenizer(folder);
  }

  std::vector<std::span<const PlannedTensor>> cut_shards() const {
    std::vector<std::span<const PlannedTensor>> shards;
    const std::span<const PlannedTensor> all = plan_.trunk;
    uint64_t bytes = 0;
    size_t begin = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      const uint64_t next = all[i].element_bytes() + all[i].scale_bytes();
      if (i > begin && bytes + next > options_.shard_bytes_max) {
        shards.push_back(all.subspan(begin, i - begin));
        begin = i;
        bytes = 0;
      }
      bytes += next;
    }
    shards.push_back(all.subspan(begin));
    return shards;
  }

  Result<std::vector<std::string>> write_shard(const fs::path& path,
                                               std::span<const PlannedTensor> tensors) {
    std::vector<StoredTensor> entries;
    for (const PlannedTensor& tensor : tensors) {
      entries.push_back({tensor.name, tensor.type, tensor.shape, {}});
      if (tensor.scale_bytes() != 0) {
        const std::string stem =
            tensor.name.substr(0, tensor.name.size() - std::string_view("weight").size());
        entries.push_back({stem + "scale", DType::f8_e8m0, tensor.scale_shape(), {}});
      }
    }
    SABLE_TRY(OutputFile file, OutputFile::create(path));
    SABLE_TRY_VOID(file.write(safetensors_header(entries)));
    std::vector<std::byte> scales;
    for (const PlannedTensor& tensor : tensors) {
      scales.clear();
      SABLE_TRY_VOID(write_tensor(tensor, file, scales));
      SABLE_CHECK(scales.size() == tensor.scale_bytes());
      SABLE_TRY_VOID(file.write(scales));
      progress_.done_bytes += scales.size();
    }
    SABLE_TRY_VOID(file.finish());
    note_file(path, file.size());
    std::vector<std::string> names;
    for (StoredTensor& entry : entries) names.push_back(std::move(entry.name));
    return names;
  }

  Json output_config() const {
    ModelConfig config = model_.config();
    config.expert_dtype = options_.experts == DType::f4_e2m1   ? "fp4"
                          : options_.experts == DType::f8_e4m3 ? "fp8"
                                                               : "";
    return config_to_json(config);
  }

  Result<void> write_text(const fs::path& path, const std::string& text) {
    SABLE_TRY_VOID(write_file_atomically(path, text));
    note_file(path, text.size());
    return {};
  }

  Result<void> copy_tokenizer(const fs::path& folder) {
    if (auto text = model_.tokenizer_json()) {
      SABLE_TRY_VOID(write_text(folder / "tokenizer.json", *text));
    } else {
      report_.notes.push_back(
          "the source has no tokenizer.json: copy the original one beside the weights");
    }
    if (model_.container() != Container::safetensors) return {};
    for (const char* name : {"tokenizer_config.json", "generation_config.json"}) {
      if (auto text = read_file(model_.path() / name)) {
        SABLE_TRY_VOID(write_text(folder / name, *text));
      }
    }
    return {};
  }

  const Checkpoint& model_;
  const ConvertOptions& options_;
  ConvertPlan plan_;
  ConvertReport report_;
  Progress progress_;
};

}  // namespace

Result<ConvertReport> convert(const Checkpoint& model, const fs::path& output,
                              const ConvertOptions& options) {
  SABLE_TRY(ConvertPlan plan, plan_conversion(model, options));
  return Conversion(model, options, std::move(plan)).run(output);
}

}  // namespace sable::inference
