#include "inference/files/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "inference/files/number_formats.h"

namespace sable::inference {

namespace {

float largest_magnitude(std::span<const float> values) {
  float amax = 0;
  for (const float x : values) amax = std::max(amax, std::fabs(x));
  return amax;
}

std::byte to_byte(int value) { return static_cast<std::byte>(static_cast<uint8_t>(value)); }

void store_f16(float value, std::byte* at) { store_le(at, f16_from_float(value)); }

void q8_0(std::span<const float> x, std::byte* block) {
  const float d = largest_magnitude(x) / 127.0F;
  const float inverse = d != 0 ? 1.0F / d : 0.0F;
  store_f16(d, block);
  for (size_t i = 0; i < 32; ++i)
    block[2 + i] = to_byte(static_cast<int>(std::round(x[i] * inverse)));
}

void mxfp4(std::span<const float> x, std::byte* block) {
  const int exponent = power_of_two_scale(largest_magnitude(x), 6.0F);
  block[0] = to_byte(exponent + 127);
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t low = e2m1_from_float(std::ldexp(x[i], -exponent));
    const uint8_t high = e2m1_from_float(std::ldexp(x[i + 16], -exponent));
    block[1 + i] = to_byte(low | (high << 4));
  }
}

/// value ~ scale * q - minimum with q in 0..levels; scale and minimum are not negative.
struct Affine {
  float scale = 0, minimum = 0;
};

/// The affine map with the least squared error that a small search finds: several step widths
/// around the full range, each refined by linear regression of the values on their rounded codes.
Affine fit(std::span<const float> x, int levels) {
  const auto [low_at, high_at] = std::minmax_element(x.begin(), x.end());
  const float low = std::min(*low_at, 0.0F), high = *high_at;
  if (high <= low) return {0, -low};
  Affine best{(high - low) / static_cast<float>(levels), -low};
  double best_error = INFINITY;
  for (int k = -6; k <= 6; ++k) {
    const float inverse =
        (static_cast<float>(levels) + 0.1F * static_cast<float>(k)) / (high - low);
    double n = 0, sum_q = 0, sum_qq = 0, sum_x = 0, sum_qx = 0;
    for (const float value : x) {
      const double q =
          std::clamp(std::nearbyint(inverse * (value - low)), 0.0F, static_cast<float>(levels));
      n += 1;
      sum_q += q;
      sum_qq += q * q;
      sum_x += value;
      sum_qx += q * value;
    }
    const double determinant = n * sum_qq - sum_q * sum_q;
    if (determinant <= 0) continue;
    double scale = (n * sum_qx - sum_q * sum_x) / determinant, offset = (sum_x - scale * sum_q) / n;
    if (offset > 0) {  // formats subtract a minimum that cannot be negative
      offset = 0;
      scale = sum_qx / sum_qq;
    }
    double error = 0;
    for (const float value : x) {
      const double q =
          std::clamp(std::nearbyint((value - offset) / scale), 0.0, static_cast<double>(levels));
      error += (scale * q + offset - value) * (scale * q + offset - value);
    }
    if (scale > 0 && error < best_error) {
      best_error = error;
      best = {static_cast<float>(scale), static_cast<float>(-offset)};
    }
  }
  return best;
}

/// The groups of one K-quant block: fits, then scales and minima as small integers of a common
/// step.
template <size_t Groups>
struct KScales {
  std::array<int, Groups> scale{}, minimum{};
  float d = 0, d_min = 0;  // as stored, in FP16

  KScales(std::span<const float> x, int levels, int top) {
    std::array<Affine, Groups> fits;
    float scale_max = 0, minimum_max = 0;
    for (size_t g = 0; g < Groups; ++g) {
      fits[g] = fit(x.subspan(g * (256 / Groups), 256 / Groups), levels);
      scale_max = std::max(scale_max, fits[g].scale);
      minimum_max = std::max(minimum_max, fits[g].minimum);
    }
    const auto ftop = static_cast<float>(top);
    d = float_from_f16(f16_from_float(scale_max / ftop));
    d_min = float_from_f16(f16_from_float(minimum_max / ftop));
    for (size_t g = 0; g < Groups; ++g) {
      if (d > 0) scale[g] = std::clamp(static_cast<int>(std::lround(fits[g].scale / d)), 0, top);
      if (d_min > 0)
        minimum[g] = std::clamp(static_cast<int>(std::lround(fits[g].minimum / d_min)), 0, top);
    }
  }

  int code(size_t group, float value, int levels) const {
    const float step = d * static_cast<float>(scale[group]);
    if (step == 0) return 0;
    const float shifted = value + d_min * static_cast<float>(minimum[group]);
    return static_cast<int>(
        std::clamp(std::nearbyint(shifted / step), 0.0F, static_cast<float>(levels)));
  }
};

void q4_k(std::span<const float> x, std::byte* block) {
  const KScales<8> k(x, 15, 63);
  store_f16(k.d, block);
  store_f16(k.d_min, block + 2);
  std::fill(block + 4, block + 144, std::byte{0});
  for (size_t g = 0; g < 4; ++g) {  // low six bits of groups 0..3, upper two bits of groups 4..7
    block[4 + g] = to_byte(k.scale[g] | ((k.scale[g + 4] >> 4) << 6));
    block[8 + g] = to_byte(k.minimum[g] | ((k.minimum[g + 4] >> 4) << 6));
    block[12 + g] = to_byte((k.scale[g + 4] & 0xF) | ((k.minimum[g + 4] & 0xF) << 4));
  }
  for (size_t i = 0; i < 256; ++i) {
    const size_t group = i / 32;
    block[16 + 32 * (group / 2) + i % 32] |= to_byte(k.code(group, x[i], 15) << (4 * (group % 2)));
  }
}

void q2_k(std::span<const float> x, std::byte* block) {
  const KScales<16> k(x, 3, 15);
  std::fill(block, block + 80, std::byte{0});
  for (size_t g = 0; g < 16; ++g) block[g] = to_byte(k.scale[g] | (k.minimum[g] << 4));
  for (size_t i = 0; i < 256; ++i) {
    const size_t group = i / 16, at = 32 * (group / 8) + 16 * (group % 2) + i % 16;
    block[16 + at] |= to_byte(k.code(group, x[i], 3) << (2 * (group / 2 % 4)));
  }
  store_f16(k.d, block + 80);
  store_f16(k.d_min, block + 82);
}

}  // namespace

