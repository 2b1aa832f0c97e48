#include "inference/files/gguf_config.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::inference {

namespace {

constexpr int64_t kSqrtSoftplus = 4;  // llama.cpp's expert gating function "sqrt(softplus)"

/// The shortest decimal that reads back as this FP32 value.
double shortest(double value) {
  std::array<char, 64> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value)).ptr;
  double out = value;
  std::from_chars(text.data(), end, out);
  return out;
}

tl::unexpected<Error> wrong_key(std::string_view key, std::string reason) {
  return fail(ErrorCode::invalid_input, fmt::format("metadata key \"{}\": {}", key, reason));
}

/// Reads keys below "deepseek4."; the first problem sticks.
class Keys {
 public:
  explicit Keys(const Gguf& gguf) : gguf_(gguf) {}

  void integer(const char* key, int64_t& out, bool required = true) {
    const std::string name = std::string("deepseek4.") + key;
    if (gguf_.find(name) == nullptr) {
      if (required) keep(wrong_key(name, "missing"));
      return;
    }
    const auto value = gguf_.integer(name);
    if (!value) return keep(wrong_key(name, "expected an integer"));
    out = *value;
  }

  void number(const char* key, double& out, bool required = true) {
    const std::string name = std::string("deepseek4.") + key;
    if (gguf_.find(name) == nullptr) {
      if (required) keep(wrong_key(name, "missing"));
      return;
    }
    const auto value = gguf_.number(name);
    if (!value) return keep(wrong_key(name, "expected a number"));
    out = shortest(*value);
  }

  void keep(tl::unexpected<Error> error) {
    if (error_.message.empty()) error_ = std::move(error.value());
  }
  Result<void> result() const {
    if (!error_.message.empty()) return fail(error_);
    return {};
  }

 private:
  const Gguf& gguf_;
  Error error_{ErrorCode::invalid_input, ""};
};

Result<void> read_ratios(const Gguf& gguf, ModelConfig& out) {
  const std::string key = "deepseek4.attention.compress_ratios";
  const GgufArray* ratios = gguf.array(key);
  if (ratios == nullptr) return wrong_key(key, "missing");
  const auto layers = static_cast<size_t>(std::clamp<int64_t>(out.num_hidden_layers, 0, 4096));
  if (ratios->integers.size() < layers) {
    return wrong_key(key, fmt::format("{} entries for {} layers", ratios->integers.size(), layers));
  }
  out.compress_ratios.assign(ratios->integers.begin(),
                             ratios->integers.begin() + static_cast<std::ptrdiff_t>(layers));
  return {};
}

Result<void> read_swiglu_limit(const Gguf& gguf, ModelConfig& out) {
  const std::string key = "deepseek4.swiglu_clamp_exp";
  std::vector<double> limits;
  if (const GgufArray* array = gguf.array(key)) {
    limits = array->numbers;
  } else if (const auto one = gguf.number(key)) {
    limits = {*one};
  }
  if (limits.empty()) return wrong_key(key, "missing");
  if (const GgufArray* shared = gguf.array("deepseek4.swiglu_clamp_shexp")) {
    limits.insert(limits.end(), shared->numbers.begin(), shared->numbers.end());
  }
  for (const double limit : limits) {
    if (limit != limits.front()) {
      return fail(ErrorCode::unsupported,
                  fmt::format("metadata key \"{}\": limits that differ by layer", key));
    }
  }
  out.swiglu_limit = shortest(limits.front());
  return {};
}

Result<void> check_fixed(const Gguf& gguf) {
  const auto must_be = [&gguf](const char* key, int64_t expected) -> Result<void> {
    const auto value = gguf.integer(key);
    if (!value || *value == expected) return {};
    return fail(
        ErrorCode::unsupported,
        fmt::format("metadata key \"{}\": only {} is supported, found {}", key, expected, *value));
  };
  SABLE_TRY_VOID(must_be("deepseek4.attention.head_count_kv", 1));
  SABLE_TRY_VOID(must_be("deepseek4.expert_gating_func", kSqrtSoftplus));
  SABLE_TRY_VOID(must_be("deepseek4.expert_weights_norm", 1));
  SABLE_TRY_VOID(must_be("deepseek4.expert_group_count", 0));
  const auto scaling = gguf.text("deepseek4.rope.scaling.type");
  if (scaling && *scaling != "yarn") {
    return fail(ErrorCode::unsupported,
                fmt::format("metadata key \"deepseek4.rope.scaling.type\": only yarn is "
                            "supported, found \"{}\"",
                            escape_controls(*scaling)));
  }
  return {};
}

