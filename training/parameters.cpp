#include "training/parameters.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "base/random.h"

namespace sable::training {

namespace {

size_t u(int64_t n) { return static_cast<size_t>(n); }

/// Which experts a token takes in a hashed layer: scattered evenly, distinct, ascending.
std::vector<int32_t> token_table(size_t vocab, size_t n_experts, size_t n_active, size_t layer) {
  std::vector<int32_t> table, all(n_experts);
  for (size_t token = 0; token < vocab; ++token) {
    for (size_t e = 0; e < n_experts; ++e) all[e] = static_cast<int32_t>(e);
    Random random(mix(token + 1, layer));
    for (size_t i = 0; i < n_active; ++i) std::swap(all[i], all[i + random.below(n_experts - i)]);
    std::sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n_active));
    table.insert(table.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n_active));
  }
  return table;
}

}  // namespace

size_t Parameters::add(Parameter p) {
  if (p.shape.empty()) {
    p.shape = p.rows == 1 ? std::vector<uint64_t>{p.cols} : std::vector<uint64_t>{p.rows, p.cols};
  }
  p.offset = size_;
  size_ += (p.size() + 15) / 16 * 16;
  list_.push_back(std::move(p));
  return list_.back().offset;
}

ExpertAt Parameters::add_expert(const std::string& prefix, Stored stored) {
  const size_t D = u(config_.hidden_size), F = u(config_.moe_intermediate_size);
  const auto matrix = [&](const char* name, size_t rows, size_t cols) {
    return add({prefix + name, rows, cols, 0, Update::muon, stored, true});
  };
  ExpertAt at{};
  at.w1 = matrix("w1.weight", F, D);
  at.w2 = matrix("w2.weight", D, F);
  at.w3 = matrix("w3.weight", F, D);
  return at;
}

CompressorAt Parameters::add_compressor(const std::string& prefix, size_t ratio, size_t dim,
                                        bool indexer) {
  const size_t D = u(config_.hidden_size), width = ratio == 4 ? 2 * dim : dim;
  CompressorAt at{.ratio = ratio, .dim = dim, .width = width};
  const auto tensor = [&](const char* name, size_t rows, size_t cols, Update update, Stored stored,
                          bool decays) {
    Parameter p{prefix + name, rows, cols, 0, update, stored, decays};
    p.indexer = indexer;
    return add(std::move(p));
  };
  at.wkv = tensor("wkv.weight", width, D, Update::muon, Stored::bf16, true);
  at.wgate = tensor("wgate.weight", width, D, Update::muon, Stored::bf16, true);
  at.ape = tensor("ape", ratio, width, Update::adamw, Stored::f32, false);
  at.norm = tensor("norm.weight", 1, dim, Update::adamw, Stored::bf16, false);
  return at;
}

