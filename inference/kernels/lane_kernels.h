// The hot loops, written once over sixteen FP32 lanes (lane_kernels.inl) and compiled for each
// instruction set. All of them add in one order that depends on neither batch, threads nor
// instruction set: element i belongs to lane i mod 16, each lane adds in ascending i with one fused
// multiply-add a term, and the lanes are summed as a fixed tree. Stored weights are decoded exactly
// to FP32 first, so equal values give equal bits in whatever format they are stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "inference/kernels/backend.h"
#include "inference/kernels/weight.h"

namespace sable::inference {

/// Many vectors meet a weight in blocks of so many rows, decoded a slice of columns at a time; a
/// slice of a block fills most of a first-level cache.
inline constexpr size_t kBlockRows = 8, kSliceColumns = 1024;
/// Floats from one row of a decoded slice to the next: not a power of two, which would put all rows
/// on the same few lines of a cache.
constexpr size_t decoded_stride(size_t cols) {
  return (cols < kSliceColumns ? (cols + 31) / 32 * 32 : kSliceColumns) + 16;
}
/// Vectors that pass a block of rows before the next block: they stay in a second-level cache.
constexpr size_t vectors_together(size_t cols) {
  constexpr size_t kBytes = size_t{704} << 10;
  const size_t vectors = kBytes / (sizeof(float) * (cols == 0 ? 1 : cols));
  return vectors < 24 ? 24 : vectors > 768 ? 768 : vectors / 3 * 3;
}
/// Entries of a query that the attention weighs at a time, and those that it decodes meanwhile for
/// all queries of a group.
inline constexpr size_t kAttendBlock = 64, kDecodedEntries = 2 * (kAttendBlock + kGroupedQueries);
/// Floats from one decoded entry to the next: as with rows, not a power of two.
constexpr size_t entry_stride(size_t dim) { return dim + 16; }
/// Index keys that are scored at a time, and queries of one sequence that share their decoding.
inline constexpr size_t kKeyBlock = 16, kQueriesTogether = 8;

/// Lanes, whatever the instruction set; and sums of squares that are added up side by side.
inline constexpr size_t kLanes = 16, kSquaresTogether = 4;

/// Scratch floats for one thread: at least these many for the calls below.
size_t matmul_scratch(size_t cols, size_t n_vectors);
size_t attend_scratch(const AttendShape& shape);
size_t score_scratch(size_t n_heads, size_t head_dim);

struct LaneKernels {
  std::string_view name;

  /// Rows [row_begin, row_end) of the job, counted from the job's first. `are_new`: its vectors may
  /// be far from the core. `next`: where the weights are that will be asked for next, or null.
  void (*matmul)(const MatmulJob& job, uint64_t row_begin, uint64_t row_end, bool are_new,
                 const std::byte* next, float* scratch);
  void (*decode_row)(const Weight& weight, uint64_t row, float* out);
  /// out[r] = sum_i x[r][i]^2 for rows of n, `stride` apart.
  void (*square_sums)(const float* x, size_t stride, size_t n_rows, size_t n, float* out);
  /// y[r][i] = weight[i] * (x[r][i] / rms(x[r])) for rows [begin, end).
  void (*rms_norm)(const NormRows& rows, size_t begin, size_t end);
  /// Rows [begin, end).
  void (*rope)(const RopeRows& rows, size_t begin, size_t end);
  void (*attend)(const AttendShape& shape, const AttendGroup& group, size_t head_begin,
                 size_t head_end, float* scratch);
  /// scores[r][s] of at most kQueriesTogether rows for s in [begin, end) as far as the row sees,
  /// begin a multiple of kKeyBlock. The rows have the same pages, and their queries lie together.
  void (*score_keys)(const SelectShape& shape, std::span<const SelectRow> rows, size_t begin,
                     size_t end, float* const* scores, float* scratch);
  /// The indices of the k largest of n scores, ascending; ties go to the lower one. `work` [2 * n]
  /// is scratch.
  void (*top_scores)(const float* scores, size_t n, size_t k, int32_t* work, int32_t* chosen);
  void (*pool)(const PoolJob& job, size_t n_channels);
  void (*swiglu)(const float* gate, const float* up, float limit, float weight, size_t n,
                 float* out);
  /// y[d] = sum_j pre[j] * streams[j][d]
  void (*mix)(const float* streams, const float* pre, size_t dim, float* y);
  /// balance() of as many combs as there are lanes, `stride` floats apart.
  void (*balance)(float* combs, size_t stride, const StreamMixSettings& settings);
  /// streams[k][d] = post[k] * f[d] + sum_j comb[j][k] * streams[j][d], in place
  void (*merge)(const float* f, const float* post, const float* comb, size_t dim, float* streams);
  /// out[i] = sum_k terms[k][i], ascending, + last[i]
  void (*sum_rows)(const float* const* terms, size_t n_terms, const float* last, size_t n,
                   float* out);
  void (*fake_quantize_fp8)(std::span<float> x, size_t group);
  void (*pack_entry)(const PackedEntryShape& shape, std::span<const float> x, std::byte* out);
};

/// Every variant this machine can run, best first; the last is the portable one.
const std::vector<const LaneKernels*>& runnable_lane_kernels();

const LaneKernels& portable_lane_kernels();
const LaneKernels& avx2_lane_kernels();
const LaneKernels& avx512_lane_kernels();

}  // namespace sable::inference