int64_t vocabulary_of(const Gguf& gguf) {
  if (const auto given = gguf.integer("deepseek4.vocab_size")) return *given;
  if (const GgufArray* tokens = gguf.array("tokenizer.ggml.tokens"))
    return static_cast<int64_t>(tokens->size());
  for (const GgufTensor& tensor : gguf.tensors) {
    if (tensor.name == "token_embd.weight" && !tensor.shape.empty())
      return static_cast<int64_t>(tensor.shape[0]);
  }
  return 0;
}

}  // namespace

Result<ModelConfig> config_from_gguf(const Gguf& gguf) {
  const auto architecture = gguf.text("general.architecture");
  if (!architecture) return wrong_key("general.architecture", "missing");
  if (*architecture != "deepseek4") {
    return fail(ErrorCode::unsupported,
                fmt::format("architecture \"{}\" is not supported (only deepseek4)",
                            escape_controls(*architecture)));
  }
  SABLE_TRY_VOID(check_fixed(gguf));
  ModelConfig out;
  Keys keys(gguf);
  int64_t n_nextn = 0, value_length = 0;
  keys.integer("block_count", out.num_hidden_layers);
  keys.integer("nextn_predict_layers", n_nextn, false);
  keys.integer("context_length", out.max_position_embeddings);
  keys.integer("embedding_length", out.hidden_size);
  keys.integer("attention.head_count", out.num_attention_heads);
  keys.integer("attention.key_length", out.head_dim);
  keys.integer("attention.value_length", value_length, false);
  keys.integer("attention.q_lora_rank", out.q_lora_rank);
  keys.integer("attention.output_lora_rank", out.o_lora_rank);
  keys.integer("attention.output_group_count", out.o_groups);
  keys.integer("attention.sliding_window", out.sliding_window);
  keys.integer("attention.indexer.head_count", out.index_n_heads, false);
  keys.integer("attention.indexer.key_length", out.index_head_dim, false);
  keys.integer("attention.indexer.top_k", out.index_topk, false);
  keys.integer("rope.dimension_count", out.qk_rope_head_dim);
  keys.integer("rope.scaling.original_context_length", out.rope_original_max_position_embeddings,
               false);
  keys.integer("expert_count", out.n_routed_experts);
  keys.integer("expert_used_count", out.num_experts_per_tok);
  keys.integer("expert_shared_count", out.n_shared_experts);
  keys.integer("expert_feed_forward_length", out.moe_intermediate_size);
  keys.integer("hash_layer_count", out.num_hash_layers);
  keys.integer("hyper_connection.count", out.hc_mult);
  keys.integer("hyper_connection.sinkhorn_iterations", out.hc_sinkhorn_iters);
  keys.number("hyper_connection.epsilon", out.hc_eps);
  keys.number("attention.layer_norm_rms_epsilon", out.rms_norm_eps);
  keys.number("attention.compress_rope_freq_base", out.compress_rope_theta);
  keys.number("rope.freq_base", out.rope_theta);
  keys.number("rope.scaling.factor", out.rope_factor, false);
  keys.number("rope.scaling.yarn_beta_fast", out.rope_beta_fast, false);
  keys.number("rope.scaling.yarn_beta_slow", out.rope_beta_slow, false);
  keys.number("expert_weights_scale", out.routed_scaling_factor);
  SABLE_TRY_VOID(keys.result());
  if (value_length != 0 && value_length != out.head_dim) {
    return wrong_key("deepseek4.attention.value_length", "differs from the key length");
  }
  if (n_nextn < 0 || n_nextn >= out.num_hidden_layers) n_nextn = 0;  // not counted in block_count
  out.num_hidden_layers -= n_nextn;
  out.vocab_size = vocabulary_of(gguf);
  out.bos_token_id = gguf.integer("tokenizer.ggml.bos_token_id").value_or(out.bos_token_id);
  out.eos_token_id = gguf.integer("tokenizer.ggml.eos_token_id").value_or(out.eos_token_id);
  SABLE_TRY_VOID(read_ratios(gguf, out));
  SABLE_TRY_VOID(read_swiglu_limit(gguf, out));
  SABLE_TRY_VOID(check(out));
  return out;
}

void add_mtp_layers(ModelConfig& config, int64_t n) {
  config.num_nextn_predict_layers = n;
  config.compress_ratios.resize(static_cast<size_t>(config.num_hidden_layers + n), 0);
}

