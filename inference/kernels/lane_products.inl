// Products of stored matrices with vectors. Part of lane_kernels.inl.
//
// Few vectors meet a weight as it is decoded, and it never goes to memory. For many, a block of
// rows is decoded into a first-level cache, a slice of columns at a time, where all of them meet
// it. Sums go on from slice to slice where they stood, lane by lane, so that neither slices nor
// blocks show in them.

/// How far ahead of its use a weight is fetched: about what is in flight to memory at any time.
constexpr size_t kPrefetchBytes = 4096;

/// Fetches weights as the one stream that they are in memory, though R rows of them are read side
/// by side: R short streams are more than the machine's own prefetching follows.
class RowsAhead {
 public:
  /// `base`: where the R rows begin. The stream ends at `end` and goes on at `next`.
  RowsAhead(const std::byte* base, size_t bytes_in_rows, const std::byte* end,
            const std::byte* next)
      : at_(base + bytes_in_rows + kPrefetchBytes), end_(end), next_(next) {
    if (at_ >= end_) go_on();
  }
  /// The R rows went on by `Bytes` together.
  template <size_t Bytes>
  void step() {
    constexpr size_t kLine = 64;
    for (size_t i = 0; i < Bytes; i += kLine) __builtin_prefetch(at_ + i);
    at_ += Bytes;
    if (at_ >= end_) [[unlikely]]
      go_on();
  }

 private:
  void go_on() {
    at_ = next_ + (at_ - end_);
    end_ = reinterpret_cast<const std::byte*>(~uintptr_t{0});
  }

  const std::byte *at_, *end_, *next_;
};

/// The weights that a thread reads: those of a piece of a job, and then what it is asked for next.
struct Stream {
  const std::byte *end, *next;

  Stream(const MatmulJob& job, uint64_t row_end, const std::byte* after)
      : end(job.weight->row(job.row_begin + row_end)), next(after != nullptr ? after : end) {}
  /// What is read when rows of the piece would be at p, which may lie past its end.
  const std::byte* at(const std::byte* p) const { return p < end ? p : next + (p - end); }
  RowsAhead rows_ahead(const std::byte* base, size_t bytes_in_rows) const {
    return {base, bytes_in_rows, end, next};
  }
};

/// body(0), body(1) .. body(N - 1), as so many statements: arrays that it indexes stay in
/// registers.
template <size_t N, class Body>
[[gnu::always_inline]] inline void each(const Body& body) {
  [&]<size_t... I>(std::index_sequence<I...>) SABLE_INLINE { (body(I), ...); }
  (std::make_index_sequence<N>{});
}

/// Vectors, of which some columns are looked at.
struct Vectors {
  const float* x = nullptr;  ///< rows `stride` apart, unless there are `rows`
  size_t stride = 0;
  const float* const* rows = nullptr;
  size_t column = 0;

  const float* at(size_t t) const { return (rows != nullptr ? rows[t] : x + t * stride) + column; }
  Vectors from(size_t begin_column) const { return {x, stride, rows, begin_column}; }
};

Vectors vectors_of(const MatmulJob& job) { return {job.x, job.x_stride, job.x_rows}; }

// ---------------------------------------------------------------- decoded on the way

/// The order of lanes in which elements are decoded: theirs, or the one that the format prefers.
enum class Decode { plain, dealt };

