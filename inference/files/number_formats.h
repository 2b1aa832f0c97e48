// Single numbers of the formats that checkpoints store: FP16, BF16, FP8 E4M3, FP4 E2M1, E8M0.
#pragma once

#include <array>
#include <bit>
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

/// Rounding to nearest, ties to even; NaN stays NaN.
uint16_t bf16_from_float(float value);
uint16_t f16_from_float(float value);  ///< too large becomes infinity
uint8_t e4m3_from_float(float value);  ///< saturates at 448; NaN becomes 0x7F with its sign
uint8_t e2m1_from_float(float value);  ///< saturates at 6; NaN has no code and becomes 0

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
