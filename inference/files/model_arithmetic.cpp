#include "inference/files/model_arithmetic.h"

#include <algorithm>

namespace sable::inference {

namespace {

uint64_t u(int64_t value) { return static_cast<uint64_t>(value); }

}  // namespace

ParameterCount count_parameters(const ModelConfig& config) {
  ParameterCount count;
  uint64_t embedding = 0, experts = 0;
  (void)for_each_tensor(config, [&](const TensorSpec& spec) -> Result<void> {
    const uint64_t n = spec.n_elements();
    const bool trunk = spec.layer < config.num_hidden_layers;
    if (spec.role == TensorRole::table) {
      count.table_integers += n;
      return {};
    }
    (trunk ? count.trunk : count.mtp) += n;
    if (spec.role == TensorRole::embedding) embedding += n;
    if (trunk && spec.role == TensorRole::expert) experts += n;
    return {};
  });
  const uint64_t chosen = experts / u(config.n_routed_experts) * u(config.num_experts_per_tok);
  count.active = count.trunk - embedding - experts + chosen;
  return count;
}

LayerCensus count_layers(const ModelConfig& config) {
  LayerCensus census;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    switch (config.ratio(layer)) {
      case 0:
        ++census.window;
        break;
      case 4:
        ++census.csa;
        break;
      default:
        ++census.hca;
        break;
    }
  }
  return census;
}

DType released_type(const ModelConfig& config, const TensorSpec& spec) {
  switch (spec.role) {
    case TensorRole::projection:
      return DType::f8_e4m3;
    case TensorRole::expert:
      return config.expert_dtype == "fp8" ? DType::f8_e4m3 : DType::f4_e2m1;
    case TensorRole::exact:
      return DType::f32;
    case TensorRole::table:
      return DType::i64;
    case TensorRole::embedding:
    case TensorRole::head:
    case TensorRole::norm:
    case TensorRole::plain:
      break;
  }
  return DType::bf16;
}

uint64_t released_scale_bytes(const ModelConfig& config, const TensorSpec& spec) {
  switch (released_type(config, spec)) {
    case DType::f8_e4m3:
      return (spec.shape[0] + 127) / 128 * ((spec.shape[1] + 127) / 128);
    case DType::f4_e2m1:
      return spec.shape[0] * (spec.shape[1] / 32);
    default:
      return 0;
  }
}

Share share_per_token(const ModelConfig& config, const TensorSpec& spec) {
  if (spec.layer >= config.num_hidden_layers) return {0, 1};
  switch (spec.role) {
    case TensorRole::expert:
      return {u(config.num_experts_per_tok), u(config.n_routed_experts)};
    case TensorRole::embedding:
    case TensorRole::table:
      return {1, u(config.vocab_size)};
    default:
      return {1, 1};
  }
}

uint64_t entry_bytes(const ModelConfig& config, CacheStorage format) {
  const uint64_t dims = u(config.head_dim), rope = u(config.qk_rope_head_dim), plain = dims - rope;
  if (format == CacheStorage::bf16) return 2 * dims;
  return (plain + 2 * rope + plain / 64 + 7) / 8 * 8;
}

uint64_t index_key_bytes(const ModelConfig& config, CacheStorage format) {
  const uint64_t dims = u(config.index_head_dim);
  return format == CacheStorage::bf16 ? 2 * dims : dims / 2 + dims / 32;
}

uint64_t cache_bytes(const ModelConfig& config, uint64_t tokens, CacheStorage format) {
  const LayerCensus census = count_layers(config);
  const uint64_t entry = entry_bytes(config, format), key = index_key_bytes(config, format);
  const uint64_t window = std::min(tokens, u(config.sliding_window));
  return u(config.num_hidden_layers) * window * entry +
         u(census.csa) * (tokens / 4) * (entry + key) + u(census.hca) * (tokens / 128) * entry;
}

FlopsPerToken flops_per_token(const ModelConfig& config, uint64_t context) {
  const LayerCensus census = count_layers(config);
  const auto s = static_cast<double>(context);
  const double window = std::min(s, static_cast<double>(config.sliding_window));
  const double selected = std::min(s / 4, static_cast<double>(config.index_topk));
  const auto n_csa = static_cast<double>(census.csa), n_hca = static_cast<double>(census.hca);
  const double entries = n_csa * (window + selected) + n_hca * (window + s / 128) +
                         static_cast<double>(census.window) * window;
  FlopsPerToken flops;
  flops.projections = 2.0 * static_cast<double>(count_parameters(config).active);
  flops.attention =
      entries * static_cast<double>(config.num_attention_heads * config.head_dim) * 4.0;
  flops.index =
      n_csa * static_cast<double>(config.index_n_heads * config.index_head_dim) * 2.0 * s / 4.0;
  return flops;
}

}  // namespace sable::inference