/// Adds elements i .. i + 31 of R rows from r0 on to the sums of T vectors, each element decoded
/// once.
template <class Rows, size_t R, size_t T, Decode How>
[[gnu::always_inline]] inline void add_decoded(const Rows& rows, size_t r0, size_t i,
                                               const float* const* x, V* acc) {
  const auto decode = [&](size_t r, V& a, V& b) SABLE_INLINE {
    if constexpr (How == Decode::dealt) {
      rows.dealt(r0 + r, i, a, b);
    } else {
      rows.at(r0 + r, i, a, b);
    }
  };
  if constexpr (T < kVectorsFirst) {
    each<R>([&](size_t r) SABLE_INLINE {
      V a, b;
      decode(r, a, b);
      each<T>([&](size_t t) SABLE_INLINE {
        V& sum = acc[t * R + r];
        sum = fma(b, load(x[t] + i + 16), fma(a, load(x[t] + i), sum));
      });
    });
  } else {
    V a[R], b[R];
    each<R>([&](size_t r) SABLE_INLINE { decode(r, a[r], b[r]); });
    each<T>([&](size_t t) SABLE_INLINE {
      const V x0 = load(x[t] + i), x1 = load(x[t] + i + 16);
      each<R>([&](size_t r) SABLE_INLINE {
        V& sum = acc[t * R + r];
        sum = fma(b[r], x1, fma(a[r], x0, sum));
      });
    });
  }
}

/// The same for the last n < 32 elements of rows that may end anywhere. Out of line, so that the
/// sums need not leave their registers for it.
template <class Rows, size_t R, size_t T>
[[gnu::noinline, gnu::cold]] void add_decoded_tail(const Rows& rows, size_t r0, size_t i, size_t n,
                                                   const float* const* x, V* acc) {
  for (size_t r = 0; r < R; ++r) {
    V a, b, x0, x1;
    rows.tail(r0 + r, i, n, a, b);
    for (size_t t = 0; t < T; ++t) {
      padded_tail(x[t] + i, n, x0, x1);
      acc[t * R + r] = fma(b, x1, fma(a, x0, acc[t * R + r]));
    }
  }
}

/// Columns [begin, end) of R rows and of T vectors.
template <class Rows, size_t R, size_t T, Decode How, class Ahead>
[[gnu::always_inline]] inline void add_columns(const Rows& rows, size_t r0, size_t begin,
                                               size_t end, const Vectors& vectors, Ahead& ahead,
                                               V* acc) {
  const float* x[T];
  each<T>([&](size_t t) SABLE_INLINE { x[t] = vectors.at(t); });
  const size_t whole = begin + (end - begin) / 32 * 32;
  for (size_t i = begin; i < whole; i += 32) {
    ahead.template step<R * Rows::kStep>();
    add_decoded<Rows, R, T, How>(rows, r0, i, x, acc);
  }
  if constexpr (Rows::kTail) {
    if (whole < end) [[unlikely]] {
      V outside[T * R];
      each<T * R>([&](size_t k) SABLE_INLINE { outside[k] = acc[k]; });
      add_decoded_tail<Rows, R, T>(rows, r0, whole, end - whole, x, outside);
      each<T * R>([&](size_t k) SABLE_INLINE { acc[k] = outside[k]; });
    }
  }
}

/// y[t][r] for R rows from `r0` on and T vectors of a job, dealt as the format asks.
template <class Rows, size_t R, size_t T>
void dot_rows(const MatmulJob& job, uint64_t r0, const Vectors& x, const Stream& stream) {
  const Weight& w = *job.weight;
  const Rows rows(w, job.row_begin + r0);
  V acc[T * R];
  each<T * R>([&](size_t k) SABLE_INLINE { acc[k] = zero(); });
  RowsAhead ahead = stream.rows_ahead(w.row(job.row_begin + r0), R * w.row_bytes);
  constexpr Decode kHow = Rows::kDealt ? Decode::dealt : Decode::plain;
  add_columns<Rows, R, T, kHow>(rows, 0, 0, w.cols, x, ahead, acc);
  if constexpr (Rows::kDealt) {
    each<T * R>([&](size_t k) SABLE_INLINE { acc[k] = Rows::undeal(acc[k]); });
  }
  float products[T * R];
  sums<T * R>(acc, products);
  float* const y = job.y + r0;
  each<T>([&](size_t t) SABLE_INLINE {
    std::memcpy(y + t * job.y_stride, products + t * R, R * sizeof(float));
  });
}

