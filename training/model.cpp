#include "training/model.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "training/lanes.h"
#include "training/matrix_product.h"
#include "training/rows.h"

namespace sable::training {

namespace {

// Rows of logits at a time: a vocabulary wide, they should stay in the cache.
constexpr size_t kLogitRows = 64;

size_t u(int64_t n) { return static_cast<size_t>(n); }

/// One layer's activations that the way back needs.
struct LayerState {
  std::vector<float> attn_streams, ffn_streams;  ///< before each site [n, 4, D]
  SiteState attn_site, ffn_site;
  std::vector<float> attn_y, attn_x, attn_r, attn_out;  ///< site's result, its norm, the sublayer's
  std::vector<float> ffn_y, ffn_x, ffn_r, ffn_out;
  AttentionState attention;
  ExpertsState experts;
};

Site site_at(const Pointers& p, const SiteAt& at) {
  return {p.values + at.fn, p.transposed + at.fn, p.values + at.base, p.values + at.scale};
}
SiteGradient site_gradient(const Pointers& p, const SiteAt& at) {
  return {p.gradient + at.fn, p.gradient + at.base, p.gradient + at.scale};
}

}  // namespace

struct Worker::State {
  const Parameters& parameters;
  std::vector<LayerState> layers;
  SequenceRotations rotations;
  size_t n_rotations = 0;
  std::vector<float> streams, dstreams, head_streams;
  SiteState head_site;
  std::vector<float> head_y, head_x, head_r, dhead_x, logits;
  std::vector<float> df, dx, dmix, work;
  AttentionWork attention_work;
  std::vector<size_t> wanted;
};

Worker::Worker(const Parameters& parameters)
    : state_(std::make_unique<State>(State{.parameters = parameters})) {
  state_->layers.resize(parameters.layers.size());
}

Worker::Worker(Worker&&) noexcept = default;
Worker::~Worker() = default;

namespace {

/// Everything that run() passes around.
struct Pass {
  const Parameters& parameters;
  const Pointers& p;
  const Roundings& roundings;
  const Example& example;
  StreamShape shape;
  float eps;
  size_t n() const { return shape.n_tokens; }
  size_t D() const { return shape.dim; }
};

void embed(const Pass& pass, std::vector<float>& streams) {
  const size_t D = pass.D();
  streams.resize(pass.n() * kStreamCount * D);
  for (size_t t = 0; t < pass.n(); ++t) {
    const float* const row =
        pass.p.values + pass.parameters.embed + static_cast<size_t>(pass.example.tokens[t]) * D;
    for (size_t j = 0; j < kStreamCount; ++j) {
      std::copy_n(row, D, streams.data() + (t * kStreamCount + j) * D);
    }
  }
}

void embed_backward(const Pass& pass, const std::vector<float>& dstreams) {
  const size_t D = pass.D();
  for (size_t t = 0; t < pass.n(); ++t) {
    float* const row =
        pass.p.gradient + pass.parameters.embed + static_cast<size_t>(pass.example.tokens[t]) * D;
    for (size_t j = 0; j < kStreamCount; ++j) {
      add_to(row, dstreams.data() + (t * kStreamCount + j) * D, D);
    }
  }
}

/// Reads the streams at a site and norms the result: what the sublayer sees.
void enter(const Pass& pass, const SiteAt& at, size_t norm, const std::vector<float>& streams,
           SiteState& site, std::vector<float>& y, std::vector<float>& x, std::vector<float>& r) {
  y.resize(pass.n() * pass.D());
  x.resize(pass.n() * pass.D());
  r.resize(pass.n());
  read_streams(site_at(pass.p, at), pass.shape, streams.data(), site, y.data());
  rms_norm(y.data(), pass.p.values + norm, pass.n(), pass.D(), pass.eps, x.data(), r.data());
}

/// From dx, the gradient of what the sublayer saw, into the streams'.
void enter_backward(const Pass& pass, const SiteAt& at, size_t norm,
                    const std::vector<float>& streams, const SiteState& site,
                    const std::vector<float>& y, const std::vector<float>& r,
                    std::vector<float>& dx, std::vector<float>& dmix, std::vector<float>& dstreams,
                    std::vector<float>& work) {
  rms_norm_backward(dx.data(), y.data(), pass.p.values + norm, r.data(), pass.n(), pass.D(),
                    dx.data(), pass.p.gradient + norm);
  read_streams_backward(site_at(pass.p, at), pass.shape, site, streams.data(), dx.data(),
                        dmix.data(), dstreams.data(), site_gradient(pass.p, at), work);
}

void layer_forward(const Pass& pass, const LayerAt& at, const SequenceRotations& rotations,
                   float index_scale, std::vector<float>& streams, LayerState& s) {
  const size_t n = pass.n(), D = pass.D();
  s.attn_out.resize(n * D);
  s.ffn_out.resize(n * D);
  s.attn_streams = streams;
  enter(pass, at.attn_site, at.attn_norm, s.attn_streams, s.attn_site, s.attn_y, s.attn_x,
        s.attn_r);
  Attention(pass.parameters, at, pass.p, pass.roundings)
      .forward(n, s.attn_x.data(), rotations, index_scale, s.attention, s.attn_out.data());
  s.ffn_streams.resize(streams.size());
  merge_streams(pass.shape, s.attn_site, s.attn_out.data(), s.attn_streams.data(),
                s.ffn_streams.data());
  enter(pass, at.ffn_site, at.ffn_norm, s.ffn_streams, s.ffn_site, s.ffn_y, s.ffn_x, s.ffn_r);
  Experts(pass.parameters, at, pass.p, pass.roundings)
      .forward(n, pass.example.tokens.data(), s.ffn_x.data(), s.experts, s.ffn_out.data());
  merge_streams(pass.shape, s.ffn_site, s.ffn_out.data(), s.ffn_streams.data(), streams.data());
}

/// Cross entropy of one row of logits; they become its gradient times `scale`.
double cross_entropy(float* logits, size_t n, size_t wanted, float scale, uint8_t& right) {
  const auto top = std::max_element(logits, logits + n);
  right = static_cast<size_t>(top - logits) == wanted ? 1 : 0;
  const float highest = *top, at_wanted = logits[wanted];
  float sum = 0;
  for (size_t i = 0; i < n; ++i) {
    logits[i] = fast_exp(logits[i] - highest);
    sum += logits[i];
  }
  const float share = scale / sum;
  for (size_t i = 0; i < n; ++i) logits[i] *= share;
  logits[wanted] -= scale;
  return std::log(static_cast<double>(sum)) + static_cast<double>(highest - at_wanted);
}

}  // namespace

Outcome Worker::run(const Example& example, const Pointers& p, const Roundings& roundings,
                    GradientScale scale, std::vector<float>* all_logits) {
  State& s = *state_;
  const Parameters& parameters = s.parameters;
  const ModelConfig& c = parameters.config();
  const size_t n = example.tokens.size(), D = u(c.hidden_size), V = u(c.vocab_size);
  SABLE_CHECK(n > 0 && example.weight.size() == n);
  const Pass pass{parameters,
                  p,
                  roundings,
                  example,
                  {n, D, u(c.hc_sinkhorn_iters), static_cast<float>(c.hc_eps),
                   static_cast<float>(c.rms_norm_eps)},
                  static_cast<float>(c.rms_norm_eps)};
  if (n > s.n_rotations) {
    s.n_rotations = std::max(n, 2 * s.n_rotations);
    s.rotations.fill(c, s.n_rotations);
  }
  embed(pass, s.streams);
  for (size_t l = 0; l < s.layers.size(); ++l) {
    layer_forward(pass, parameters.layers[l], s.rotations, scale.index, s.streams, s.layers[l]);
  }
  Outcome outcome;
  outcome.right.assign(n, 0);

  // The head sees only the positions that count, packed together.
  s.wanted.clear();
  for (size_t t = 0; t < n; ++t) {
    const bool counts = t + 1 < n && example.weight[t] > 0;
    if (counts || all_logits != nullptr) s.wanted.push_back(t);
  }
  const size_t m = s.wanted.size(), width = kStreamCount * D;
  StreamShape head_shape = pass.shape;
  head_shape.n_tokens = m;
  s.head_streams.resize(m * width);
  for (size_t i = 0; i < m; ++i) {
    std::copy_n(s.streams.data() + s.wanted[i] * width, width, s.head_streams.data() + i * width);
  }
  s.head_y.resize(m * D);
  s.head_x.resize(m * D);
  s.head_r.resize(m);
  s.dhead_x.resize(m * D);
  const Site head_site = site_at(p, parameters.head_site);
  read_head(head_site, head_shape, s.head_streams.data(), s.head_site, s.head_y.data());
  rms_norm(s.head_y.data(), p.values + parameters.norm, m, D, pass.eps, s.head_x.data(),
           s.head_r.data());
  const Linear head = Linear::at(p, parameters.head, V, D);
  const bool learns = scale.loss > 0;
  for (size_t i0 = 0; i0 < m; i0 += kLogitRows) {
    const size_t rows = std::min(kLogitRows, m - i0);
    s.logits.resize(rows * V);
    head.forward(rows, s.head_x.data() + i0 * D, s.logits.data());
    if (all_logits != nullptr) {
      all_logits->resize(n * V);
      std::copy_n(s.logits.data(), rows * V, all_logits->data() + i0 * V);
    }
    for (size_t i = 0; i < rows; ++i) {
      const size_t t = s.wanted[i0 + i];
      if (t + 1 >= n || !(example.weight[t] > 0)) {
        std::fill_n(s.logits.data() + i * V, V, 0.0F);
        continue;
      }
      const double loss =
          cross_entropy(s.logits.data() + i * V, V, static_cast<size_t>(example.tokens[t + 1]),
                        scale.loss * example.weight[t], outcome.right[t]);
      outcome.loss += static_cast<double>(example.weight[t]) * loss;
      outcome.weight += static_cast<double>(example.weight[t]);
    }
    if (!learns) continue;
    head.backward_weight(rows, s.logits.data(), s.head_x.data() + i0 * D);
    head.backward_input(rows, s.logits.data(), s.dhead_x.data() + i0 * D, Into::replace);
  }
  for (const LayerState& layer : s.layers) {
    outcome.index_loss += layer.attention.index_loss;
    outcome.n_index_queries += layer.attention.n_index_queries;
    for (size_t e = 0; e + 1 < layer.experts.begin.size(); ++e) {
      outcome.expert_load.push_back(
          static_cast<uint32_t>(layer.experts.begin[e + 1] - layer.experts.begin[e]));
    }
  }
  if (!learns) return outcome;

  rms_norm_backward(s.dhead_x.data(), s.head_y.data(), p.values + parameters.norm, s.head_r.data(),
                    m, D, s.dhead_x.data(), p.gradient + parameters.norm);
  std::vector<float>& dhead_streams = s.head_streams;
  {
    std::vector<float> dpacked(m * width);
    read_head_backward(head_site, head_shape, s.head_site, s.head_streams.data(), s.dhead_x.data(),
                       dpacked.data(), site_gradient(p, parameters.head_site), s.work);
    dhead_streams.swap(dpacked);
  }
  s.dstreams.assign(n * width, 0.0F);
  for (size_t i = 0; i < m; ++i) {
    std::copy_n(dhead_streams.data() + i * width, width, s.dstreams.data() + s.wanted[i] * width);
  }
  s.df.resize(n * D);
  s.dx.resize(n * D);
  s.dmix.resize(n * kMixCount);
  for (size_t l = s.layers.size(); l-- > 0;) {
    const LayerAt& at = parameters.layers[l];
    LayerState& layer = s.layers[l];
    merge_streams_backward(pass.shape, layer.ffn_site, layer.ffn_out.data(),
                           layer.ffn_streams.data(), s.dstreams.data(), s.df.data(), s.dmix.data());
    Experts(parameters, at, p, roundings)
        .backward(n, layer.ffn_x.data(), layer.experts, s.df.data(), s.dx.data(), s.work);
    enter_backward(pass, at.ffn_site, at.ffn_norm, layer.ffn_streams, layer.ffn_site, layer.ffn_y,
                   layer.ffn_r, s.dx, s.dmix, s.dstreams, s.work);
    merge_streams_backward(pass.shape, layer.attn_site, layer.attn_out.data(),
                           layer.attn_streams.data(), s.dstreams.data(), s.df.data(),
                           s.dmix.data());
    Attention(parameters, at, p, roundings)
        .backward(n, layer.attn_x.data(), s.rotations, layer.attention, s.df.data(), s.dx.data(),
                  s.attention_work);
    enter_backward(pass, at.attn_site, at.attn_norm, layer.attn_streams, layer.attn_site,
                   layer.attn_y, layer.attn_r, s.dx, s.dmix, s.dstreams, s.work);
  }
  embed_backward(pass, s.dstreams);
  return outcome;
}

void transpose_values(const Parameters& parameters, size_t first, size_t last, const float* values,
                      float* transposed) {
  for (size_t i = first; i < last; ++i) {
    const Parameter& p = parameters.list()[i];
    if (p.rows > 1) {
      transpose(values + p.offset, p.rows, p.cols, p.cols, transposed + p.offset, p.rows);
    }
  }
}

}  // namespace sable::training
