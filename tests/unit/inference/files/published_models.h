// config.json of the published models, values from deepseek-ai/DeepSeek-V4-Flash and -Pro.
#pragma once

#include "base/json.h"

namespace sable::test {

inline Json ratios(std::initializer_list<int> first, int pairs) {
  Json out = Json::array();
  for (const int ratio : first) out.push_back(ratio);
  for (int i = 0; i < pairs; ++i) {
    out.push_back(4);
    out.push_back(128);
  }
  out.push_back(4);
  out.push_back(0);
  return out;
}

inline Json flash_config() {
  return Json{{"architectures", Json::array({"DeepseekV4ForCausalLM"})},
              {"model_type", "deepseek_v4"},
              {"hidden_size", 4096},
              {"num_hidden_layers", 43},
              {"num_attention_heads", 64},
              {"num_key_value_heads", 1},
              {"head_dim", 512},
              {"qk_rope_head_dim", 64},
              {"q_lora_rank", 1024},
              {"o_lora_rank", 1024},
              {"o_groups", 8},
              {"compress_ratios", ratios({0, 0}, 20)},
              {"compress_rope_theta", 160000},
              {"rope_theta", 10000},
              {"rope_scaling", Json{{"type", "yarn"},
                                    {"factor", 16},
                                    {"original_max_position_embeddings", 65536},
                                    {"beta_fast", 32},
                                    {"beta_slow", 1}}},
              {"max_position_embeddings", 1048576},
              {"sliding_window", 128},
              {"index_n_heads", 64},
              {"index_head_dim", 128},
              {"index_topk", 512},
              {"hc_mult", 4},
              {"hc_sinkhorn_iters", 20},
              {"hc_eps", 1e-6},
              {"n_routed_experts", 256},
              {"n_shared_experts", 1},
              {"num_experts_per_tok", 6},
              {"moe_intermediate_size", 2048},
              {"num_hash_layers", 3},
              {"scoring_func", "sqrtsoftplus"},
              {"topk_method", "noaux_tc"},
              {"norm_topk_prob", true},
              {"routed_scaling_factor", 1.5},
              {"swiglu_limit", 10.0},
              {"hidden_act", "silu"},
              {"rms_norm_eps", 1e-6},
              {"vocab_size", 129280},
              {"tie_word_embeddings", false},
              {"num_nextn_predict_layers", 1},
              {"attention_bias", false},
              {"bos_token_id", 0},
              {"eos_token_id", 1},
              {"expert_dtype", "fp4"},
              {"quantization_config", Json{{"quant_method", "fp8"},
                                           {"fmt", "e4m3"},
                                           {"activation_scheme", "dynamic"},
                                           {"scale_fmt", "ue8m0"},
                                           {"weight_block_size", Json::array({128, 128})}}}};
}

inline Json pro_config() {
  Json config = flash_config();
  config["hidden_size"] = 7168;
  config["num_hidden_layers"] = 61;
  config["num_attention_heads"] = 128;
  config["q_lora_rank"] = 1536;
  config["o_groups"] = 16;
  config["compress_ratios"] = ratios({128, 128}, 29);
  config["index_topk"] = 1024;
  config["n_routed_experts"] = 384;
  config["moe_intermediate_size"] = 3072;
  config["routed_scaling_factor"] = 2.5;
  return config;
}

}  // namespace sable::test
