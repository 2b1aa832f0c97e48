// What a machine that runs the graph must offer: memory, and the operators between layers.
//
// The graph never reads or writes tensor memory itself; it passes pointers that allocate() gave and
// offsets into them, so a device with its own memory can implement this. Sequences of ids,
// positions, page and entry addresses are ordinary host memory. Calls complete before they return.
// One caller at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>

#include "inference/kernels/hyper_connection.h"
#include "inference/kernels/quantize.h"
#include "inference/kernels/weight.h"

namespace sable::inference {

/// How cache entries and index keys lie in memory.
enum class CacheFormat : uint8_t {
  f32,                ///< plain FP32
  packed,             ///< PackedEntryShape and packed_key_bytes
  rounded_as_packed,  ///< FP32, rounded to what `packed` holds: the same numbers, for comparison
};

/// One mHC site: fn [24, 4D] (head: [4, 4D]), base [24] (4), scale [3] (1).
struct StreamSite {
  const Weight* fn = nullptr;
  const float* base = nullptr;
  const float* scale = nullptr;
};

/// What a sublayer gave and its site's weights of it: hc_post's input.
struct StreamUpdate {
  const float* f = nullptr;     ///< [n, D]; null: nothing
  const float* post = nullptr;  ///< [n, 4]
  const float* comb = nullptr;  ///< [n, 4, 4]
};

struct NormRows {
  const float* x = nullptr;  ///< rows `x_stride` apart
  size_t x_stride = 0;
  const float* weight = nullptr;  ///< [n_cols], or null for none
  float* y = nullptr;             ///< may be x
  size_t y_stride = 0;
  size_t n_rows = 0, n_cols = 0;
  float eps = 1e-6F;
};

/// Rotates the last `2 * n_pairs` of each of n_heads vectors of n_rows rows.
struct RopeRows {
  float* x = nullptr;  ///< [n_rows, n_heads, head_dim]
  size_t n_rows = 0, n_heads = 1, head_dim = 0, n_pairs = 0;
  const float* cos = nullptr;  ///< [n_rows, n_pairs]
  const float* sin = nullptr;
  bool inverse = false;
};

enum class Rounding : uint8_t {
  fp8_groups_of_128,  ///< the input of a quantised matrix
  fp8_groups_of_64,   ///< the part of a KV entry that is not rotated
  hadamard_fp4,       ///< index queries and keys: rotation, then FP4 in groups of 32
};

/// Rounds the first n_cols of each row, from x to y (which may be x).
struct RoundRows {
  Rounding rounding = Rounding::fp8_groups_of_128;
  const float* x = nullptr;
  size_t x_stride = 0;
  float* y = nullptr;
  size_t y_stride = 0;
  size_t n_rows = 0, n_cols = 0;
};

/// Pools the slots of one block: out[ch] = sum_i softmax_i(gates[i][ch]) * values[i][ch].
struct PoolJob {
  const float* const* values = nullptr;  ///< [n_slots] rows of n_channels
  const float* const* gates = nullptr;
  size_t n_slots = 0;
  float* out = nullptr;
};

struct AttendShape {
  size_t n_heads = 0, head_dim = 0;
  CacheFormat format = CacheFormat::f32;
  PackedEntryShape packed;
  float scale = 1;               ///< of the products; not of the sinks
  const float* sinks = nullptr;  ///< [n_heads]
};

/// Entries [begin, end) of a group.
struct EntryRange {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
};

/// One query position: attends to `window`, then to `compressed`.
struct AttendRow {
  const float* q = nullptr;  ///< [n_heads, head_dim]
  EntryRange window, compressed;
  float* out = nullptr;  ///< [n_heads, head_dim]
  size_t n_entries() const { return window.size() + compressed.size(); }
};

/// At most so many queries, with most of their entries in common.
inline constexpr size_t kGroupedQueries = 8;
struct AttendGroup {
  const std::byte* const* entries = nullptr;
  size_t n_entries = 0;
  std::span<const AttendRow> rows;
};

struct SelectShape {
  size_t n_heads = 0, head_dim = 0;
  CacheFormat format = CacheFormat::f32;
  size_t key_bytes = 0, keys_per_page = 0;
};

/// One query of the indexer: scores keys 0 .. n_visible-1 and picks the best.
struct SelectRow {
  const float* q = nullptr;                 ///< [n_heads, head_dim]
  const float* head_weights = nullptr;      ///< [n_heads], scaled
  const std::byte* const* pages = nullptr;  ///< keys_per_page keys each
  size_t n_visible = 0;
  std::span<int32_t> chosen;  ///< out: ascending, min(top_k, n_visible) of them
  float* scores = nullptr;    ///< [n_visible] out when not null
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  /// Which kernels run, for people: an instruction set or a device.
  virtual std::string_view detail() const = 0;

