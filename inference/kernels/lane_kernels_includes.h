// What lane_kernels.inl needs from outside its namespace.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "inference/kernels/lane_kernels.h"
#include "inference/kernels/number_formats.h"

namespace sable::inference {

/// Every E8M0 scale as FP32.
extern const std::array<float, 256> kE8m0;

}  // namespace sable::inference