void Parameters::add_layer(size_t index) {
  const ModelConfig& c = config_;
  const size_t D = u(c.hidden_size), dim = u(c.head_dim), H = u(c.num_attention_heads);
  const size_t dq = u(c.q_lora_rank), groups = u(c.o_groups), low = groups * u(c.o_lora_rank);
  const size_t width = kStreamCount * D, mixes = (2 + kStreamCount) * kStreamCount;
  const std::string p = fmt::format("layers.{}.", index), attn = p + "attn.", ffn = p + "ffn.";
  const auto vector = [&](const std::string& name, size_t cols, Stored stored = Stored::bf16) {
    return add({name, 1, cols, 0, Update::adamw, stored, false});
  };
  const auto matrix = [&](const std::string& name, size_t rows, size_t cols, size_t blocks = 1) {
    return add({name, rows, cols, 0, Update::muon, Stored::fp8, true, blocks});
  };
  const auto site = [&](const std::string& name) {
    SiteAt at{};
    at.fn = add({name + "fn", mixes, width, 0, Update::adamw, Stored::f32, false});
    at.base = vector(name + "base", mixes, Stored::f32);
    at.scale = vector(name + "scale", 3, Stored::f32);
    return at;
  };
  LayerAt at;
  at.ratio = u(c.ratio(static_cast<int64_t>(index)));
  at.hashed = c.hash_routed(static_cast<int64_t>(index));
  at.attn_norm = vector(p + "attn_norm.weight", D);
  at.ffn_norm = vector(p + "ffn_norm.weight", D);
  at.attn_site = site(p + "hc_attn_");
  at.ffn_site = site(p + "hc_ffn_");
  at.wq_a = matrix(attn + "wq_a.weight", dq, D);
  at.q_norm = vector(attn + "q_norm.weight", dq);
  at.wq_b = matrix(attn + "wq_b.weight", H * dim, dq);
  at.wkv = matrix(attn + "wkv.weight", dim, D);
  at.kv_norm = vector(attn + "kv_norm.weight", dim);
  at.sink = vector(attn + "attn_sink", H, Stored::f32);
  at.wo_a = matrix(attn + "wo_a.weight", low, H * dim / groups, groups);
  at.wo_b = matrix(attn + "wo_b.weight", D, low);
  if (at.ratio > 0) at.compressor = add_compressor(attn + "compressor.", at.ratio, dim, false);
  if (at.ratio == 4) {
    const size_t hi = u(c.index_n_heads), ci = u(c.index_head_dim);
    Parameter wq{attn + "indexer.wq_b.weight", hi * ci, dq, 0, Update::muon, Stored::fp8, true};
    Parameter weigh{
        attn + "indexer.weights_proj.weight", hi, D, 0, Update::adamw, Stored::bf16, false};
    wq.indexer = weigh.indexer = true;
    weigh.shape = {hi, D};
    at.index_wq_b = add(std::move(wq));
    at.index_weights = add(std::move(weigh));
    at.index_compressor = add_compressor(attn + "indexer.compressor.", 4, ci, true);
  }
  const size_t E = u(c.n_routed_experts), K = u(c.num_experts_per_tok);
  at.router =
      add({ffn + "gate.weight", E, D, 0, Update::adamw, Stored::bf16, false, 1, false, {E, D}});
  if (at.hashed) {
    at.experts_of_token = token_table(u(c.vocab_size), E, K, index);
  } else {
    at.router_bias = add({ffn + "gate.bias", 1, E, 0, Update::balance, Stored::f32, false});
  }
  for (size_t e = 0; e < E; ++e) {
    at.experts.push_back(add_expert(fmt::format("{}experts.{}.", ffn, e), Stored::fp4));
  }
  at.shared = add_expert(ffn + "shared_experts.", Stored::fp8);
  layers.push_back(std::move(at));
}

Result<Parameters> Parameters::of(const ModelConfig& config) {
  SABLE_TRY_VOID(inference::check(config));
  if (config.hc_mult != static_cast<int64_t>(kStreamCount) || config.head_dim % 16 != 0 ||
      config.hidden_size % 16 != 0 || config.q_lora_rank % 16 != 0 ||
      config.moe_intermediate_size % 16 != 0) {
    return fail(ErrorCode::unsupported,
                "training needs hc_mult 4 and sizes that are multiples of 16");
  }
  Parameters p;
  p.config_ = config;
  p.config_.num_nextn_predict_layers = 0;
  p.config_.compress_ratios.resize(u(config.num_hidden_layers));
  const size_t D = u(config.hidden_size), V = u(config.vocab_size);
  p.embed = p.add({"embed.weight", V, D, 0, Update::adamw, Stored::bf16, false});
  for (size_t i = 0; i < u(config.num_hidden_layers); ++i) p.add_layer(i);
  p.norm = p.add({"norm.weight", 1, D, 0, Update::adamw, Stored::bf16, false});
  p.head = p.add({"head.weight", V, D, 0, Update::adamw, Stored::bf16, true});
  p.head_site.fn = p.add({"hc_head_fn", kStreamCount, kStreamCount * D});
  p.head_site.base = p.add({"hc_head_base", 1, kStreamCount});
  p.head_site.scale = p.add({"hc_head_scale", 1, 1});
  return p;
}

const Parameter* Parameters::find(std::string_view name) const {
  const auto it = std::find_if(list_.begin(), list_.end(),
                               [name](const Parameter& p) { return p.name == name; });
  return it == list_.end() ? nullptr : &*it;
}

size_t Parameters::total() const {
  size_t n = 0;
  for (const Parameter& p : list_) n += p.size();
  return n;
}

size_t Parameters::active() const {
  const size_t expert = 3 * u(config_.hidden_size) * u(config_.moe_intermediate_size);
  const size_t skipped = u(config_.n_routed_experts - config_.num_experts_per_tok);
  return total() - find("embed.weight")->size() - layers.size() * skipped * expert;
}

