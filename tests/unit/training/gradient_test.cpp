// Every tensor's gradient against finite differences of the loss.
#include <cmath>
#include <map>

#include <catch2/catch.hpp>

#include "base/random.h"
#include "training/model.h"

using namespace sable;
using namespace sable::training;

namespace {

/// Every kind of layer, small: window shorter than the text, top-k that leaves entries out.
ModelConfig small_config() {
  ModelConfig c;
  c.vocab_size = 64;
  c.hidden_size = 128;
  c.num_hidden_layers = 4;
  c.compress_ratios = {0, 4, 128, 4};
  c.num_attention_heads = 4;
  c.head_dim = 128;
  c.q_lora_rank = 64;
  c.o_lora_rank = 64;
  c.o_groups = 2;
  c.sliding_window = 24;
  c.index_n_heads = 2;
  c.index_head_dim = 128;
  c.index_topk = 1000;
  // All of them, since a choice that flips is a step in the loss; see the test of the routing.
  c.n_routed_experts = 3;
  c.num_experts_per_tok = 3;
  c.moe_intermediate_size = 64;
  c.num_hash_layers = 1;
  c.routed_scaling_factor = 1.5;
  c.swiglu_limit = 1.0;
  c.rope_original_max_position_embeddings = 64;
  return c;
}

struct Rig {
  explicit Rig(const ModelConfig& config)
      : parameters(*Parameters::of(config)), worker(parameters) {
    values = initial_values(parameters, 7);
    // Away from the symmetric start: every tensor random, as after training.
    for (const Parameter& p : parameters.list()) {
      Random random(mix(9, hash_of(p.name)));
      const float spread = p.rows == 1 || p.update == Update::adamw ? 0.2F : 0.02F;
      for (size_t i = 0; i < p.size(); ++i) values[p.offset + i] += spread * random.normal();
    }
    Random random(3);
    for (size_t t = 0; t < 140; ++t) {
      tokens.push_back(static_cast<int32_t>(random.below(64)));
      weight.push_back(random.chance(0.3) ? 0.0F : static_cast<float>(random.unit()));
    }
  }

  Outcome run(const std::vector<float>& at, std::vector<float>* gradient) {
    std::vector<float> transposed(parameters.size());
    transpose_values(parameters, 0, parameters.list().size(), at.data(), transposed.data());
    const bool learns = gradient != nullptr;
    return worker.run({tokens, weight},
                      {at.data(), transposed.data(), learns ? gradient->data() : nullptr}, {},
                      {learns ? 1.0F : 0.0F, 1.0F});
  }

  Parameters parameters;
  Worker worker;
  std::vector<float> values, weight;
  std::vector<int32_t> tokens;
};

}  // namespace

TEST_CASE("gradients of every tensor agree with finite differences") {
  Rig rig(small_config());
  std::vector<float> gradient(rig.parameters.size(), 0.0F);
  rig.run(rig.values, &gradient);
  for (const Parameter& p : rig.parameters.list()) {
    if (p.update == Update::balance) continue;
    const float* const g = gradient.data() + p.offset;
    double squares = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      squares += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    }
    INFO(p.name << " gradient norm " << std::sqrt(squares));
    REQUIRE(std::isfinite(squares));
    // An expert that no token chose has no gradient; this seed sends tokens to all.
    REQUIRE(squares > 0);
    // Along the gradient mixed with a random direction: one number tests all components.
    Random random(hash_of(p.name));
    std::vector<double> direction(p.size());
    double length = 0, slope = 0;
    const double norm = std::sqrt(squares / static_cast<double>(p.size()));
    for (size_t i = 0; i < p.size(); ++i) {
      direction[i] = static_cast<double>(g[i]) / norm + static_cast<double>(random.normal());
      length += direction[i] * direction[i];
    }
    length = std::sqrt(length);
    for (size_t i = 0; i < p.size(); ++i) {
      direction[i] /= length;
      slope += direction[i] * static_cast<double>(g[i]);
    }
    const auto loss = [&](double step) {
      std::vector<float> moved = rig.values;
      for (size_t i = 0; i < p.size(); ++i) {
        moved[p.offset + i] += static_cast<float>(step * direction[i]);
      }
      const Outcome o = rig.run(moved, nullptr);
      return p.indexer ? o.index_loss : o.loss;
    };
    // A step that moves the loss well above its rounding; the best of three, since a longer one may
    // cross a kink (a clamp, a router's choice) and a shorter one drowns.
    double best = 1e9;
    for (const double move : {0.02, 0.004, 0.1}) {
      const double step = std::min(move / std::abs(slope), 0.3);
      const double measured = (loss(step) - loss(-step)) / (2 * step);
      best = std::min(best, std::abs(measured - slope) / std::abs(slope));
      if (best < 3e-3) break;
    }
    CHECK(best < 2e-2);
  }
}

TEST_CASE("the attention learns from the selected entries alone when there are more than top-k") {
  ModelConfig config = small_config();
  config.index_topk = 8;
  config.compress_ratios = {0, 4, 128, 0};
  Rig rig(config);
  std::vector<float> gradient(rig.parameters.size(), 0.0F);
  rig.run(rig.values, &gradient);
  const Parameter& p = *rig.parameters.find("layers.1.attn.wkv.weight");
  double slope = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    slope += static_cast<double>(gradient[p.offset + i]) * gradient[p.offset + i];
  }
  slope = std::sqrt(slope);
  const auto loss = [&](double step) {
    std::vector<float> moved = rig.values;
    for (size_t i = 0; i < p.size(); ++i) {
      moved[p.offset + i] += static_cast<float>(step / slope * gradient[p.offset + i]);
    }
    return rig.run(moved, nullptr).loss;
  };
  const double step = 0.01 / slope;
  CHECK((loss(step) - loss(-step)) / (2 * step) == Approx(slope).epsilon(0.01));
}