Result<std::optional<TokenizerArrays>> tokenizer_arrays_from_gguf(const Gguf& gguf) {
  const auto model = gguf.text("tokenizer.ggml.model");
  const GgufArray* tokens = gguf.array("tokenizer.ggml.tokens");
  if (!model || tokens == nullptr) return std::optional<TokenizerArrays>();
  TokenizerArrays out;
  out.model = *model;
  out.pre = gguf.text("tokenizer.ggml.pre").value_or("");
  if (tokens->type != GgufType::string) return wrong_key("tokenizer.ggml.tokens", "expected text");
  out.tokens = tokens->strings;
  if (const GgufArray* types = gguf.array("tokenizer.ggml.token_type")) {
    if (types->integers.size() != out.tokens.size()) {
      return wrong_key(
          "tokenizer.ggml.token_type",
          fmt::format("{} types for {} tokens", types->integers.size(), out.tokens.size()));
    }
    for (const int64_t type : types->integers) {
      if (type < 0 || type > 6)
        return wrong_key("tokenizer.ggml.token_type", fmt::format("unknown type {}", type));
      out.types.push_back(static_cast<int32_t>(type));
    }
  }
  if (const GgufArray* merges = gguf.array("tokenizer.ggml.merges")) out.merges = merges->strings;
  const auto id = [&](const char* key, std::optional<int64_t>& target) -> Result<void> {
    target = gguf.integer(key);
    if (target && (*target < 0 || *target >= static_cast<int64_t>(out.tokens.size()))) {
      return wrong_key(key, fmt::format("{} is no token id", *target));
    }
    return {};
  };
  SABLE_TRY_VOID(id("tokenizer.ggml.bos_token_id", out.bos_token_id));
  SABLE_TRY_VOID(id("tokenizer.ggml.eos_token_id", out.eos_token_id));
  SABLE_TRY_VOID(id("tokenizer.ggml.padding_token_id", out.pad_token_id));
  SABLE_TRY_VOID(id("tokenizer.ggml.unknown_token_id", out.unk_token_id));
  out.add_bos = gguf.integer("tokenizer.ggml.add_bos_token").value_or(0) != 0;
  out.add_eos = gguf.integer("tokenizer.ggml.add_eos_token").value_or(0) != 0;
  return std::optional(std::move(out));
}

std::vector<std::pair<std::string, GgufValue>> gguf_metadata_of(const ModelConfig& c) {
  std::vector<std::pair<std::string, GgufValue>> out;
  const auto add = [&out](const char* key, GgufValue value) {
    out.emplace_back(std::string("deepseek4.") + key, std::move(value));
  };
  const auto u32 = [](int64_t value) { return gguf_u32(static_cast<uint32_t>(value)); };
  const auto f32 = [](double value) { return gguf_f32(static_cast<float>(value)); };
  const auto layers = static_cast<size_t>(c.num_hidden_layers);
  out.emplace_back("general.architecture", gguf_string("deepseek4"));
  add("block_count", u32(c.num_hidden_layers));
  add("context_length", u32(c.max_position_embeddings));
  add("embedding_length", u32(c.hidden_size));
  add("vocab_size", u32(c.vocab_size));
  add("attention.head_count", u32(c.num_attention_heads));
  add("attention.head_count_kv", u32(1));
  add("attention.key_length", u32(c.head_dim));
  add("attention.value_length", u32(c.head_dim));
  add("attention.layer_norm_rms_epsilon", f32(c.rms_norm_eps));
  add("attention.q_lora_rank", u32(c.q_lora_rank));
  add("attention.output_lora_rank", u32(c.o_lora_rank));
  add("attention.output_group_count", u32(c.o_groups));
  add("attention.sliding_window", u32(c.sliding_window));
  add("attention.compress_ratios",
      gguf_i32_array({c.compress_ratios.begin(),
                      c.compress_ratios.begin() + static_cast<std::ptrdiff_t>(layers)}));
  add("attention.compress_rope_freq_base", f32(c.compress_rope_theta));
  add("attention.indexer.head_count", u32(c.index_n_heads));
  add("attention.indexer.key_length", u32(c.index_head_dim));
  add("attention.indexer.top_k", u32(c.index_topk));
  add("rope.dimension_count", u32(c.qk_rope_head_dim));
  add("rope.freq_base", f32(c.rope_theta));
  add("rope.scaling.type", gguf_string("yarn"));
  add("rope.scaling.factor", f32(c.rope_factor));
  add("rope.scaling.original_context_length", u32(c.rope_original_max_position_embeddings));
  add("rope.scaling.yarn_beta_fast", f32(c.rope_beta_fast));
  add("rope.scaling.yarn_beta_slow", f32(c.rope_beta_slow));
  add("expert_count", u32(c.n_routed_experts));
  add("expert_used_count", u32(c.num_experts_per_tok));
  add("expert_shared_count", u32(c.n_shared_experts));
  add("expert_feed_forward_length", u32(c.moe_intermediate_size));
  add("expert_weights_scale", f32(c.routed_scaling_factor));
  add("expert_weights_norm", gguf_bool(true));
  add("expert_gating_func", u32(kSqrtSoftplus));
  add("hash_layer_count", u32(c.num_hash_layers));
  add("swiglu_clamp_exp", gguf_f32_array(std::vector<double>(layers, c.swiglu_limit)));
  add("hyper_connection.count", u32(c.hc_mult));
  add("hyper_connection.sinkhorn_iterations", u32(c.hc_sinkhorn_iters));
  add("hyper_connection.epsilon", f32(c.hc_eps));
  return out;
}

