#include "inference/files/number_formats.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sable::inference {

float float_from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1FU;
  const uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
  return sign != 0 ? -magnitude : magnitude;
}

namespace {

constexpr std::array<float, 256> e4m3_table() {
  std::array<float, 256> table{};
  for (size_t code = 0; code < 128; ++code) {
    const size_t exponent = code >> 3, mantissa = code & 7;
    float value = static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa) * 0x1p-9F;
    for (size_t i = 1; i < exponent; ++i) value *= 2;
    if (code == 127) value = std::numeric_limits<float>::quiet_NaN();
    table[code] = value;
    table[code + 128] = -value;
  }
  return table;
}

}  // namespace

constinit const std::array<float, 256> kE4m3 = e4m3_table();

namespace {

/// Rounds |value| to a small float with `mantissa_bits` whose smallest normal is 2^exponent_min and
/// returns exponent and mantissa fields as one number (so a carry moves to the next exponent).
uint32_t small_float_code(float value, int exponent_min, int mantissa_bits) {
  const float magnitude = std::fabs(value);
  const int exponent =
      magnitude == 0 ? exponent_min : std::max(std::ilogb(magnitude), exponent_min);
  // nearbyint: to nearest, ties to even, in the default rounding mode; the product is exact.
  const double units =
      std::nearbyint(std::ldexp(static_cast<double>(magnitude), mantissa_bits - exponent));
  return (static_cast<uint32_t>(exponent - exponent_min) << mantissa_bits) +
         static_cast<uint32_t>(units);
}

}  // namespace

uint16_t f16_from_float(float value) {
  const uint32_t sign = (std::bit_cast<uint32_t>(value) >> 16) & 0x8000U;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7E00U);
  if (std::fabs(value) >= 65520.0F) return static_cast<uint16_t>(sign | 0x7C00U);
  return static_cast<uint16_t>(sign | small_float_code(value, -14, 10));
}

int power_of_two_scale(float amax, float top) {
  if (amax == 0 || !std::isfinite(amax)) return 0;
  int exponent = 0;
  const float mantissa = std::frexp(amax * (1.0F / top), &exponent);
  return std::clamp(mantissa == 0.5F ? exponent - 1 : exponent, -127, 127);
}

}  // namespace sable::inference
