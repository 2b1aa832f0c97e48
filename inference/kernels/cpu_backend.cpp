// The CPU backend: the lane kernels, cut into pieces for the pool. A piece computes whole results,
// so how the work is cut never shows in them.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <sys/mman.h>
#include <vector>

#include "base/check.h"
#include "inference/kernels/backend.h"
#include "inference/kernels/lane_kernels.h"
#include "inference/kernels/routing.h"
#include "inference/kernels/worker_pool.h"

namespace sable::inference {

namespace {

// Pieces of weights. Long ones, since what is fetched ahead of a piece's end often goes to the
// wrong thread; and enough of them that threads finish together.
constexpr size_t kPieceBytesMin = size_t{64} << 10, kPieceBytesMax = size_t{512} << 10;
constexpr size_t kPiecesOfThread = 24;
constexpr size_t kPieceProducts = size_t{8} << 20;  // of a weight and an element, at most
constexpr size_t kRowsInPiece = 4 * kBlockRows;     // at least, unless the job has fewer
constexpr size_t kKeysInPiece = 1024;
constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

/// One thread's floats between reading weights and using them, on cache lines of their own.
class ThreadScratch {
 public:
  float* data() const { return floats_.get(); }
  void reserve(size_t n) {
    if (n <= size_) return;
    size_ = (n + kLineFloats - 1) / kLineFloats * kLineFloats;
    floats_.reset(static_cast<float*>(std::aligned_alloc(kCacheLine, size_ * sizeof(float))));
    SABLE_CHECK(floats_ != nullptr);
  }

 private:
  static constexpr size_t kLineFloats = kCacheLine / sizeof(float);
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float[], Free> floats_;
  size_t size_ = 0;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(WorkerPool& pool, const LaneKernels& kernels)
      : pool_(pool),
        kernels_(kernels),
        scratch_(pool.n_threads()),
        shares_(pool.n_threads()),
        ranking_(pool.n_threads()) {}

  std::string_view name() const override { return "cpu"; }
  std::string_view detail() const override { return kernels_.name; }

