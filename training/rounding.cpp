#include "training/rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "inference/files/number_formats.h"

namespace sable::training {

namespace {

/// A small floating-point format: bits of mantissa behind the point, the power of two of its
/// smallest normal number, its largest number.
struct Grid {
  float steps;   // numbers between two powers of two
  float lowest;  // power of two
  float top;
};
constexpr Grid kFp8{8.0F, 0x1p-6F, 448.0F};
constexpr Grid kFp4{2.0F, 1.0F, 6.0F};

/// The nearest number of the grid, ties to even: every operation but rint is exact.
inline float on_grid(float x, const Grid& grid, float scale, float inverse) {
  const float y = std::min(std::max(x * inverse, -grid.top), grid.top);
  const auto power = std::bit_cast<float>(std::bit_cast<uint32_t>(y) & 0x7F800000U);
  const float quantum = std::max(power, grid.lowest) / grid.steps;
  return std::rint(y / quantum) * quantum * scale;
}

float largest(const float* x, size_t n) {
  float top = 0;
  for (size_t i = 0; i < n; ++i) top = std::max(top, std::abs(x[i]));
  return top;
}

void round_run(const float* in, size_t n, const Grid& grid, int exponent, float* out) {
  const float scale = std::ldexp(1.0F, exponent), inverse = std::ldexp(1.0F, -exponent);
  for (size_t i = 0; i < n; ++i) out[i] = on_grid(in[i], grid, scale, inverse);
}

}  // namespace

void round_rows_fp8(float* x, size_t n, size_t group) {
  for (size_t at = 0; at < n; at += group) {
    const size_t width = std::min(group, n - at);
    const float amax = std::max(largest(x + at, width), 1e-4F);
    round_run(x + at, width, kFp8, inference::power_of_two_scale(amax, kFp8.top), x + at);
  }
}

void round_rows_fp4(float* x, size_t n) {
  for (size_t at = 0; at < n; at += 32) {
    const size_t width = std::min<size_t>(32, n - at);
    const float amax = std::max(largest(x + at, width), 6 * 0x1p-126F);
    round_run(x + at, width, kFp4, inference::power_of_two_scale(amax, kFp4.top), x + at);
  }
}

void round_matrix_fp8(const float* in, size_t rows, size_t cols, float* out) {
  constexpr size_t kBlock = 128;
  for (size_t r0 = 0; r0 < rows; r0 += kBlock) {
    const size_t r1 = std::min(rows, r0 + kBlock);
    for (size_t c0 = 0; c0 < cols; c0 += kBlock) {
      const size_t width = std::min(kBlock, cols - c0);
      float amax = 0;
      for (size_t r = r0; r < r1; ++r) amax = std::max(amax, largest(in + r * cols + c0, width));
      const int exponent = inference::power_of_two_scale(amax, kFp8.top);
      for (size_t r = r0; r < r1; ++r) {
        round_run(in + r * cols + c0, width, kFp8, exponent, out + r * cols + c0);
      }
    }
  }
}

void round_matrix_fp4(const float* in, size_t rows, size_t cols, float* out) {
  for (size_t at = 0; at < rows * cols; at += 32) {
    const size_t width = std::min<size_t>(32, cols - at % cols);
    const int exponent = inference::power_of_two_scale(largest(in + at, width), kFp4.top);
    round_run(in + at, width, kFp4, exponent, out + at);
  }
}

}  // namespace sable::training
