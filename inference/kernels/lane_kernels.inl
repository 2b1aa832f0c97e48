// The hot loops over sixteen lanes. Included once for each instruction set, inside its namespace,
// after a vocabulary (lanes_*.h) that defines V and its operations; see lane_kernels.h for the
// order of sums.

namespace {

#include "inference/kernels/lane_rows.inl"

void padded_tail(const float* x, size_t n, V& a, V& b) {
  float padded[32] = {};
  std::memcpy(padded, x, n * sizeof(float));
  a = load(padded);
  b = load(padded + 16);
}

// ---------------------------------------------------------------- one vector against R rows

/// How far ahead of its use a weight is fetched: about what is in flight to memory at any time.
constexpr size_t kPrefetchBytes = 4096;

/// Fetches weights as the one stream that they are in memory, though R rows of them are read side
/// by side: R short streams are more than the machine's own prefetching follows.
class RowsAhead {
 public:
  /// `base`: where the R rows begin.
  RowsAhead(const std::byte* base, size_t bytes_in_rows)
      : at_(base + bytes_in_rows + kPrefetchBytes) {}
  /// The R rows went on by `Bytes` together.
  template <size_t Bytes>
  void step() {
    constexpr size_t kLine = 64;
    for (size_t i = 0; i < Bytes; i += kLine) __builtin_prefetch(at_ + i);
    at_ += Bytes;
  }

