#include "training/streams.h"

#include <algorithm>
#include <cmath>

#include "training/lanes.h"
#include "training/matrix_product.h"
#include "training/sinkhorn.h"

namespace sable::training {

namespace {

constexpr size_t N = kStreamCount;

/// raw [n, n_mixes] = (fn x) * r, and r.
void project(const Site& site, const StreamShape& shape, size_t n_mixes, const float* streams,
             SiteState& state) {
  const size_t width = N * shape.dim;
  state.raw.resize(shape.n_tokens * n_mixes);
  state.r.resize(shape.n_tokens);
  multiply(shape.n_tokens, n_mixes, width, {streams, width}, site.fn_transposed, n_mixes,
           state.raw.data(), n_mixes);
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    const float* const x = streams + t * width;
    float sum = 0;
    for (size_t i = 0; i < width; ++i) sum += x[i] * x[i];
    const float r = 1.0F / std::sqrt(sum / static_cast<float>(width) + shape.rms_eps);
    state.r[t] = r;
    for (size_t o = 0; o < n_mixes; ++o) state.raw[t * n_mixes + o] *= r;
  }
}

/// From draw [n, n_mixes], the gradient of `raw`, to fn's gradient and dstreams +=. draw is
/// overwritten.
void project_backward(const Site& site, const StreamShape& shape, size_t n_mixes,
                      const SiteState& state, const float* streams, float* draw, float* dstreams,
                      float* dfn) {
  const size_t width = N * shape.dim;
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    float* const d = draw + t * n_mixes;
    const float* const raw = state.raw.data() + t * n_mixes;
    const float r = state.r[t];
    float sum = 0;
    for (size_t o = 0; o < n_mixes; ++o) {
      sum += d[o] * raw[o];
      d[o] *= r;
    }
    // dr = sum / r, and r = (mean + eps)^-1/2.
    const float back = -sum * r * r / static_cast<float>(width);
    const float* const x = streams + t * width;
    float* const dx = dstreams + t * width;
    for (size_t i = 0; i < width; ++i) dx[i] += back * x[i];
  }
  multiply(shape.n_tokens, width, n_mixes, {draw, n_mixes}, site.fn, width, dstreams, width,
           Into::add);
  multiply(n_mixes, width, shape.n_tokens, {draw, 1, n_mixes}, streams, width, dfn, width,
           Into::add);
}

void weigh(const float* streams, const float* pre, size_t dim, float* y) {
  const float* const x0 = streams;
  const float* const x1 = x0 + dim;
  const float* const x2 = x1 + dim;
  const float* const x3 = x2 + dim;
  for (size_t d = 0; d < dim; ++d) {
    y[d] = pre[0] * x0[d] + pre[1] * x1[d] + pre[2] * x2[d] + pre[3] * x3[d];
  }
}

/// dpre[j] = <dy, x_j>, and dx_j (+)= pre[j] * dy.
void weigh_backward(const float* streams, const float* pre, const float* dy, size_t dim,
                    bool replace, float* dpre, float* dstreams) {
  for (size_t j = 0; j < N; ++j) {
    const float* const x = streams + j * dim;
    float* const dx = dstreams + j * dim;
    const float p = pre[j];
    float sum = 0;
    for (size_t d = 0; d < dim; ++d) sum += dy[d] * x[d];
    for (size_t d = 0; d < dim; ++d) dx[d] = (replace ? 0.0F : dx[d]) + p * dy[d];
    dpre[j] = sum;
  }
}

/// The mixes of up to sixteen tokens, as rows of lanes.
struct MixLanes {
  Lanes at[kMixCount];
};

MixLanes gather(const float* rows, size_t n) {
  alignas(64) float buffer[kMixCount][kLanes] = {};
  for (size_t t = 0; t < n; ++t) {
    for (size_t o = 0; o < kMixCount; ++o) buffer[o][t] = rows[t * kMixCount + o];
  }
  MixLanes lanes;
  for (size_t o = 0; o < kMixCount; ++o) lanes.at[o] = load_lanes(buffer[o]);
  return lanes;
}

