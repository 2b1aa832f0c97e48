// Single numbers of the formats that checkpoints store: FP16, BF16, FP8 E4M3, FP4 E2M1, E8M0.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sable::inference {

/// BF16 is the upper half of FP32.
inline float float_from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// IEEE 754 binary16, subnormals, infinities and NaN included.
float float_from_f16(uint16_t bits);

/// OCP FP8 E4M3 ("fn"): bias 7, largest 448, no infinity, 0x7F and 0xFF are NaN.
extern const std::array<float, 256> kE4m3;
inline float float_from_e4m3(uint8_t code) { return kE4m3[code]; }

/// OCP E8M0: 2^(code - 127); 255 is NaN; code 0 is the FP32 subnormal 2^-127.
inline float float_from_e8m0(uint8_t code) {
  const uint32_t normal = static_cast<uint32_t>(code) << 23;
  return std::bit_cast<float>(code == 0 ? 0x00400000U : code == 255 ? 0x7FC00000U : normal);
}

/// OCP FP4 E2M1: codes 0..7, and with bit 3 set their negatives.
inline constexpr std::array<float, 16> kE2m1{0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,
                                             4.0F,  6.0F,  -0.0F, -0.5F, -1.0F, -1.5F,
                                             -2.0F, -3.0F, -4.0F, -6.0F};
inline float float_from_e2m1(uint8_t code) { return kE2m1[code & 15U]; }

// Rounding to nearest, ties to even; NaN stays NaN where the format has one.

inline uint16_t bf16_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// Too large becomes infinity.
uint16_t f16_from_float(float value);

/// Saturates at 448; NaN becomes 0x7F with its sign.
inline uint8_t e4m3_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint8_t>((bits >> 24) & 0x80U);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return sign | 0x7FU;
  if (magnitude >= 0x43E00000U) return sign | 0x7EU;  // 448
  if (magnitude < 0x3C800000U) {                      // below 2^-6: multiples of 2^-9
    const float steps = std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p9F);
    return static_cast<uint8_t>(sign | static_cast<uint8_t>(steps));
  }
  const uint32_t rounded = magnitude + 0x7FFFFU + ((magnitude >> 20) & 1U);
  return static_cast<uint8_t>(sign | ((rounded >> 20) - (120U << 3)));
}

/// Saturates at 6; NaN has no code and becomes 0.
inline uint8_t e2m1_from_float(float value) {
  const float a = std::fabs(value);
  if (std::isnan(a)) return 0;
  const int code = a <= 0.25F   ? 0
                   : a < 0.75F  ? 1
                   : a <= 1.25F ? 2
                   : a < 1.75F  ? 3
                   : a <= 2.5F  ? 4
                   : a < 3.5F   ? 5
                   : a <= 5.0F  ? 6
                                : 7;
  return static_cast<uint8_t>(code | (std::signbit(value) ? 8 : 0));
}

/// The exponent x of the smallest power of two with amax <= 2^x * top, by the official rule
/// (FP32 product amax * (1/top), exponent, plus one when the mantissa is not zero); 0 for amax = 0.
/// Clamped to what E8M0 can hold, -127..127.
int power_of_two_scale(float amax, float top);

/// Unaligned little-endian loads; every format here is little-endian.
template <class T>
T load_le(const std::byte* at) {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void store_le(std::byte* at, T value) {
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(at, &value, sizeof value);
}

}  // namespace sable::inference