bool can_quantize(DType type) {
  switch (type) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::q8_0:
    case DType::mxfp4:
    case DType::q4_k:
    case DType::q2_k:
      return true;
    default:
      return false;
  }
}

void quantize_row(DType type, std::span<const float> values, std::span<std::byte> out) {
  const BlockShape block = block_of(type);
  SABLE_CHECK(can_quantize(type) && values.size() % block.elements == 0);
  SABLE_CHECK(out.size() == values.size() / block.elements * block.bytes);
  for (size_t b = 0; b < values.size() / block.elements; ++b) {
    const std::span<const float> x = values.subspan(b * block.elements, block.elements);
    std::byte* at = out.data() + b * block.bytes;
    switch (type) {
      case DType::f32:
        store_le(at, x[0]);
        break;
      case DType::f16:
        store_f16(x[0], at);
        break;
      case DType::bf16:
        store_le(at, bf16_from_float(x[0]));
        break;
      case DType::q8_0:
        q8_0(x, at);
        break;
      case DType::mxfp4:
        mxfp4(x, at);
        break;
      case DType::q4_k:
        q4_k(x, at);
        break;
      default:
        q2_k(x, at);
        break;
    }
  }
}

void quantize_fp4_row(std::span<const float> values, std::span<std::byte> codes,
                      std::span<std::byte> scales) {
  SABLE_CHECK(values.size() % 32 == 0 && codes.size() == values.size() / 2 &&
              scales.size() == values.size() / 32);
  for (size_t group = 0; group < scales.size(); ++group) {
    const std::span<const float> x = values.subspan(32 * group, 32);
    const int exponent = power_of_two_scale(largest_magnitude(x), 6.0F);
    scales[group] = to_byte(exponent + 127);
    for (size_t i = 0; i < 16; ++i) {
      const uint8_t low = e2m1_from_float(std::ldexp(x[2 * i], -exponent));
      const uint8_t high = e2m1_from_float(std::ldexp(x[2 * i + 1], -exponent));
      codes[16 * group + i] = to_byte(low | (high << 4));
    }
  }
}

void quantize_fp8_band(std::span<const float> values, uint64_t cols, std::span<std::byte> codes,
                       std::span<std::byte> scales) {
  SABLE_CHECK(values.size() % cols == 0 && values.size() / cols <= 128 &&
              codes.size() == values.size());
  SABLE_CHECK(scales.size() == (cols + 127) / 128);
  for (size_t tile = 0; tile < scales.size(); ++tile) {
    const uint64_t first = 128 * tile, width = std::min<uint64_t>(128, cols - first);
    float amax = 0;
    for (uint64_t at = first; at < values.size(); at += cols) {
      amax = std::max(amax, largest_magnitude(values.subspan(at, width)));
    }
    const int exponent = power_of_two_scale(amax, 448.0F);
    scales[tile] = to_byte(exponent + 127);
    for (uint64_t at = first; at < values.size(); at += cols) {
      for (uint64_t i = at; i < at + width; ++i)
        codes[i] = to_byte(e4m3_from_float(std::ldexp(values[i], -exponent)));
    }
  }
}

namespace {

uint8_t nibble(std::span<const std::byte> bytes, size_t byte, bool high) {
  const auto value = std::to_integer<uint8_t>(bytes[byte]);
  return high ? static_cast<uint8_t>(value >> 4) : static_cast<uint8_t>(value & 0xF);
}

}  // namespace

void mxfp4_from_fp4_row(std::span<const std::byte> codes, std::span<const std::byte> scales,
                        std::span<std::byte> blocks) {
  SABLE_CHECK(codes.size() == 16 * scales.size() && blocks.size() == 17 * scales.size());
  for (size_t b = 0; b < scales.size(); ++b) {
    blocks[17 * b] = scales[b];
    for (size_t i = 0; i < 16; ++i) {  // element i of 32 is nibble i % 2 of byte i / 2
      const uint8_t low = nibble(codes, 16 * b + i / 2, i % 2 != 0);
      const uint8_t high = nibble(codes, 16 * b + 8 + i / 2, i % 2 != 0);
      blocks[17 * b + 1 + i] = to_byte(low | (high << 4));
    }
  }
}

void fp4_from_mxfp4_row(std::span<const std::byte> blocks, std::span<std::byte> codes,
                        std::span<std::byte> scales) {
  SABLE_CHECK(codes.size() == 16 * scales.size() && blocks.size() == 17 * scales.size());
  for (size_t b = 0; b < scales.size(); ++b) {
    scales[b] = blocks[17 * b];
    for (size_t i = 0; i < 16; ++i) {
      const bool second_half = i >= 8;
      const size_t from = 17 * b + 1 + 2 * (i % 8);
      codes[16 * b + i] =
          to_byte(nibble(blocks, from, second_half) | (nibble(blocks, from + 1, second_half) << 4));
    }
  }
}

}  // namespace sable::inference