  void* allocate(size_t bytes) override {
    void* memory = nullptr;
    const bool is_large = bytes >= kHugePage;
    if (::posix_memalign(&memory, is_large ? kHugePage : kCacheLine, bytes) != 0) return nullptr;
    // One fault for a huge page instead of 512, and fewer misses of the TLB ever after.
    if (is_large) (void)::madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return memory;
  }
  void release(void* memory, size_t) override { std::free(memory); }
  void copy(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void clear(void* memory, size_t bytes) override { std::memset(memory, 0, bytes); }

  void embed(const Weight& table, std::span<const int32_t> ids, size_t n_streams,
             float* out) override {
    const size_t dim = table.cols;
    pool_.run(ids.size(), [&](size_t t, size_t) {
      float* const first = out + t * n_streams * dim;
      kernels_.decode_row(table, static_cast<uint64_t>(ids[t]), first);
      for (size_t j = 1; j < n_streams; ++j)
        std::memcpy(first + j * dim, first, dim * sizeof(float));
    });
  }

  void mix_streams(const StreamSite& site, const StreamMixSettings& settings, float rms_eps,
                   const StreamUpdate& update, float* streams, size_t n, size_t dim, float* post,
                   float* comb, float* y) override {
    constexpr size_t kComb = kStreams * kStreams;
    const auto prepare = [&](size_t begin, size_t end) {
      merge_tokens(update, begin, end, dim, streams);
    };
    const auto finish = [&](size_t begin, size_t end, float* products) {
      scale_by_rms(streams + begin * kStreams * dim, kStreams * dim, end - begin, rms_eps, products,
                   kMixes);
      for (size_t t = begin; t < end; ++t, products += kMixes) {
        const StreamMix mix = unbalanced_stream_mix({products, kMixes}, {site.base, kMixes},
                                                    {site.scale, 3}, settings);
        std::memcpy(post + t * kStreams, mix.post, sizeof mix.post);
        std::memcpy(comb + t * kComb, mix.comb, sizeof mix.comb);
        kernels_.mix(streams + t * kStreams * dim, mix.pre, dim, y + t * dim);
      }
      size_t t = begin;
      for (; t + kLanes <= end; t += kLanes) kernels_.balance(comb + t * kComb, kComb, settings);
      for (; t < end; ++t) {
        balance(reinterpret_cast<float(*)[kStreams]>(comb + t * kComb), settings);
      }
    };
    site_products(site, streams, n, dim, kMixes, prepare, finish);
  }

  void merge_streams(const StreamUpdate& update, size_t n, size_t dim, float* streams) override {
    row_ranges(n, kStreams * dim,
               [&](size_t begin, size_t end) { merge_tokens(update, begin, end, dim, streams); });
  }

  void mix_head(const StreamSite& site, float eps, float rms_eps, const float* streams, size_t n,
                size_t dim, float* y) override {
    const auto finish = [&](size_t begin, size_t end, float* products) {
      scale_by_rms(streams + begin * kStreams * dim, kStreams * dim, end - begin, rms_eps, products,
                   kStreams);
      for (size_t t = begin; t < end; ++t, products += kStreams) {
        float pre[kStreams];
        head_mix({products, kStreams}, {site.base, kStreams}, site.scale[0], eps, pre);
        kernels_.mix(streams + t * kStreams * dim, pre, dim, y + t * dim);
      }
    };
    site_products(
        site, streams, n, dim, kStreams, [](size_t, size_t) {}, finish);
  }

  void add_to_streams(const float* x, size_t n, size_t dim, float* streams) override {
    pool_.run(n * kStreams, [&](size_t i, size_t) {
      const float* const row = x + i / kStreams * dim;
      for (size_t d = 0; d < dim; ++d) streams[i * dim + d] += row[d];
    });
  }

  void rms_norm(const NormRows& r) override {
    row_ranges(r.n_rows, r.n_cols,
               [&](size_t begin, size_t end) { kernels_.rms_norm(r, begin, end); });
  }

  void rope(const RopeRows& r) override {
    row_ranges(r.n_rows, r.n_heads * r.n_pairs * 2,
               [&](size_t begin, size_t end) { kernels_.rope(r, begin, end); });
  }

  void norm_and_rope(const NormRows& norm, const RopeRows& rope) override {
    const size_t n_heads = rope.n_heads;
    row_ranges(rope.n_rows, n_heads * norm.n_cols, [&](size_t begin, size_t end) {
      kernels_.rms_norm(norm, begin * n_heads, end * n_heads);
      kernels_.rope(rope, begin, end);
    });
  }

  void round(const RoundRows& r) override {
    rows(r.n_rows, r.n_cols * 8, [&](size_t t) {
      const std::span<float> y(r.y + t * r.y_stride, r.n_cols);
      if (r.x != r.y) std::memcpy(y.data(), r.x + t * r.x_stride, r.n_cols * sizeof(float));
      switch (r.rounding) {
        case Rounding::fp8_groups_of_128:
          return kernels_.fake_quantize_fp8(y, 128);
        case Rounding::fp8_groups_of_64:
          return kernels_.fake_quantize_fp8(y, 64);
        case Rounding::hadamard_fp4:
          hadamard(y);
          return fake_quantize_fp4(y);
      }
    });
  }

  void scale(float* x, size_t n, float factor) override {
    for (size_t i = 0; i < n; ++i) x[i] *= factor;
  }

  void add_rows(float* x, size_t stride, size_t n_cols,
                std::span<const float* const> added) override {
    rows(added.size(), n_cols, [&](size_t r) {
      for (size_t i = 0; i < n_cols; ++i) x[r * stride + i] += added[r][i];
    });
  }

  void matmul(std::span<const MatmulJob> jobs, const std::stop_token& stop) override {
    cut(jobs);
    size_t scratch = 0;
    for (const Piece& piece : pieces_) {
      scratch = std::max(scratch, matmul_scratch(piece.job.weight->cols, piece.job.n_tokens));
    }
    reserve_scratch(scratch);
    // Each thread goes through neighbouring pieces, because the kernels fetch weights ahead of
    // those they are at. Whoever is done helps the others.
    const size_t n_shares = shares_.size();
    for (size_t i = 0; i < n_shares; ++i) {
      shares_[i].next = pieces_.size() * i / n_shares;
      shares_[i].end = pieces_.size() * (i + 1) / n_shares;
    }
    pool_.run(std::min(n_shares, pieces_.size()), [&](size_t first, size_t thread) {
      const Piece *last = nullptr, *fetched = nullptr;
      for (size_t k = 0; k < n_shares; ++k) {
        Share& share = shares_[(first + k) % n_shares];
        for (size_t i = share.next++; i < share.end; i = share.next++) {
          if (stop.stop_requested()) return;
          const Piece& piece = pieces_[i];
          if (&piece != fetched) fetch_first(piece);
          fetched = i + 1 < share.end ? &pieces_[i + 1] : nullptr;
          const std::byte* const next = fetched != nullptr ? fetched->weights() : nullptr;
          const bool are_new = last == nullptr || !piece.job.has_vectors_of(last->job);
          kernels_.matmul(piece.job, piece.begin, piece.end, are_new, next,
                          scratch_[thread].data());
          last = &piece;
        }
      }
    });
  }

  void pool(std::span<const PoolJob> jobs, size_t n_channels) override {
    pool_.run(jobs.size(), [&](size_t i, size_t) { kernels_.pool(jobs[i], n_channels); });
  }

  void store_entries(CacheFormat format, const PackedEntryShape& shape, const float* x,
                     std::span<std::byte* const> to) override {
    rows(to.size(), shape.head_dim * 8, [&](size_t i) {
      const std::span<const float> row(x + i * shape.head_dim, shape.head_dim);
      if (format == CacheFormat::f32) {
        std::memcpy(to[i], row.data(), row.size_bytes());
      } else if (format == CacheFormat::packed) {
        kernels_.pack_entry(shape, row, to[i]);
      } else {
        std::vector<std::byte> packed(shape.bytes());
        kernels_.pack_entry(shape, row, packed.data());
        unpack_entry(shape, packed.data(), {reinterpret_cast<float*>(to[i]), shape.head_dim});
      }
    });
  }

  void store_keys(CacheFormat format, size_t dim, const float* x,
                  std::span<std::byte* const> to) override {
    rows(to.size(), dim * 8, [&](size_t i) {
      const std::span<const float> row(x + i * dim, dim);
      if (format == CacheFormat::packed) return pack_key(row, to[i]);
      std::memcpy(to[i], row.data(), row.size_bytes());
    });
  }

  void load_entries(CacheFormat format, const PackedEntryShape& shape,
                    std::span<const std::byte* const> from, float* out) override {
    for (size_t i = 0; i < from.size(); ++i) {
      float* const row = out + i * shape.head_dim;
      if (format == CacheFormat::packed) {
        unpack_entry(shape, from[i], {row, shape.head_dim});
      } else {
        std::memcpy(row, from[i], shape.head_dim * sizeof(float));
      }
    }
  }

  void load_keys(CacheFormat format, size_t dim, std::span<const std::byte* const> from,
                 float* out) override {
    for (size_t i = 0; i < from.size(); ++i) {
      if (format == CacheFormat::packed) {
        unpack_key(from[i], {out + i * dim, dim});
      } else {
        std::memcpy(out + i * dim, from[i], dim * sizeof(float));
      }
    }
  }

  void attend(const AttendShape& shape, std::span<const AttendGroup> groups,
              const std::stop_token& stop) override {
    reserve_scratch(attend_scratch(shape));
    // Few queries: several threads share their heads, each decoding the entries for itself.
    const size_t shares = groups.size() >= 2 * pool_.n_threads() ? 1 : pool_.n_threads();
    const size_t heads = ((shape.n_heads + shares - 1) / shares + 3) / 4 * 4;
    const size_t n_parts = (shape.n_heads + heads - 1) / heads;
    pool_.run(groups.size() * n_parts, [&](size_t i, size_t thread) {
      if (stop.stop_requested()) return;
      const size_t begin = i % n_parts * heads;
      kernels_.attend(shape, groups[i / n_parts], begin, std::min(shape.n_heads, begin + heads),
                      scratch_[thread].data());
    });
  }

  void select(const SelectShape& shape, std::span<const SelectRow> queries,
              const std::stop_token& stop) override {
    reserve_scratch(score_scratch(shape.n_heads, shape.head_dim));
    score_at_.assign(1, 0);
    for (const SelectRow& query : queries) score_at_.push_back(score_at_.back() + n_scored(query));
    if (scores_.size() < score_at_.back()) scores_.resize(score_at_.back());
    size_t most = 0;
    for (const SelectRow& query : queries) most = std::max(most, n_scored(query));
    for (std::vector<int32_t>& work : ranking_) {
      if (work.size() < 2 * most) work.resize(2 * most);
    }
    cut_keys(shape, queries);
    pool_.run(key_pieces_.size(), [&](size_t i, size_t thread) {
      if (stop.stop_requested()) return;
      const KeyPiece& piece = key_pieces_[i];
      float* scores[kQueriesTogether];
      for (size_t q = 0; q < piece.n_queries; ++q) {
        scores[q] = scores_.data() + score_at_[piece.query + q];
      }
      kernels_.score_keys(shape, queries.subspan(piece.query, piece.n_queries), piece.begin,
                          piece.end, scores, scratch_[thread].data());
    });
    if (stop.stop_requested()) return;
    pool_.run(queries.size(), [&](size_t q, size_t thread) {
      const SelectRow& query = queries[q];
      const size_t n = n_scored(query);
      const std::span scores(scores_.data() + score_at_[q], n);
      if (query.chosen.size() == query.n_visible) {
        std::iota(query.chosen.begin(), query.chosen.end(), 0);
      } else {
        kernels_.top_scores(scores.data(), n, query.chosen.size(), ranking_[thread].data(),
                            query.chosen.data());
      }
      if (query.scores != nullptr) std::copy(scores.begin(), scores.end(), query.scores);
    });
  }

  void route(float* logits, size_t n_experts, const float* bias, float scale, bool given,
             size_t n_active, size_t n, std::span<int32_t> chosen,
             std::span<float> weights) override {
    rows(n, n_experts * 32, [&](size_t t) {
      const std::span<float> scores(logits + t * n_experts, n_experts);
      sqrt_softplus(scores);
      const auto ids = chosen.subspan(t * n_active, n_active);
      const auto shares = weights.subspan(t * n_active, n_active);
      if (given) return weigh_experts(scores, scale, ids, shares);
      route_by_score(scores, {bias, bias == nullptr ? 0 : n_experts}, scale, ids, shares);
    });
  }

  void swiglu(const float* gate, const float* up, float limit, std::span<const float> weights,
              size_t n_rows, size_t n_cols, float* out) override {
    rows(n_rows, n_cols * 4, [&](size_t r) {
      kernels_.swiglu(gate + r * n_cols, up + r * n_cols, limit,
                      weights.empty() ? 1.0F : weights[r], n_cols, out + r * n_cols);
    });
  }

  void sum_rows(std::span<const float* const> terms, size_t n_terms, const float* last,
                size_t n_rows, size_t n_cols, float* out) override {
    rows(n_rows, n_cols * n_terms, [&](size_t r) {
      kernels_.sum_rows(terms.data() + r * n_terms, n_terms, last + r * n_cols, n_cols,
                        out + r * n_cols);
    });
  }

 private:
  /// Some rows of a job, with some of its vectors.
  struct Piece {
    MatmulJob job;  ///< with those vectors alone
    uint64_t begin, end;

    const std::byte* weights() const { return job.weight->row(job.row_begin + begin); }
  };
  /// Neighbouring pieces that one thread begins with.
  struct alignas(kCacheLine) Share {
    std::atomic<size_t> next = 0;
    size_t end = 0;
  };
  struct KeyPiece {
    size_t query, n_queries;  ///< neighbours in the same sequence
    size_t begin, end;        ///< keys
  };

  /// Fills key_pieces_: queries that share pages are scored together.
  void cut_keys(const SelectShape& shape, std::span<const SelectRow> queries) {
    key_pieces_.clear();
    const size_t q_size = shape.n_heads * shape.head_dim;
    for (size_t q = 0; q < queries.size();) {
      size_t n = 1, n_keys = n_scored(queries[q]);
      while (n < kQueriesTogether && q + n < queries.size() &&
             queries[q + n].pages == queries[q].pages &&
             queries[q + n].q == queries[q].q + n * q_size &&
             (n_scored(queries[q + n]) > 0) == (n_keys > 0)) {
        n_keys = std::max(n_keys, n_scored(queries[q + n]));
        ++n;
      }
      for (size_t s = 0; s < n_keys; s += kKeysInPiece) {
        key_pieces_.push_back({q, n, s, std::min(n_keys, s + kKeysInPiece)});
      }
      q += n;
    }
  }

  /// body(row) for each row, some neighbours at a time; on the calling thread alone when it is not
  /// worth waking another.
  template <class Body>
  void rows(size_t n, size_t work_in_row, const Body& body) {
    row_ranges(n, work_in_row, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) body(i);
    });
  }
  /// The same with body(begin, end).
  template <class Body>
  void row_ranges(size_t n, size_t work_in_row, const Body& body) {
    constexpr size_t kWorthSharing = 1 << 16, kWorthTaking = 1 << 14;
    if (n * work_in_row < kWorthSharing) return body(0, n);
    const size_t step = std::max<size_t>(1, kWorthTaking / work_in_row);
    pool_.run((n + step - 1) / step,
              [&](size_t i, size_t) { body(i * step, std::min(n, (i + 1) * step)); });
  }

