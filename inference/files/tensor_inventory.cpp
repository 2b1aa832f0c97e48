#include "inference/files/tensor_inventory.h"

namespace sable::inference {

namespace {

uint64_t u(int64_t value) { return static_cast<uint64_t>(value); }

/// Walks one model; every function emits tensors below a prefix.
class Walk {
 public:
  Walk(const ModelConfig& config, const std::function<Result<void>(const TensorSpec&)>& visit)
      : c_(config), visit_(visit) {}

  Result<void> model() {
    const uint64_t d = u(c_.hidden_size), v = u(c_.vocab_size);
    SABLE_TRY_VOID(emit("embed.weight", {v, d}, TensorRole::embedding));
    for (int64_t i = 0; i < c_.num_hidden_layers; ++i) {
      layer_ = i;
      SABLE_TRY_VOID(block("layers." + std::to_string(i) + ".", c_.ratio(i), c_.hash_routed(i)));
    }
    layer_ = -1;
    SABLE_TRY_VOID(emit("norm.weight", {d}, TensorRole::norm));
    SABLE_TRY_VOID(emit("head.weight", {v, d}, TensorRole::head));
    SABLE_TRY_VOID(stream_head(""));
    for (int64_t i = 0; i < c_.num_nextn_predict_layers; ++i) {
      layer_ = c_.num_hidden_layers + i;
      SABLE_TRY_VOID(mtp("mtp." + std::to_string(i) + "."));
    }
    return {};
  }

 private:
  Result<void> emit(std::string name, std::vector<uint64_t> shape, TensorRole role) {
    return visit_(TensorSpec{std::move(name), std::move(shape), role, layer_});
  }

  Result<void> stream_head(const std::string& p) {
    const uint64_t n = u(c_.hc_mult);
    SABLE_TRY_VOID(emit(p + "hc_head_fn", {n, n * u(c_.hidden_size)}, TensorRole::exact));
    SABLE_TRY_VOID(emit(p + "hc_head_base", {n}, TensorRole::exact));
    return emit(p + "hc_head_scale", {1}, TensorRole::exact);
  }

  Result<void> mtp(const std::string& p) {
    const uint64_t d = u(c_.hidden_size);
    SABLE_TRY_VOID(block(p, c_.ratio(layer_), /*hashed=*/false));
    for (const char* name : {"e_proj.weight", "h_proj.weight"}) {
      SABLE_TRY_VOID(emit(p + name, {d, d}, TensorRole::projection));
    }
    for (const char* name : {"enorm.weight", "hnorm.weight", "norm.weight"}) {
      SABLE_TRY_VOID(emit(p + name, {d}, TensorRole::norm));
    }
    return stream_head(p);
  }

  Result<void> block(const std::string& p, int64_t ratio, bool hashed) {
    const uint64_t d = u(c_.hidden_size), n = u(c_.hc_mult), mix = (2 + n) * n;
    SABLE_TRY_VOID(emit(p + "attn_norm.weight", {d}, TensorRole::norm));
    SABLE_TRY_VOID(emit(p + "ffn_norm.weight", {d}, TensorRole::norm));
    for (const char* site : {"hc_attn_", "hc_ffn_"}) {
      SABLE_TRY_VOID(emit(p + site + "fn", {mix, n * d}, TensorRole::exact));
      SABLE_TRY_VOID(emit(p + site + "base", {mix}, TensorRole::exact));
      SABLE_TRY_VOID(emit(p + site + "scale", {3}, TensorRole::exact));
    }
    SABLE_TRY_VOID(attention(p + "attn.", ratio));
    return experts(p + "ffn.", hashed);
  }

