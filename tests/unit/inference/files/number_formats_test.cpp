#include "inference/files/number_formats.h"

#include <cmath>
#include <limits>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable::inference;

TEST_CASE("FP8 E4M3 decodes as the OCP table says") {
  CHECK(float_from_e4m3(0x00) == 0.0F);
  CHECK(std::signbit(float_from_e4m3(0x80)));
  CHECK(float_from_e4m3(0x01) == 0x1p-9F);
  CHECK(float_from_e4m3(0x07) == 7 * 0x1p-9F);
  CHECK(float_from_e4m3(0x08) == 0x1p-6F);
  CHECK(float_from_e4m3(0x38) == 1.0F);
  CHECK(float_from_e4m3(0x7E) == 448.0F);
  CHECK(float_from_e4m3(0xFE) == -448.0F);
  CHECK(std::isnan(float_from_e4m3(0x7F)));
  CHECK(std::isnan(float_from_e4m3(0xFF)));
}

TEST_CASE("E8M0 is a bare exponent") {
  CHECK(float_from_e8m0(0) == 0x1p-127F);
  CHECK(float_from_e8m0(1) == 0x1p-126F);
  CHECK(float_from_e8m0(0x7E) == 0.5F);
  CHECK(float_from_e8m0(0x7F) == 1.0F);
  CHECK(float_from_e8m0(0x80) == 2.0F);
  CHECK(float_from_e8m0(254) == 0x1p127F);
  CHECK(std::isnan(float_from_e8m0(255)));
}

TEST_CASE("FP4 rounds to nearest with ties to the even code") {
  const std::pair<float, float> cases[] = {{0.25F, 0}, {0.75F, 1},   {1.25F, 1}, {1.75F, 2},
                                           {2.5F, 2},  {3.5F, 4},    {5.0F, 4},  {-0.37F, -0.5F},
                                           {7.0F, 6},  {-100.0F, -6}};
  for (const auto& [in, out] : cases) CHECK(kE2m1[e2m1_from_float(in)] == out);
}

TEST_CASE("every code survives decoding and encoding") {
  for (int code = 0; code < 256; ++code) {
    const auto c = static_cast<uint8_t>(code);
    if (std::isnan(float_from_e4m3(c))) continue;
    CHECK(e4m3_from_float(float_from_e4m3(c)) == c);
  }
  for (int code = 0; code < 16; ++code)
    CHECK(e2m1_from_float(kE2m1[static_cast<size_t>(code)]) == code);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto b = static_cast<uint16_t>(bits);
    if (!std::isnan(float_from_bf16(b))) REQUIRE(bf16_from_float(float_from_bf16(b)) == b);
    if (!std::isnan(float_from_f16(b))) REQUIRE(f16_from_float(float_from_f16(b)) == b);
  }
}

TEST_CASE("rounding takes the nearest code, and the even one on a tie") {
  CHECK(float_from_f16(f16_from_float(65519.0F)) == 65504.0F);
  CHECK(std::isinf(float_from_f16(f16_from_float(65520.0F))));
  CHECK(f16_from_float(0x1p-25F) == 0);         // half of the smallest subnormal: even is zero
  CHECK(f16_from_float(0x1.8p-24F) == 2);       // between 1 and 2 units
  CHECK(f16_from_float(0x1.002p0F) == 0x3C00);  // tie between 1 and the next: even
  CHECK(bf16_from_float(std::numeric_limits<float>::quiet_NaN()) != 0x7F80);
  CHECK(e4m3_from_float(1000.0F) == 0x7E);
  CHECK(e4m3_from_float(0x1p-10F) == 0);
  rc::prop("no other FP8 code is nearer", [](int32_t numerator) {
    const float value = static_cast<float>(numerator) * 0x1p-20F;
    const float clamped = std::fmin(std::fmax(value, -448.0F), 448.0F);
    const float rounded = float_from_e4m3(e4m3_from_float(value));
    for (int code = 0; code < 256; ++code) {
      const float other = float_from_e4m3(static_cast<uint8_t>(code));
      if (std::isnan(other)) continue;
      RC_ASSERT(std::fabs(other - clamped) >= std::fabs(rounded - clamped));
    }
  });
}

TEST_CASE("a scale is the smallest power of two that keeps the block in range") {
  CHECK(power_of_two_scale(3.3F, 448.0F) == -7);
  CHECK(power_of_two_scale(5.0F, 6.0F) == 0);
  CHECK(power_of_two_scale(6.0F, 6.0F) == 0);
  CHECK(power_of_two_scale(448.0F, 448.0F) == 0);
  CHECK(power_of_two_scale(0.0F, 448.0F) == 0);
}
