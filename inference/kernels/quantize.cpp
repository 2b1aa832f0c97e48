#include "inference/kernels/quantize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "inference/files/number_formats.h"

namespace sable::inference {

namespace {

#include "inference/kernels/fp8_rounding.inl"

constexpr float kFp4Max = 6.0F;
constexpr size_t kFp4Group = 32;

/// The same for FP4: e2m1_from_float and back.
float rounded_to_e2m1(float x) {
  constexpr float kWhole = 0x1p23F;  // whose last bit is 1
  const float a = std::fabs(x) > kFp4Max ? kFp4Max : std::fabs(x);
  const float step = a < 2   ? 0.5F
                     : a < 4 ? 1.0F
                             : 2.0F,
              per_step = a < 2   ? 2.0F
                         : a < 4 ? 1.0F
                                 : 0.5F;
  const float rounded = ((a * per_step + kWhole) - kWhole) * step;
  return a != a ? 0.0F : std::copysign(rounded, x);
}

float fp4_scale(std::span<const float> group) {
  return power_of_two_at_least(largest_magnitude(group, kFp4Max * 0x1p-126F) * (1.0F / kFp4Max));
}

uint8_t fp4_code(float x, float scale) { return e2m1_from_float(x / scale); }

}  // namespace

void fake_quantize_fp8(std::span<float> x, size_t group) { round_to_fp8(x, group); }

void fake_quantize_fp4(std::span<float> x) {
  for (size_t begin = 0; begin < x.size(); begin += kFp4Group) {
    const auto part = x.subspan(begin, std::min(kFp4Group, x.size() - begin));
    const float scale = fp4_scale(part);
    for (float& v : part) v = rounded_to_e2m1(v / scale) * scale;
  }
}

void hadamard(std::span<float> x) {
  SABLE_CHECK(std::has_single_bit(x.size()));
  for (size_t stride = 1; stride < x.size(); stride *= 2) {
    for (size_t base = 0; base < x.size(); base += 2 * stride) {
      for (size_t i = base; i < base + stride; ++i) {
        const float a = x[i], b = x[i + stride];
        x[i] = a + b;
        x[i + stride] = a - b;
      }
    }
  }
  const float norm = 1.0F / std::sqrt(static_cast<float>(x.size()));
  for (float& v : x) v *= norm;
}

void pack_entry(const PackedEntryShape& shape, std::span<const float> x, std::byte* out) {
  SABLE_CHECK(x.size() == shape.head_dim);
  pack_as_fp8(shape, x, out);
}

void unpack_entry(const PackedEntryShape& shape, const std::byte* packed, std::span<float> out) {
  SABLE_CHECK(out.size() == shape.head_dim);
  const std::byte* const rope = packed + shape.n_fp8();
  const std::byte* const scales = rope + 2 * shape.rope_dim;
  for (size_t i = 0; i < shape.n_fp8(); ++i) {
    const float scale = float_from_e8m0(static_cast<uint8_t>(scales[i / kKvGroup]));
    out[i] = float_from_e4m3(static_cast<uint8_t>(packed[i])) * scale;
  }
  for (size_t i = 0; i < shape.rope_dim; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, rope + 2 * i, sizeof bits);
    out[shape.n_fp8() + i] = float_from_bf16(bits);
  }
}

void pack_key(std::span<const float> x, std::byte* out) {
  SABLE_CHECK(x.size() % kFp4Group == 0);
  std::byte* const scales = out + x.size() / 2;
  for (size_t begin = 0; begin < x.size(); begin += kFp4Group) {
    const auto part = x.subspan(begin, kFp4Group);
    const float scale = fp4_scale(part);
    for (size_t i = 0; i < kFp4Group; i += 2) {
      const auto code = fp4_code(part[i], scale) | fp4_code(part[i + 1], scale) << 4;
      out[(begin + i) / 2] = static_cast<std::byte>(code);
    }
    scales[begin / kFp4Group] = std::byte{exponent_byte(scale)};
  }
}

void unpack_key(const std::byte* packed, std::span<float> out) {
  const std::byte* const scales = packed + out.size() / 2;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<uint8_t>(packed[i / 2]);
    const auto code = static_cast<uint8_t>(i % 2 == 0 ? byte & 15u : byte >> 4);
    out[i] = float_from_e2m1(code) * float_from_e8m0(static_cast<uint8_t>(scales[i / kFp4Group]));
  }
}

}  // namespace sable::inference
