// The hot loops over sixteen lanes. Included once for each instruction set, inside its namespace,
// after a vocabulary (lanes_*.h) that defines V and its operations; see lane_kernels.h for the
// order of sums.

namespace {

// ---------------------------------------------------------------- decoding: 32 elements at a time

// Each format is a view of a weight from one row on: at(r, i, a, b) gives elements i .. i + 31 of
// the r-th row of the view, i a multiple of 32.

/// Rows of plain numbers, which may end anywhere: from() decodes 32 of them.
template <class Number>
struct PlainRows {
  const std::byte* p;
  size_t stride;
  PlainRows(const Weight& w, uint64_t r) : p(w.row(r)), stride(w.row_bytes) {}
  const std::byte* where(size_t i) const { return p + Number::kBytes * i; }
  void at(size_t r, size_t i, V& a, V& b) const {
    Number::from(p + Number::kBytes * i + r * stride, a, b);
  }
  /// The last n < 32 elements, as if zeros followed.
  void tail(size_t r, size_t i, size_t n, V& a, V& b) const {
    std::byte padded[128] = {};
    std::memcpy(padded, p + Number::kBytes * i + r * stride, n * Number::kBytes);
    Number::from(padded, a, b);
  }
};

struct F32 {
  static constexpr size_t kBytes = 4;
  static void from(const std::byte* q, V& a, V& b) {
    a = load(reinterpret_cast<const float*>(q));
    b = load(reinterpret_cast<const float*>(q) + 16);
  }
};

struct Bf16 {
  static constexpr size_t kBytes = 2;
  static void from(const std::byte* q, V& a, V& b) {
    a = load_bf16(q);
    b = load_bf16(q + 32);
  }
};

struct F16 {
  static constexpr size_t kBytes = 2;
  static void from(const std::byte* q, V& a, V& b) {
    a = load_f16(q);
    b = load_f16(q + 32);
  }
};

struct E4m3Rows {
  const Weight& w;
  const std::byte* p;
  uint64_t first;
  E4m3Rows(const Weight& weight, uint64_t r) : w(weight), p(weight.row(r)), first(r) {}
  const std::byte* where(size_t i) const { return p + i; }
  V scale(size_t r, size_t i) const {
    return splat(kE8m0[static_cast<uint8_t>(w.scale_row(first + r)[i / 128])] * 256.0F);
  }
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const q = p + i + r * w.row_bytes;
    const V factor = scale(r, i);
    a = mul(load_e4m3_over_256(q), factor);
    b = mul(load_e4m3_over_256(q + 16), factor);
  }
  void tail(size_t r, size_t i, size_t n, V& a, V& b) const {
    std::byte padded[32] = {};
    std::memcpy(padded, p + i + r * w.row_bytes, n);
    const V factor = scale(r, i);
    a = mul(load_e4m3_over_256(padded), factor);
    b = mul(load_e4m3_over_256(padded + 16), factor);
  }
};

/// Formats of whole blocks have no tail.
struct NoTail {
  void tail(size_t, size_t, size_t, V& a, V& b) const { a = b = zero(); }
};

struct E2m1Rows : NoTail {
  const std::byte *p, *s;
  size_t stride, scale_stride;
  E2m1Rows(const Weight& w, uint64_t r)
      : p(w.row(r)), s(w.scale_row(r)), stride(w.row_bytes), scale_stride(w.scale_row_bytes) {}
  const std::byte* where(size_t i) const { return p + i / 2; }
  void at(size_t r, size_t i, V& a, V& b) const {
    const auto exponent = static_cast<uint8_t>(s[i / 32 + r * scale_stride]);
    load_e2m1_pairs(p + i / 2 + r * stride, kE8m0[exponent], a, b);
  }
};

struct Mxfp4Rows : NoTail {
  const std::byte* p;
  size_t stride;
  Mxfp4Rows(const Weight& w, uint64_t r) : p(w.row(r)), stride(w.row_bytes) {}
  const std::byte* where(size_t i) const { return p + i / 32 * 17; }
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const block = p + i / 32 * 17 + r * stride;
    load_e2m1_halves(block + 1, kE8m0[static_cast<uint8_t>(block[0])], a, b);
  }
};

struct Q8Rows : NoTail {
  const std::byte* p;
  size_t stride;
  Q8Rows(const Weight& w, uint64_t r) : p(w.row(r)), stride(w.row_bytes) {}
  const std::byte* where(size_t i) const { return p + i / 32 * 34; }
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const block = p + i / 32 * 34 + r * stride;
    const V scale = splat_f16(block);
    a = mul(load_i8(block + 2), scale);
    b = mul(load_i8(block + 18), scale);
  }
};

