#include "inference/kernels/lane_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "inference/files/iq2_xxs_code_book.h"
#include "inference/kernels/lane_kernels_includes.h"

namespace sable::inference {

const std::array<float, 256> kE8m0 = [] {
  std::array<float, 256> values{};
  for (size_t i = 0; i < values.size(); ++i) values[i] = float_from_e8m0(static_cast<uint8_t>(i));
  return values;
}();

const std::array<ScaledE2m1, 256> kScaledE2m1 = [] {
  std::array<ScaledE2m1, 256> tables{};
  for (size_t i = 0; i < tables.size(); ++i) {
    const float scale = float_from_e8m0(static_cast<uint8_t>(i));
    for (size_t code = 0; code < 16; ++code) tables[i].values[code] = kE2m1[code] * scale;
  }
  return tables;
}();

const std::array<std::array<float, 8>, 256> kIq2XxsValues = [] {
  std::array<std::array<float, 8>, 256> values{};
  for (size_t code = 0; code < values.size(); ++code) {
    for (size_t i = 0; i < 8; ++i) {
      values[code][i] = kIq2XxsMagnitudes[(kIq2XxsCodeBook[code] >> (2 * i)) & 3];
    }
  }
  return values;
}();

const std::array<std::array<float, 8>, 128> kIq2XxsSigns = [] {
  std::array<std::array<float, 8>, 128> signs{};
  for (unsigned seven = 0; seven < signs.size(); ++seven) {
    // The eighth sign makes the number of minus signs even.
    const unsigned eight = seven | static_cast<unsigned>(std::popcount(seven) & 1) << 7;
    for (size_t i = 0; i < 8; ++i) signs[seven][i] = (eight >> i & 1) != 0 ? -1.0F : 1.0F;
  }
  return signs;
}();

size_t matmul_scratch(size_t cols, size_t n_vectors) {
  const size_t few = 4 * (cols + 16);  // vectors in another order, or a row by its definition
  const size_t partial = cols > kSliceColumns ? n_vectors * kLanes : 0;
  return std::max(few, kBlockRows * (decoded_stride(cols) + partial));
}

size_t attend_scratch(const AttendShape& shape) {
  return kDecodedEntries * entry_stride(shape.head_dim) +
         shape.n_heads * (kAttendBlock + 2 * kGroupedQueries);
}

size_t score_scratch(size_t n_heads, size_t head_dim) {
  const size_t n_queries = kQueriesTogether * n_heads;
  return n_queries * kKeyBlock + matmul_scratch(head_dim, n_queries);
}

namespace {

#if defined(__x86_64__)
/// F16C: CPUID leaf 1, bit 29 of ECX; Clang 16 has no name for it in __builtin_cpu_supports.
bool has_f16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 29 & 1) != 0;
}
#endif

}  // namespace

const std::vector<const LaneKernels*>& runnable_lane_kernels() {
  static const std::vector<const LaneKernels*> runnable = [] {
    std::vector<const LaneKernels*> list;
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx2 && avx512) list.push_back(&avx512_lane_kernels());
    if (avx2) list.push_back(&avx2_lane_kernels());
#endif
    list.push_back(&portable_lane_kernels());
    return list;
  }();
  return runnable;
}

}  // namespace sable::inference
