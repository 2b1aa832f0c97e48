#include "inference/files/model_config.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace sable::inference {

namespace {

/// A value as an error shows it: short, one line.
std::string shown(const Json& value) {
  std::string text = dump_json(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

tl::unexpected<Error> wrong(std::string_view field, std::string_view expected, const Json& found) {
  return fail(ErrorCode::invalid_input, fmt::format("config field \"{}\": expected {}, found {}",
                                                    field, expected, shown(found)));
}

/// Reads fields of one JSON object; the first problem sticks.
class Fields {
 public:
  Fields(const Json& object, std::string prefix) : object_(object), prefix_(std::move(prefix)) {}

  /// nullptr when absent or null.
  const Json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  void integer(const char* key, int64_t& out, bool required) {
    const Json* value = value_of(key, required);
    if (value == nullptr) return;
    const bool fits = value->is_number_integer() &&
                      !(value->is_number_unsigned() &&
                        value->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()});
    if (!fits) return set_error(wrong(prefix_ + key, "an integer", *value));
    out = value->get<int64_t>();
  }

  void number(const char* key, double& out, bool required) {
    const Json* value = value_of(key, required);
    if (value == nullptr) return;
    if (!value->is_number()) return set_error(wrong(prefix_ + key, "a number", *value));
    out = value->get<double>();
  }

  /// A field that, where present, must have the one value that this implementation computes.
  void must_be(const char* key, const Json& expected) {
    const Json* value = find(key);
    if (value != nullptr && *value != expected && error_.message.empty()) {
      error_ = {ErrorCode::unsupported,
                fmt::format("config field \"{}{}\": only {} is supported, found {}", prefix_, key,
                            shown(expected), shown(*value))};
    }
  }

  void set_error(tl::unexpected<Error> error) {
    if (error_.message.empty()) error_ = std::move(error.value());
  }
  Result<void> result() const {
    if (!error_.message.empty()) return fail(error_);
    return {};
  }

 private:
  const Json* value_of(const char* key, bool required) {
    const Json* value = find(key);
    if (value == nullptr && required) {
      set_error(fail(ErrorCode::invalid_input,
                     fmt::format("config field \"{}{}\" is missing", prefix_, key)));
    }
    return value;
  }

  const Json& object_;
  std::string prefix_;
  Error error_{ErrorCode::invalid_input, ""};
};

Result<void> read_rope_scaling(const Json& config, ModelConfig& out) {
  const auto it = config.find("rope_scaling");
  if (it == config.end() || it->is_null()) return {};
  if (!it->is_object()) return wrong("rope_scaling", "an object", *it);
  Fields fields(*it, "rope_scaling.");
  fields.must_be("type", "yarn");
  fields.must_be("rope_type", "yarn");
  fields.number("factor", out.rope_factor, false);
  fields.integer("original_max_position_embeddings", out.rope_original_max_position_embeddings,
                 false);
  fields.number("beta_fast", out.rope_beta_fast, false);
  fields.number("beta_slow", out.rope_beta_slow, false);
  return fields.result();
}

Result<void> read_quantization(const Json& config) {
  const auto it = config.find("quantization_config");
  if (it == config.end() || it->is_null()) return {};
  if (!it->is_object()) return wrong("quantization_config", "an object", *it);
  Fields fields(*it, "quantization_config.");
  fields.must_be("quant_method", "fp8");
  fields.must_be("fmt", "e4m3");
  fields.must_be("activation_scheme", "dynamic");
  fields.must_be("scale_fmt", "ue8m0");
  fields.must_be("weight_block_size", Json::array({128, 128}));
  return fields.result();
}

Result<void> read_compress_ratios(const Json& config, ModelConfig& out) {
  const auto it = config.find("compress_ratios");
  if (it == config.end())
    return fail(ErrorCode::invalid_input, "config field \"compress_ratios\" is missing");
  const bool sized = it->is_array() && it->size() <= 4096;
  if (!sized) return wrong("compress_ratios", "an array of at most 4096 integers", *it);
  for (const Json& ratio : *it) {
    if (!ratio.is_number_integer()) return wrong("compress_ratios", "integers", ratio);
    out.compress_ratios.push_back(ratio.get<int64_t>());
  }
  // Drafters that replace the MTP block append window layers of their own; the trunk does not use
  // them.
  // The counts are not validated yet: bounded here, so that their sum cannot overflow.
  const int64_t n_ratios_max = 4096;
  const int64_t layers = std::clamp<int64_t>(out.num_hidden_layers, 0, n_ratios_max) +
                         std::clamp<int64_t>(out.num_nextn_predict_layers, 0, n_ratios_max);
  while (static_cast<int64_t>(out.compress_ratios.size()) > layers &&
         out.compress_ratios.back() == 0) {
    out.compress_ratios.pop_back();
  }
  return {};
}

}  // namespace

Result<ModelConfig> config_from_json(const Json& config) {
  if (!config.is_object()) return fail(ErrorCode::invalid_input, "config is not a JSON object");
  ModelConfig out;
  Fields fields(config, "");
  fields.must_be("model_type", "deepseek_v4");
  fields.must_be("scoring_func", "sqrtsoftplus");
  fields.must_be("topk_method", "noaux_tc");
  fields.must_be("norm_topk_prob", true);
  fields.must_be("hidden_act", "silu");
  fields.must_be("num_key_value_heads", 1);
  fields.must_be("tie_word_embeddings", false);
  fields.must_be("attention_bias", false);
  fields.integer("vocab_size", out.vocab_size, true);
  fields.integer("hidden_size", out.hidden_size, true);
  fields.integer("num_hidden_layers", out.num_hidden_layers, true);
  fields.integer("num_attention_heads", out.num_attention_heads, true);
  fields.integer("head_dim", out.head_dim, true);
  fields.integer("qk_rope_head_dim", out.qk_rope_head_dim, false);
  fields.integer("q_lora_rank", out.q_lora_rank, true);
  fields.integer("o_lora_rank", out.o_lora_rank, true);
  fields.integer("o_groups", out.o_groups, true);
  fields.integer("sliding_window", out.sliding_window, false);
  fields.integer("index_n_heads", out.index_n_heads, false);
  fields.integer("index_head_dim", out.index_head_dim, false);
  fields.integer("index_topk", out.index_topk, false);
  fields.integer("hc_mult", out.hc_mult, false);
  fields.integer("hc_sinkhorn_iters", out.hc_sinkhorn_iters, false);
  fields.number("hc_eps", out.hc_eps, false);
  fields.integer("n_routed_experts", out.n_routed_experts, true);
  fields.integer("n_shared_experts", out.n_shared_experts, false);
  fields.integer("num_experts_per_tok", out.num_experts_per_tok, true);
  fields.integer("moe_intermediate_size", out.moe_intermediate_size, true);
  fields.integer("num_hash_layers", out.num_hash_layers, false);
  fields.number("routed_scaling_factor", out.routed_scaling_factor, false);
  fields.number("swiglu_limit", out.swiglu_limit, false);
  fields.number("rms_norm_eps", out.rms_norm_eps, false);
  fields.number("rope_theta", out.rope_theta, false);
  fields.number("compress_rope_theta", out.compress_rope_theta, false);
  fields.integer("max_position_embeddings", out.max_position_embeddings, false);
  fields.integer("num_nextn_predict_layers", out.num_nextn_predict_layers, false);
  fields.integer("bos_token_id", out.bos_token_id, false);
  fields.integer("eos_token_id", out.eos_token_id, false);
  if (const Json* dtype = fields.find("expert_dtype"); dtype != nullptr) {
    if (!dtype->is_string()) return wrong("expert_dtype", "a string", *dtype);
    out.expert_dtype = dtype->get<std::string>();
  } else if (fields.find("quantization_config") != nullptr) {
    out.expert_dtype = "fp4";  // the first release quantized without naming it
  }
  SABLE_TRY_VOID(fields.result());
  SABLE_TRY_VOID(read_rope_scaling(config, out));
  SABLE_TRY_VOID(read_quantization(config));
  SABLE_TRY_VOID(read_compress_ratios(config, out));
  SABLE_TRY_VOID(check(out));
  return out;
}

Json config_to_json(const ModelConfig& c) {
  Json out{{"architectures", Json::array({"DeepseekV4ForCausalLM"})},
           {"model_type", "deepseek_v4"},
           {"vocab_size", c.vocab_size},
           {"hidden_size", c.hidden_size},
           {"num_hidden_layers", c.num_hidden_layers},
           {"num_nextn_predict_layers", c.num_nextn_predict_layers},
           {"num_attention_heads", c.num_attention_heads},
           {"num_key_value_heads", 1},
           {"head_dim", c.head_dim},
           {"qk_rope_head_dim", c.qk_rope_head_dim},
           {"q_lora_rank", c.q_lora_rank},
           {"o_lora_rank", c.o_lora_rank},
           {"o_groups", c.o_groups},
           {"compress_ratios", c.compress_ratios},
           {"sliding_window", c.sliding_window},
           {"index_n_heads", c.index_n_heads},
           {"index_head_dim", c.index_head_dim},
           {"index_topk", c.index_topk},
           {"hc_mult", c.hc_mult},
           {"hc_sinkhorn_iters", c.hc_sinkhorn_iters},
           {"hc_eps", c.hc_eps},
           {"n_routed_experts", c.n_routed_experts},
           {"n_shared_experts", c.n_shared_experts},
           {"num_experts_per_tok", c.num_experts_per_tok},
           {"moe_intermediate_size", c.moe_intermediate_size},
           {"num_hash_layers", c.num_hash_layers},
           {"scoring_func", "sqrtsoftplus"},
           {"topk_method", "noaux_tc"},
           {"norm_topk_prob", true},
           {"routed_scaling_factor", c.routed_scaling_factor},
           {"swiglu_limit", c.swiglu_limit},
           {"hidden_act", "silu"},
           {"rms_norm_eps", c.rms_norm_eps},
           {"rope_theta", c.rope_theta},
           {"compress_rope_theta", c.compress_rope_theta},
           {"rope_scaling",
            Json{{"type", "yarn"},
                 {"factor", c.rope_factor},
                 {"original_max_position_embeddings", c.rope_original_max_position_embeddings},
                 {"beta_fast", c.rope_beta_fast},
                 {"beta_slow", c.rope_beta_slow}}},
           {"max_position_embeddings", c.max_position_embeddings},
           {"tie_word_embeddings", false},
           {"attention_bias", false},
           {"attention_dropout", 0.0},
           {"bos_token_id", c.bos_token_id},
           {"eos_token_id", c.eos_token_id}};
  if (!c.expert_dtype.empty()) {
    out["expert_dtype"] = c.expert_dtype;
    out["quantization_config"] = Json{{"quant_method", "fp8"},
                                      {"fmt", "e4m3"},
                                      {"activation_scheme", "dynamic"},
                                      {"scale_fmt", "ue8m0"},
                                      {"weight_block_size", Json::array({128, 128})}};
  }
  return out;
}

namespace {

tl::unexpected<Error> refuse(std::string reason) {
  return fail(ErrorCode::invalid_input, "config: " + std::move(reason));
}

Result<void> in_range(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return refuse(fmt::format("{} must be {}..{}, found {}", field, low, high, value));
}

Result<void> positive(std::string_view field, double value) {
  if (std::isfinite(value) && value > 0) return {};
  return refuse(fmt::format("{} must be a positive number, found {}", field, value));
}

Result<void> multiple(std::string_view field, int64_t value, int64_t of) {
  if (value % of == 0) return {};
  return refuse(fmt::format("{} must be a multiple of {}, found {}", field, of, value));
}

/// Bounds far above any real model, so that no product of two or three of them overflows 63 bits.
Result<void> check_sizes(const ModelConfig& c) {
  SABLE_TRY_VOID(in_range("vocab_size", c.vocab_size, 1, int64_t{1} << 24));
  SABLE_TRY_VOID(in_range("hidden_size", c.hidden_size, 32, 1 << 17));
  SABLE_TRY_VOID(in_range("num_hidden_layers", c.num_hidden_layers, 1, 1024));
  SABLE_TRY_VOID(in_range("num_nextn_predict_layers", c.num_nextn_predict_layers, 0, 16));
  SABLE_TRY_VOID(in_range("num_attention_heads", c.num_attention_heads, 1, 4096));
  SABLE_TRY_VOID(in_range("head_dim", c.head_dim, 2, 8192));
  SABLE_TRY_VOID(in_range("qk_rope_head_dim", c.qk_rope_head_dim, 2, 4096));
  SABLE_TRY_VOID(in_range("q_lora_rank", c.q_lora_rank, 32, 1 << 16));
  SABLE_TRY_VOID(in_range("o_lora_rank", c.o_lora_rank, 1, 1 << 16));
  SABLE_TRY_VOID(in_range("o_groups", c.o_groups, 1, 4096));
  SABLE_TRY_VOID(in_range("sliding_window", c.sliding_window, 1, 1 << 20));
  SABLE_TRY_VOID(in_range("hc_mult", c.hc_mult, 1, 16));
  SABLE_TRY_VOID(in_range("hc_sinkhorn_iters", c.hc_sinkhorn_iters, 1, 1000));
  SABLE_TRY_VOID(in_range("n_routed_experts", c.n_routed_experts, 1, 1 << 14));
  SABLE_TRY_VOID(in_range("n_shared_experts", c.n_shared_experts, 1, 1));
  SABLE_TRY_VOID(in_range("num_experts_per_tok", c.num_experts_per_tok, 1, c.n_routed_experts));
  SABLE_TRY_VOID(in_range("moe_intermediate_size", c.moe_intermediate_size, 32, 1 << 17));
  SABLE_TRY_VOID(in_range("num_hash_layers", c.num_hash_layers, 0, c.num_hidden_layers));
  SABLE_TRY_VOID(
      in_range("max_position_embeddings", c.max_position_embeddings, 1, int64_t{1} << 30));
  SABLE_TRY_VOID(in_range("rope_scaling.original_max_position_embeddings",
                          c.rope_original_max_position_embeddings, 1, int64_t{1} << 30));
  SABLE_TRY_VOID(in_range("bos_token_id", c.bos_token_id, 0, c.vocab_size - 1));
  SABLE_TRY_VOID(in_range("eos_token_id", c.eos_token_id, 0, c.vocab_size - 1));
  const int64_t blocks = c.num_hidden_layers + c.num_nextn_predict_layers;
  if (blocks * c.n_routed_experts > int64_t{1} << 18) {
    return refuse(fmt::format("{} layers of {} experts each are more than 262144 experts", blocks,
                              c.n_routed_experts));
  }
  return {};
}

Result<void> check_numbers(const ModelConfig& c) {
  SABLE_TRY_VOID(positive("hc_eps", c.hc_eps));
  SABLE_TRY_VOID(positive("rms_norm_eps", c.rms_norm_eps));
  SABLE_TRY_VOID(positive("routed_scaling_factor", c.routed_scaling_factor));
  SABLE_TRY_VOID(positive("swiglu_limit", c.swiglu_limit));
  SABLE_TRY_VOID(positive("rope_scaling.factor", c.rope_factor));
  SABLE_TRY_VOID(positive("rope_scaling.beta_fast", c.rope_beta_fast));
  SABLE_TRY_VOID(positive("rope_scaling.beta_slow", c.rope_beta_slow));
  for (const double theta : {c.rope_theta, c.compress_rope_theta}) {
    if (!std::isfinite(theta) || theta <= 1) {
      return refuse(fmt::format("rope bases must be above 1, found {}", theta));
    }
  }
  return {};
}

Result<void> check_ratios(const ModelConfig& c) {
  const int64_t blocks = c.num_hidden_layers + c.num_nextn_predict_layers;
  if (static_cast<int64_t>(c.compress_ratios.size()) != blocks) {
    return refuse(
        fmt::format("compress_ratios has {} entries, expected {} (layers plus MTP layers)",
                    c.compress_ratios.size(), blocks));
  }
  bool indexed = false;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t ratio = c.ratio(i);
    if (ratio != 0 && ratio != 4 && ratio != 128) {
      return refuse(fmt::format("compress_ratios[{}] must be 0, 4 or 128, found {}", i, ratio));
    }
    if (ratio != 0 && i >= c.num_hidden_layers) {
      return refuse(fmt::format(
          "compress_ratios[{}] belongs to an MTP layer and must be 0, found {}", i, ratio));
    }
    indexed = indexed || ratio == 4;
  }
  if (!indexed) return {};
  SABLE_TRY_VOID(in_range("index_n_heads", c.index_n_heads, 1, 4096));
  SABLE_TRY_VOID(in_range("index_head_dim", c.index_head_dim, 32, 4096));
  SABLE_TRY_VOID(in_range("index_topk", c.index_topk, 1, 1 << 20));
  if ((c.index_head_dim & (c.index_head_dim - 1)) != 0) {
    return refuse(fmt::format("index_head_dim must be a power of two, found {}", c.index_head_dim));
  }
  if (c.qk_rope_head_dim > c.index_head_dim) {
    return refuse(fmt::format("qk_rope_head_dim {} is larger than index_head_dim {}",
                              c.qk_rope_head_dim, c.index_head_dim));
  }
  return {};
}

Result<void> check_divisions(const ModelConfig& c) {
  SABLE_TRY_VOID(multiple("qk_rope_head_dim", c.qk_rope_head_dim, 2));
  if (c.head_dim <= c.qk_rope_head_dim) {
    return refuse(fmt::format("head_dim {} must be larger than qk_rope_head_dim {}", c.head_dim,
                              c.qk_rope_head_dim));
  }
  SABLE_TRY_VOID(multiple("head_dim - qk_rope_head_dim", c.head_dim - c.qk_rope_head_dim, 64));
  if (c.num_attention_heads % c.o_groups != 0) {
    return refuse(fmt::format("num_attention_heads {} must be a multiple of o_groups {}",
                              c.num_attention_heads, c.o_groups));
  }
  // FP8 activations are quantized in groups of 128 along the input, FP4 weights in groups of 32.
  const int64_t group = c.expert_dtype.empty() ? 32 : 128;
  SABLE_TRY_VOID(multiple("hidden_size", c.hidden_size, group));
  SABLE_TRY_VOID(multiple("q_lora_rank", c.q_lora_rank, group));
  SABLE_TRY_VOID(multiple("moe_intermediate_size", c.moe_intermediate_size, group));
  return multiple("o_groups * o_lora_rank", c.o_groups * c.o_lora_rank, group);
}

}  // namespace

Result<void> check(const ModelConfig& config) {
  SABLE_TRY_VOID(check_sizes(config));
  SABLE_TRY_VOID(check_numbers(config));
  SABLE_TRY_VOID(check_ratios(config));
  SABLE_TRY_VOID(check_divisions(config));
  if (!config.expert_dtype.empty() && config.expert_dtype != "fp4" &&
      config.expert_dtype != "fp8") {
    return refuse(
        fmt::format("expert_dtype must be \"fp4\" or \"fp8\", found \"{}\"", config.expert_dtype));
  }
  return {};
}

}  // namespace sable::inference