  /// Fills pieces_.
  void cut(std::span<const MatmulJob> jobs) {
    pieces_.clear();
    uint64_t bytes = 0;
    for (const MatmulJob& job : jobs) bytes += job.n_rows * job.weight->row_bytes;
    const uint64_t piece_bytes = std::clamp<uint64_t>(bytes / (pool_.n_threads() * kPiecesOfThread),
                                                      kPieceBytesMin, kPieceBytesMax);
    for (size_t i = 0; i < jobs.size();) {
      size_t end = i + 1;
      while (end < jobs.size() && jobs[end].has_vectors_of(jobs[i])) ++end;
      cut_alike(jobs.subspan(i, end - i), piece_bytes);
      i = end;
    }
  }

  /// Jobs with the same vectors: as many of these as stay in a second-level cache meet all the
  /// weights before the next ones do.
  void cut_alike(std::span<const MatmulJob> jobs, uint64_t piece_bytes) {
    constexpr size_t kWholeTiles = 6;  // vectors that every instruction set has whole tiles of
    const size_t n_tokens = jobs.front().n_tokens;
    if (n_tokens == 0) return;
    const size_t together = vectors_together(jobs.front().weight->cols);
    const size_t n_portions = (n_tokens + together - 1) / together;
    const size_t even = (n_tokens + n_portions - 1) / n_portions;
    const size_t portion = std::min(together, (even + kWholeTiles - 1) / kWholeTiles * kWholeTiles);
    for (size_t t = 0; t < n_tokens; t += portion) {
      for (const MatmulJob& job : jobs) {
        const MatmulJob part = job.tokens(t, std::min(portion, n_tokens - t));
        const uint64_t step = rows_in_piece(part, piece_bytes);
        for (uint64_t r = 0; r < job.n_rows; r += step) {
          pieces_.push_back({part, r, std::min(job.n_rows, r + step)});
        }
      }
    }
  }

