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

/// Entries that a block adds to the sums of its heads.
struct ValueRows {
  const float* values;  ///< n rows, `stride` apart
  size_t stride, n;
  bool are_first;  ///< the sums begin with them: what is there is not read
};

/// out[h][c] += sum_i p[h][i] * values[i][c], in ascending i, for H heads and N vectors of
/// channels from `c` on.
template <size_t H, size_t N>
void add_channels(const float* p, size_t ps, const ValueRows& rows, size_t c, size_t dim,
                  float* out) {
  V acc[H][N];
  for (size_t h = 0; h < H; ++h) {
    for (size_t v = 0; v < N; ++v) {
      acc[h][v] = rows.are_first ? zero() : load(out + h * dim + c + 16 * v);
    }
  }
  const float* values = rows.values + c;
  const size_t n = rows.n, vs = rows.stride;
  for (size_t i = 0; i < n; ++i) {
    V value[N];
    for (size_t v = 0; v < N; ++v) value[v] = load(values + i * vs + 16 * v);
    for (size_t h = 0; h < H; ++h) {
      const V weight = splat(p[h * ps + i]);
      for (size_t v = 0; v < N; ++v) acc[h][v] = fma(weight, value[v], acc[h][v]);
    }
  }
  for (size_t h = 0; h < H; ++h) {
    for (size_t v = 0; v < N; ++v) store(out + h * dim + c + 16 * v, acc[h][v]);
  }
}

/// The same for any number of heads.
template <size_t N>
void add_channels_of_heads(const float* p, size_t ps, const ValueRows& rows, size_t c, size_t dim,
                           float* out, size_t n_heads) {
  size_t h = 0;
  for (; h + 4 <= n_heads; h += 4) {
    add_channels<4, N>(p + h * ps, ps, rows, c, dim, out + h * dim);
  }
  for (; h + 2 <= n_heads; h += 2) {
    add_channels<2, N>(p + h * ps, ps, rows, c, dim, out + h * dim);
  }
  for (; h < n_heads; ++h) add_channels<1, N>(p + h * ps, ps, rows, c, dim, out + h * dim);
}

/// And for all channels: a few of them at a time, which all heads find in the first-level cache.
void add_values(const float* p, size_t ps, const ValueRows& rows, size_t dim, float* out,
                size_t n_heads) {
  size_t c = 0;
  for (; c + 16 * kValueVectors <= dim; c += 16 * kValueVectors) {
    add_channels_of_heads<kValueVectors>(p, ps, rows, c, dim, out, n_heads);
  }
  for (; c < dim; c += 16) add_channels_of_heads<1>(p, ps, rows, c, dim, out, n_heads);
}

/// One head's share of a block: products become weights under the running maximum; returns the
/// factor by which everything so far shrinks.
float soften(float* p, size_t n, float scale, float& top, float& total) {
  V largest_lane = splat(-std::numeric_limits<float>::infinity());
  const size_t padded = (n + 15) / 16 * 16;
  for (size_t i = n; i < padded; ++i) p[i] = -std::numeric_limits<float>::infinity();
  const V factor = splat(scale);
  for (size_t i = 0; i < padded; i += 16) {
    const V z = mul(load(p + i), factor);
    store(p + i, z);
    largest_lane = max(largest_lane, z);
  }
  const float block_top = largest(largest_lane);
  const float new_top = block_top > top ? block_top : top;
  V added = zero();
  for (size_t i = 0; i < padded; i += 16) {
    const V e = exp(sub(load(p + i), splat(new_top)));
    store(p + i, e);
    for (size_t k = n; k < i + 16; ++k) p[k] = 0.0F;
    added = add(added, i + 16 <= n ? e : load(p + i));
  }
  const float shrink = total == 0.0F ? 0.0F : exp_of(top - new_top);
  total = total * shrink + sum(added);
  top = new_top;
  return shrink;
}

/// Where the entries at [begin, end) of a query's list lie among those of its group.
struct BlockParts {
  EntryRange window, compressed;
  BlockParts(const AttendRow& row, size_t begin, size_t end) {
    const size_t n = row.window.size();
    window = {row.window.begin + std::min(begin, n), row.window.begin + std::min(end, n)};
    compressed = {row.compressed.begin + std::max(begin, n) - n,
                  row.compressed.begin + std::max(end, n) - n};
  }
};

