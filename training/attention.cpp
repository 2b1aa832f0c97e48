#include "training/attention.h"

#include <algorithm>
#include <cmath>

#include "inference/kernels/quantize.h"
#include "inference/kernels/rope.h"
#include "training/lanes.h"

namespace sable::training {

namespace {

// Queries taken together: enough rows for the products, few enough that not much lies beyond the
// window of each.
constexpr size_t kBlockTokens = 32;

size_t u(int64_t n) { return static_cast<size_t>(n); }
size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

void SequenceRotations::fill(const ModelConfig& config, size_t n) {
  const std::vector<float> theta = inference::compressed_rope_frequencies(config);
  plain.fill(inference::plain_rope_frequencies(config), n);
  compressed.fill(theta, n);
  entries_4.fill(theta, n / 4, 4);
  entries_128.fill(theta, n / 128, 128);
}

Attention::Attention(const Parameters& parameters, const LayerAt& layer, const Pointers& p,
                     const Roundings& roundings)
    : p_(p), layer_(layer), roundings_(roundings) {
  const ModelConfig& c = parameters.config();
  D_ = u(c.hidden_size);
  H_ = u(c.num_attention_heads);
  c_ = u(c.head_dim);
  dq_ = u(c.q_lora_rank);
  groups_ = u(c.o_groups);
  rank_ = u(c.o_lora_rank);
  window_ = u(c.sliding_window);
  eps_ = static_cast<float>(c.rms_norm_eps);
  scale_ = 1.0F / std::sqrt(static_cast<float>(c_));
  if (layer.ratio > 0) compressor_.emplace(layer.compressor, D_, eps_, p);
  if (layer.ratio == 4) indexer_.emplace(parameters, layer, p, roundings);
}

std::vector<Attention::Block> Attention::blocks(size_t n) const {
  std::vector<Block> list;
  size_t at = 0;
  for (size_t begin = 0; begin < n; begin += kBlockTokens) {
    Block b{};
    b.begin = begin;
    b.end = std::min(n, begin + kBlockTokens);
    b.first_key = begin + 1 > window_ ? (begin + 1 - window_) / kLanes * kLanes : 0;
    b.n_window = b.end - b.first_key;
    b.n_entries = layer_.ratio == 0 ? 0 : b.end / layer_.ratio;
    b.stride = round_up(b.n_window + b.n_entries, kLanes);
    b.at = at;
    at += (b.end - b.begin) * H_ * b.stride;
    list.push_back(b);
  }
  return list;
}

void Attention::project(size_t n, const float* x, const Rotations& turn, AttentionState& s) const {
  const float* const in = rounded_input(roundings_, x, n, D_, s.input);
  s.qr_raw.resize(n * dq_);
  s.qr.resize(n * dq_);
  s.qr_r.resize(n);
  s.q.resize(n * H_ * c_);
  s.q_r.resize(n * H_);
  s.kv_raw.resize(n * c_);
  s.kv.resize(n * c_);
  s.kv_r.resize(n);
  Linear::at(p_, layer_.wq_a, dq_, D_).forward(n, in, s.qr_raw.data());
  rms_norm(s.qr_raw.data(), p_.values + layer_.q_norm, n, dq_, eps_, s.qr.data(), s.qr_r.data());
  const float* const low = rounded_input(roundings_, s.qr.data(), n, dq_, s.low);
  Linear::at(p_, layer_.wq_b, H_ * c_, dq_).forward(n, low, s.q.data());
  rms_norm(s.q.data(), nullptr, n * H_, c_, eps_, s.q.data(), s.q_r.data());
  rotate_rows(s.q.data(), n, H_, c_, turn, false);
  Linear::at(p_, layer_.wkv, c_, D_).forward(n, in, s.kv_raw.data());
  rms_norm(s.kv_raw.data(), p_.values + layer_.kv_norm, n, c_, eps_, s.kv.data(), s.kv_r.data());
  rotate_rows(s.kv.data(), n, 1, c_, turn, false);
}

void Attention::forward(size_t n, const float* x, const SequenceRotations& rotations,
                        float index_scale, AttentionState& s, float* out) const {
  const Rotations& turn = token_rotations(rotations);
  project(n, x, turn, s);
  const size_t n_entries = layer_.ratio == 0 ? 0 : n / layer_.ratio;
  if (compressor_) compressor_->forward(n, x, entry_rotations(rotations), s.compressor);
  if (indexer_) {
    const std::vector<float>& low = roundings_.activations ? s.low : s.qr;
    indexer_->prepare(n, x, low.data(), turn, rotations.entries_4, s.indexer);
  }
  if (roundings_.entries) {
    const size_t rounded = c_ - 2 * turn.n_pairs;
    for (size_t t = 0; t < n; ++t)
      inference::fake_quantize_fp8({s.kv.data() + t * c_, rounded}, 64);
    for (size_t e = 0; e < n_entries; ++e) {
      inference::fake_quantize_fp8({s.compressor.entries.data() + e * c_, rounded}, 64);
    }
  }
  s.kv_transposed.resize(c_ * n);
  s.entries_transposed.resize(c_ * n_entries);
  transpose(s.kv.data(), n, c_, c_, s.kv_transposed.data(), n);
  transpose(s.compressor.entries.data(), n_entries, c_, c_, s.entries_transposed.data(), n_entries);

  const std::vector<Block> all = blocks(n);
  const Block& last = all.back();
  s.probabilities.resize(last.at + (last.end - last.begin) * H_ * last.stride);
  s.sink.resize(n * H_);
  s.o.resize(n * H_ * c_);
  s.index_loss = 0;
  s.n_index_queries = 0;
  for (const Block& block : all) attend(block, index_scale, s);

  rotate_rows(s.o.data(), n, H_, c_, turn, true);
  const size_t low = groups_ * rank_, width = H_ * c_ / groups_;
  s.z.resize(n * low);
  for (size_t g = 0; g < groups_; ++g) {
    multiply(n, rank_, width, {s.o.data() + g * width, H_ * c_},
             p_.transposed + layer_.wo_a + g * rank_, low, s.z.data() + g * rank_, low);
  }
  Linear::at(p_, layer_.wo_b, D_, low)
      .forward(n, rounded_input(roundings_, s.z.data(), n, low, s.z_rounded), out);
}

/// Scores, their softmax in place, and the weighted sums of one block.
void Attention::attend(const Block& b, float index_scale, AttentionState& s) const {
  const size_t n = s.kv.size() / c_, all_entries = s.entries_transposed.size() / c_;
  const size_t rows = (b.end - b.begin) * H_;
  const float* const q = s.q.data() + b.begin * H_ * c_;
  float* const p = s.probabilities.data() + b.at;
  float* const o = s.o.data() + b.begin * H_ * c_;
  multiply(rows, b.n_window, c_, {q, c_}, s.kv_transposed.data() + b.first_key, n, p, b.stride);
  multiply(rows, b.n_entries, c_, {q, c_}, s.entries_transposed.data(), all_entries, p + b.n_window,
           b.stride);
  const bool learns = index_scale > 0 && b.n_entries > 1;
  if (indexer_ && (learns || b.n_entries > indexer_->top_k())) {
    indexer_->score(b.begin, b.end, b.n_entries, s.indexer);
  }
  for (size_t t = b.begin; t < b.end; ++t) weigh(b, t, index_scale, s);
  if (indexer_ && learns) indexer_->finish_block(b.begin, b.end, b.n_entries, s.indexer);
  multiply(rows, c_, b.n_window, {p, b.stride}, s.kv.data() + b.first_key * c_, c_, o, c_);
  multiply(rows, c_, b.n_entries, {p + b.n_window, b.stride}, s.compressor.entries.data(), c_, o,
           c_, Into::add);
}

/// The softmax of one query's scores, all heads; the indexer learns from it.
void Attention::weigh(const Block& b, size_t t, float index_scale, AttentionState& s) const {
  const size_t first = (t + 1 > window_ ? t + 1 - window_ : 0) - b.first_key;
  const size_t end = t + 1 - b.first_key;
  const size_t visible = layer_.ratio == 0 ? 0 : (t + 1) / layer_.ratio;
  const float* const scores =
      indexer_ ? s.indexer.scores.data() + (t - b.begin) * b.n_entries : nullptr;
  std::vector<uint8_t> attends;
  if (indexer_) indexer_->select(scores, visible, attends);
  std::vector<float> target(index_scale > 0 && indexer_ ? visible : 0, 0.0F);
  for (size_t h = 0; h < H_; ++h) {
    float* const p = s.probabilities.data() + b.at + ((t - b.begin) * H_ + h) * b.stride;
    float* const pe = p + b.n_window;
    const float sink = p_.values[layer_.sink + h];
    if (visible < attends.size() || std::count(attends.begin(), attends.end(), 0) > 0) {
      for (size_t e = 0; e < visible; ++e) pe[e] = attends[e] == 0 ? -1e30F : pe[e];
    }
    float top = -1e30F;
    for (size_t i = first; i < end; ++i) top = std::max(top, p[i]);
    for (size_t e = 0; e < visible; ++e) top = std::max(top, pe[e]);
    top = std::max(top * scale_, sink);
    const float at_sink = fast_exp(sink - top);
    float sum = at_sink;
    std::fill_n(p, first, 0.0F);
    for (size_t i = first; i < end; ++i) {
      p[i] = fast_exp(p[i] * scale_ - top);
      sum += p[i];
    }
    std::fill(p + end, p + b.n_window, 0.0F);
    for (size_t e = 0; e < visible; ++e) {
      pe[e] = pe[e] <= -1e30F ? 0.0F : fast_exp(pe[e] * scale_ - top);
      sum += pe[e];
    }
    std::fill(pe + visible, pe + b.n_entries, 0.0F);
    const float share = 1.0F / sum;
    for (size_t i = first; i < end; ++i) p[i] *= share;
    for (size_t e = 0; e < visible; ++e) pe[e] *= share;
    s.sink[t * H_ + h] = at_sink * share;
    for (size_t e = 0; e < target.size(); ++e) target[e] += pe[e];
  }
  if (!indexer_ || !(index_scale > 0) || b.n_entries < 2) return;
  s.index_loss += indexer_->learn(b.begin, t, b.n_entries, visible, target.data(), attends,
                                  index_scale, s.indexer);
  s.n_index_queries += visible > 1 ? 1 : 0;
}

void Attention::attend_backward(const Block& b, AttentionState& s, AttentionWork& work) const {
  const size_t n = s.kv.size() / c_, all_entries = s.entries_transposed.size() / c_;
  const size_t rows = (b.end - b.begin) * H_, row0 = b.begin * H_;
  const float* const q = s.q.data() + row0 * c_;
  const float* const d_o = work.d_o.data() + row0 * c_;
  const float* const p = s.probabilities.data() + b.at;
  work.dscores.resize(rows * b.stride);
  float* const ds = work.dscores.data();
  multiply(rows, b.n_window, c_, {d_o, c_}, s.kv_transposed.data() + b.first_key, n, ds, b.stride);
  multiply(rows, b.n_entries, c_, {d_o, c_}, s.entries_transposed.data(), all_entries,
           ds + b.n_window, b.stride);
  const size_t used = b.n_window + b.n_entries;
  for (size_t r = 0; r < rows; ++r) {
    const float dot = work.dots[row0 + r];
    for (size_t i = r * b.stride; i < r * b.stride + used; ++i)
      ds[i] = p[i] * (ds[i] - dot) * scale_;
  }
  float* const dq = work.dq.data() + row0 * c_;
  const float* const entries = s.compressor.entries.data();
  multiply(rows, c_, b.n_window, {ds, b.stride}, s.kv.data() + b.first_key * c_, c_, dq, c_);
  multiply(rows, c_, b.n_entries, {ds + b.n_window, b.stride}, entries, c_, dq, c_, Into::add);
  float* const dkv = work.dkv.data() + b.first_key * c_;
  multiply(b.n_window, c_, rows, {ds, 1, b.stride}, q, c_, dkv, c_, Into::add);
  multiply(b.n_window, c_, rows, {p, 1, b.stride}, d_o, c_, dkv, c_, Into::add);
  float* const de = work.dentries.data();
  multiply(b.n_entries, c_, rows, {ds + b.n_window, 1, b.stride}, q, c_, de, c_, Into::add);
  multiply(b.n_entries, c_, rows, {p + b.n_window, 1, b.stride}, d_o, c_, de, c_, Into::add);
}

void Attention::backward(size_t n, const float* x, const SequenceRotations& rotations,
                         AttentionState& s, const float* dout, float* dx,
                         AttentionWork& work) const {
  const Rotations& turn = token_rotations(rotations);
  const size_t low = groups_ * rank_, width = H_ * c_ / groups_;
  work.dz.resize(n * low);
  work.d_o.resize(n * H_ * c_);
  const Linear wo_b = Linear::at(p_, layer_.wo_b, D_, low);
  wo_b.backward_input(n, dout, work.dz.data(), Into::replace);
  wo_b.backward_weight(n, dout, roundings_.activations ? s.z_rounded.data() : s.z.data());
  for (size_t g = 0; g < groups_; ++g) {
    const size_t at = layer_.wo_a + g * rank_ * width;
    multiply(n, width, rank_, {work.dz.data() + g * rank_, low}, p_.values + at, width,
             work.d_o.data() + g * width, H_ * c_);
    multiply(rank_, width, n, {work.dz.data() + g * rank_, 1, low}, s.o.data() + g * width, H_ * c_,
             p_.gradient + at, width, Into::add);
  }
  // <dO, O> is the same before and after the turn of both.
  work.dots.resize(n * H_);
  for (size_t r = 0; r < n * H_; ++r) {
    float sum = 0;
    for (size_t i = r * c_; i < (r + 1) * c_; ++i) sum += work.d_o[i] * s.o[i];
    work.dots[r] = sum;
    p_.gradient[layer_.sink + r % H_] -= s.sink[r] * sum;
  }
  rotate_rows(work.d_o.data(), n, H_, c_, turn, false);
  work.dq.resize(n * H_ * c_);
  work.dkv.assign(n * c_, 0.0F);
  work.dentries.assign(s.compressor.entries.size(), 0.0F);
  for (const Block& block : blocks(n)) attend_backward(block, s, work);

  project_backward(n, x, turn, s, dx, work);
  if (compressor_) {
    compressor_->backward(n, x, entry_rotations(rotations), s.compressor, work.dentries.data(), dx,
                          work.more);
  }
  if (indexer_) {
    const std::vector<float>& qr = roundings_.activations ? s.low : s.qr;
    indexer_->backward(n, x, qr.data(), turn, rotations.entries_4, s.indexer, work.more);
  }
}

void Attention::project_backward(size_t n, const float* x, const Rotations& turn,
                                 const AttentionState& s, float* dx, AttentionWork& work) const {
  const float* const in = roundings_.activations ? s.input.data() : x;
  unit_norm_backward(work.dq.data(), s.q.data(), s.q_r.data(), n * H_, c_, work.dq.data());
  rotate_rows(work.dq.data(), n, H_, c_, turn, true);
  work.dqr.resize(n * dq_);
  const Linear wq_b = Linear::at(p_, layer_.wq_b, H_ * c_, dq_);
  wq_b.backward_weight(n, work.dq.data(), roundings_.activations ? s.low.data() : s.qr.data());
  wq_b.backward_input(n, work.dq.data(), work.dqr.data(), Into::replace);
  rms_norm_backward(work.dqr.data(), s.qr_raw.data(), p_.values + layer_.q_norm, s.qr_r.data(), n,
                    dq_, work.dqr.data(), p_.gradient + layer_.q_norm);
  const Linear wq_a = Linear::at(p_, layer_.wq_a, dq_, D_);
  wq_a.backward_weight(n, work.dqr.data(), in);
  wq_a.backward_input(n, work.dqr.data(), dx, Into::replace);

  rotate_rows(work.dkv.data(), n, 1, c_, turn, true);
  rms_norm_backward(work.dkv.data(), s.kv_raw.data(), p_.values + layer_.kv_norm, s.kv_r.data(), n,
                    c_, work.dkv.data(), p_.gradient + layer_.kv_norm);
  const Linear wkv = Linear::at(p_, layer_.wkv, c_, D_);
  wkv.backward_weight(n, work.dkv.data(), in);
  wkv.backward_input(n, work.dkv.data(), dx, Into::add);
}

}  // namespace sable::training