template <class Rows, size_t T>
void few_vectors(const MatmulJob& job, uint64_t begin, uint64_t end, const Stream& stream,
                 float* scratch) {
  constexpr size_t R = decoding_rows(T);
  Vectors x = vectors_of(job);
  if constexpr (Rows::kDealt) {
    const size_t cols = job.weight->cols;
    for (size_t t = 0; t < T; ++t) {
      const float* const from = x.at(t);
      for (size_t i = 0; i < cols; i += 16) {
        store(scratch + t * cols + i, Rows::deal(load(from + i)));
      }
    }
    x = {.x = scratch, .stride = cols};
  }
  uint64_t r = begin;
  for (; r + R <= end; r += R) dot_rows<Rows, R, T>(job, r, x, stream);
  for (; r < end; ++r) dot_rows<Rows, 1, T>(job, r, x, stream);
}

// ---------------------------------------------------------------- tiles of decoded rows

/// Where the sums of a block of up to Rows rows go: on to the next slice of columns, or, added up,
/// to y.
template <size_t Rows = kBlockRows>
struct BlockSums {
  float* y;  ///< [vectors, rows]
  size_t y_stride;
  float* partial = nullptr;  ///< [vectors, Rows, 16], where there are several slices
  bool first = true, last = true;

  float* lanes(size_t t, size_t r) const { return partial + (t * Rows + r) * 16; }

  /// Asks for where R rows of T vectors will go, in time for their end.
  template <size_t R, size_t T>
  [[gnu::always_inline]] void expect(size_t r0, size_t t0) const {
    if (!last) return;
    const float* const at = y + t0 * y_stride + r0;
    each<T>([&](size_t t) SABLE_INLINE { __builtin_prefetch(at + t * y_stride, 1); });
  }

  template <size_t R, size_t T>
  [[gnu::always_inline]] void begin(size_t r0, size_t t0, V* acc) const {
    if (first) {
      each<T * R>([&](size_t k) SABLE_INLINE { acc[k] = zero(); });
    } else {
      const float* const from = lanes(t0, r0);
      each<T * R>([&](size_t k) SABLE_INLINE { acc[k] = load(from + lane_offset<R>(k)); });
    }
  }
  template <size_t R, size_t T>
  [[gnu::always_inline]] void end(size_t r0, size_t t0, const V* acc) const {
    if (!last) {
      float* const at = lanes(t0, r0);
      each<T * R>([&](size_t k) SABLE_INLINE { store(at + lane_offset<R>(k), acc[k]); });
      return;
    }
    float products[T * R];
    sums<T * R>(acc, products);
    float* const at = y + t0 * y_stride + r0;
    const size_t stride = y_stride;
    each<T>([&](size_t t) SABLE_INLINE {
      std::memcpy(at + t * stride, products + t * R, R * sizeof(float));
    });
  }
  template <size_t R>
  static constexpr size_t lane_offset(size_t k) {
    return (k / R * Rows + k % R) * 16;
  }
};

/// Adds the last n < 16 elements of R rows and T vectors. Out of line, so that the sums of a tile
/// need not leave their registers for it.
template <size_t R, size_t T>
[[gnu::noinline, gnu::cold]] void tile_tail(const float* w, size_t ws, const float* const* x,
                                            size_t begin, size_t n, V* acc) {
  for (size_t t = 0; t < T; ++t) {
    V xt, wr, unused;
    padded_tail(x[t] + begin, n, xt, unused);
    for (size_t r = 0; r < R; ++r) {
      padded_tail(w + r * ws + begin, n, wr, unused);
      acc[t * R + r] = fma(wr, xt, acc[t * R + r]);
    }
  }
}