  /// Asks for the beginning of weights that no piece before has fetched for this thread.
  static void fetch_first(const Piece& piece) {
    constexpr size_t kBytesAhead = 4096;  // as far as the kernels look ahead
    const Weight& w = *piece.job.weight;
    const std::byte* const p = piece.weights();
    const size_t bytes =
        std::min((piece.end - piece.begin) * w.row_bytes, kBlockRows * w.row_bytes + kBytesAhead);
    for (size_t i = 0; i < bytes; i += kCacheLine) __builtin_prefetch(p + i);
  }

  /// The rows of a job in pieces as even as can be, of about so many bytes.
  uint64_t rows_in_piece(const MatmulJob& job, uint64_t piece_bytes) const {
    const Weight& w = *job.weight;
    const uint64_t most =
        std::min(piece_bytes / std::max<size_t>(1, w.row_bytes),
                 uint64_t{kPieceProducts} / std::max<size_t>(1, w.cols * job.n_tokens));
    const uint64_t least = job.n_tokens < 4 ? kBlockRows : kRowsInPiece;
    const uint64_t n_pieces = std::max<uint64_t>(1, job.n_rows / std::max(least, most));
    const uint64_t rows = (job.n_rows + n_pieces - 1) / n_pieces;
    return (rows + kBlockRows - 1) / kBlockRows * kBlockRows;
  }

