#include "training/indexer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "inference/kernels/quantize.h"
#include "training/lanes.h"
#include "training/rounding.h"

namespace sable::training {

namespace {

void rotate_and_round(float* x, size_t n_rows, size_t dim) {
  for (size_t i = 0; i < n_rows; ++i) {
    const std::span<float> row(x + i * dim, dim);
    inference::hadamard(row);
    round_rows_fp4(row.data(), dim);
  }
}

}  // namespace

Indexer::Indexer(const Parameters& parameters, const LayerAt& layer, const Pointers& p,
                 const Roundings& roundings)
    : roundings_(roundings),
      compressor_(layer.index_compressor, static_cast<size_t>(parameters.config().hidden_size),
                  static_cast<float>(parameters.config().rms_norm_eps), p) {
  const ModelConfig& c = parameters.config();
  heads_ = static_cast<size_t>(c.index_n_heads);
  dim_ = static_cast<size_t>(c.index_head_dim);
  top_k_ = static_cast<size_t>(c.index_topk);
  scale_ = 1.0F / std::sqrt(static_cast<float>(heads_ * dim_));
  wq_ = Linear::at(p, layer.index_wq_b, heads_ * dim_, static_cast<size_t>(c.q_lora_rank));
  weigh_ = Linear::at(p, layer.index_weights, heads_, static_cast<size_t>(c.hidden_size));
}

void Indexer::prepare(size_t n, const float* x, const float* qr, const Rotations& by_token,
                      const Rotations& by_entry, IndexerState& s) const {
  const size_t entries = compressor_.n_entries(n);
  s.q.resize(n * heads_ * dim_);
  s.weights.resize(n * heads_);
  wq_.forward(n, qr, s.q.data());
  rotate_rows(s.q.data(), n, heads_, dim_, by_token, false);
  weigh_.forward(n, x, s.weights.data());
  for (float& w : s.weights) w *= scale_;
  compressor_.forward(n, x, by_entry, s.keys);
  if (roundings_.entries) {
    rotate_and_round(s.q.data(), n * heads_, dim_);
    rotate_and_round(s.keys.entries.data(), entries, dim_);
  }
  s.keys_transposed.resize(dim_ * entries);
  transpose(s.keys.entries.data(), entries, dim_, dim_, s.keys_transposed.data(), entries);
  s.dq.assign(s.q.size(), 0.0F);
  s.dweights.assign(s.weights.size(), 0.0F);
  s.dkeys.assign(entries * dim_, 0.0F);
}

void Indexer::score(size_t t0, size_t t1, size_t n_entries, IndexerState& s) const {
  const size_t rows = t1 - t0, all = s.dkeys.size() / dim_;
  s.products.resize(rows * heads_ * n_entries);
  s.scores.assign(rows * n_entries, 0.0F);
  multiply(rows * heads_, n_entries, dim_, {s.q.data() + t0 * heads_ * dim_, dim_},
           s.keys_transposed.data(), all, s.products.data(), n_entries);
  for (size_t i = 0; i < rows * heads_; ++i) {
    float* const product = s.products.data() + i * n_entries;
    float* const score = s.scores.data() + i / heads_ * n_entries;
    const float w = s.weights[t0 * heads_ + i];
    for (size_t e = 0; e < n_entries; ++e) score[e] += std::max(product[e], 0.0F) * w;
  }
}

void Indexer::select(const float* scores, size_t n_visible, std::vector<uint8_t>& attends) const {
  attends.assign(n_visible, n_visible <= top_k_ ? 1 : 0);
  if (n_visible <= top_k_) return;
  std::vector<size_t> order(n_visible);
  std::iota(order.begin(), order.end(), size_t{0});
  const auto cut = order.begin() + static_cast<std::ptrdiff_t>(top_k_);
  std::nth_element(order.begin(), cut, order.end(), [scores](size_t a, size_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  for (auto it = order.begin(); it != cut; ++it) attends[*it] = 1;
}

double Indexer::learn(size_t t0, size_t t, size_t n_entries, size_t n_visible, const float* target,
                      const std::vector<uint8_t>& attends, float scale, IndexerState& s) const {
  float* const score = s.scores.data() + (t - t0) * n_entries;
  float total = 0, top = -1e30F;
  for (size_t e = 0; e < n_visible; ++e) {
    if (attends[e] == 0) continue;
    total += target[e];
    top = std::max(top, score[e]);
  }
  // From here on the row of scores holds their gradient.
  if (!(total > 0)) {
    std::fill_n(score, n_entries, 0.0F);
    return 0;
  }
  float sum = 0;
  for (size_t e = 0; e < n_visible; ++e) sum += attends[e] == 0 ? 0.0F : fast_exp(score[e] - top);
  const float log_sum = std::log(sum) + top;
  double loss = 0;
  for (size_t e = 0; e < n_entries; ++e) {
    if (e >= n_visible || attends[e] == 0) {
      score[e] = 0;
      continue;
    }
    const float p = target[e] / total, log_share = score[e] - log_sum;
    if (p > 0) loss += static_cast<double>(p * (std::log(p) - log_share));
    score[e] = scale * (fast_exp(log_share) - p);
  }
  return loss;
}

void Indexer::finish_block(size_t t0, size_t t1, size_t n_entries, IndexerState& s) const {
  const size_t rows = t1 - t0;
  for (size_t i = 0; i < rows * heads_; ++i) {
    float* const product = s.products.data() + i * n_entries;
    const float* const dscore = s.scores.data() + i / heads_ * n_entries;
    const float w = s.weights[t0 * heads_ + i];
    float dw = 0;
    for (size_t e = 0; e < n_entries; ++e) {
      dw += dscore[e] * std::max(product[e], 0.0F);
      product[e] = product[e] > 0 ? dscore[e] * w : 0.0F;
    }
    s.dweights[t0 * heads_ + i] = dw * scale_;
  }
  const float* const q = s.q.data() + t0 * heads_ * dim_;
  multiply(rows * heads_, dim_, n_entries, {s.products.data(), n_entries}, s.keys.entries.data(),
           dim_, s.dq.data() + t0 * heads_ * dim_, dim_);
  multiply(n_entries, dim_, rows * heads_, {s.products.data(), 1, n_entries}, q, dim_,
           s.dkeys.data(), dim_, Into::add);
}

void Indexer::backward(size_t n, const float* x, const float* qr, const Rotations& by_token,
                       const Rotations& by_entry, IndexerState& s, std::vector<float>& work) const {
  if (roundings_.entries) {
    for (std::vector<float>* rows : {&s.dq, &s.dkeys}) {
      for (size_t i = 0; i < rows->size(); i += dim_) inference::hadamard({rows->data() + i, dim_});
    }
  }
  rotate_rows(s.dq.data(), n, heads_, dim_, by_token, true);
  wq_.backward_weight(n, s.dq.data(), qr);
  weigh_.backward_weight(n, s.dweights.data(), x);
  compressor_.backward(n, x, by_entry, s.keys, s.dkeys.data(), nullptr, work);
}

}  // namespace sable::training
