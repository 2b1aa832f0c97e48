#include "training/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "training/lanes.h"
#include "training/rounding.h"
#include "training/rows.h"

namespace sable::training {

Experts::Experts(const Parameters& parameters, const LayerAt& layer, const Pointers& pointers,
                 const Roundings& roundings)
    : p_(pointers), layer_(layer), roundings_(roundings) {
  const ModelConfig& c = parameters.config();
  D_ = static_cast<size_t>(c.hidden_size);
  F_ = static_cast<size_t>(c.moe_intermediate_size);
  E_ = static_cast<size_t>(c.n_routed_experts);
  K_ = static_cast<size_t>(c.num_experts_per_tok);
  limit_ = static_cast<float>(c.swiglu_limit);
  scale_ = static_cast<float>(c.routed_scaling_factor);
}

void Experts::choose(size_t n, const int32_t* tokens, const float* x, ExpertsState& s) const {
  s.logits.resize(n * E_);
  s.score.resize(n * E_);
  s.chosen.resize(n * K_);
  s.weight.resize(n * K_);
  Linear::at(p_, layer_.router, E_, D_).forward(n, x, s.logits.data());
  const float* const bias = layer_.hashed ? nullptr : p_.values + layer_.router_bias;
  std::vector<int32_t> order(E_);
  for (size_t t = 0; t < n; ++t) {
    float* const score = s.score.data() + t * E_;
    for (size_t e = 0; e < E_; ++e) {
      const float z = s.logits[t * E_ + e];
      score[e] = std::sqrt(z > 20.0F ? z : std::log1p(std::exp(z)));
    }
    int32_t* const chosen = s.chosen.data() + t * K_;
    if (layer_.hashed) {
      std::copy_n(layer_.experts_of_token.data() + static_cast<size_t>(tokens[t]) * K_, K_, chosen);
    } else {
      std::iota(order.begin(), order.end(), 0);
      const auto end = order.begin() + static_cast<std::ptrdiff_t>(K_);
      std::partial_sort(order.begin(), end, order.end(), [&](int32_t a, int32_t b) {
        const float sa = score[a] + bias[a], sb = score[b] + bias[b];
        return sa > sb || (sa == sb && a < b);
      });
      std::sort(order.begin(), end);
      std::copy(order.begin(), end, chosen);
    }
    float sum = 0;
    for (size_t k = 0; k < K_; ++k) sum += score[chosen[k]];
    for (size_t k = 0; k < K_; ++k) s.weight[t * K_ + k] = score[chosen[k]] / sum * scale_;
  }
}

void Experts::arrange(size_t n, ExpertsState& s) const {
  s.begin.assign(E_ + 1, 0);
  for (const int32_t e : s.chosen) ++s.begin[static_cast<size_t>(e) + 1];
  std::partial_sum(s.begin.begin(), s.begin.end(), s.begin.begin());
  std::vector<size_t> next(s.begin.begin(), s.begin.end() - 1);
  s.slot_of.resize(n * K_);
  s.token_of.resize(n * K_);
  s.slot_weight.resize(n * K_);
  for (size_t i = 0; i < n * K_; ++i) {
    const size_t slot = next[static_cast<size_t>(s.chosen[i])]++;
    s.slot_of[i] = slot;
    s.token_of[slot] = i / K_;
    s.slot_weight[slot] = s.weight[i];
  }
}

void Experts::unit_forward(const ExpertAt& at, size_t n, const float* x, const float* weights,
                           GatedState& s, size_t first, float* out) const {
  float* const a = s.gate.data() + first * F_;
  float* const b = s.up.data() + first * F_;
  float* const h = s.inner.data() + first * F_;
  Linear::at(p_, at.w1, F_, D_).forward(n, x, a);
  Linear::at(p_, at.w3, F_, D_).forward(n, x, b);
  for (size_t r = 0; r < n; ++r) {
    const float w = weights == nullptr ? 1.0F : weights[r];
    for (size_t i = r * F_; i < (r + 1) * F_; ++i) {
      const float g = std::min(a[i], limit_), u = std::max(std::min(b[i], limit_), -limit_);
      h[i] = g * sigmoid(g) * u * w;
    }
    if (roundings_.activations) round_rows_fp8(h + r * F_, F_, 128);
  }
  Linear::at(p_, at.w2, D_, F_).forward(n, h, out);
}

void Experts::unit_backward(const ExpertAt& at, size_t n, const float* x, const float* weights,
                            const GatedState& s, size_t first, const float* dout, float* dx,
                            float* dweights, std::vector<float>& work) const {
  const float* const a = s.gate.data() + first * F_;
  const float* const b = s.up.data() + first * F_;
  work.resize(2 * n * F_);
  float* const da = work.data();  // the gradient of `inner` first
  float* const db = work.data() + n * F_;
  const Linear w1 = Linear::at(p_, at.w1, F_, D_), w3 = Linear::at(p_, at.w3, F_, D_);
  const Linear w2 = Linear::at(p_, at.w2, D_, F_);
  w2.backward_input(n, dout, da, Into::replace);
  w2.backward_weight(n, dout, s.inner.data() + first * F_);
  for (size_t r = 0; r < n; ++r) {
    const float w = weights == nullptr ? 1.0F : weights[r];
    float dw = 0;
    for (size_t i = r * F_; i < (r + 1) * F_; ++i) {
      const float g = std::min(a[i], limit_), u = std::max(std::min(b[i], limit_), -limit_);
      const float gate = sigmoid(g), silu = g * gate, dh = da[i];
      dw += dh * silu * u;
      da[i] = a[i] < limit_ ? dh * w * u * gate * (1.0F + g * (1.0F - gate)) : 0.0F;
      db[i] = b[i] < limit_ && b[i] > -limit_ ? dh * w * silu : 0.0F;
    }
    if (dweights != nullptr) dweights[r] = dw;
  }
  w1.backward_weight(n, da, x);
  w3.backward_weight(n, db, x);
  w1.backward_input(n, da, dx, Into::replace);
  w3.backward_input(n, db, dx, Into::add);
}

void Experts::forward(size_t n, const int32_t* tokens, const float* x, ExpertsState& s,
                      float* out) const {
  choose(n, tokens, x, s);
  arrange(n, s);
  const float* const in = rounded_input(roundings_, x, n, D_, s.input);
  const auto size = [this](GatedState& g, size_t rows) {
    g.gate.resize(rows * F_);
    g.up.resize(rows * F_);
    g.inner.resize(rows * F_);
  };
  size(s.shared, n);
  size(s.routed, n * K_);
  s.gathered.resize(n * K_ * D_);
  s.slot_out.resize(n * K_ * D_);
  for (size_t slot = 0; slot < n * K_; ++slot) {
    std::copy_n(in + s.token_of[slot] * D_, D_, s.gathered.data() + slot * D_);
  }
  unit_forward(layer_.shared, n, in, nullptr, s.shared, 0, out);
  for (size_t e = 0; e < E_; ++e) {
    const size_t first = s.begin[e], rows = s.begin[e + 1] - first;
    if (rows == 0) continue;
    unit_forward(layer_.experts[e], rows, s.gathered.data() + first * D_,
                 s.slot_weight.data() + first, s.routed, first, s.slot_out.data() + first * D_);
  }
  for (size_t i = 0; i < n * K_; ++i) {
    add_to(out + i / K_ * D_, s.slot_out.data() + s.slot_of[i] * D_, D_);
  }
}

void Experts::backward(size_t n, const float* x, ExpertsState& s, const float* dout, float* dx,
                       std::vector<float>& work) const {
  const float* const in = roundings_.activations ? s.input.data() : x;
  unit_backward(layer_.shared, n, in, nullptr, s.shared, 0, dout, dx, nullptr, work);
  std::vector<float> dgathered(n * K_ * D_), dslot_weight(n * K_);
  for (size_t slot = 0; slot < n * K_; ++slot) {
    std::copy_n(dout + s.token_of[slot] * D_, D_, s.slot_out.data() + slot * D_);
  }
  for (size_t e = 0; e < E_; ++e) {
    const size_t first = s.begin[e], rows = s.begin[e + 1] - first;
    if (rows == 0) continue;
    unit_backward(layer_.experts[e], rows, s.gathered.data() + first * D_,
                  s.slot_weight.data() + first, s.routed, first, s.slot_out.data() + first * D_,
                  dgathered.data() + first * D_, dslot_weight.data() + first, work);
  }
  for (size_t i = 0; i < n * K_; ++i) {
    add_to(dx + i / K_ * D_, dgathered.data() + s.slot_of[i] * D_, D_);
  }
  // Weights are shares of the chosen experts' scores, which are sqrt(softplus(logit)).
  std::vector<float> dlogits(n * E_, 0.0F);
  for (size_t t = 0; t < n; ++t) {
    const int32_t* const chosen = s.chosen.data() + t * K_;
    const float* const score = s.score.data() + t * E_;
    float sum = 0, with = 0;
    for (size_t k = 0; k < K_; ++k) {
      sum += score[chosen[k]];
      with += dslot_weight[s.slot_of[t * K_ + k]] * s.weight[t * K_ + k];
    }
    for (size_t k = 0; k < K_; ++k) {
      const auto e = static_cast<size_t>(chosen[k]);
      const float dscore = (dslot_weight[s.slot_of[t * K_ + k]] * scale_ - with) / sum;
      dlogits[t * E_ + e] += dscore * sigmoid(s.logits[t * E_ + e]) / (2.0F * score[e]);
    }
  }
  const Linear router = Linear::at(p_, layer_.router, E_, D_);
  router.backward_input(n, dlogits.data(), dx, Into::add);
  router.backward_weight(n, dlogits.data(), x);
}

}  // namespace sable::training