std::vector<std::pair<std::string, GgufValue>> gguf_metadata_of(const TokenizerArrays& t) {
  std::vector<std::pair<std::string, GgufValue>> out;
  const auto add = [&out](const char* key, GgufValue value) {
    out.emplace_back(std::string("tokenizer.ggml.") + key, std::move(value));
  };
  add("model", gguf_string(t.model));
  if (!t.pre.empty()) add("pre", gguf_string(t.pre));
  add("tokens", gguf_string_array(t.tokens));
  if (!t.types.empty()) add("token_type", gguf_i32_array({t.types.begin(), t.types.end()}));
  add("merges", gguf_string_array(t.merges));
  const auto id = [&add](const char* key, const std::optional<int64_t>& value) {
    if (value) add(key, gguf_u32(static_cast<uint32_t>(*value)));
  };
  id("bos_token_id", t.bos_token_id);
  id("eos_token_id", t.eos_token_id);
  id("padding_token_id", t.pad_token_id);
  id("unknown_token_id", t.unk_token_id);
  add("add_bos_token", gguf_bool(t.add_bos));
  add("add_eos_token", gguf_bool(t.add_eos));
  return out;
}

namespace {

tl::unexpected<Error> bad_tokenizer(std::string reason) {
  return fail(ErrorCode::invalid_input, "tokenizer.json: " + std::move(reason));
}

/// One merge: "left right", or the newer ["left", "right"].
Result<std::string> merge_from(const Json& merge) {
  if (merge.is_string()) return merge.get<std::string>();
  const bool pair =
      merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
  if (!pair) return bad_tokenizer("a merge must be text or a pair");
  return merge[0].get<std::string>() + " " + merge[1].get<std::string>();
}

}  // namespace

Result<TokenizerArrays> tokenizer_arrays_from_json(const Json& tokenizer, int64_t vocab_size,
                                                   std::string pre) {
  const Json* model =
      tokenizer.is_object() && tokenizer.contains("model") ? &tokenizer["model"] : nullptr;
  const bool bpe = model != nullptr && model->is_object() &&
                   string_or(*model, "type", "BPE") == "BPE" && model->contains("vocab") &&
                   (*model)["vocab"].is_object();
  if (!bpe) return bad_tokenizer("expected a BPE model with a vocabulary");
  TokenizerArrays out{.model = "gpt2", .pre = std::move(pre)};
  const auto n = static_cast<size_t>(vocab_size);
  out.tokens.resize(n);
  out.types.assign(n, 5);
  const auto place = [&](const std::string& text, const Json& id, int32_t type) -> Result<void> {
    const bool fits =
        id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < vocab_size;
    if (!fits) {
      return bad_tokenizer(fmt::format("token \"{}\" has id {}, the model has {} tokens",
                                       escape_controls(text), dump_json(id), vocab_size));
    }
    const auto at = id.get<size_t>();
    out.tokens[at] = text;
    out.types[at] = type;
    return {};
  };
  for (const auto& item : (*model)["vocab"].items()) {
    SABLE_TRY_VOID(place(item.key(), item.value(), 1));
  }
  if (tokenizer.contains("added_tokens") && tokenizer["added_tokens"].is_array()) {
    for (const Json& token : tokenizer["added_tokens"]) {
      if (!token.is_object() || !token.contains("id"))
        return bad_tokenizer("an added token must be an object with an id");
      const bool special = token.value("special", Json(false)) == Json(true);
      SABLE_TRY_VOID(place(string_or(token, "content", ""), token["id"], special ? 3 : 4));
    }
  }
  for (size_t i = 0; i < n; ++i) {
    if (out.tokens[i].empty()) out.tokens[i] = fmt::format("[PAD{}]", i);
  }
  if (model->contains("merges") && (*model)["merges"].is_array()) {
    for (const Json& merge : (*model)["merges"]) {
      SABLE_TRY(std::string text, merge_from(merge));
      out.merges.push_back(std::move(text));
    }
  }
  return out;
}

}  // namespace sable::inference
