// Rounding to FP8 and packing of entries. Included by quantize.cpp, as what defines them, and once
// more for each instruction set: the loops over elements are free of branches and calls, so that
// compilers make vectors of them.

constexpr float kFp8Max = 448.0F;
constexpr size_t kKvGroup = 64;

/// Of the numbers among x, at least `floor` > 0.
float largest_magnitude(std::span<const float> x, float floor) {
  auto largest = std::bit_cast<int32_t>(floor);  // ordered like the floats
  for (const float v : x) {
    const int32_t magnitude = std::bit_cast<int32_t>(v) & 0x7FFFFFFF;
    const int32_t number = magnitude > 0x7F800000 ? 0 : magnitude;
    largest = number > largest ? number : largest;
  }
  return std::bit_cast<float>(largest);
}

/// What the code of the format that is nearest to x stands for: e4m3_from_float and back.
float rounded_to_e4m3(float x) {
  constexpr float kSmallestNormal = 0x1p-6F, kStepsBelow = 0x1p14F;  // whose last bit is 2^-9
  const float a = std::fabs(x) > kFp8Max ? kFp8Max : std::fabs(x);
  const auto bits = std::bit_cast<uint32_t>(a);
  const float normal =
      std::bit_cast<float>((bits + 0x7FFFFU + ((bits >> 20) & 1U)) & ~uint32_t{0xFFFFF});
  const float below = (a + kStepsBelow) - kStepsBelow;
  const float rounded = a < kSmallestNormal ? below : normal;
  return std::copysign(a != a ? a : rounded, x);
}

/// The code of a number that rounded_to_e4m3 gives.
uint8_t e4m3_code_of(float rounded) {
  constexpr uint32_t kNan = 0x7F;
  // With FP8's bias instead of FP32's, the number has FP8's exponent and mantissa in its upper
  // bits.
  const auto bits = std::bit_cast<uint32_t>(std::fabs(rounded) * 0x1p-120F) >> 20;
  const uint32_t sign = std::bit_cast<uint32_t>(rounded) >> 31 << 7;
  return static_cast<uint8_t>(sign | (bits < kNan ? bits : kNan));
}

/// The power of two at or above `value` > 0, by the bits of the float, as the official kernels do.
float power_of_two_at_least(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t exponent = (bits >> 23) + ((bits & 0x7FFFFFU) != 0 ? 1 : 0);
  return float_from_e8m0(static_cast<uint8_t>(exponent));
}

float fp8_scale(std::span<const float> group) {
  return power_of_two_at_least(largest_magnitude(group, 1e-4F) * (1.0F / kFp8Max));
}

uint8_t fp8_code(float x, float scale) { return e4m3_code_of(rounded_to_e4m3(x / scale)); }

uint8_t exponent_byte(float power_of_two) {
  return static_cast<uint8_t>(std::bit_cast<uint32_t>(power_of_two) >> 23);
}

/// fake_quantize_fp8 of quantize.h.
void round_to_fp8(std::span<float> x, size_t group) {
  for (size_t begin = 0; begin < x.size(); begin += group) {
    const auto part = x.subspan(begin, std::min(group, x.size() - begin));
    const float scale = fp8_scale(part);
    for (float& v : part) v = rounded_to_e4m3(v / scale) * scale;
  }
}

/// pack_entry of quantize.h.
void pack_as_fp8(const PackedEntryShape& shape, std::span<const float> x, std::byte* out) {
  std::byte* const rope = out + shape.n_fp8();
  std::byte* const scales = rope + 2 * shape.rope_dim;
  for (size_t begin = 0, g = 0; begin < shape.n_fp8(); begin += kKvGroup, ++g) {
    const auto part = x.subspan(begin, std::min(kKvGroup, shape.n_fp8() - begin));
    const float scale = fp8_scale(part);
    auto* const codes = reinterpret_cast<uint8_t*>(out) + begin;
    for (size_t i = 0; i < part.size(); ++i) codes[i] = fp8_code(part[i], scale);
    scales[g] = std::byte{exponent_byte(scale)};
  }
  for (size_t i = 0; i < shape.rope_dim; ++i) {
    const uint16_t bits = bf16_from_float(x[shape.n_fp8() + i]);
    std::memcpy(rope + 2 * i, &bits, sizeof bits);
  }
  std::byte* const padding = scales + shape.n_scales();
  std::fill(padding, out + shape.bytes(), std::byte{0});
}
