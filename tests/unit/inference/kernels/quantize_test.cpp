// Packing is rounding: what comes back is what fake quantisation gives, bit for bit.
#include "inference/kernels/quantize.h"

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "inference/files/number_formats.h"

using namespace sable::inference;

namespace {

std::vector<float> random_values(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> exponent(-12, 6);
  std::vector<float> x(n);
  float size = 1;
  for (size_t i = 0; i < n; ++i) {
    if (i % 32 == 0) size = std::ldexp(1.0F, exponent(random));
    x[i] = normal(random) * size;
  }
  return x;
}

}  // namespace

TEST_CASE("an entry of 512 takes 584 bytes and an index key of 128 takes 68") {
  CHECK(PackedEntryShape{512, 64}.bytes() == 584);
  CHECK(packed_key_bytes(128) == 68);
}

TEST_CASE("a packed entry unpacks to its FP8 rounding and the BF16 of its rope part") {
  for (const size_t dim : {size_t{128}, size_t{512}, size_t{192}}) {
    const PackedEntryShape shape{dim, 64};
    for (uint32_t seed = 0; seed < 50; ++seed) {
      const std::vector<float> x = random_values(dim, seed);
      std::vector<float> want = x;
      fake_quantize_fp8(std::span(want).first(dim - 64), 64);
      for (size_t i = dim - 64; i < dim; ++i) want[i] = float_from_bf16(bf16_from_float(x[i]));
      std::vector<std::byte> packed(shape.bytes());
      std::vector<float> got(dim);
      pack_entry(shape, x, packed.data());
      unpack_entry(shape, packed.data(), got);
      CHECK(got == want);
      // Packing rounded values again changes nothing.
      std::vector<float> again(dim);
      pack_entry(shape, got, packed.data());
      unpack_entry(shape, packed.data(), again);
      CHECK(again == want);
    }
  }
}

TEST_CASE("a packed index key unpacks to its FP4 rounding") {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> x = random_values(128, seed);
    std::vector<float> want = x;
    fake_quantize_fp4(want);
    std::vector<std::byte> packed(packed_key_bytes(128));
    std::vector<float> got(128), again(128);
    pack_key(x, packed.data());
    unpack_key(packed.data(), got);
    CHECK(got == want);
    pack_key(got, packed.data());
    unpack_key(packed.data(), again);
    CHECK(again == want);
  }
}

TEST_CASE("rounding in place gives what the codes stand for, signs of zero included") {
  // The largest number of the format in each group keeps its scale at one.
  std::vector<float> eighth, fourth;
  for (int i = -4000; i <= 4000; ++i) {
    for (const float unit : {0x1p-12F, 0x1p-10F, 0x1p-5F, 0x1p-3F}) {
      const float x = static_cast<float>(i) * unit;
      if (std::fabs(x) <= 448) eighth.push_back(x);
      if (std::fabs(x) <= 6) fourth.push_back(x);
    }
  }
  for (const float x : eighth) {
    float got[64] = {448, x, -0.0F};
    fake_quantize_fp8(got, 64);
    const float want = float_from_e4m3(e4m3_from_float(x));
    INFO(x);
    REQUIRE(std::bit_cast<uint32_t>(got[1]) == std::bit_cast<uint32_t>(want));
    REQUIRE(std::signbit(got[2]));
  }
  for (const float x : fourth) {
    float got[32] = {6, x, -0.0F};
    fake_quantize_fp4(got);
    const float want = float_from_e2m1(e2m1_from_float(x));
    INFO(x);
    REQUIRE(std::bit_cast<uint32_t>(got[1]) == std::bit_cast<uint32_t>(want));
    REQUIRE(std::signbit(got[2]));
  }
  float odd[32] = {1, std::nanf("")};
  fake_quantize_fp4(odd);
  CHECK(odd[0] == 1);
  CHECK(odd[1] == 0);
  odd[1] = std::nanf("");
  fake_quantize_fp8(odd, 32);
  CHECK(odd[0] == 1);
  CHECK(std::isnan(odd[1]));
}

TEST_CASE("every FP8 and FP4 code survives decoding and encoding") {
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f) continue;  // NaN
    CHECK(e4m3_from_float(float_from_e4m3(static_cast<uint8_t>(code))) == code);
  }
  for (int code = 0; code < 16; ++code) {
    CHECK(e2m1_from_float(float_from_e2m1(static_cast<uint8_t>(code))) == code);
  }
}

TEST_CASE("an entry's codes are those of the number format") {
  const PackedEntryShape shape{128, 64};
  std::mt19937 random(11);
  for (size_t round = 0; round < 500; ++round) {
    std::vector<float> x(shape.head_dim, 0.0F);
    x[0] = 448;  // so that the scale is 1
    for (size_t i = 1; i < 64; ++i) {
      x[i] = round < 8 ? float_from_e4m3(static_cast<uint8_t>(32 * round + i % 32))
                       : std::ldexp(static_cast<float>(random()) / 0x1p31F - 1.0F,
                                    static_cast<int>(random() % 24) - 15);
      if (i == 63 && round % 9 == 0) x[i] = std::nanf("");
    }
    std::vector<std::byte> packed(shape.bytes());
    pack_entry(shape, x, packed.data());
    for (size_t i = 0; i < 64; ++i) {
      INFO(x[i]);
      CHECK(static_cast<uint8_t>(packed[i]) == e4m3_from_float(x[i]));
    }
  }
}

TEST_CASE("halfway between two codes goes to the even one") {
  const float halves[] = {0.25F, 0.75F, 1.25F, 1.75F, 2.5F, 3.5F, 5.0F};
  const float evens[] = {0, 1, 1, 2, 2, 4, 4};
  for (size_t i = 0; i < 7; ++i) {
    CHECK(float_from_e2m1(e2m1_from_float(halves[i])) == evens[i]);
    CHECK(float_from_e2m1(e2m1_from_float(-halves[i])) == -evens[i]);
  }
  for (int code = 0; code < 0x7e; ++code) {
    const float low = float_from_e4m3(static_cast<uint8_t>(code));
    const float high = float_from_e4m3(static_cast<uint8_t>(code + 1));
    CHECK(e4m3_from_float((low + high) / 2) == (code % 2 == 0 ? code : code + 1));
    CHECK(e4m3_from_float(std::nextafter((low + high) / 2, high)) == code + 1);
  }
}