void padded_tail(const float* x, size_t n, V& a, V& b) {
  float padded[32] = {};
  std::memcpy(padded, x, n * sizeof(float));
  a = load(padded);
  b = load(padded + 16);
}

// ---------------------------------------------------------------- one vector against R rows

/// How far ahead of its use a weight is fetched: about what is in flight to memory at any time.
constexpr size_t kPrefetchBytes = 8192;

/// Fetches the R rows from `base` as the one stream that they are in memory, a step of 32 columns
/// at a time; R short streams side by side are more than the machine's own prefetching follows.
class RowsAhead {
 public:
  RowsAhead(const std::byte* base, size_t bytes_in_rows, size_t n_steps)
      : at_(base + kPrefetchBytes), step_(n_steps == 0 ? 0 : bytes_in_rows / n_steps) {}
  void step() {
    for (size_t i = 0; i < step_; i += kLine) __builtin_prefetch(at_ + i);
    at_ += step_;
  }

 private:
  static constexpr size_t kLine = 64;
  const std::byte* at_;
  size_t step_;
};

/// y[t][r] for R rows from `r0` on and T vectors of a job, each element decoded once.
template <class Rows, size_t R, size_t T>
void dot_rows(const MatmulJob& job, uint64_t r0) {
  const Weight& w = *job.weight;
  const Rows rows(w, job.row_begin + r0);
  V acc[T * R];
  for (V& sum : acc) sum = zero();
  const size_t whole = w.cols / 32 * 32;
  RowsAhead ahead(w.row(job.row_begin + r0), R * w.row_bytes, w.cols / 32);
  for (size_t i = 0; i < whole; i += 32) {
    ahead.step();
    for (size_t r = 0; r < R; ++r) {
      V a, b;
      rows.at(r, i, a, b);
      for (size_t t = 0; t < T; ++t) {
        const float* const x = job.x + t * job.x_stride + i;
        acc[t * R + r] = fma(b, load(x + 16), fma(a, load(x), acc[t * R + r]));
      }
    }
  }
  if (whole < w.cols) {
    for (size_t r = 0; r < R; ++r) {
      V a, b, x0, x1;
      rows.tail(r, whole, w.cols - whole, a, b);
      for (size_t t = 0; t < T; ++t) {
        padded_tail(job.x + t * job.x_stride + whole, w.cols - whole, x0, x1);
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
void few_vectors(const MatmulJob& job, uint64_t begin, uint64_t end) {
  constexpr size_t R = std::min(kMatvecRows, std::bit_floor(kMatvecSums / T));
  uint64_t r = begin;
  for (; r + R <= end; r += R) dot_rows<Rows, R, T>(job, r);
  for (; r < end; ++r) dot_rows<Rows, 1, T>(job, r);
}

/// Products with few vectors, without decoded rows in memory between. False when there is no such
/// kernel for so many.
template <class Rows>
bool fused(const MatmulJob& job, uint64_t begin, uint64_t end) {
  switch (job.n_tokens) {
    case 1:
      return few_vectors<Rows, 1>(job, begin, end), true;
    case 2:
      return few_vectors<Rows, 2>(job, begin, end), true;
    case 3:
      if constexpr (kMatvecSums >= 8) return few_vectors<Rows, 3>(job, begin, end), true;
      return false;
    case 4:
      if constexpr (kMatvecSums >= 8) return few_vectors<Rows, 4>(job, begin, end), true;
      return false;
    case 8:
      if constexpr (kMatvecSums >= 16) return few_vectors<Rows, 8>(job, begin, end), true;
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
    __builtin_prefetch(row.where(i) + kPrefetchBytes);
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
  for (V& sum : acc) sum = zero();
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

bool matmul_fused(const MatmulJob& job, uint64_t begin, uint64_t end) {
  switch (job.weight->type) {
    case DType::f32:
      return fused<PlainRows<F32>>(job, begin, end);
    case DType::bf16:
      return fused<PlainRows<Bf16>>(job, begin, end);
    case DType::f16:
      return fused<PlainRows<F16>>(job, begin, end);
    case DType::f8_e4m3:
      return fused<E4m3Rows>(job, begin, end);
    case DType::f4_e2m1:
      return fused<E2m1Rows>(job, begin, end);
    case DType::mxfp4:
      return fused<Mxfp4Rows>(job, begin, end);
    case DType::q8_0:
      return fused<Q8Rows>(job, begin, end);
    default:
      return false;
  }
}

void matmul(const MatmulJob& job, uint64_t begin, uint64_t end, float* scratch) {
  if (!matmul_fused(job, begin, end)) matmul_decoded(job, begin, end, scratch);
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

void mix(const float* streams, const float* pre, size_t dim, float* y) {
  for (size_t d = 0; d < dim; ++d) {
    float v = 0;
    for (size_t j = 0; j < kStreams; ++j) v += pre[j] * streams[j * dim + d];
    y[d] = v;
  }
}

void merge(const float* f, const float* post, const float* comb, size_t dim, float* streams) {
  for (size_t d = 0; d < dim; ++d) {
    float in[kStreams];
    for (size_t j = 0; j < kStreams; ++j) in[j] = streams[j * dim + d];
    for (size_t k = 0; k < kStreams; ++k) {
      float v = post[k] * f[d];
      for (size_t j = 0; j < kStreams; ++j) v += comb[j * kStreams + k] * in[j];
      streams[k * dim + d] = v;
    }
  }
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

// ---------------------------------------------------------------- attention

void unpack(const PackedEntryShape& shape, const std::byte* packed, float* out) {
  const std::byte* const rope = packed + shape.n_fp8();
  const std::byte* const scales = rope + 2 * shape.rope_dim;
  for (size_t i = 0; i < shape.n_fp8(); i += 16) {
    const V scale = splat(kE8m0[static_cast<uint8_t>(scales[i / 64])] * 256.0F);
    store(out + i, mul(load_e4m3_over_256(packed + i), scale));
  }
  for (size_t i = 0; i < shape.rope_dim; i += 16) {
    store(out + shape.n_fp8() + i, load_bf16(rope + 2 * i));
  }
}

void load_entry(const AttendShape& shape, const std::byte* entry, float* out) {
  if (shape.format == CacheFormat::packed) return unpack(shape.packed, entry, out);
  std::memcpy(out, entry, shape.head_dim * sizeof(float));
}

/// out[h] += sum_i p[h][i] * values[i], in ascending i, for H heads.
template <size_t H>
void add_values(const float* p, size_t ps, const float* values, size_t n, size_t dim, float* out) {
  for (size_t c = 0; c < dim; c += 16 * kValueVectors) {
    V acc[H][kValueVectors];
    const size_t nv = std::min(kValueVectors, (dim - c) / 16);
    if (nv == kValueVectors) {
      for (size_t h = 0; h < H; ++h) {
        for (size_t v = 0; v < kValueVectors; ++v) acc[h][v] = load(out + h * dim + c + 16 * v);
      }
      for (size_t i = 0; i < n; ++i) {
        V value[kValueVectors];
        for (size_t v = 0; v < kValueVectors; ++v) value[v] = load(values + i * dim + c + 16 * v);
        for (size_t h = 0; h < H; ++h) {
          const V weight = splat(p[h * ps + i]);
          for (size_t v = 0; v < kValueVectors; ++v) acc[h][v] = fma(weight, value[v], acc[h][v]);
        }
      }
      for (size_t h = 0; h < H; ++h) {
        for (size_t v = 0; v < kValueVectors; ++v) store(out + h * dim + c + 16 * v, acc[h][v]);
      }
      continue;
    }
    for (size_t h = 0; h < H; ++h) {
      for (size_t v = 0; v < nv; ++v) {
        V one = load(out + h * dim + c + 16 * v);
        for (size_t i = 0; i < n; ++i) {
          one = fma(splat(p[h * ps + i]), load(values + i * dim + c + 16 * v), one);
        }
        store(out + h * dim + c + 16 * v, one);
      }
    }
  }
}

/// One head's share of a block: products become weights under the running maximum; returns the
/// factor by which everything so far shrinks.
float soften(float* p, size_t n, float scale, float& top, float& total) {
  V largest_lane = splat(-std::numeric_limits<float>::infinity());
  for (size_t i = n; i < kAttendBlock; ++i) p[i] = -std::numeric_limits<float>::infinity();
  const V factor = splat(scale);
  for (size_t i = 0; i < kAttendBlock; i += 16) {
    const V z = mul(load(p + i), factor);
    store(p + i, z);
    largest_lane = max(largest_lane, z);
  }
  const float block_top = largest(largest_lane);
  const float new_top = block_top > top ? block_top : top;
  V added = zero();
  for (size_t i = 0; i < kAttendBlock; i += 16) {
    const V e = exp(sub(load(p + i), splat(new_top)));
    store(p + i, e);
    if (i + 16 <= n) {
      added = add(added, e);
    } else {
      for (size_t k = n > i ? n : i; k < i + 16; ++k) p[k] = 0.0F;
      added = add(added, load(p + i));
    }
  }
  const float shrink = total == 0.0F ? 0.0F : exp_of(top - new_top);
  total = total * shrink + sum(added);
  top = new_top;
  return shrink;
}

/// Blocks of entries in their order, with a running maximum for each head.
void attend(const AttendShape& shape, const AttendRow& row, size_t head_begin, size_t head_end,
            float* scratch) {
  const size_t dim = shape.head_dim, n_heads = head_end - head_begin;
  float* const entries = scratch;
  float* const p = entries + kAttendBlock * dim;
  float* const tops = p + shape.n_heads * kAttendBlock;
  float* const totals = tops + shape.n_heads;
  float* const out = row.out + head_begin * dim;
  const float* const q = row.q + head_begin * dim;
  for (size_t h = 0; h < n_heads; ++h) {
    tops[h] = -std::numeric_limits<float>::infinity();
    totals[h] = 0;
  }
  std::memset(out, 0, n_heads * dim * sizeof(float));
  for (size_t begin = 0; begin < row.n_entries; begin += kAttendBlock) {
    const size_t n = std::min(kAttendBlock, row.n_entries - begin);
    for (size_t i = 0; i < n; ++i) load_entry(shape, row.entries[begin + i], entries + i * dim);
    block(entries, dim, n, q, dim, n_heads, dim, p, kAttendBlock);
    for (size_t h = 0; h < n_heads; ++h) {
      const V shrink = splat(soften(p + h * kAttendBlock, n, shape.scale, tops[h], totals[h]));
      for (size_t c = 0; c < dim; c += 16)
        store(out + h * dim + c, mul(load(out + h * dim + c), shrink));
    }
    size_t h = 0;
    for (; h + 4 <= n_heads; h += 4) {
      add_values<4>(p + h * kAttendBlock, kAttendBlock, entries, n, dim, out + h * dim);
    }
    for (; h < n_heads; ++h) {
      add_values<1>(p + h * kAttendBlock, kAttendBlock, entries, n, dim, out + h * dim);
    }
  }
  for (size_t h = 0; h < n_heads; ++h) {
    const V total = splat(totals[h] + exp_of(shape.sinks[head_begin + h] - tops[h]));
    for (size_t c = 0; c < dim; c += 16)
      store(out + h * dim + c, div(load(out + h * dim + c), total));
  }
}

// ---------------------------------------------------------------- the indexer

void load_key(const SelectShape& shape, const std::byte* key, float* out) {
  if (shape.format != CacheFormat::packed) {
    std::memcpy(out, key, shape.head_dim * sizeof(float));
    return;
  }
  const std::byte* const scales = key + shape.head_dim / 2;
  for (size_t i = 0; i < shape.head_dim; i += 32) {
    V a, b;
    load_e2m1_pairs(key + i / 2, kE8m0[static_cast<uint8_t>(scales[i / 32])], a, b);
    store(out + i, a);
    store(out + i + 16, b);
  }
}

void score_keys(const SelectShape& shape, const SelectRow& row, size_t begin, size_t end,
                float* scores, float* scratch) {
  const size_t dim = shape.head_dim;
  float* const keys = scratch;
  float* const products = keys + kKeyBlock * dim;  // [n_heads, kKeyBlock]
  for (size_t s = begin; s < end; s += kKeyBlock) {
    const size_t n = std::min(kKeyBlock, end - s);
    for (size_t i = 0; i < n; ++i) {
      const size_t at = s + i;
      load_key(shape,
               row.pages[at / shape.keys_per_page] + at % shape.keys_per_page * shape.key_bytes,
               keys + i * dim);
    }
    block(keys, dim, n, row.q, dim, shape.n_heads, dim, products, kKeyBlock);
    V total = zero();
    for (size_t h = 0; h < shape.n_heads; ++h) {
      const V positive = max(load(products + h * kKeyBlock), zero());
      total = fma(positive, splat(row.head_weights[h]), total);
    }
    float lanes[16];
    store(lanes, total);
    std::memcpy(scores + s, lanes, n * sizeof(float));
  }
}

}  // namespace

constexpr LaneKernels kKernels = {kName,      matmul, decode_row, dot, rms_norm, attend,
                                  score_keys, pool,   swiglu,     mix, merge};