/// The entries that a block of each query of a group needs, each decoded once, when first asked
/// for.
class DecodedBlock {
 public:
  /// The queries' entries at [begin, begin + kAttendBlock); `decoded` has room for
  /// kDecodedEntries.
  DecodedBlock(const AttendShape& shape, const AttendGroup& group, size_t begin, float* decoded)
      : shape_(shape), group_(group), decoded_(decoded) {
    for (const AttendRow& row : group.rows) {
      const BlockParts parts = this->parts(row, begin);
      extend(window_, parts.window);
      extend(compressed_, parts.compressed);
    }
    SABLE_CHECK(window_.size() + compressed_.size() <= kDecodedEntries);
  }

  /// A query's part of the block, as rows of `decoded`.
  BlockParts rows(const AttendRow& row, size_t begin) const {
    BlockParts parts = this->parts(row, begin);
    parts.window = moved(parts.window, window_, 0);
    parts.compressed = moved(parts.compressed, compressed_, window_.size());
    return parts;
  }

  /// Row i, after which those before `end` are decoded too.
  const float* row(size_t i, size_t end) {
    for (; n_decoded_ < end; ++n_decoded_) {
      constexpr size_t kEntriesAhead = 12;
      const size_t at = n_decoded_ < window_.size()
                            ? window_.begin + n_decoded_
                            : compressed_.begin + n_decoded_ - window_.size();
      if (at + kEntriesAhead < group_.n_entries) {
        fetch_entry(shape_, group_.entries[at + kEntriesAhead]);
      }
      load_entry(shape_, group_.entries[at], decoded_ + n_decoded_ * stride());
    }
    return decoded_ + i * stride();
  }
  size_t stride() const { return entry_stride(shape_.head_dim); }

 private:
  static BlockParts parts(const AttendRow& row, size_t begin) {
    const size_t n = row.n_entries();
    return {row, std::min(n, begin), std::min(n, begin + kAttendBlock)};
  }
  static void extend(EntryRange& all, const EntryRange& part) {
    if (part.size() == 0) return;
    if (all.size() == 0) all = part;
    all = {std::min(all.begin, part.begin), std::max(all.end, part.end)};
  }
  static EntryRange moved(const EntryRange& part, const EntryRange& all, size_t to) {
    if (part.size() == 0) return {};
    return {part.begin - all.begin + to, part.end - all.begin + to};
  }

  const AttendShape& shape_;
  const AttendGroup& group_;
  float* decoded_;
  EntryRange window_, compressed_;
  size_t n_decoded_ = 0;
};

/// One query's heads and its part of a block: [tops, totals] are those of the heads so far, and so
/// is `out`.
void attend_block(const AttendShape& shape, DecodedBlock& block_entries, const BlockParts& parts,
                  const float* q, size_t n_heads, bool is_first, float* p, float* tops,
                  float* totals, float* out) {
  const size_t dim = shape.head_dim, stride = block_entries.stride();
  const EntryRange both[] = {parts.window, parts.compressed};
  size_t n = 0;
  for (const EntryRange& part : both) {
    // A few entries at a time meet all heads while they are in the first-level cache.
    for (size_t first = part.begin; first < part.end; first += kBlockRows) {
      const size_t end = std::min(part.end, first + kBlockRows);
      block(block_entries.row(first, end), stride, end - first, {.x = q, .stride = dim}, n_heads,
            dim, p + n, kAttendBlock);
      n += end - first;
    }
  }
  for (size_t h = 0; h < n_heads; ++h) {
    const float shrink = soften(p + h * kAttendBlock, n, shape.scale, tops[h], totals[h]);
    if (is_first || shrink == 1.0F) continue;  // sums begin, or stay as they are
    for (size_t c = 0; c < dim; c += 16)
      store(out + h * dim + c, mul(load(out + h * dim + c), splat(shrink)));
  }
  n = 0;
  for (const EntryRange& part : both) {
    if (part.size() == 0) continue;
    const ValueRows rows{.values = block_entries.row(part.begin, part.end),
                         .stride = stride,
                         .n = part.size(),
                         .are_first = is_first && n == 0};
    add_values(p + n, kAttendBlock, rows, dim, out, n_heads);
    n += part.size();
  }
}

