// The hot loops, written once over sixteen FP32 lanes (lane_kernels.inl) and compiled for each
// instruction set. All of them add in one order that depends on neither batch, threads nor
// instruction set: element i belongs to lane i mod 16, each lane adds in ascending i with one fused
// multiply-add a term, and the lanes are summed as a fixed tree. Stored weights are decoded exactly
// to FP32 first, so equal values give equal bits in whatever format they are stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "inference/kernels/backend.h"
#include "inference/kernels/weight.h"

namespace sable::inference {

/// Rows of a weight that are decoded before they meet many vectors; scratch holds as many. They
/// stay in a second-level cache while the vectors pass.
constexpr size_t decoded_rows(size_t cols) {
  constexpr size_t kBytes = size_t{128} << 10;
  const size_t rows = kBytes / (sizeof(float) * (cols == 0 ? 1 : cols)) / 4 * 4;
  return rows < 4 ? 4 : rows > 32 ? 32 : rows;
}
/// Entries that the attention decodes and weighs at a time.
inline constexpr size_t kAttendBlock = 64;
/// Index keys that are scored at a time.
inline constexpr size_t kKeyBlock = 16;

/// Scratch floats for one thread: at least these many for the calls below.
size_t matmul_scratch(size_t cols);
size_t attend_scratch(const AttendShape& shape);
size_t score_scratch(size_t n_heads, size_t head_dim);

struct LaneKernels {
  std::string_view name;

  /// Rows [row_begin, row_end) of the job, counted from the job's first.
  void (*matmul)(const MatmulJob& job, uint64_t row_begin, uint64_t row_end, float* scratch);
  void (*decode_row)(const Weight& weight, uint64_t row, float* out);
  float (*dot)(const float* a, const float* b, size_t n);
  /// y[i] = w[i] * (x[i] / rms(x)); `w` may be null.
  void (*rms_norm)(const float* x, const float* w, size_t n, float eps, float* y);
  void (*attend)(const AttendShape& shape, const AttendRow& row, size_t head_begin, size_t head_end,
                 float* scratch);
  /// scores[s] for s in [begin, end), begin a multiple of kKeyBlock.
  void (*score_keys)(const SelectShape& shape, const SelectRow& row, size_t begin, size_t end,
                     float* scores, float* scratch);
  void (*pool)(const PoolJob& job, size_t n_channels);
  void (*swiglu)(const float* gate, const float* up, float limit, float weight, size_t n,
                 float* out);
  /// y[d] = sum_j pre[j] * streams[j][d]
  void (*mix)(const float* streams, const float* pre, size_t dim, float* y);
  /// streams[k][d] = post[k] * f[d] + sum_j comb[j][k] * streams[j][d], in place
  void (*merge)(const float* f, const float* post, const float* comb, size_t dim, float* streams);
};

/// Every variant this machine can run, best first; the last is the portable one.
const std::vector<const LaneKernels*>& runnable_lane_kernels();

const LaneKernels& portable_lane_kernels();
const LaneKernels& avx2_lane_kernels();
const LaneKernels& avx512_lane_kernels();

}  // namespace sable::inference
