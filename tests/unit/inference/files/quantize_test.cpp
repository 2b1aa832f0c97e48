#include "inference/files/quantize.h"

#include <cmath>
#include <random>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "inference/files/number_formats.h"

using namespace sable::inference;

namespace {

std::vector<float> normal_values(size_t n, uint32_t seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

std::vector<float> there_and_back(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() / block_of(type).elements * block_of(type).bytes);
  quantize_row(type, values, bytes);
  std::vector<float> out(values.size());
  dequantize_row({"x", type, {values.size()}, bytes, {}}, 0, out);
  return out;
}

}  // namespace

TEST_CASE("FP4 and MXFP4 exchange codes and exponents bit for bit") {
  rc::prop("any codes, any scales", [] {
    const auto groups = *rc::gen::inRange<size_t>(1, 5);
    std::vector<std::byte> codes(16 * groups), scales(groups), blocks(17 * groups);
    for (auto* bytes : {&codes, &scales}) {
      for (auto& b : *bytes) b = static_cast<std::byte>(*rc::gen::arbitrary<uint8_t>());
    }
    mxfp4_from_fp4_row(codes, scales, blocks);
    auto codes_back = codes;
    auto scales_back = scales;
    std::fill(codes_back.begin(), codes_back.end(), std::byte{0});
    fp4_from_mxfp4_row(blocks, codes_back, scales_back);
    RC_ASSERT(codes_back == codes);
    RC_ASSERT(scales_back == scales);
    // The same numbers in both layouts (a NaN scale makes both NaN).
    std::vector<float> a(32 * groups), b(32 * groups);
    dequantize_row({"x", DType::f4_e2m1, {1, 32 * groups}, codes, scales}, 0, a);
    dequantize_row({"x", DType::mxfp4, {1, 32 * groups}, blocks, {}}, 0, b);
    for (size_t i = 0; i < a.size(); ++i)
      RC_ASSERT(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])));
  });
}

TEST_CASE("quantized rows keep their promised precision, whatever their scale") {
  for (const float spread : {1e-6F, 1.0F, 3e4F}) {
    const auto values = normal_values(4096, 7, spread);
    double power = 0;
    for (const float x : values) power += double(x) * x;
    const auto error_of = [&](DType type) {
      const auto out = there_and_back(type, values);
      double error = 0;
      for (size_t i = 0; i < values.size(); ++i) error += std::pow(double(out[i]) - values[i], 2);
      return std::sqrt(error / power);
    };
    INFO(spread);
    CHECK(error_of(DType::f32) == 0);
    CHECK(error_of(DType::bf16) < 0.002);
    CHECK(error_of(DType::mxfp4) < 0.15);
    if (spread < 1e-3F) continue;  // FP16 scales reach down to 6e-8 only
    CHECK(error_of(DType::q8_0) < 0.008);
    CHECK(error_of(DType::q4_k) < 0.085);
    CHECK(error_of(DType::q2_k) < 0.33);
  }
}

TEST_CASE("zeros and constants survive every block format") {
  for (const DType type : {DType::q8_0, DType::mxfp4, DType::q4_k, DType::q2_k}) {
    INFO(name_of(type));
    for (const float constant : {0.0F, 1.0F, -2.0F}) {
      for (const float x : there_and_back(type, std::vector<float>(256, constant))) {
        REQUIRE(x == Approx(constant).margin(0.02));
      }
    }
  }
}

TEST_CASE("FP8 bands scale each 128 by 128 tile by its own maximum") {
  const uint64_t cols = 200, rows = 3;
  std::vector<float> values(rows * cols, 0.25F);
  values[0] = 448.0F;           // tile 0: scale 1
  values[cols + 150] = 896.0F;  // tile 1: scale 2
  std::vector<std::byte> codes(values.size()), scales(2);
  quantize_fp8_band(values, cols, codes, scales);
  CHECK(scales[0] == std::byte{127});
  CHECK(scales[1] == std::byte{128});
  std::vector<float> row(cols);
  dequantize_row({"x", DType::f8_e4m3, {rows, cols}, codes, scales}, 1, row);
  CHECK(row[150] == 896.0F);
  CHECK(row[0] == 0.25F);
}
