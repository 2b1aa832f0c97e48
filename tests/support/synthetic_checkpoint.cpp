#include "tests/support/synthetic_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "inference/files/gguf.h"
#include "inference/files/gguf_config.h"
#include "inference/files/gguf_names.h"
#include "inference/files/number_formats.h"
#include "inference/files/output_file.h"
#include "inference/files/safetensors.h"
#include "inference/files/tensor_inventory.h"

namespace sable::test {

namespace {

namespace fs = std::filesystem;
using namespace inference;

/// SplitMix64 (Steele, Lea, Flood 2014): the i-th number of a stream from its seed alone.
class Random {
 public:
  Random(uint64_t seed, std::string_view name)
      : state_(seed * 0x9E3779B97F4A7C15 + 0xcbf29ce484222325) {
    for (const char c : name) state_ = (state_ ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24F; }  ///< [0, 1)
  void fill(std::byte* at, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
      const uint64_t x = next();
      std::memcpy(at + i, &x, std::min<size_t>(8, n - i));
    }
  }

 private:
  uint64_t state_;
};

/// Where a block format keeps its FP16 scales, and the RMS of its elements when those scales are 1
/// and all other bits random (measured once; it only has to keep activations tame).
struct BlockFacts {
  int first = -1, second = -1;
  float rms = 1;
};
BlockFacts facts_of(DType type) {
  switch (type) {
    case DType::q8_0:
      return {0, -1, 74};
    case DType::q2_k:
      return {80, 82, 17};
    case DType::q4_k:
      return {0, 2, 330};
    case DType::q5_k:
      return {0, 2, 640};
    case DType::q6_k:
      return {208, -1, 1360};
    case DType::iq2_xxs:
      return {0, -1, 40};
    default:
      return {};
  }
}

int exponent_for(double size) { return static_cast<int>(std::lround(std::log2(size))); }

/// Random elements of one matrix: `bytes` filled, E8M0 `scales` filled where the format has them
/// apart.
void fill_matrix(Random& random, DType type, uint64_t cols, std::span<std::byte> bytes,
                 std::span<std::byte> scales) {
  const double size = 1.0 / std::sqrt(static_cast<double>(cols));
  const BlockFacts facts = facts_of(type);
  const BlockShape block = block_of(type);
  const auto exponent = [&random](double scale) {
    return static_cast<std::byte>(exponent_for(scale) + 127 - static_cast<int>(random.next() % 2));
  };
  if (type == DType::f32 || type == DType::bf16 || type == DType::f16) {
    for (size_t at = 0; at < bytes.size(); at += block.bytes) {
      const float x = (2 * random.uniform() - 1) * 1.7F * static_cast<float>(size);
      if (type == DType::f32) store_le(bytes.data() + at, x);
      if (type == DType::f16) store_le(bytes.data() + at, f16_from_float(x));
      if (type == DType::bf16) store_le(bytes.data() + at, bf16_from_float(x));
    }
    return;
  }
  random.fill(bytes.data(), bytes.size());
  if (type == DType::f8_e4m3) {
    for (std::byte& code : bytes) code &= std::byte{0xF7};  // an even exponent: never NaN
    for (std::byte& scale : scales) scale = exponent(size / 40);
  } else if (type == DType::f4_e2m1) {
    for (std::byte& scale : scales) scale = exponent(size / 2.2);
  } else if (type == DType::mxfp4) {
    for (size_t at = 0; at < bytes.size(); at += 17) bytes[at] = exponent(size / 2.2);
  } else {
    const uint16_t scale = f16_from_float(static_cast<float>(size) / facts.rms);
    for (size_t at = 0; at < bytes.size(); at += block.bytes) {
      if (facts.first >= 0) store_le(bytes.data() + at + facts.first, scale);
      if (facts.second >= 0) store_le(bytes.data() + at + facts.second, scale);
    }
  }
}

/// F32 and norm tensors: the ranges of the miniature models.
void fill_exact(Random& random, const TensorSpec& spec, std::span<std::byte> bytes) {
  const bool around_one = spec.role == TensorRole::norm || spec.name.ends_with("scale");
  const float half = spec.name.ends_with("_fn")         ? 0.02F
                     : spec.name.ends_with("attn_sink") ? 2.0F
                     : spec.name.ends_with("gate.bias") ? 0.1F
                                                        : 1.0F;
  for (size_t at = 0; at < bytes.size(); at += 4) {
    const float u = random.uniform();
    store_le(bytes.data() + at, around_one ? 0.5F + u : (2 * u - 1) * half);
  }
}

/// Distinct experts for every token, spread over all of them.
template <class Integer>
void fill_table(const TensorSpec& spec, int64_t n_experts, std::span<std::byte> bytes) {
  const uint64_t k = spec.shape[1], e = static_cast<uint64_t>(n_experts);
  for (uint64_t i = 0; i < spec.n_elements(); ++i) {
    const uint64_t token = i / k, slot = i % k;
    store_le(bytes.data() + i * sizeof(Integer),
             static_cast<Integer>((5 * token + e / k * slot + token / e) % e));
  }
}

Json tokenizer_json(int64_t vocab_size) {
  Json vocab = Json::object(), added = Json::array();
  const auto add = [&added](int64_t id, const std::string& text) {
    added.push_back(Json{{"id", id},
                         {"content", text},
                         {"special", true},
                         {"normalized", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"single_word", false}});
  };
  const char* control[] = {
      "<\xEF\xBD\x9C"
      "begin\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
      "<\xEF\xBD\x9C"
      "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
      "<\xEF\xBD\x9C\xE2\x96\x81pad\xE2\x96\x81\xEF\xBD\x9C>"};
  int64_t id = 0;
  for (const char* text : control) add(id++, text);
  uint32_t next_extra = 256;
  for (uint32_t byte = 0; byte < 256 && id < vocab_size; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const uint32_t code = printable ? byte : next_extra++;
    std::string text;
    if (code < 128) {
      text += static_cast<char>(code);
    } else {
      text += static_cast<char>(0xC0 | (code >> 6));
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
    vocab[text] = id++;
  }
  for (; id < vocab_size; ++id) add(id, fmt::format("<placeholder {}>", id));
  return Json{
      {"version", "1.0"},
      {"added_tokens", std::move(added)},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       Json{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
      {"decoder", Json{{"type", "ByteLevel"}}},
      {"model", Json{{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", Json::array()}}}};
}

/// One matrix to write, with the role that decides its values.
struct Item {
  TensorSpec spec;
  DType type;
};

DType type_for(const TensorSpec& spec, const SyntheticOptions& options) {
  const bool gguf = options.container == Container::gguf;
  switch (spec.role) {
    case TensorRole::table:
      return gguf ? DType::i32 : DType::i64;
    case TensorRole::exact:
    case TensorRole::norm:
      return DType::f32;
    case TensorRole::projection:
      return options.dense;
    case TensorRole::head:
      return gguf ? options.dense : DType::bf16;
    case TensorRole::expert:
      return options.experts;
    case TensorRole::embedding:
    case TensorRole::plain:
      break;
  }
  return gguf ? options.plain : DType::bf16;
}

uint64_t scale_bytes(const Item& item) {
  if (item.type == DType::f8_e4m3)
    return (item.spec.shape[0] + 127) / 128 * ((item.spec.shape[1] + 127) / 128);
  if (item.type == DType::f4_e2m1) return item.spec.n_elements() / 32;
  return 0;
}

/// The elements in bytes; scales, where they are apart, in `scales`.
std::vector<std::byte> make(const Item& item, const SyntheticOptions& options,
                            std::vector<std::byte>& scales) {
  Random random(options.seed, item.spec.name);
  std::vector<std::byte> bytes(gguf_tensor_bytes(item.type, item.spec.shape));
  scales.resize(scale_bytes(item));
  if (item.type == DType::i32) {
    fill_table<int32_t>(item.spec, options.config.n_routed_experts, bytes);
  } else if (item.type == DType::i64) {
    fill_table<int64_t>(item.spec, options.config.n_routed_experts, bytes);
  } else if (item.spec.role == TensorRole::exact || item.spec.role == TensorRole::norm) {
    fill_exact(random, item.spec, bytes);
  } else {
    fill_matrix(random, item.type, item.spec.shape.back(), bytes, scales);
  }
  return bytes;
}

std::vector<Item> items_of(const ModelConfig& config, const SyntheticOptions& options) {
  std::vector<Item> items;
  (void)for_each_tensor(config, [&](const TensorSpec& spec) -> Result<void> {
    items.push_back({spec, type_for(spec, options)});
    return {};
  });
  return items;
}

Result<void> write_gguf(const fs::path& output, const SyntheticOptions& options) {
  ModelConfig config = options.config;
  config.num_nextn_predict_layers = 0;
  config.compress_ratios.resize(static_cast<size_t>(config.num_hidden_layers));
  std::vector<Item> items = items_of(config, options);
  // Stacks hold all experts of one matrix: w1 of all, then w2, then w3; the rest keeps its order.
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return std::pair(a.spec.layer, gguf_name_of(a.spec.name)) <
           std::pair(b.spec.layer, gguf_name_of(b.spec.name));
  });
  std::vector<GgufTensor> entries;
  std::vector<size_t> last_of_entry;
  for (size_t i = 0; i < items.size(); ++i) {
    const Item& item = items[i];
    const std::string name = gguf_name_of(item.spec.name).value_or(item.spec.name);
    if (!entries.empty() && entries.back().name == name) {
      ++entries.back().shape.front();
      last_of_entry.back() = i;
      continue;
    }
    std::vector<uint64_t> shape = item.spec.shape;
    if (item.spec.role == TensorRole::expert) shape.insert(shape.begin(), 1);
    entries.push_back({name, item.type, shape, {}});
    last_of_entry.push_back(i);
  }
  auto metadata = gguf_metadata_of(config);
  const Json tokenizer = tokenizer_json(config.vocab_size);
  SABLE_TRY(TokenizerArrays arrays,
            tokenizer_arrays_from_json(tokenizer, config.vocab_size, "joyai-llm"));
  arrays.bos_token_id = config.bos_token_id;
  arrays.eos_token_id = config.eos_token_id;
  for (auto& entry : gguf_metadata_of(arrays)) metadata.push_back(std::move(entry));
  metadata.emplace_back("tokenizer.huggingface.json", gguf_string(dump_json(tokenizer)));
  SABLE_TRY(OutputFile file, OutputFile::create(output));
  SABLE_TRY_VOID(file.write(gguf_header(metadata, entries)));
  std::vector<std::byte> no_scales;
  for (size_t i = 0, entry = 0; i < items.size(); ++i) {
    SABLE_TRY_VOID(file.write(make(items[i], options, no_scales)));
    if (i != last_of_entry[entry]) continue;
    ++entry;
    SABLE_TRY_VOID(file.pad_to(kGgufAlignment));
  }
  return file.finish();
}

Result<void> write_folder(const fs::path& output, const SyntheticOptions& options) {
  std::error_code error;
  if (fs::exists(output, error))
    return fail(ErrorCode::invalid_input, output.string() + " exists already");
  fs::create_directories(output, error);
  ModelConfig config = options.config;
  config.expert_dtype = options.experts == DType::f4_e2m1 ? "fp4" : "";
  const std::vector<Item> items = items_of(config, options);
  std::vector<StoredTensor> entries;
  for (const Item& item : items) {
    entries.push_back({item.spec.name, item.type, item.spec.shape, {}});
    if (scale_bytes(item) == 0) continue;
    const uint64_t rows =
        item.type == DType::f8_e4m3 ? (item.spec.shape[0] + 127) / 128 : item.spec.shape[0];
    entries.push_back({item.spec.name.substr(0, item.spec.name.size() - 6) + "scale",
                       DType::f8_e8m0,
                       {rows, scale_bytes(item) / rows},
                       {}});
  }
  SABLE_TRY(OutputFile file, OutputFile::create(output / "model.safetensors"));
  SABLE_TRY_VOID(file.write(safetensors_header(entries)));
  std::vector<std::byte> scales;
  for (const Item& item : items) {
    SABLE_TRY_VOID(file.write(make(item, options, scales)));
    SABLE_TRY_VOID(file.write(scales));
  }
  SABLE_TRY_VOID(file.finish());
  SABLE_TRY_VOID(write_file_atomically(output / "tokenizer.json",
                                       dump_json(tokenizer_json(config.vocab_size))));
  return write_file_atomically(output / "config.json", dump_json(config_to_json(config)));
}

}  // namespace

ModelConfig billion_parameter_config() {
  ModelConfig c;
  c.vocab_size = 32768;
  c.hidden_size = 1024;
  c.num_hidden_layers = 18;
  c.num_attention_heads = 8;
  c.head_dim = 512;
  c.q_lora_rank = 512;
  c.o_lora_rank = 512;
  c.o_groups = 2;
  c.index_n_heads = 8;
  c.index_head_dim = 128;
  c.index_topk = 512;
  c.n_routed_experts = 40;
  c.num_experts_per_tok = 4;
  c.moe_intermediate_size = 512;
  c.num_hash_layers = 2;
  c.routed_scaling_factor = 1.5;
  c.compress_ratios = {0, 0};
  for (int i = 0; i < 8; ++i) c.compress_ratios.insert(c.compress_ratios.end(), {4, 128});
  return c;
}

SyntheticOptions long_context_model(int64_t hidden, int64_t n_index_heads) {
  SyntheticOptions options;
  inference::ModelConfig& c = options.config;
  c.vocab_size = 2048;
  c.hidden_size = hidden;
  c.num_hidden_layers = 2;
  c.compress_ratios = {4, 128};
  c.num_nextn_predict_layers = 0;
  c.num_attention_heads = 2;
  c.head_dim = 512;
  c.q_lora_rank = hidden / 2;
  c.o_groups = 2;
  c.o_lora_rank = hidden / 4;
  c.sliding_window = 128;
  c.index_n_heads = n_index_heads;
  c.index_head_dim = 128;
  c.index_topk = 512;
  c.n_routed_experts = 8;
  c.num_experts_per_tok = 2;
  c.moe_intermediate_size = hidden / 2;
  c.num_hash_layers = 0;
  c.max_position_embeddings = int64_t{1} << 20;
  return options;
}

Result<void> write_synthetic_checkpoint(const fs::path& output, const SyntheticOptions& options) {
  SABLE_TRY_VOID(check(options.config));
  const bool gguf = options.container == Container::gguf;
  for (const DType type : {options.dense, options.experts, options.plain}) {
    const bool fits = gguf
                          ? ggml_type_number(type).has_value() && type != DType::i8 &&
                                type != DType::i32 && type != DType::i64
                          : type == DType::bf16 || type == DType::f8_e4m3 || type == DType::f4_e2m1;
    if (!fits)
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} does not fit the container", name_of(type)));
  }
  for (const Item& item : items_of(options.config, options)) {
    if (item.spec.shape.back() % block_of(item.type).elements != 0) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("tensor \"{}\": rows of {} do not fill {} blocks", item.spec.name,
                              item.spec.shape.back(), name_of(item.type)));
    }
  }
  return gguf ? write_gguf(output, options) : write_folder(output, options);
}

}  // namespace sable::test
