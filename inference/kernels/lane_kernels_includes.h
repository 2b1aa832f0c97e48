// What lane_kernels.inl needs from outside its namespace.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "base/check.h"
#include "inference/files/number_formats.h"
#include "inference/kernels/lane_kernels.h"

/// For lambdas in loops that must be unrolled.
#define SABLE_INLINE __attribute__((always_inline))

namespace sable::inference {

/// Every E8M0 scale as FP32.
extern const std::array<float, 256> kE8m0;

/// The sixteen FP4 values times each of them, on cache lines.
struct alignas(64) ScaledE2m1 {
  std::array<float, 16> values;
};
extern const std::array<ScaledE2m1, 256> kScaledE2m1;

/// IQ2_XXS: the eight magnitudes of each code, and the signs that seven bits stand for.
extern const std::array<std::array<float, 8>, 256> kIq2XxsValues;
extern const std::array<std::array<float, 8>, 128> kIq2XxsSigns;

}  // namespace sable::inference
