// The hot loops over sixteen lanes. Included once for each instruction set, inside its namespace,
// after a vocabulary (lanes_*.h) that defines V and its operations; see lane_kernels.h for the
// order of sums.

namespace {

#include "inference/kernels/lane_rows.inl"

/// The last n < 32 elements, as if zeros followed.
void padded_tail(const float* x, size_t n, V& a, V& b) {
  float padded[32] = {};
  std::memcpy(padded, x, n * sizeof(float));
  a = load(padded);
  b = load(padded + 16);
}

#include "inference/kernels/lane_products.inl"

// ---------------------------------------------------------------- vectors

float dot(const float* a, const float* b, size_t n) {
  float y;
  block(a, 0, 1, {.x = b}, 1, n, &y, 0);
  return y;
}

/// e^x for |x| < 87 within 2 ulp; beyond, that of the nearest such x.
V exp(V x) {
  x = min(max(x, splat(-87.0F)), splat(87.0F));
  const V n = round_to_even(mul(x, splat(1.44269504F)));
  V r = fma(n, splat(-0.693145752F), x);
  r = fma(n, splat(-1.42860677e-6F), r);
  V p = splat(1.0F / 5040);
  p = fma(p, r, splat(1.0F / 720));
  p = fma(p, r, splat(1.0F / 120));
  p = fma(p, r, splat(1.0F / 24));
  p = fma(p, r, splat(1.0F / 6));
  p = fma(p, r, splat(0.5F));
  p = fma(p, r, splat(1.0F));
  p = fma(p, r, splat(1.0F));
  return mul(p, power_of_two(n));
}

float exp_of(float x) {
  float lanes[16];
  store(lanes, exp(splat(x)));
  return lanes[0];
}

/// body(d, n) for n = 16 channels at a time, and at last for those that are left.
template <class Body>
void channels(size_t dim, const Body& body) {
  size_t d = 0;
  for (; d + 16 <= dim; d += 16) body(d, size_t{16});
  if (d < dim) body(d, dim - d);
}
V load_first(const float* p, size_t n) {
  if (n == 16) return load(p);
  V a, unused;
  padded_tail(p, n, a, unused);
  return a;
}
void store_first(float* p, V a, size_t n) {
  if (n == 16) return store(p, a);
  float lanes[16];
  store(lanes, a);
  std::memcpy(p, lanes, n * sizeof(float));
}

void rms_norm(const float* x, const float* w, size_t n, float eps, float* y) {
  const V factor = splat(1.0F / std::sqrt(dot(x, x, n) / static_cast<float>(n) + eps));
  channels(n, [&](size_t i, size_t n_here) {
    const V scaled = mul(load_first(x + i, n_here), factor);
    store_first(y + i, w == nullptr ? scaled : mul(load_first(w + i, n_here), scaled), n_here);
  });
}

void swiglu(const float* gate, const float* up, float limit, float weight, size_t n, float* out) {
  const V top = splat(limit), bottom = splat(-limit), one = splat(1.0F), factor = splat(weight);
  channels(n, [&](size_t i, size_t n_here) {
    const V a = min(load_first(gate + i, n_here), top);
    const V b = min(max(load_first(up + i, n_here), bottom), top);
    const V silu = div(a, add(one, exp(sub(zero(), a))));
    store_first(out + i, mul(mul(silu, b), factor), n_here);
  });
}

// The streams are weighed as the official code does it, product and sum rounded each: what follows
// is rounded to FP8, where a fused multiply-add has been seen to tip a value.

void mix(const float* streams, const float* pre, size_t dim, float* y) {
  channels(dim, [&](size_t d, size_t n) {
    V v = zero();
    for (size_t j = 0; j < kStreams; ++j) {
      v = add(v, mul(splat(pre[j]), load_first(streams + j * dim + d, n)));
    }
    store_first(y + d, v, n);
  });
}

void merge(const float* f, const float* post, const float* comb, size_t dim, float* streams) {
  channels(dim, [&](size_t d, size_t n) {
    V in[kStreams];
    for (size_t j = 0; j < kStreams; ++j) in[j] = load_first(streams + j * dim + d, n);
    const V added = load_first(f + d, n);
    for (size_t k = 0; k < kStreams; ++k) {
      V v = mul(splat(post[k]), added);
      for (size_t j = 0; j < kStreams; ++j) v = add(v, mul(splat(comb[j * kStreams + k]), in[j]));
      store_first(streams + k * dim + d, v, n);
    }
  });
}

void pool(const PoolJob& job, size_t n_channels) {
  for (size_t c = 0; c < n_channels; c += 16) {
    V top = load(job.gates[0] + c);
    for (size_t i = 1; i < job.n_slots; ++i) top = max(top, load(job.gates[i] + c));
    V total = zero(), pooled = zero();
    for (size_t i = 0; i < job.n_slots; ++i) {
      const V e = exp(sub(load(job.gates[i] + c), top));
      total = add(total, e);
      pooled = fma(e, load(job.values[i] + c), pooled);
    }
    store(job.out + c, div(pooled, total));
  }
}

#include "inference/kernels/lane_attention.inl"

}  // namespace

constexpr LaneKernels kKernels = {kName,      matmul,     decode_row, dot,    rms_norm, attend,
                                  score_keys, candidates, pool,       swiglu, mix,      merge};
