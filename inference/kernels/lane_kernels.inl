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

/// out[t] = sum of squares of row t. Each row's sum is one long chain, so several go side by side.
template <size_t T>
void squares_of(const float* x, size_t stride, size_t n, float* out) {
  V acc[T];
  each<T>([&](size_t t) SABLE_INLINE { acc[t] = zero(); });
  channels(n, [&](size_t i, size_t n_here) SABLE_INLINE {
    each<T>([&](size_t t) SABLE_INLINE {
      const V v = load_first(x + t * stride + i, n_here);
      acc[t] = fma(v, v, acc[t]);
    });
  });
  sums<T>(acc, out);
}

void square_sums(const float* x, size_t stride, size_t n_rows, size_t n, float* out) {
  size_t r = 0;
  for (; r + kSquaresTogether <= n_rows; r += kSquaresTogether) {
    squares_of<kSquaresTogether>(x + r * stride, stride, n, out + r);
  }
  for (; r < n_rows; ++r) squares_of<1>(x + r * stride, stride, n, out + r);
}

void rms_norm(const NormRows& rows, size_t begin, size_t end) {
  const size_t n = rows.n_cols;
  for (size_t first = begin; first < end; first += kSquaresTogether) {
    const size_t last = std::min(end, first + kSquaresTogether);
    float squares[kSquaresTogether];
    square_sums(rows.x + first * rows.x_stride, rows.x_stride, last - first, n, squares);
    for (size_t r = first; r < last; ++r) {
      const V factor =
          splat(1.0F / std::sqrt(squares[r - first] / static_cast<float>(n) + rows.eps));
      const float* const x = rows.x + r * rows.x_stride;
      float* const y = rows.y + r * rows.y_stride;
      channels(n, [&](size_t i, size_t n_here) {
        V scaled = mul(load_first(x + i, n_here), factor);
        if (rows.weight != nullptr) scaled = mul(load_first(rows.weight + i, n_here), scaled);
        store_first(y + i, scaled, n_here);
      });
    }
  }
}

void rope(const RopeRows& rows, size_t begin, size_t end) {
  const size_t n_pairs = rows.n_pairs;
  const float sign = rows.inverse ? -1.0F : 1.0F;
  for (size_t r = begin; r < end; ++r) {
    const float *const cos = rows.cos + r * n_pairs, *const sin = rows.sin + r * n_pairs;
    for (size_t h = 1; h <= rows.n_heads; ++h) {
      float* const x = rows.x + (r * rows.n_heads + h) * rows.head_dim - 2 * n_pairs;
      for (size_t i = 0; i < n_pairs; ++i) {
        const float a = x[2 * i], b = x[2 * i + 1], s = sign * sin[i];
        x[2 * i] = a * cos[i] - b * s;
        x[2 * i + 1] = a * s + b * cos[i];
      }
    }
  }
}

void sum_rows(const float* const* terms, size_t n_terms, const float* last, size_t n, float* out) {
  channels(n, [&](size_t i, size_t n_here) {
    V v = zero();
    for (size_t k = 0; k < n_terms; ++k) v = add(v, load_first(terms[k] + i, n_here));
    store_first(out + i, add(v, load_first(last + i, n_here)), n_here);
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

void balance(float* combs, size_t stride, const StreamMixSettings& settings) {
  constexpr size_t kSize = kStreams * kStreams;
  // A token in each lane: c[i] holds element i of all combs.
  float elements[kSize][kLanes];
  for (size_t t = 0; t < kLanes; ++t) {
    for (size_t i = 0; i < kSize; ++i) elements[i][t] = combs[t * stride + i];
  }
  V c[kSize];
  for (size_t i = 0; i < kSize; ++i) c[i] = load(elements[i]);
  const V eps = splat(settings.eps);
  // The four elements from `first` on, `step` apart.
  const auto normalize = [&](size_t first, size_t step) SABLE_INLINE {
    V sum = zero();
    for (size_t k = 0; k < kStreams; ++k) sum = add(sum, c[first + k * step]);
    sum = add(sum, eps);
    for (size_t k = 0; k < kStreams; ++k) c[first + k * step] = div(c[first + k * step], sum);
  };
  const auto rows = [&] { each<kStreams>([&](size_t j) { normalize(j * kStreams, 1); }); };
  const auto columns = [&] { each<kStreams>([&](size_t k) { normalize(k, kStreams); }); };
  columns();
  for (int i = 1; i < settings.sinkhorn_iterations; ++i) {
    rows();
    columns();
  }
  for (size_t i = 0; i < kSize; ++i) store(elements[i], c[i]);
  for (size_t t = 0; t < kLanes; ++t) {
    for (size_t i = 0; i < kSize; ++i) combs[t * stride + i] = elements[i][t];
  }
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

#include "inference/kernels/fp8_rounding.inl"
#include "inference/kernels/lane_attention.inl"

}  // namespace

constexpr LaneKernels kKernels = {
    kName,      matmul, decode_row, square_sums, rms_norm, rope,  attend,   score_keys,
    top_scores, pool,   swiglu,     mix,         balance,  merge, sum_rows, round_to_fp8,
    pack_as_fp8};