/// Blocks of entries in their order, with a running maximum for each head. How a query's entries
/// are cut into blocks depends on nothing but the query.
void attend(const AttendShape& shape, const AttendGroup& group, size_t head_begin, size_t head_end,
            float* scratch) {
  const size_t dim = shape.head_dim, n_heads = head_end - head_begin;
  float* const decoded = scratch;
  float* const p = decoded + kDecodedEntries * entry_stride(dim);
  float* const tops = p + shape.n_heads * kAttendBlock;
  float* const totals = tops + kGroupedQueries * shape.n_heads;
  SABLE_CHECK(group.rows.size() <= kGroupedQueries);
  size_t n_entries = 0;
  for (size_t r = 0; r < group.rows.size(); ++r) {
    const AttendRow& row = group.rows[r];
    SABLE_CHECK(row.n_entries() > 0);
    n_entries = std::max(n_entries, row.n_entries());
    std::fill_n(tops + r * n_heads, n_heads, -std::numeric_limits<float>::infinity());
    std::fill_n(totals + r * n_heads, n_heads, 0.0F);
  }
  for (size_t begin = 0; begin < n_entries; begin += kAttendBlock) {
    DecodedBlock block_entries(shape, group, begin, decoded);
    for (size_t r = 0; r < group.rows.size(); ++r) {
      const AttendRow& row = group.rows[r];
      if (row.n_entries() <= begin) continue;
      attend_block(shape, block_entries, block_entries.rows(row, begin), row.q + head_begin * dim,
                   n_heads, begin == 0, p, tops + r * n_heads, totals + r * n_heads,
                   row.out + head_begin * dim);
    }
  }
  for (size_t r = 0; r < group.rows.size(); ++r) {
    float* const out = group.rows[r].out + head_begin * dim;
    for (size_t h = 0; h < n_heads; ++h) {
      const size_t i = r * n_heads + h;
      const V total = splat(totals[i] + exp_of(shape.sinks[head_begin + h] - tops[i]));
      for (size_t c = 0; c < dim; c += 16)
        store(out + h * dim + c, div(load(out + h * dim + c), total));
    }
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
    matmul(job, 0, n, false, nullptr, matmul_scratch);
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

/// Ordered like the floats, with NaN below everything.
int32_t rank_of(float x) {
  const auto bits = std::bit_cast<int32_t>(x + 0.0F);
  const int32_t ordered = bits ^ ((bits >> 31) & 0x7fffffff);
  return x != x ? std::numeric_limits<int32_t>::min() : ordered;
}

uint32_t n_reaching(const int32_t* ranks, size_t n, int32_t rank) {
  uint32_t count = 0;
  for (size_t i = 0; i < n; ++i) count += ranks[i] >= rank ? 1 : 0;
  return count;
}

/// A rank that k of n reach, 0 < k <= n; the largest that more than k reach where there is none.
int32_t rank_of_best(const int32_t* ranks, size_t n, size_t k) {
  int32_t least = ranks[0], most = ranks[0];
  for (size_t i = 1; i < n; ++i) {
    least = std::min(least, ranks[i]);
    most = std::max(most, ranks[i]);
  }
  while (least < most) {
    const uint32_t span = static_cast<uint32_t>(most) - static_cast<uint32_t>(least);
    const auto middle = static_cast<int32_t>(static_cast<uint32_t>(least) + span / 2 + span % 2);
    const size_t count = n_reaching(ranks, n, middle);
    if (count == k) return middle;
    if (count > k) {
      least = middle;
    } else {
      most = middle - 1;
    }
  }
  return least;
}

void top_scores(const float* scores, size_t n, size_t k, int32_t* work, int32_t* chosen) {
  if (k == 0) return;
  int32_t *const ranks = work, *const ids = work + n;
  for (size_t i = 0; i < n; ++i) ranks[i] = rank_of(scores[i]);
  // Of many scores, those that k of many disjoint parts' largest ones do not beat are left out.
  constexpr size_t kParts = 16;
  const size_t n_columns = n / kParts;
  const bool are_many = n_columns >= 2 * k;
  if (are_many) {
    int32_t* const largest = ids;
    std::memcpy(largest, ranks, n_columns * sizeof(int32_t));
    for (size_t part = 1; part < kParts; ++part) {
      const int32_t* const from = ranks + part * n_columns;
      for (size_t i = 0; i < n_columns; ++i) largest[i] = std::max(largest[i], from[i]);
    }
    const int32_t least = rank_of_best(largest, n_columns, k);
    size_t n_left = 0;
    for (size_t i = 0; i < n; ++i) {
      const int32_t rank = ranks[i];
      ids[n_left] = static_cast<int32_t>(i);
      ranks[n_left] = rank;
      n_left += rank >= least ? 1 : 0;
    }
    n = n_left;
  }
  const int32_t least = rank_of_best(ranks, n, k);
  size_t n_equal = k;
  for (size_t i = 0; i < n; ++i) n_equal -= ranks[i] > least ? 1 : 0;
  size_t n_chosen = 0;
  for (size_t i = 0; n_chosen < k; ++i) {
    chosen[n_chosen] = are_many ? ids[i] : static_cast<int32_t>(i);
    const bool is_equal = ranks[i] == least && n_equal > 0;
    n_equal -= is_equal ? 1 : 0;
    n_chosen += ranks[i] > least || is_equal ? 1 : 0;
  }
}
