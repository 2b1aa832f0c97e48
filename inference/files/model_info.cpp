#include "inference/files/model_info.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::inference {

namespace {

constexpr uint64_t kContexts[] = {8192, 131072, 1048576};

/// Adds up tensors one by one.
class Sums {
 public:
  explicit Sums(const ModelConfig& config) {
    info_.config = config;
    info_.layers = count_layers(config);
    info_.parameters = count_parameters(config);
    for (const uint64_t tokens : kContexts) {
      info_.contexts.push_back({tokens, cache_bytes(config, tokens, CacheStorage::packed),
                                cache_bytes(config, tokens, CacheStorage::bf16),
                                flops_per_token(config, tokens)});
    }
  }

  void add(const TensorSpec& spec, DType type, uint64_t bytes, uint64_t scale_bytes) {
    ++info_.n_tensors;
    info_.tensor_bytes += bytes + scale_bytes;
    count(type, bytes);
    if (scale_bytes != 0) count(DType::f8_e8m0, scale_bytes);
    const Share share = share_per_token(info_.config, spec);
    touched_[share.whole][share.part] += bytes + scale_bytes;
  }

  ModelInfo finish() {
    for (const auto& [whole, parts] : touched_) {
      for (const auto& [part, bytes] : parts)
        info_.bytes_per_token += bytes / whole * part + bytes % whole * part / whole;
    }
    for (const auto& [type, sum] : by_type_) info_.bytes_by_type.push_back(sum);
    std::stable_sort(info_.bytes_by_type.begin(), info_.bytes_by_type.end(),
                     [](const TypeBytes& a, const TypeBytes& b) { return a.bytes > b.bytes; });
    return std::move(info_);
  }

 private:
  void count(DType type, uint64_t bytes) {
    TypeBytes& sum = by_type_.try_emplace(type, TypeBytes{type}).first->second;
    ++sum.n_tensors;
    sum.bytes += bytes;
  }

  ModelInfo info_;
  std::map<DType, TypeBytes> by_type_;
  std::map<uint64_t, std::map<uint64_t, uint64_t>>
      touched_;  // share -> bytes, summed before dividing
};

}  // namespace

ModelInfo model_info(const Checkpoint& model) {
  Sums sums(model.config());
  (void)for_each_tensor(model.config(), [&](const TensorSpec& spec) -> Result<void> {
    if (const Tensor* tensor = model.find(spec.name)) {
      sums.add(spec, tensor->type, tensor->bytes.size(), tensor->scales.size());
    }
    return {};
  });
  ModelInfo info = sums.finish();
  info.path = model.path().string();
  info.container = model.container() == Container::gguf ? "gguf" : "safetensors";
  info.file_bytes = model.file_bytes();
  return info;
}

ModelInfo model_info(const ModelConfig& config) {
  Sums sums(config);
  (void)for_each_tensor(config, [&](const TensorSpec& spec) -> Result<void> {
    const DType type = released_type(config, spec);
    const BlockShape block = block_of(type);
    sums.add(spec, type, spec.n_elements() / block.elements * block.bytes,
             released_scale_bytes(config, spec));
    return {};
  });
  return sums.finish();
}

Json to_json(const ModelInfo& info) {
  Json types = Json::object();
  for (const TypeBytes& type : info.bytes_by_type) {
    types[std::string(name_of(type.type))] =
        Json{{"tensors", type.n_tensors}, {"bytes", type.bytes}};
  }
  Json contexts = Json::array();
  for (const ContextCost& cost : info.contexts) {
    contexts.push_back(Json{
        {"tokens", cost.tokens},
        {"cache_bytes", Json{{"packed", cost.cache_bytes_packed}, {"bf16", cost.cache_bytes_bf16}}},
        {"flops_per_token", Json{{"projections", cost.flops.projections},
                                 {"attention", cost.flops.attention},
                                 {"index", cost.flops.index},
                                 {"total", cost.flops.total()}}}});
  }
  return Json{
      {"architecture", "deepseek_v4"},
      {"path", info.path},
      {"container", info.container},
      {"config", config_to_json(info.config)},
      {"layers",
       Json{{"window", info.layers.window}, {"csa", info.layers.csa}, {"hca", info.layers.hca}}},
      {"parameters", Json{{"total", info.parameters.trunk + info.parameters.mtp},
                          {"trunk", info.parameters.trunk},
                          {"mtp", info.parameters.mtp},
                          {"active", info.parameters.active}}},
      {"tensors", info.n_tensors},
      {"tensor_bytes", info.tensor_bytes},
      {"file_bytes", info.file_bytes},
      {"bytes_by_type", std::move(types)},
      {"bytes_per_token", info.bytes_per_token},
      {"contexts", std::move(contexts)}};
}

