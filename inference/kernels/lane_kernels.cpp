#include "inference/kernels/lane_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "inference/kernels/lane_kernels_includes.h"

namespace sable::inference {

const std::array<float, 256> kE8m0 = [] {
  std::array<float, 256> values{};
  for (size_t i = 0; i < values.size(); ++i) values[i] = e8m0_to_float(static_cast<uint8_t>(i));
  return values;
}();

size_t matmul_scratch(size_t cols) { return decoded_rows(cols) * ((cols + 15) / 16 * 16); }

size_t attend_scratch(const AttendShape& shape) {
  return kAttendBlock * shape.head_dim + shape.n_heads * (kAttendBlock + 2);
}

size_t score_scratch(size_t n_heads, size_t head_dim) { return kKeyBlock * (head_dim + n_heads); }

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