/// R rows from r0 on (stride ws) and T vectors from t0 on, n elements each. Fetches as many vectors
/// from `next` on if asked: worth it only where they are far from the core.
template <size_t R, size_t T, bool Fetches = false>
void tile(const float* w, size_t ws, size_t r0, const Vectors& vectors, size_t t0, size_t n,
          const BlockSums<>& to, size_t next = 0) {
  w += r0 * ws;
  const float *x[T], *ahead[T];
  each<T>([&](size_t t) SABLE_INLINE {
    x[t] = vectors.at(t0 + t);
    if constexpr (Fetches) ahead[t] = vectors.at(next + t);
  });
  V acc[T * R];
  to.expect<R, T>(r0, t0);
  to.begin<R, T>(r0, t0, acc);
  const size_t whole = n / 16 * 16;
  for (size_t i = 0; i < whole; i += 16) {
    V xt[T];
    each<T>([&](size_t t) SABLE_INLINE {
      xt[t] = load(x[t] + i);
      if constexpr (Fetches) __builtin_prefetch(ahead[t] + i);
    });
    each<R>([&](size_t r) SABLE_INLINE {
      const V wr = load(w + r * ws + i);
      each<T>([&](size_t t) SABLE_INLINE { acc[t * R + r] = fma(wr, xt[t], acc[t * R + r]); });
    });
  }
  if (whole < n) [[unlikely]] {
    V before_tail[T * R];
    each<T * R>([&](size_t k) SABLE_INLINE { before_tail[k] = acc[k]; });
    tile_tail<R, T>(w, ws, x, whole, n - whole, before_tail);
    each<T * R>([&](size_t k) SABLE_INLINE { acc[k] = before_tail[k]; });
  }
  to.end<R, T>(r0, t0, acc);
}

/// Fetches the weights of the next block, some at each tile of this one. Where weights are wide,
/// those of a block are more than a core waits for while it decodes the one before.
class NextBlock {
 public:
  NextBlock() = default;
  NextBlock(const std::byte* begin, size_t n_bytes, size_t n_tiles)
      : at_(begin), end_(begin + n_bytes), step_((n_bytes / n_tiles / kLine + 1) * kLine) {}
  void fetch_some() {
    const std::byte* const until = at_ + std::min(step_, static_cast<size_t>(end_ - at_));
    for (; at_ < until; at_ += kLine) __builtin_prefetch(at_);
    at_ = until;
  }

 private:
  static constexpr size_t kLine = 64;
  const std::byte *at_ = nullptr, *end_ = nullptr;
  size_t step_ = 0;
};

/// n_rows rows and n_tiles times T vectors from t0 on, which may never have been read before.
template <size_t T>
void tile_rows(const float* w, size_t ws, size_t n_rows, const Vectors& x, size_t t0,
               size_t n_tiles, size_t n, const BlockSums<>& to, NextBlock& next,
               bool are_new = false) {
  for (; n_tiles > 0; --n_tiles, t0 += T) {
    next.fetch_some();
    size_t r = 0;
    if (are_new && n_tiles > 1 && n_rows >= kTileRows) {
      tile<kTileRows, T, true>(w, ws, r, x, t0, n, to, t0 + T);
      r += kTileRows;
    }
    for (; r + kTileRows <= n_rows; r += kTileRows) tile<kTileRows, T>(w, ws, r, x, t0, n, to);
    if constexpr (kTileRows > 2) {
      for (; r + 2 <= n_rows; r += 2) tile<2, T>(w, ws, r, x, t0, n, to);
    }
    for (; r < n_rows; ++r) tile<1, T>(w, ws, r, x, t0, n, to);
  }
}

/// body<T>(t, n_tiles) for tiles of T vectors, T <= Most, that make up [begin, end), as even as can
/// be.
template <size_t Most, class Body>
void even_tiles(size_t begin, size_t end, const Body& body) {
  static_assert(Most <= 3);
  const size_t n = end - begin, n_tiles = (n + Most - 1) / Most;
  if (n_tiles == 0) return;
  const auto some = [&](size_t size, size_t from, size_t n_such) {
    if constexpr (Most >= 3) {
      if (size == 3) return body.template operator()<3>(from, n_such);
    }
    if constexpr (Most >= 2) {
      if (size == 2) return body.template operator()<2>(from, n_such);
    }
    body.template operator()<1>(from, n_such);
  };
  const size_t small = n / n_tiles, n_larger = n % n_tiles;
  if (n_larger > 0) some(small + 1, begin, n_larger);
  some(small, begin + n_larger * (small + 1), n_tiles - n_larger);
}