  static size_t n_scored(const SelectRow& query) {
    return query.scores == nullptr && query.chosen.size() == query.n_visible ? 0 : query.n_visible;
  }

  void reserve_scratch(size_t n) {
    for (ThreadScratch& scratch : scratch_) scratch.reserve(n);
  }

  void merge_tokens(const StreamUpdate& update, size_t begin, size_t end, size_t dim,
                    float* streams) const {
    if (update.f == nullptr) return;
    for (size_t t = begin; t < end; ++t) {
      kernels_.merge(update.f + t * dim, update.post + t * kStreams,
                     update.comb + t * kStreams * kStreams, dim, streams + t * kStreams * dim);
    }
  }

  /// prepare(begin, end), products of a site's n_out rows with the streams of these tokens, and
  /// finish(begin, end, products [end - begin, n_out]), for all tokens, some at a time.
  template <class Prepare, class Finish>
  void site_products(const StreamSite& site, const float* streams, size_t n, size_t dim,
                     size_t n_out, const Prepare& prepare, const Finish& finish) {
    if (products_.size() < n * n_out) products_.resize(n * n_out);
    const size_t width = kStreams * dim;
    const MatmulJob all{.weight = site.fn,
                        .n_rows = n_out,
                        .x = streams,
                        .x_stride = width,
                        .y = products_.data(),
                        .y_stride = n_out,
                        .n_tokens = n};
    // Few tokens: the threads share the rows. Many: they share the tokens, and the streams are
    // still near when the products are there.
    const size_t n_threads = pool_.n_threads();
    if (n < 4 * n_threads) {
      row_ranges(n, width, prepare);
      matmul({&all, 1}, {});
      return row_ranges(n, width, [&](size_t begin, size_t end) {
        finish(begin, end, products_.data() + begin * n_out);
      });
    }
    const size_t most = n_threads * vectors_together(width);
    const size_t n_shares = n_threads * ((n + most - 1) / most);
    const size_t share = (n + n_shares - 1) / n_shares;
    reserve_scratch(matmul_scratch(width, share));
    pool_.run((n + share - 1) / share, [&](size_t i, size_t thread) {
      const size_t begin = i * share, end = std::min(n, begin + share);
      prepare(begin, end);
      const MatmulJob some = all.tokens(begin, end - begin);
      kernels_.matmul(some, 0, n_out, true, nullptr, scratch_[thread].data());
      finish(begin, end, some.y);
    });
  }

