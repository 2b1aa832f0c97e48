// Attention over entries of the caches, and the indexer that chooses among them. Part of
// lane_kernels.inl.

void unpack(const PackedEntryShape& shape, const std::byte* packed, float* out) {
  const size_t n_fp8 = shape.n_fp8(), rope_dim = shape.rope_dim;
  const std::byte* const rope = packed + n_fp8;
  const std::byte* const scales = rope + 2 * rope_dim;
  for (size_t i = 0; i < n_fp8; i += 16) {
    const V scale = splat(kE8m0[static_cast<uint8_t>(scales[i / 64])] * 256.0F);
    store(out + i, mul(load_e4m3_over_256(packed + i), scale));
  }
  for (size_t i = 0; i < rope_dim; i += 16) store(out + n_fp8 + i, load_bf16(rope + 2 * i));
}

/// Entries are anywhere in memory: asked for a little before they are decoded, they are there in
/// time.
void fetch_entry(const AttendShape& shape, const std::byte* entry) {
  constexpr size_t kLine = 64;
  const bool packed = shape.format == CacheFormat::packed;
  const size_t bytes = packed ? shape.packed.bytes() : shape.head_dim * sizeof(float);
  for (size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(entry + i);
}

void load_entry(const AttendShape& shape, const std::byte* entry, float* out) {
  if (shape.format == CacheFormat::packed) return unpack(shape.packed, entry, out);
  std::memcpy(out, entry, shape.head_dim * sizeof(float));
}

/// out[h][c] += sum_i p[h][i] * values[i][c], in ascending i, for H heads and N vectors of
/// channels.
template <size_t H, size_t N>
void add_channels(const float* p, size_t ps, const float* values, size_t n, size_t dim,
                  float* out) {
  V acc[H][N];
  for (size_t h = 0; h < H; ++h) {
    for (size_t v = 0; v < N; ++v) acc[h][v] = load(out + h * dim + 16 * v);
  }
  for (size_t i = 0; i < n; ++i) {
    V value[N];
    for (size_t v = 0; v < N; ++v) value[v] = load(values + i * dim + 16 * v);
    for (size_t h = 0; h < H; ++h) {
      const V weight = splat(p[h * ps + i]);
      for (size_t v = 0; v < N; ++v) acc[h][v] = fma(weight, value[v], acc[h][v]);
    }
  }
  for (size_t h = 0; h < H; ++h) {
    for (size_t v = 0; v < N; ++v) store(out + h * dim + 16 * v, acc[h][v]);
  }
}

/// The same for any number of heads.
template <size_t N>
void add_channels_of_heads(const float* p, size_t ps, const float* values, size_t n, size_t dim,
                           float* out, size_t n_heads) {
  size_t h = 0;
  for (; h + 4 <= n_heads; h += 4) {
    add_channels<4, N>(p + h * ps, ps, values, n, dim, out + h * dim);
  }
  for (; h + 2 <= n_heads; h += 2) {
    add_channels<2, N>(p + h * ps, ps, values, n, dim, out + h * dim);
  }
  for (; h < n_heads; ++h) add_channels<1, N>(p + h * ps, ps, values, n, dim, out + h * dim);
}

/// And for all channels: a few of them at a time, which all heads find in the first-level cache.
void add_values(const float* p, size_t ps, const float* values, size_t n, size_t dim, float* out,
                size_t n_heads) {
  size_t c = 0;
  for (; c + 16 * kValueVectors <= dim; c += 16 * kValueVectors) {
    add_channels_of_heads<kValueVectors>(p, ps, values + c, n, dim, out + c, n_heads);
  }
  for (; c < dim; c += 16) add_channels_of_heads<1>(p, ps, values + c, n, dim, out + c, n_heads);
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
    // A few entries at a time meet all heads while they are in the first-level cache.
    for (size_t first = 0; first < n; first += kBlockRows) {
      const size_t end = std::min(n, first + kBlockRows);
      for (size_t i = first; i < end; ++i) {
        constexpr size_t kEntriesAhead = 12;
        if (begin + i + kEntriesAhead < row.n_entries) {
          fetch_entry(shape, row.entries[begin + i + kEntriesAhead]);
        }
        load_entry(shape, row.entries[begin + i], entries + i * dim);
      }
      block(entries + first * dim, dim, end - first, q, dim, n_heads, dim, p + first, kAttendBlock);
    }
    for (size_t h = 0; h < n_heads; ++h) {
      const bool is_first = begin == 0;  // whose sums are zeros
      const float shrink = soften(p + h * kAttendBlock, n, shape.scale, tops[h], totals[h]);
      if (is_first || shrink == 1.0F) continue;
      for (size_t c = 0; c < dim; c += 16)
        store(out + h * dim + c, mul(load(out + h * dim + c), splat(shrink)));
    }
    add_values(p, kAttendBlock, entries, n, dim, out, n_heads);
  }
  for (size_t h = 0; h < n_heads; ++h) {
    const V total = splat(totals[h] + exp_of(shape.sinks[head_begin + h] - tops[h]));
    for (size_t c = 0; c < dim; c += 16)
      store(out + h * dim + c, div(load(out + h * dim + c), total));
  }
}