/// All products of n_rows rows with n_vectors vectors, n elements each.
void block(const float* w, size_t ws, size_t n_rows, const Vectors& x, size_t n_vectors, size_t n,
           float* y, size_t ys) {
  const BlockSums<> to{.y = y, .y_stride = ys};
  NextBlock none;
  even_tiles<kTileVectors>(0, n_vectors, [&]<size_t T>(size_t t, size_t n_tiles) {
    tile_rows<T>(w, ws, n_rows, x, t, n_tiles, n, to, none);
  });
}

// ---------------------------------------------------------------- slice by slice

/// So many rows meet a slice of few vectors before the next slice takes its place in the cache.
constexpr size_t kSlicedRows = 4 * kBlockRows;

/// Fetches part of R rows, each of which is a stream of its own.
template <size_t R>
class SliceAhead {
 public:
  SliceAhead(const std::byte* at, size_t row_bytes) : at_(at), row_bytes_(row_bytes) {}
  /// The R rows went on by `Bytes` together.
  template <size_t Bytes>
  void step() {
    constexpr size_t kLine = 64, kInRow = Bytes / R;
    for (size_t r = 0; r < R; ++r) {
      for (size_t i = 0; i < kInRow; i += kLine) __builtin_prefetch(at_ + r * row_bytes_ + i);
    }
    at_ += kInRow;
  }

 private:
  const std::byte* at_;
  size_t row_bytes_;
};

/// Columns [begin, end) of R rows of the view from r0 on meet T vectors as they are decoded.
template <class Rows, size_t R, size_t T, class Ahead>
void decoding_tile(Rows rows, size_t r0, size_t begin, size_t end, const Vectors& x, Ahead& ahead,
                   const BlockSums<kSlicedRows>& to) {
  V acc[T * R];
  to.begin<R, T>(r0, 0, acc);
  Ahead in_registers = ahead;
  add_columns<Rows, R, T, Decode::plain>(rows, r0, begin, end, x, in_registers, acc);
  ahead = in_registers;
  to.end<R, T>(r0, 0, acc);
}

/// Products of rows [begin, end) with the T vectors of the job, of one slice each.
template <class Rows, size_t T>
void unsliced_rows(const MatmulJob& job, uint64_t begin, uint64_t end, const Stream& stream) {
  constexpr size_t R = decoding_rows(T);
  const Weight& w = *job.weight;
  const Rows rows(w, job.row_begin);
  const Vectors x = vectors_of(job);
  const BlockSums<kSlicedRows> to{.y = job.y, .y_stride = job.y_stride};
  RowsAhead ahead = stream.rows_ahead(w.row(job.row_begin + begin), kBlockRows * w.row_bytes);
  uint64_t r = begin;
  for (; r + R <= end; r += R) decoding_tile<Rows, R, T>(rows, r, 0, w.cols, x, ahead, to);
  for (; r < end; ++r) decoding_tile<Rows, 1, T>(rows, r, 0, w.cols, x, ahead, to);
}

/// Products of up to kSlicedRows rows from r0 on with the T vectors of the job, each slice of which
/// stays in a first-level cache meanwhile.
template <class Rows, size_t T>
void sliced_block(const MatmulJob& job, uint64_t r0, size_t n_rows, const Stream& stream,
                  float* scratch) {
  constexpr size_t R = decoding_rows(T), kRowsAhead = 2 * R;
  static_assert(T * kSlicedRows * 16 <= kBlockRows * kSliceColumns);  // the scratch there is
  const Weight& w = *job.weight;
  const Rows rows(w, job.row_begin + r0);
  const Vectors x = vectors_of(job);
  BlockSums<kSlicedRows> to{.y = job.y + r0, .y_stride = job.y_stride, .partial = scratch};
  for (size_t begin = 0; begin < w.cols; begin += kSliceColumns) {
    const size_t end = std::min<size_t>(w.cols, begin + kSliceColumns);
    to.first = begin == 0;
    to.last = end == w.cols;
    // Two tiles ahead; from the last of a slice on, those are the next slice's first.
    const auto ahead = [&](size_t r) {
      const bool is_next = r + kRowsAhead >= n_rows;
      const size_t row = is_next && !to.last ? r + kRowsAhead - n_rows : r + kRowsAhead;
      const size_t column = !is_next ? begin : to.last ? 0 : end;
      return stream.at(w.row(job.row_begin + r0 + row)) + column / 32 * Rows::kStep;
    };
    size_t r = 0;
    for (; r + R <= n_rows; r += R) {
      SliceAhead<R> rows_ahead(ahead(r), w.row_bytes);
      decoding_tile<Rows, R, T>(rows, r, begin, end, x, rows_ahead, to);
    }
    for (; r < n_rows; ++r) {
      SliceAhead<1> row_ahead(ahead(r), w.row_bytes);
      decoding_tile<Rows, 1, T>(rows, r, begin, end, x, row_ahead, to);
    }
  }
}

