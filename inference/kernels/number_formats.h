// Small number formats, element by element and exact: the definition that every faster path must
// meet.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py; OCP 8-bit floating
// point and Microscaling formats specifications.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace sable::inference {

inline float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// Round to nearest, ties to even; a NaN stays a NaN.
inline uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 0xffu : exponent + 112u;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

/// E8M0: 2^(bits - 127); 255 is NaN, 0 is the subnormal 2^-127.
inline float e8m0_to_float(uint8_t bits) {
  if (bits == 0) return std::bit_cast<float>(0x00400000u);
  if (bits == 255) return std::bit_cast<float>(0x7fc00000u);
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 23);
}

/// FP8 E4M3 (the finite variant): 1 sign, 4 exponent (bias 7), 3 mantissa bits; 0x7f and 0xff are
/// NaN.
inline float e4m3_to_float(uint8_t bits) {
  const uint32_t exponent = (bits >> 3) & 0xfu, mantissa = bits & 7u;
  float magnitude = 0.0F;
  if (exponent == 15 && mantissa == 7) {
    magnitude = std::bit_cast<float>(0x7fc00000u);
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * 0x1p-9F;
  } else {
    magnitude = std::bit_cast<float>(((exponent + 120u) << 23) | (mantissa << 20));
  }
  return (bits & 0x80u) != 0 ? -magnitude : magnitude;
}

/// Rounds to nearest, ties to even. Requires |value| <= 448, or NaN.
inline uint8_t float_to_e4m3(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint8_t>((bits >> 24) & 0x80u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7fu;
  if (magnitude < 0x3c800000u) {  // below 2^-6: multiples of 2^-9
    const float steps = std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p9F);
    return static_cast<uint8_t>(sign | static_cast<uint8_t>(steps));
  }
  const uint32_t rounded = magnitude + 0x7ffffu + ((magnitude >> 20) & 1u);
  return static_cast<uint8_t>(sign | ((rounded >> 20) - (120u << 3)));
}

inline constexpr std::array<float, 16> kE2m1Values = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,
                                                      4.0F,  6.0F,  -0.0F, -0.5F, -1.0F, -1.5F,
                                                      -2.0F, -3.0F, -4.0F, -6.0F};

/// FP4 E2M1: codes 0..7 are 0, 0.5, 1, 1.5, 2, 3, 4, 6; bit 3 is the sign.
inline float e2m1_to_float(uint8_t code) { return kE2m1Values[code & 15u]; }

/// Rounds to nearest, ties to the even code. Requires |value| <= 6.
inline uint8_t float_to_e2m1(float value) {
  const float a = std::fabs(value);
  const uint8_t code = a <= 0.25F   ? 0
                       : a < 0.75F  ? 1
                       : a <= 1.25F ? 2
                       : a < 1.75F  ? 3
                       : a <= 2.5F  ? 4
                       : a < 3.5F   ? 5
                       : a <= 5.0F  ? 6
                                    : 7;
  return static_cast<uint8_t>(code | (std::signbit(value) ? 8u : 0u));
}

/// The power of two at or above `value` > 0, by the bits of the float, as the official kernels do.
inline float power_of_two_at_least(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  uint32_t exponent = bits >> 23;
  if ((bits & 0x7fffffu) != 0) ++exponent;
  return e8m0_to_float(static_cast<uint8_t>(exponent));
}

}  // namespace sable::inference
