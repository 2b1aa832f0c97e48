// Sixteen floats at a time, and the few functions of them that training needs.
//
// The compilers' vector type: one AVX-512 register where the machine has them, two or four
// registers elsewhere.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sable::training {

inline constexpr size_t kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

inline Lanes load_lanes(const float* at) {
  Lanes v;
  std::memcpy(&v, at, sizeof v);
  return v;
}
inline void store_lanes(float* at, const Lanes& v) { std::memcpy(at, &v, sizeof v); }
inline Lanes all_lanes(float x) { return Lanes{} + x; }

/// e^x within a few ulp for x in -87..88; smaller x give almost 0, larger ones almost the largest
/// number. Branch-free, so that loops of it become vector code.
inline float fast_exp(float x) {
  x = x < -87.0F ? -87.0F : x > 88.0F ? 88.0F : x;
  const float n = std::rint(x * 1.44269504F);
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

inline float sigmoid(float x) { return 1.0F / (1.0F + fast_exp(-x)); }

}  // namespace sable::training