template <class Rows, size_t T>
void several_vectors(const MatmulJob& job, uint64_t begin, uint64_t end, const Stream& stream,
                     float* scratch) {
  if (job.weight->cols <= kSliceColumns) return unsliced_rows<Rows, T>(job, begin, end, stream);
  constexpr size_t kRows = kSlicedRows / decoding_rows(T) * decoding_rows(T);
  for (uint64_t r = begin; r < end; r += kRows) {
    sliced_block<Rows, T>(job, r, std::min<uint64_t>(kRows, end - r), stream, scratch);
  }
}

// ---------------------------------------------------------------- decoded for many vectors

/// Formats whose next block is fetched while vectors pass this one, not while it is decoded.
template <class Rows>
constexpr bool is_wide = Rows::kStep >= 64;

/// Columns [begin, end) of the r-th row of the view, decoded to `out`.
template <class Rows>
void decode_columns(const Rows& rows, size_t r, size_t begin, size_t end, float* out,
                    RowsAhead& ahead) {
  size_t i = begin;
  const auto decode = [&] {
    V a, b;
    rows.at(r, i, a, b);
    store(out, a);
    store(out + 16, b);
    i += 32;
    out += 32;
  };
  while (i + 64 <= end) {
    if constexpr (!is_wide<Rows>) ahead.step<2 * Rows::kStep>();
    decode();
    decode();
  }
  if (i + 32 <= end) decode();
  if constexpr (Rows::kTail) {
    if (i < end) [[unlikely]] {
      V a, b;
      rows.tail(r, i, end - i, a, b);
      store(out, a);
      store(out + 16, b);
    }
  }
}

/// Products of up to kBlockRows rows from r0 on with the vectors of the job, which are new to this
/// core or not.
template <class Rows>
void decoded_block(const MatmulJob& job, uint64_t r0, size_t n_rows, bool are_new,
                   const Stream& stream, float* scratch) {
  const Weight& w = *job.weight;
  const Rows rows(w, job.row_begin + r0);
  const size_t ds = decoded_stride(w.cols);
  BlockSums<> to{.y = job.y + r0, .y_stride = job.y_stride, .partial = scratch + kBlockRows * ds};
  RowsAhead ahead = stream.rows_ahead(w.row(job.row_begin + r0), n_rows * w.row_bytes);
  NextBlock next;
  if constexpr (is_wide<Rows>) {
    const size_t n_slices = (w.cols + kSliceColumns - 1) / kSliceColumns;
    next = {stream.at(w.row(job.row_begin + r0 + n_rows)), n_rows * w.row_bytes,
            n_slices * ((job.n_tokens + kTileVectors - 1) / kTileVectors)};
  }
  for (size_t begin = 0; begin < w.cols; begin += kSliceColumns) {
    const size_t end = std::min<size_t>(w.cols, begin + kSliceColumns);
    to.first = begin == 0;
    to.last = end == w.cols;
    for (size_t r = 0; r < n_rows; ++r) {
      decode_columns(rows, r, begin, end, scratch + r * ds, ahead);
    }
    const Vectors x = vectors_of(job).from(begin);
    even_tiles<kTileVectors>(0, job.n_tokens, [&]<size_t T>(size_t t, size_t n_tiles) {
      tile_rows<T>(scratch, ds, n_rows, x, t, n_tiles, end - begin, to, next, are_new);
    });
  }
}

