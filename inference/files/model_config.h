// What config.json (or GGUF metadata) says about a model; names follow config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace sable::inference {

/// DeepSeek-V4's configuration. Every field is validated: see check().
struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;               // D
  int64_t num_hidden_layers = 0;         // L, trunk layers
  int64_t num_attention_heads = 0;       // H
  int64_t head_dim = 0;                  // c, rope dims included
  int64_t qk_rope_head_dim = 64;         // the last dims of each head
  int64_t q_lora_rank = 0;               // dq
  int64_t o_lora_rank = 0;               // do, a group
  int64_t o_groups = 0;                  // g
  std::vector<int64_t> compress_ratios;  // [L + MTP layers]; 0 (window), 4 (CSA) or 128 (HCA)
  int64_t sliding_window = 128;          // W, includes the query's own position
  int64_t index_n_heads = 0, index_head_dim = 0, index_topk = 0;
  int64_t hc_mult = 4;  // n, residual streams
  int64_t hc_sinkhorn_iters = 20;
  double hc_eps = 1e-6;
  int64_t n_routed_experts = 0;  // E
  int64_t n_shared_experts = 1;
  int64_t num_experts_per_tok = 0;    // K
  int64_t moe_intermediate_size = 0;  // F
  int64_t num_hash_layers = 0;        // the first layers route by token id
  double routed_scaling_factor = 1.0;
  double swiglu_limit = 10.0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0, compress_rope_theta = 160000.0;
  double rope_factor = 16.0;  // YaRN, compressed layers only
  int64_t rope_original_max_position_embeddings = 65536;
  double rope_beta_fast = 32.0, rope_beta_slow = 1.0;
  int64_t max_position_embeddings = 1048576;
  int64_t num_nextn_predict_layers = 0;  // MTP blocks present
  int64_t bos_token_id = 0, eos_token_id = 1;
  std::string expert_dtype;  // "fp4", "fp8", or empty when weights are plain

  int64_t ratio(int64_t layer) const { return compress_ratios[static_cast<size_t>(layer)]; }
  bool hash_routed(int64_t layer) const { return layer < num_hash_layers; }
};

/// Reads config.json (deepseek-v4 names). Errors name the field, what was expected and what was
/// found.
Result<ModelConfig> config_from_json(const Json& config);

/// config.json with every field of the official file; what config_from_json reads back as `config`.
Json config_to_json(const ModelConfig& config);

/// Refuses absurd or inconsistent shapes (zero, negative, overflowing products, ratios other than
/// 0, 4 and 128, heads that groups do not divide, ...). Every loader calls it before it reads a
/// tensor.
Result<void> check(const ModelConfig& config);

}  // namespace sable::inference