namespace {

/// "149 GiB", "3.43 GiB", "512 B": three digits.
std::string bytes_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes)
                   : fmt::format("{:.{}f} {}", value,
                                 value < 10    ? 2
                                 : value < 100 ? 1
                                               : 0,
                                 kUnits[unit]);
}

/// "284 B", "1.57 T": counts with decimal prefixes.
std::string count_text(double count) {
  constexpr const char* kUnits[] = {"", " K", " M", " G", " T", " P"};
  size_t unit = 0;
  while (count >= 1000 && unit + 1 < std::size(kUnits)) {
    count /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", count,
                     unit == 0 || count >= 100 ? 0
                     : count < 10              ? 2
                                               : 1,
                     kUnits[unit]);
}

void line(std::string& out, std::string_view label, std::string_view value) {
  out += fmt::format("{:<18}{}\n", label, value);
}

}  // namespace

std::string to_text(const ModelInfo& info) {
  const ModelConfig& c = info.config;
  const auto p = [](uint64_t n) { return count_text(static_cast<double>(n)); };
  std::string out;
  if (!info.path.empty())
    line(out, "model", escape_controls(info.path) + " (" + info.container + ")");
  line(out, "architecture",
       fmt::format(
           "DeepSeek-V4: {} layers ({} window, {} CSA, {} HCA), {} MTP, hidden {}, {} heads of {}",
           c.num_hidden_layers, info.layers.window, info.layers.csa, info.layers.hca,
           c.num_nextn_predict_layers, c.hidden_size, c.num_attention_heads, c.head_dim));
  line(out, "experts",
       fmt::format("{} routed, {} a token, {} shared, width {}, {} hash-routed layers",
                   c.n_routed_experts, c.num_experts_per_tok, c.n_shared_experts,
                   c.moe_intermediate_size, c.num_hash_layers));
  line(out, "vocabulary",
       fmt::format("{} tokens, context up to {}", c.vocab_size, c.max_position_embeddings));
  line(out, "parameters",
       fmt::format("{} trunk, {} MTP, {} active a token", p(info.parameters.trunk),
                   p(info.parameters.mtp), p(info.parameters.active)));
  line(out, "weights",
       fmt::format("{} in {} tensors; {} touched a token", bytes_text(info.tensor_bytes),
                   info.n_tensors, bytes_text(info.bytes_per_token)));
  for (const TypeBytes& type : info.bytes_by_type) {
    line(out, fmt::format("  {}", name_of(type.type)),
         fmt::format("{} in {} tensors", bytes_text(type.bytes), type.n_tensors));
  }
  out +=
      fmt::format("\n{:>10} {:>14} {:>12} {:>12} {:>12} {:>12} {:>12}\n", "context", "cache packed",
                  "cache BF16", "FLOP/token", "projections", "attention", "index");
  for (const ContextCost& cost : info.contexts) {
    out += fmt::format("{:>10} {:>14} {:>12} {:>12} {:>12} {:>12} {:>12}\n", cost.tokens,
                       bytes_text(cost.cache_bytes_packed), bytes_text(cost.cache_bytes_bf16),
                       count_text(cost.flops.total()), count_text(cost.flops.projections),
                       count_text(cost.flops.attention), count_text(cost.flops.index));
  }
  return out;
}

}  // namespace sable::inference