  Result<void> attention(const std::string& p, int64_t ratio) {
    const uint64_t d = u(c_.hidden_size), c = u(c_.head_dim), dq = u(c_.q_lora_rank);
    const uint64_t width = u(c_.num_attention_heads) * c, low = u(c_.o_groups) * u(c_.o_lora_rank);
    SABLE_TRY_VOID(emit(p + "wq_a.weight", {dq, d}, TensorRole::projection));
    SABLE_TRY_VOID(emit(p + "q_norm.weight", {dq}, TensorRole::norm));
    SABLE_TRY_VOID(emit(p + "wq_b.weight", {width, dq}, TensorRole::projection));
    SABLE_TRY_VOID(emit(p + "wkv.weight", {c, d}, TensorRole::projection));
    SABLE_TRY_VOID(emit(p + "kv_norm.weight", {c}, TensorRole::norm));
    SABLE_TRY_VOID(emit(p + "attn_sink", {u(c_.num_attention_heads)}, TensorRole::exact));
    SABLE_TRY_VOID(emit(p + "wo_a.weight", {low, width / u(c_.o_groups)}, TensorRole::projection));
    SABLE_TRY_VOID(emit(p + "wo_b.weight", {d, low}, TensorRole::projection));
    if (ratio == 0) return {};
    SABLE_TRY_VOID(compressor(p + "compressor.", ratio, c));
    if (ratio != 4) return {};
    const uint64_t n_index = u(c_.index_n_heads), ci = u(c_.index_head_dim);
    SABLE_TRY_VOID(emit(p + "indexer.wq_b.weight", {n_index * ci, dq}, TensorRole::projection));
    SABLE_TRY_VOID(emit(p + "indexer.weights_proj.weight", {n_index, d}, TensorRole::plain));
    return compressor(p + "indexer.compressor.", ratio, ci);
  }

  Result<void> compressor(const std::string& p, int64_t ratio, uint64_t dim) {
    const uint64_t width = (ratio == 4 ? 2 : 1) * dim, d = u(c_.hidden_size);
    SABLE_TRY_VOID(emit(p + "wkv.weight", {width, d}, TensorRole::plain));
    SABLE_TRY_VOID(emit(p + "wgate.weight", {width, d}, TensorRole::plain));
    SABLE_TRY_VOID(emit(p + "ape", {u(ratio), width}, TensorRole::exact));
    return emit(p + "norm.weight", {dim}, TensorRole::norm);
  }

  Result<void> experts(const std::string& p, bool hashed) {
    const uint64_t d = u(c_.hidden_size), e = u(c_.n_routed_experts);
    SABLE_TRY_VOID(emit(p + "gate.weight", {e, d}, TensorRole::plain));
    if (hashed) {
      const uint64_t k = u(c_.num_experts_per_tok);
      SABLE_TRY_VOID(emit(p + "gate.tid2eid", {u(c_.vocab_size), k}, TensorRole::table));
    } else {
      SABLE_TRY_VOID(emit(p + "gate.bias", {e}, TensorRole::exact));
    }
    for (uint64_t i = 0; i < e; ++i) {
      SABLE_TRY_VOID(expert(p + "experts." + std::to_string(i) + ".", TensorRole::expert));
    }
    return expert(p + "shared_experts.", TensorRole::projection);
  }

  Result<void> expert(const std::string& p, TensorRole role) {
    const uint64_t d = u(c_.hidden_size), f = u(c_.moe_intermediate_size);
    SABLE_TRY_VOID(emit(p + "w1.weight", {f, d}, role));
    SABLE_TRY_VOID(emit(p + "w2.weight", {d, f}, role));
    return emit(p + "w3.weight", {f, d}, role);
  }

  const ModelConfig& c_;
  const std::function<Result<void>(const TensorSpec&)>& visit_;
  int64_t layer_ = -1;
};

}  // namespace

uint64_t TensorSpec::n_elements() const {
  uint64_t n = 1;
  for (const uint64_t dim : shape) n *= dim;
  return n;
}

Result<void> for_each_tensor(const ModelConfig& config,
                             const std::function<Result<void>(const TensorSpec&)>& visit) {
  return Walk(config, visit).model();
}

uint64_t count_tensors(const ModelConfig& config) {
  uint64_t n = 0;
  const Result<void> done = for_each_tensor(config, [&n](const TensorSpec&) -> Result<void> {
    ++n;
    return {};
  });
  return done ? n : 0;
}

}  // namespace sable::inference