template <class Rows>
void many_vectors(const MatmulJob& job, uint64_t begin, uint64_t end, bool are_new,
                  const Stream& stream, float* scratch) {
  for (uint64_t r = begin; r < end; r += kBlockRows) {
    const auto n_rows = std::min<uint64_t>(kBlockRows, end - r);
    decoded_block<Rows>(job, r, n_rows, are_new && r == begin, stream, scratch);
  }
}

/// The job with as many vectors as it has, at least T.
template <class Rows, size_t T>
void products(const MatmulJob& job, uint64_t begin, uint64_t end, bool are_new,
              const Stream& stream, float* scratch) {
  if constexpr (T > kDecodingVectors) {
    many_vectors<Rows>(job, begin, end, are_new, stream, scratch);
  } else {
    if (job.n_tokens > T) return products<Rows, T + 1>(job, begin, end, are_new, stream, scratch);
    if constexpr (T <= kFewVectors) {
      few_vectors<Rows, T>(job, begin, end, stream, scratch);
    } else {
      several_vectors<Rows, T>(job, begin, end, stream, scratch);
    }
  }
}

// ---------------------------------------------------------------- every format

/// body(Rows) for the format of a weight, as a type that has no value; false when lanes know none.
template <class Body>
bool with_format(DType type, const Body& body) {
  switch (type) {
    case DType::f32:
      return body.template operator()<PlainRows<F32>>(), true;
    case DType::bf16:
      return body.template operator()<PlainRows<Bf16>>(), true;
    case DType::f16:
      return body.template operator()<PlainRows<F16>>(), true;
    case DType::f8_e4m3:
      return body.template operator()<E4m3Rows>(), true;
    case DType::f4_e2m1:
      return body.template operator()<E2m1Rows>(), true;
    case DType::mxfp4:
      return body.template operator()<Mxfp4Rows>(), true;
    case DType::q8_0:
      return body.template operator()<Q8Rows>(), true;
    case DType::q2_k:
      return body.template operator()<Q2kRows>(), true;
    case DType::q4_k:
      return body.template operator()<Q4kRows>(), true;
    case DType::q5_k:
      return body.template operator()<Q5kRows>(), true;
    case DType::q6_k:
      return body.template operator()<Q6kRows>(), true;
    case DType::iq2_xxs:
      return body.template operator()<Iq2XxsRows>(), true;
    default:
      return false;
  }
}

template <class Rows>
void decode_row_as(const Weight& w, uint64_t r, float* out) {
  const Rows row(w, r);
  const size_t whole = w.cols / 32 * 32;
  for (size_t i = 0; i < whole; i += 32) {
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
  const bool decoded = with_format(w.type, [&]<class Rows>() { decode_row_as<Rows>(w, r, out); });
  if (!decoded) dequantize_row(*w.tensor, r, {out, w.cols});
}

/// A format without lanes: row by row through its definition.
void matmul_by_definition(const MatmulJob& job, uint64_t begin, uint64_t end, float* scratch) {
  const size_t cols = job.weight->cols;
  for (uint64_t r = begin; r < end; ++r) {
    dequantize_row(*job.weight->tensor, job.row_begin + r, {scratch, cols});
    block(scratch, cols, 1, vectors_of(job), job.n_tokens, cols, job.y + r, job.y_stride);
  }
}

void matmul(const MatmulJob& job, uint64_t begin, uint64_t end, bool are_new, const std::byte* next,
            float* scratch) {
  const Stream stream(job, end, next);
  const bool done = with_format(job.weight->type, [&]<class Rows>() {
    products<Rows, 1>(job, begin, end, are_new, stream, scratch);
  });
  if (!done) matmul_by_definition(job, begin, end, scratch);
}
