#include <cmath>
#include <cstring>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/json.h"
#include "inference/files/number_formats.h"
#include "inference/files/tensor.h"

using namespace sable;
using namespace sable::inference;

namespace {

const std::string kGolden = std::string(SABLE_SOURCE_DIR) + "/tests/golden/ggml/";

DType type_called(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(DType::iq2_xxs); ++i) {
    if (name_of(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  }
  FAIL("no type " << name);
  return DType::f32;
}

}  // namespace

TEST_CASE("every ggml format decodes to the very floats of the ggml library") {
  const auto index = parse_json(read_file(kGolden + "index.json").value()).value();
  CHECK(index["types"].size() == 9);
  for (const Json& entry : index["types"]) {
    const auto name = entry["type"].get<std::string>();
    INFO(name);
    const std::string blocks = read_file(kGolden + name + ".bin").value();
    const std::string floats = read_file(kGolden + name + ".f32").value();
    const Tensor tensor{name,
                        type_called(name),
                        {entry["elements"].get<uint64_t>()},
                        std::as_bytes(std::span(blocks)),
                        {}};
    std::vector<float> expected(tensor.n_elements()), values(tensor.n_elements());
    REQUIRE(floats.size() == 4 * expected.size());
    std::memcpy(expected.data(), floats.data(), floats.size());
    dequantize_row(tensor, 0, values);
    size_t n_wrong = 0;
    for (size_t i = 0; i < values.size(); ++i) n_wrong += values[i] == expected[i] ? 0 : 1;
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("official FP4 holds even elements in low nibbles and one exponent for 32") {
  std::vector<std::byte> bytes(32, std::byte{0x7A}),
      scales{std::byte{0x80}, std::byte{0x7F}, std::byte{0x7E}, std::byte{0xFF}};
  const Tensor tensor{"w", DType::f4_e2m1, {1, 64}, bytes, std::span(scales).first(2)};
  std::vector<float> row(64);
  dequantize_row(tensor, 0, row);
  CHECK(row[0] == -2.0F);   // code 0xA = -1, times 2
  CHECK(row[1] == 12.0F);   // code 0x7 = 6, times 2
  CHECK(row[32] == -1.0F);  // second block, scale 1
  const Tensor second{"w", DType::f4_e2m1, {1, 64}, bytes, std::span(scales).subspan(2)};
  dequantize_row(second, 0, row);
  CHECK(row[0] == -0.5F);
  CHECK(std::isnan(row[40]));
}

TEST_CASE("FP8 scales cover 128 by 128 blocks, partial ones at the edges") {
  // 130 x 140: four blocks with scales 1, 2, 4, 8; every element is 1.
  std::vector<std::byte> bytes(130 * 140, std::byte{0x38});
  const std::vector<std::byte> scales{std::byte{127}, std::byte{128}, std::byte{129},
                                      std::byte{130}};
  const Tensor tensor{"w", DType::f8_e4m3, {130, 140}, bytes, scales};
  std::vector<float> row(140);
  dequantize_row(tensor, 127, row);
  CHECK(row[0] == 1.0F);
  CHECK(row[127] == 1.0F);
  CHECK(row[128] == 2.0F);
  dequantize_row(tensor, 128, row);
  CHECK(row[127] == 4.0F);
  CHECK(row[139] == 8.0F);
}