  /// products [n, n_out] of rows of x become those of the rows' norms.
  void scale_by_rms(const float* x, size_t width, size_t n, float eps, float* products,
                    size_t n_out) const {
    for (size_t t = 0; t < n; t += kSquaresTogether) {
      float squares[kSquaresTogether];
      const size_t n_here = std::min(n - t, kSquaresTogether);
      kernels_.square_sums(x + t * width, width, n_here, width, squares);
      for (size_t k = 0; k < n_here; ++k) {
        const float factor = 1.0F / std::sqrt(squares[k] / static_cast<float>(width) + eps);
        for (size_t i = 0; i < n_out; ++i) products[(t + k) * n_out + i] *= factor;
      }
    }
  }

  WorkerPool& pool_;
  const LaneKernels& kernels_;
  std::vector<ThreadScratch> scratch_;
  std::vector<Piece> pieces_;
  std::vector<Share> shares_;  // one for each thread
  std::vector<KeyPiece> key_pieces_;
  std::vector<float> products_, scores_;
  std::vector<size_t> score_at_;
  std::vector<std::vector<int32_t>> ranking_;  // one for each thread
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(WorkerPool& pool, const LaneKernels* kernels) {
  const LaneKernels& chosen = kernels != nullptr ? *kernels : *runnable_lane_kernels().front();
  return std::make_unique<CpuBackend>(pool, chosen);
}

}  // namespace sable::inference