/// The keys of one page from `first` on, seen as a matrix with a row for each.
Weight keys_as_rows(const SelectShape& shape, const std::byte* first, size_t n) {
  const bool packed = shape.format == CacheFormat::packed;
  return {.type = packed ? DType::f4_e2m1 : DType::f32,
          .rows = n,
          .cols = shape.head_dim,
          .bytes = first,
          .scales = packed ? first + shape.head_dim / 2 : nullptr,
          .row_bytes = shape.key_bytes,
          .scale_row_bytes = shape.key_bytes};
}

void score_keys(const SelectShape& shape, std::span<const SelectRow> rows, size_t begin, size_t end,
                float* const* scores, float* scratch) {
  float* const products = scratch;  // [rows, n_heads, kKeyBlock]
  float* const matmul_scratch = products + kQueriesTogether * shape.n_heads * kKeyBlock;
  for (size_t s = begin; s < end; s += kKeyBlock) {
    const size_t n = std::min(kKeyBlock, end - s);
    const std::byte* const page = rows.front().pages[s / shape.keys_per_page];
    const Weight keys = keys_as_rows(shape, page + s % shape.keys_per_page * shape.key_bytes, n);
    const MatmulJob job{.weight = &keys,
                        .n_rows = n,
                        .x = rows.front().q,
                        .x_stride = shape.head_dim,
                        .y = products,
                        .y_stride = kKeyBlock,
                        .n_tokens = rows.size() * shape.n_heads};
    matmul(job, 0, n, matmul_scratch);
    for (size_t r = 0; r < rows.size(); ++r) {
      if (rows[r].n_visible <= s) continue;
      V total = zero();
      for (size_t h = 0; h < shape.n_heads; ++h) {
        const V positive = max(load(products + (r * shape.n_heads + h) * kKeyBlock), zero());
        total = fma(positive, splat(rows[r].head_weights[h]), total);
      }
      store_first(scores[r] + s, total, std::min(n, rows[r].n_visible - s));
    }
  }
}

size_t candidates(const float* scores, size_t n, size_t k, int32_t* ids) {
  // The k-th largest of many disjoint parts' largest scores: at least k scores are not below it.
  constexpr size_t kParts = 16;
  const size_t n_columns = n / kParts;
  if (n_columns < 2 * k || k == 0) {
    for (size_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>(i);
    return n;
  }
  const auto rank = [](float x) {  // ordered like the floats, NaN below everything
    const auto bits = std::bit_cast<int32_t>(x + 0.0F);
    const int32_t ordered = bits ^ ((bits >> 31) & 0x7fffffff);
    return x != x ? std::numeric_limits<int32_t>::min() : ordered;
  };
  for (size_t i = 0; i < n_columns; ++i) ids[i] = rank(scores[i]);
  for (size_t part = 1; part < kParts; ++part) {
    const float* const from = scores + part * n_columns;
    for (size_t i = 0; i < n_columns; ++i) ids[i] = std::max(ids[i], rank(from[i]));
  }
  std::nth_element(ids, ids + k - 1, ids + n_columns, std::greater<>());
  const int32_t least = ids[k - 1];
  size_t n_candidates = 0;
  for (size_t i = 0; i < n; ++i) {
    ids[n_candidates] = static_cast<int32_t>(i);
    n_candidates += rank(scores[i]) >= least ? 1 : 0;
  }
  return n_candidates;
}