void scatter(const MixLanes& lanes, size_t n, float* rows) {
  alignas(64) float buffer[kMixCount][kLanes];
  for (size_t o = 0; o < kMixCount; ++o) store_lanes(buffer[o], lanes.at[o]);
  for (size_t t = 0; t < n; ++t) {
    for (size_t o = 0; o < kMixCount; ++o) rows[t * kMixCount + o] = buffer[o][t];
  }
}

/// raw -> arguments of the sigmoids and of the Sinkhorn projection.
size_t scale_of(size_t o) { return o < N ? 0 : o < 2 * N ? 1 : 2; }

Lanes sigmoid_of(const Lanes& x) {
  Lanes y;
  for (size_t i = 0; i < kLanes; ++i) y[i] = sigmoid(x[i]);
  return y;
}

}  // namespace

void read_streams(const Site& site, const StreamShape& shape, const float* streams,
                  SiteState& state, float* y) {
  project(site, shape, kMixCount, streams, state);
  state.mix.resize(shape.n_tokens * kMixCount);
  for (size_t t0 = 0; t0 < shape.n_tokens; t0 += kLanes) {
    const size_t n = std::min(kLanes, shape.n_tokens - t0);
    MixLanes m = gather(state.raw.data() + t0 * kMixCount, n);
    for (size_t o = 0; o < kMixCount; ++o) {
      m.at[o] = m.at[o] * site.scale[scale_of(o)] + site.base[o];
    }
    for (size_t j = 0; j < N; ++j) {
      m.at[j] = sigmoid_of(m.at[j]) + shape.eps;
      m.at[N + j] = 2.0F * sigmoid_of(m.at[N + j]);
    }
    sinkhorn(m.at + 2 * N, shape.sinkhorn_iterations, shape.eps);
    scatter(m, n, state.mix.data() + t0 * kMixCount);
  }
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    weigh(streams + t * N * shape.dim, state.mix.data() + t * kMixCount, shape.dim,
          y + t * shape.dim);
  }
}

void merge_streams(const StreamShape& shape, const SiteState& state, const float* f,
                   const float* streams, float* out) {
  const size_t dim = shape.dim;
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    const float* const post = state.mix.data() + t * kMixCount + N;
    const float* const comb = post + N;
    const float* const x = streams + t * N * dim;
    float* const o = out + t * N * dim;
    const float* const sub = f + t * dim;
    for (size_t d = 0; d < dim; ++d) {
      const float x0 = x[d], x1 = x[dim + d], x2 = x[2 * dim + d], x3 = x[3 * dim + d];
      for (size_t k = 0; k < N; ++k) {
        o[k * dim + d] = post[k] * sub[d] + comb[k] * x0 + comb[N + k] * x1 + comb[2 * N + k] * x2 +
                         comb[3 * N + k] * x3;
      }
    }
  }
}

void merge_streams_backward(const StreamShape& shape, const SiteState& state, const float* f,
                            const float* streams, float* dstreams, float* df, float* dmix) {
  const size_t dim = shape.dim;
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    const float* const post = state.mix.data() + t * kMixCount + N;
    const float* const comb = post + N;
    const float* const x = streams + t * N * dim;
    const float* const sub = f + t * dim;
    float* const g = dstreams + t * N * dim;
    float* const d_sub = df + t * dim;
    float* const d_mix = dmix + t * kMixCount;
    std::fill_n(d_mix, N, 0.0F);
    for (size_t k = 0; k < N; ++k) {
      const float* const gk = g + k * dim;
      float with_f = 0, with_0 = 0, with_1 = 0, with_2 = 0, with_3 = 0;
      for (size_t d = 0; d < dim; ++d) {
        with_f += gk[d] * sub[d];
        with_0 += gk[d] * x[d];
        with_1 += gk[d] * x[dim + d];
        with_2 += gk[d] * x[2 * dim + d];
        with_3 += gk[d] * x[3 * dim + d];
      }
      d_mix[N + k] = with_f;
      d_mix[2 * N + k] = with_0;
      d_mix[3 * N + k] = with_1;
      d_mix[4 * N + k] = with_2;
      d_mix[5 * N + k] = with_3;
    }
    for (size_t d = 0; d < dim; ++d) {
      const float g0 = g[d], g1 = g[dim + d], g2 = g[2 * dim + d], g3 = g[3 * dim + d];
      d_sub[d] = post[0] * g0 + post[1] * g1 + post[2] * g2 + post[3] * g3;
      for (size_t j = 0; j < N; ++j) {
        const float* const c = comb + j * N;
        g[j * dim + d] = c[0] * g0 + c[1] * g1 + c[2] * g2 + c[3] * g3;
      }
    }
  }
}