size_t Parameters::shipped_bytes() const {
  size_t n = 0;
  for (const Parameter& p : list_) {
    switch (p.stored) {
      case Stored::f32:
        n += 4 * p.size();
        break;
      case Stored::bf16:
        n += 2 * p.size();
        break;
      case Stored::fp8:
        n += p.size() + (p.rows + 127) / 128 * ((p.cols + 127) / 128);
        break;
      case Stored::fp4:
        n += p.size() / 2 + p.size() / 32;
        break;
    }
  }
  for (const LayerAt& layer : layers) n += 8 * layer.experts_of_token.size();
  return n;
}

namespace {

bool ends_with(const std::string& text, std::string_view end) { return text.ends_with(end); }

/// Streams start as plain residual connections: site i of the model reads mostly stream i mod 4,
/// writes to all, and carries each stream over to itself.
void start_site(float* base, size_t reads) {
  for (size_t j = 0; j < kStreamCount; ++j) {
    base[j] = j == reads ? 2.0F : -1.0F;
    for (size_t k = 0; k < kStreamCount; ++k) {
      base[(2 + j) * kStreamCount + k] = j == k ? 3.0F : 0.0F;
    }
  }
}

}  // namespace

std::vector<float> initial_values(const Parameters& parameters, uint64_t seed) {
  std::vector<float> values(parameters.size(), 0.0F);
  size_t n_sites = 0;
  for (const Parameter& p : parameters.list()) {
    float* const at = values.data() + p.offset;
    Random random(mix(seed, hash_of(p.name)));
    const auto normal = [&](float deviation) {
      for (size_t i = 0; i < p.size(); ++i) at[i] = deviation * random.normal();
    };
    if (ends_with(p.name, "norm.weight")) {
      std::fill_n(at, p.size(), 1.0F);
    } else if (p.name == "embed.weight") {
      normal(0.7F);
    } else if (p.name == "head.weight") {
      normal(0.5F / std::sqrt(static_cast<float>(p.cols)));
    } else if (ends_with(p.name, "_fn")) {
      normal(1.0F / std::sqrt(static_cast<float>(p.cols)));
    } else if (ends_with(p.name, "_scale")) {
      std::fill_n(at, p.size(), 0.1F);
    } else if (ends_with(p.name, "attn_base") || ends_with(p.name, "ffn_base")) {
      start_site(at, n_sites++ % kStreamCount);
    } else if (ends_with(p.name, "ape")) {
      normal(0.1F);
    } else if (p.rows > 1) {
      normal(1.0F / std::sqrt(static_cast<float>(p.cols)));
    }
  }
  return values;
}

Result<std::vector<float>> values_of(const Checkpoint& checkpoint, Parameters& parameters) {
  std::vector<float> values(parameters.size(), 0.0F);
  for (const Parameter& p : parameters.list()) {
    const inference::Tensor* tensor = checkpoint.find(p.name);
    if (tensor == nullptr || tensor->n_elements() != p.size()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: tensor \"{}\" is missing or has another size",
                              checkpoint.path().string(), p.name));
    }
    const size_t rows = tensor->shape.size() < 2 ? 1 : p.rows;
    for (size_t r = 0; r < rows; ++r) {
      inference::dequantize_row(
          *tensor, r, {values.data() + p.offset + r * (p.size() / rows), p.size() / rows});
    }
  }
  for (size_t i = 0; i < parameters.layers.size(); ++i) {
    LayerAt& layer = parameters.layers[i];
    if (!layer.hashed) continue;
    const inference::Tensor* tensor = checkpoint.find(fmt::format("layers.{}.ffn.gate.tid2eid", i));
    if (tensor == nullptr || tensor->n_elements() != layer.experts_of_token.size()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("layer {} has no table of experts by token", i));
    }
    const size_t K = tensor->cols();
    std::vector<float> row(K);
    for (size_t token = 0; token < tensor->rows(); ++token) {
      inference::dequantize_row(*tensor, token, row);
      std::sort(row.begin(), row.end());
      for (size_t k = 0; k < K; ++k) {
        layer.experts_of_token[token * K + k] = static_cast<int32_t>(row[k]);
      }
    }
  }
  return values;
}

}  // namespace sable::training
