#include "training/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "training/matrix_product.h"
#include "training/parallel.h"

namespace sable::training {

namespace {

constexpr float kMuonMomentum = 0.95F;
constexpr float kBeta1 = 0.9F, kBeta2 = 0.95F, kEps = 1e-8F;
constexpr int kNewtonSchulzSteps = 5;

void muon_step(const Parameter& p, const Rates& rates, const float* gradient, float* momentum,
               float* values) {
  const size_t rows = p.rows / p.blocks, n = rows * p.cols;
  std::vector<float> update(n);
  // An update of an orthonormal matrix has RMS 1/sqrt(longer side); this makes it 0.2.
  const float scale = 0.2F * std::sqrt(static_cast<float>(std::max(rows, p.cols))) * rates.muon;
  const float keep = 1.0F - rates.muon * (p.decays ? rates.decay : 0.0F);
  for (size_t b = 0; b < p.blocks; ++b) {
    const float* const g = gradient + b * n;
    float* const m = momentum + b * n;
    float* const w = values + b * n;
    for (size_t i = 0; i < n; ++i) {
      m[i] = kMuonMomentum * m[i] + g[i];
      update[i] = g[i] + kMuonMomentum * m[i];
    }
    orthogonalize(update.data(), rows, p.cols);
    for (size_t i = 0; i < n; ++i) w[i] = keep * w[i] - scale * update[i];
  }
}

void adamw_step(const Parameter& p, const Rates& rates, size_t n_steps, const float* g, float* m,
                float* v, float* w) {
  const auto n = static_cast<float>(n_steps);
  const float correct1 = 1.0F / (1.0F - std::pow(kBeta1, n));
  const float correct2 = 1.0F / (1.0F - std::pow(kBeta2, n));
  const float keep = 1.0F - rates.adamw * (p.decays ? rates.decay : 0.0F);
  for (size_t i = 0; i < p.size(); ++i) {
    m[i] = kBeta1 * m[i] + (1.0F - kBeta1) * g[i];
    v[i] = kBeta2 * v[i] + (1.0F - kBeta2) * g[i] * g[i];
    w[i] = keep * w[i] - rates.adamw * (m[i] * correct1) / (std::sqrt(v[i] * correct2) + kEps);
  }
}

}  // namespace

OptimizerState::OptimizerState(const Parameters& parameters)
    : momentum(parameters.size(), 0.0F), squares(parameters.size(), 0.0F) {}

void orthogonalize(float* x, size_t rows, size_t cols) {
  // Newton-Schulz on the wide orientation; the polynomial's coefficients are Muon's.
  constexpr float a = 3.4445F, b = -4.7750F, c = 2.0315F;
  const bool tall = rows > cols;
  const size_t m = tall ? cols : rows, n = tall ? rows : cols;
  double squares = 0;
  for (size_t i = 0; i < rows * cols; ++i) {
    squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  const auto shrink = static_cast<float>(1.0 / (std::sqrt(squares) + 1e-12));
  std::vector<float> wide(m * n), other(m * n), gram(m * m), poly(m * m);
  if (tall) {
    transpose(x, rows, cols, cols, wide.data(), n);
  } else {
    std::copy_n(x, m * n, wide.data());
  }
  for (float& v : wide) v *= shrink;
  for (int i = 0; i < kNewtonSchulzSteps; ++i) {
    transpose(wide.data(), m, n, n, other.data(), m);
    multiply(m, m, n, {wide.data(), n}, other.data(), m, gram.data(), m);
    multiply(m, m, m, {gram.data(), m}, gram.data(), m, poly.data(), m);
    for (size_t j = 0; j < m * m; ++j) poly[j] = b * gram[j] + c * poly[j];
    for (size_t j = 0; j < m; ++j) poly[j * m + j] += a;
    multiply(m, n, m, {poly.data(), m}, wide.data(), n, other.data(), n);
    wide.swap(other);
  }
  if (tall) {
    transpose(wide.data(), m, n, n, x, cols);
  } else {
    std::copy_n(wide.data(), m * n, x);
  }
}

void optimize(const Parameters& parameters, const Rates& rates, size_t n_threads,
              const float* gradient, OptimizerState& state, float* values) {
  ++state.n_steps;
  const std::vector<Parameter>& list = parameters.list();
  std::vector<size_t> order(list.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return list[a].size() > list[b].size(); });
  in_parallel(n_threads, order.size(), [&](size_t job, size_t) {
    const Parameter& p = list[order[job]];
    const size_t at = p.offset;
    if (p.update == Update::muon) {
      muon_step(p, rates, gradient + at, state.momentum.data() + at, values + at);
    } else if (p.update == Update::adamw) {
      adamw_step(p, rates, state.n_steps, gradient + at, state.momentum.data() + at,
                 state.squares.data() + at, values + at);
    }
  });
}

void balance(const Parameters& parameters, const std::vector<uint64_t>& load, float rate,
             float* values) {
  const auto n_experts = static_cast<size_t>(parameters.config().n_routed_experts);
  for (size_t l = 0; l < parameters.layers.size(); ++l) {
    const LayerAt& layer = parameters.layers[l];
    if (layer.hashed) continue;
    const uint64_t* const tokens = load.data() + l * n_experts;
    const uint64_t total = std::accumulate(tokens, tokens + n_experts, uint64_t{0});
    for (size_t e = 0; e < n_experts; ++e) {
      const uint64_t scaled = tokens[e] * n_experts;
      values[layer.router_bias + e] += scaled < total ? rate : scaled > total ? -rate : 0.0F;
    }
  }
}

}  // namespace sable::training