void read_streams_backward(const Site& site, const StreamShape& shape, const SiteState& state,
                           const float* streams, const float* dy, float* dmix, float* dstreams,
                           const SiteGradient& gradient, std::vector<float>& work) {
  const size_t dim = shape.dim;
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    weigh_backward(streams + t * N * dim, state.mix.data() + t * kMixCount, dy + t * dim, dim,
                   false, dmix + t * kMixCount, dstreams + t * N * dim);
  }
  work.resize(shape.n_tokens * kMixCount);
  Lanes dbase[kMixCount] = {}, dscale[kMixCount] = {};
  for (size_t t0 = 0; t0 < shape.n_tokens; t0 += kLanes) {
    const size_t n = std::min(kLanes, shape.n_tokens - t0);
    const MixLanes raw = gather(state.raw.data() + t0 * kMixCount, n);
    const MixLanes mix = gather(state.mix.data() + t0 * kMixCount, n);
    MixLanes d = gather(dmix + t0 * kMixCount, n);
    for (size_t j = 0; j < N; ++j) {
      const Lanes pre = mix.at[j] - shape.eps, half = 0.5F * mix.at[N + j];
      d.at[j] *= pre * (1.0F - pre);
      d.at[N + j] *= 2.0F * half * (1.0F - half);
    }
    Lanes z[N * N];
    for (size_t i = 0; i < N * N; ++i) {
      z[i] = raw.at[2 * N + i] * site.scale[2] + site.base[2 * N + i];
    }
    sinkhorn_backward(z, shape.sinkhorn_iterations, shape.eps, d.at + 2 * N);
    for (size_t o = 0; o < kMixCount; ++o) {
      // Lanes beyond n carry a gradient of 0 already.
      dbase[o] += d.at[o];
      dscale[o] += d.at[o] * raw.at[o];
      d.at[o] *= site.scale[scale_of(o)];
    }
    scatter(d, n, work.data() + t0 * kMixCount);
  }
  for (size_t o = 0; o < kMixCount; ++o) {
    for (size_t i = 0; i < kLanes; ++i) {
      gradient.base[o] += dbase[o][i];
      gradient.scale[scale_of(o)] += dscale[o][i];
    }
  }
  project_backward(site, shape, kMixCount, state, streams, work.data(), dstreams, gradient.fn);
}

void read_head(const Site& site, const StreamShape& shape, const float* streams, SiteState& state,
               float* y) {
  project(site, shape, N, streams, state);
  state.mix.resize(shape.n_tokens * N);
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    float* const pre = state.mix.data() + t * N;
    for (size_t j = 0; j < N; ++j) {
      pre[j] = sigmoid(state.raw[t * N + j] * site.scale[0] + site.base[j]) + shape.eps;
    }
    weigh(streams + t * N * shape.dim, pre, shape.dim, y + t * shape.dim);
  }
}

void read_head_backward(const Site& site, const StreamShape& shape, const SiteState& state,
                        const float* streams, const float* dy, float* dstreams,
                        const SiteGradient& gradient, std::vector<float>& work) {
  const size_t dim = shape.dim;
  work.resize(shape.n_tokens * N);
  for (size_t t = 0; t < shape.n_tokens; ++t) {
    float dpre[N];
    weigh_backward(streams + t * N * dim, state.mix.data() + t * N, dy + t * dim, dim, true, dpre,
                   dstreams + t * N * dim);
    for (size_t j = 0; j < N; ++j) {
      const float pre = state.mix[t * N + j] - shape.eps;
      const float dm = dpre[j] * pre * (1.0F - pre);
      gradient.base[j] += dm;
      gradient.scale[0] += dm * state.raw[t * N + j];
      work[t * N + j] = dm * site.scale[0];
    }
  }
  project_backward(site, shape, N, state, streams, work.data(), dstreams, gradient.fn);
}

}  // namespace sable::training