 private:
  const std::byte* at_;
};

/// y[t][r] for R rows from `r0` on and T vectors of a job, each element decoded once. The vectors
/// are at `x`, dealt as the format asks.
template <class Rows, size_t R, size_t T>
void dot_rows(const MatmulJob& job, uint64_t r0, const float* x, size_t x_stride) {
  const Weight& w = *job.weight;
  const Rows rows(w, job.row_begin + r0);
  V acc[T * R];
  for (size_t k = 0; k < T * R; ++k) acc[k] = zero();
  const size_t whole = w.cols / 32 * 32;
  RowsAhead ahead(w.row(job.row_begin + r0), R * w.row_bytes);
  for (size_t i = 0; i < whole; i += 32) {
    ahead.step<R * Rows::kStep>();
    for (size_t r = 0; r < R; ++r) {
      V a, b;
      if constexpr (Rows::kDealt) {
        rows.dealt(r, i, a, b);
      } else {
        rows.at(r, i, a, b);
      }
      for (size_t t = 0; t < T; ++t) {
        const float* const xt = x + t * x_stride + i;
        acc[t * R + r] = fma(b, load(xt + 16), fma(a, load(xt), acc[t * R + r]));
      }
    }
  }
  if constexpr (Rows::kDealt) {
    for (size_t k = 0; k < T * R; ++k) acc[k] = Rows::undeal(acc[k]);
  } else if (whole < w.cols) {
    for (size_t r = 0; r < R; ++r) {
      V a, b, x0, x1;
      rows.tail(r, whole, w.cols - whole, a, b);
      for (size_t t = 0; t < T; ++t) {
        padded_tail(x + t * x_stride + whole, w.cols - whole, x0, x1);
        acc[t * R + r] = fma(b, x1, fma(a, x0, acc[t * R + r]));
      }
    }
  }
  float products[T * R];
  sums<T * R>(acc, products);
  for (size_t t = 0; t < T; ++t) {
    std::memcpy(job.y + t * job.y_stride + r0, products + t * R, R * sizeof(float));
  }
}

template <class Rows, size_t T>
void few_vectors(const MatmulJob& job, uint64_t begin, uint64_t end, float* scratch) {
  constexpr size_t R = std::min(kMatvecRows, std::bit_floor(kMatvecSums / T));
  const float* x = job.x;
  size_t stride = job.x_stride;
  if constexpr (Rows::kDealt) {
    x = scratch;
    stride = job.weight->cols;
    for (size_t t = 0; t < T; ++t) {
      for (size_t i = 0; i < stride; i += 16) {
        store(scratch + t * stride + i, Rows::deal(load(job.x + t * job.x_stride + i)));
      }
    }
  }
  uint64_t r = begin;
  for (; r + R <= end; r += R) dot_rows<Rows, R, T>(job, r, x, stride);
  for (; r < end; ++r) dot_rows<Rows, 1, T>(job, r, x, stride);
}

/// Products with few vectors, without decoded rows in memory between. False when there is no such
/// kernel for so many.
template <class Rows>
bool fused(const MatmulJob& job, uint64_t begin, uint64_t end, float* scratch) {
  switch (job.n_tokens) {
    case 1:
      return few_vectors<Rows, 1>(job, begin, end, scratch), true;
    case 2:
      return few_vectors<Rows, 2>(job, begin, end, scratch), true;
    case 3:
      if constexpr (kMatvecSums >= 8) return few_vectors<Rows, 3>(job, begin, end, scratch), true;
      return false;
    case 4:
      if constexpr (kMatvecSums >= 8) return few_vectors<Rows, 4>(job, begin, end, scratch), true;
      return false;
    case 8:
      if constexpr (kMatvecSums >= 16) return few_vectors<Rows, 8>(job, begin, end, scratch), true;
      return false;
    default:
      return false;
  }
}

template <class Rows>
void decode_row_as(const Weight& w, uint64_t r, float* out) {
  const Rows row(w, r);
  const size_t whole = w.cols / 32 * 32;
  for (size_t i = 0; i < whole; i += 32) {
    __builtin_prefetch(row.where(i) + 2 * kPrefetchBytes);
    V a, b;
    row.at(0, i, a, b);
    store(out + i, a);
    store(out + i + 16, b);
  }
  if (whole < w.cols) {
    V a, b;
    float padded[32];
    row.tail(0, whole, w.cols - whole, a, b);
    store(padded, a);
    store(padded + 16, b);
    std::memcpy(out + whole, padded, (w.cols - whole) * sizeof(float));
  }
}

void decode_row(const Weight& w, uint64_t r, float* out) {
  switch (w.type) {
    case DType::f32:
      return decode_row_as<PlainRows<F32>>(w, r, out);
    case DType::bf16:
      return decode_row_as<PlainRows<Bf16>>(w, r, out);
    case DType::f16:
      return decode_row_as<PlainRows<F16>>(w, r, out);
    case DType::f8_e4m3:
      return decode_row_as<E4m3Rows>(w, r, out);
    case DType::f4_e2m1:
      return decode_row_as<E2m1Rows>(w, r, out);
    case DType::mxfp4:
      return decode_row_as<Mxfp4Rows>(w, r, out);
    case DType::q8_0:
      return decode_row_as<Q8Rows>(w, r, out);
    case DType::q2_k:
      return decode_row_as<Q2kRows>(w, r, out);
    case DType::q4_k:
      return decode_row_as<Q4kRows>(w, r, out);
    case DType::q5_k:
      return decode_row_as<Q5kRows>(w, r, out);
    case DType::q6_k:
      return decode_row_as<Q6kRows>(w, r, out);
    case DType::iq2_xxs:
      return decode_row_as<Iq2XxsRows>(w, r, out);
    default:
      return dequantize_row(*w.tensor, r, {out, w.cols});
  }
}

// ---------------------------------------------------------------- decoded rows against many
// vectors

/// y[t][r] for R rows (stride ws) and T vectors (stride xs), n elements each; every sum as in
/// dot_rows.
template <size_t R, size_t T>
void tile(const float* w, size_t ws, const float* x, size_t xs, size_t n, float* y, size_t ys) {
  V acc[T * R];
  for (size_t k = 0; k < T * R; ++k) acc[k] = zero();
  const size_t whole = n / 16 * 16;
  for (size_t i = 0; i < whole; i += 16) {
    V wr[R];
    for (size_t r = 0; r < R; ++r) wr[r] = load(w + r * ws + i);
    for (size_t t = 0; t < T; ++t) {
      const V xt = load(x + t * xs + i);
      for (size_t r = 0; r < R; ++r) acc[t * R + r] = fma(wr[r], xt, acc[t * R + r]);
    }
  }
  if (whole < n) {
    V unused;
    for (size_t r = 0; r < R; ++r) {
      V wr;
      padded_tail(w + r * ws + whole, n - whole, wr, unused);
      for (size_t t = 0; t < T; ++t) {
        V xt;
        padded_tail(x + t * xs + whole, n - whole, xt, unused);
        acc[t * R + r] = fma(wr, xt, acc[t * R + r]);
      }
    }
  }
  float products[T * R];
  sums<T * R>(acc, products);
  for (size_t t = 0; t < T; ++t) std::memcpy(y + t * ys, products + t * R, R * sizeof(float));
}

template <size_t T>
void tile_rows(const float* w, size_t ws, size_t n_rows, const float* x, size_t xs, size_t n,
               float* y, size_t ys) {
  // Few vectors leave room for more rows, and more sums hide the time that each addition takes.
  constexpr size_t R = kTileVectors / T >= 3 ? 2 * kTileRows : kTileRows;
  size_t r = 0;
  for (; r + R <= n_rows; r += R) tile<R, T>(w + r * ws, ws, x, xs, n, y + r, ys);
  for (; r < n_rows; ++r) tile<1, T>(w + r * ws, ws, x, xs, n, y + r, ys);
}

/// The last n_vectors, at most T of them.
template <size_t T>
void rest_of_tile(const float* w, size_t ws, size_t n_rows, const float* x, size_t xs,
                  size_t n_vectors, size_t n, float* y, size_t ys) {
  if constexpr (T > 0) {
    if (n_vectors == T) return tile_rows<T>(w, ws, n_rows, x, xs, n, y, ys);
    rest_of_tile<T - 1>(w, ws, n_rows, x, xs, n_vectors, n, y, ys);
  }
}

/// All products of n_rows decoded rows with n_vectors vectors.
void block(const float* w, size_t ws, size_t n_rows, const float* x, size_t xs, size_t n_vectors,
           size_t n, float* y, size_t ys) {
  size_t t = 0;
  for (; t + kTileVectors <= n_vectors; t += kTileVectors) {
    tile_rows<kTileVectors>(w, ws, n_rows, x + t * xs, xs, n, y + t * ys, ys);
  }
  rest_of_tile<kTileVectors - 1>(w, ws, n_rows, x + t * xs, xs, n_vectors - t, n, y + t * ys, ys);
}

void matmul_decoded(const MatmulJob& job, uint64_t begin, uint64_t end, float* scratch) {
  const size_t cols = job.weight->cols, stride = (cols + 15) / 16 * 16;
  const size_t n_rows = decoded_rows(cols);
  for (uint64_t r = begin; r < end; r += n_rows) {
    const size_t n = std::min<uint64_t>(n_rows, end - r);
    for (size_t i = 0; i < n; ++i) {
      decode_row(*job.weight, job.row_begin + r + i, scratch + i * stride);
    }
    block(scratch, stride, n, job.x, job.x_stride, job.n_tokens, cols, job.y + r, job.y_stride);
  }
}

bool matmul_fused(const MatmulJob& job, uint64_t begin, uint64_t end, float* scratch) {
  switch (job.weight->type) {
    case DType::f32:
      return fused<PlainRows<F32>>(job, begin, end, scratch);
    case DType::bf16:
      return fused<PlainRows<Bf16>>(job, begin, end, scratch);
    case DType::f16:
      return fused<PlainRows<F16>>(job, begin, end, scratch);
    case DType::f8_e4m3:
      return fused<E4m3Rows>(job, begin, end, scratch);
    case DType::f4_e2m1:
      return fused<E2m1Rows>(job, begin, end, scratch);
    case DType::mxfp4:
      return fused<Mxfp4Rows>(job, begin, end, scratch);
    case DType::q8_0:
      return fused<Q8Rows>(job, begin, end, scratch);
    case DType::q2_k:
      return fused<Q2kRows>(job, begin, end, scratch);
    case DType::q4_k:
      return fused<Q4kRows>(job, begin, end, scratch);
    case DType::q5_k:
      return fused<Q5kRows>(job, begin, end, scratch);
    case DType::q6_k:
      return fused<Q6kRows>(job, begin, end, scratch);
    case DType::iq2_xxs:
      return fused<Iq2XxsRows>(job, begin, end, scratch);
    default:
      return false;
  }
}

void matmul(const MatmulJob& job, uint64_t begin, uint64_t end, float* scratch) {
  if (!matmul_fused(job, begin, end, scratch)) matmul_decoded(job, begin, end, scratch);
}

// ---------------------------------------------------------------- vectors

float dot(const float* a, const float* b, size_t n) {
  float y;
  tile<1, 1>(a, 0, b, 0, n, &y, 0);
  return y;
}

void rms_norm(const float* x, const float* w, size_t n, float eps, float* y) {
  const float factor = 1.0F / std::sqrt(dot(x, x, n) / static_cast<float>(n) + eps);
  if (w == nullptr) {
    for (size_t i = 0; i < n; ++i) y[i] = x[i] * factor;
  } else {
    for (size_t i = 0; i < n; ++i) y[i] = w[i] * (x[i] * factor);
  }
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

void swiglu(const float* gate, const float* up, float limit, float weight, size_t n, float* out) {
  const V top = splat(limit), bottom = splat(-limit), one = splat(1.0F), factor = splat(weight);
  for (size_t i = 0; i < n; i += 16) {
    float tail[3][16] = {};
    const bool partial = n - i < 16;
    if (partial) {
      std::memcpy(tail[0], gate + i, (n - i) * sizeof(float));
      std::memcpy(tail[1], up + i, (n - i) * sizeof(float));
    }
    const V a = min(load(partial ? tail[0] : gate + i), top);
    const V b = min(max(load(partial ? tail[1] : up + i), bottom), top);
    const V silu = div(a, add(one, exp(sub(zero(), a))));
    store(partial ? tail[2] : out + i, mul(mul(silu, b), factor));
    if (partial) std::memcpy(out + i, tail[2], (n - i) * sizeof(float));
  }
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