  // Memory. 64-byte aligned, not cleared; null when there is none left.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory, size_t bytes) = 0;
  virtual void copy(void* to, const void* from,
                    size_t bytes) = 0;  ///< either side may be host memory
  virtual void clear(void* memory, size_t bytes) = 0;

  /// How this backend sees a stored matrix; one with its own memory keeps a copy there.
  virtual Weight bind(const Tensor& tensor) { return Weight::of(tensor); }

  /// streams [n, 4, D] = row ids[i] of the table, four times; or once when `n_streams` is 1.
  virtual void embed(const Weight& table, std::span<const int32_t> ids, size_t n_streams,
                     float* out) = 0;

  /// hc_post of n tokens in place, and then hc_pre: post [n, 4] and comb [n, 4, 4], which may be
  /// the update's, and y [n, D].
  virtual void mix_streams(const StreamSite& site, const StreamMixSettings& settings, float rms_eps,
                           const StreamUpdate& update, float* streams, size_t n, size_t dim,
                           float* post, float* comb, float* y) = 0;
  /// hc_post alone.
  virtual void merge_streams(const StreamUpdate& update, size_t n, size_t dim, float* streams) = 0;
  /// The head's mixture of the streams, y [n, D].
  virtual void mix_head(const StreamSite& site, float eps, float rms_eps, const float* streams,
                        size_t n, size_t dim, float* y) = 0;
  /// streams [n, 4, D] += x [n, D] in each stream.
  virtual void add_to_streams(const float* x, size_t n, size_t dim, float* streams) = 0;

  virtual void rms_norm(const NormRows& rows) = 0;
  virtual void rope(const RopeRows& rows) = 0;
  /// rms_norm and then rope of what it gives: norm.y is rope.x, and a row of the norm one head.
  virtual void norm_and_rope(const NormRows& norm, const RopeRows& rope) = 0;
  virtual void round(const RoundRows& rows) = 0;
  virtual void scale(float* x, size_t n, float factor) = 0;
  /// x[r][i] += rows[r][i] for i < n_cols; rows of x are `stride` apart.
  virtual void add_rows(float* x, size_t stride, size_t n_cols,
                        std::span<const float* const> rows) = 0;

  /// All jobs, in any order. Returns early, leaving results undefined, once a stop is requested.
  virtual void matmul(std::span<const MatmulJob> jobs, const std::stop_token& stop) = 0;

  virtual void pool(std::span<const PoolJob> jobs, size_t n_channels) = 0;
  /// Writes row i of x [n, shape.head_dim] as the entry at to[i].
  virtual void store_entries(CacheFormat format, const PackedEntryShape& shape, const float* x,
                             std::span<std::byte* const> to) = 0;
  virtual void store_keys(CacheFormat format, size_t dim, const float* x,
                          std::span<std::byte* const> to) = 0;
  /// Back to FP32: out [from.size(), head_dim].
  virtual void load_entries(CacheFormat format, const PackedEntryShape& shape,
                            std::span<const std::byte* const> from, float* out) = 0;
  virtual void load_keys(CacheFormat format, size_t dim, std::span<const std::byte* const> from,
                         float* out) = 0;

  virtual void attend(const AttendShape& shape, std::span<const AttendGroup> groups,
                      const std::stop_token& stop) = 0;
  virtual void select(const SelectShape& shape, std::span<const SelectRow> rows,
                      const std::stop_token& stop) = 0;
  /// Experts and weights of n tokens: chosen and weights [n, n_active], experts ascending. logits
  /// [n, n_experts] are overwritten by scores; bias may be null; `given`: chosen holds the experts
  /// already.
  virtual void route(float* logits, size_t n_experts, const float* bias, float scale, bool given,
                     size_t n_active, size_t n, std::span<int32_t> chosen,
                     std::span<float> weights) = 0;

  /// out[r][i] = silu(min(gate, limit)) * clamp(up, -limit, limit) * weights[r] (1 when empty).
  virtual void swiglu(const float* gate, const float* up, float limit,
                      std::span<const float> weights, size_t n_rows, size_t n_cols, float* out) = 0;
  /// out[r] = sum of rows[r * n_terms .. ] in their order, then + last[r]; all [n_cols].
  virtual void sum_rows(std::span<const float* const> rows, size_t n_terms, const float* last,
                        size_t n_rows, size_t n_cols, float* out) = 0;
};

class WorkerPool;

/// Plain loops with sums in double, one thread: the definition of correct.
std::unique_ptr<Backend> make_reference_backend();

struct LaneKernels;
/// The fast CPU backend; the pool outlives it. `kernels` null: the best this machine runs.
std::unique_ptr<Backend> make_cpu_backend(WorkerPool& pool, const LaneKernels* kernels = nullptr);

}  // namespace sable::inference
