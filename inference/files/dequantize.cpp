// dequantize_row: every stored format to FP32 by its definition.
// Block layouts: ggml-org/llama.cpp ggml/src/ggml-common.h (facts of the format).
#include <array>

#include "base/check.h"
#include "inference/files/iq2_xxs_code_book.h"
#include "inference/files/number_formats.h"
#include "inference/files/tensor.h"

namespace sable::inference {

namespace {

uint8_t u8(const std::byte* at) { return std::to_integer<uint8_t>(*at); }
float f16(const std::byte* at) { return float_from_f16(load_le<uint16_t>(at)); }

// Q8_0: f16 scale, 32 signed bytes.
void q8_0(const std::byte* block, float* out) {
  const float d = f16(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(load_le<int8_t>(block + 2 + i));
}

// MXFP4: E8M0 scale, 16 bytes; low nibbles are elements 0..15, high nibbles 16..31.
void mxfp4(const std::byte* block, float* out) {
  const float d = float_from_e8m0(u8(block));
  for (int i = 0; i < 16; ++i) {
    const uint8_t pair = u8(block + 1 + i);
    out[i] = kE2m1[pair & 0xF] * d;
    out[i + 16] = kE2m1[pair >> 4] * d;
  }
}

// Q2_K: 16 bytes (low nibble scale, high nibble minimum of 16 elements each), 64 bytes of 2-bit
// values, f16 scale of the scales, f16 scale of the minima.
void q2_k(const std::byte* block, float* out) {
  const std::byte* quants = block + 16;
  const float d = f16(block + 80), d_min = f16(block + 82);
  for (int group = 0; group < 16; ++group) {
    const uint8_t scale = u8(block + group);
    const float step = d * static_cast<float>(scale & 0xF);
    const float minimum = d_min * static_cast<float>(scale >> 4);
    // Groups come in halves of 128: four bit positions, each with two groups of 16 bytes.
    const int half = group / 8, shift = 2 * (group / 2 % 4), first = 32 * half + 16 * (group % 2);
    for (int i = 0; i < 16; ++i) {
      const int q = (u8(quants + first + i) >> shift) & 3;
      out[16 * group + i] = step * static_cast<float>(q) - minimum;
    }
  }
}

// The 6-bit scale and minimum of group 0..7 of Q4_K and Q5_K, packed in 12 bytes.
struct ScaleMin {
  float scale, minimum;
};
ScaleMin k_scale(const std::byte* packed, int group) {
  if (group < 4) {
    return {static_cast<float>(u8(packed + group) & 63),
            static_cast<float>(u8(packed + group + 4) & 63)};
  }
  const uint8_t low = u8(packed + group + 4);
  return {static_cast<float>((low & 0xF) | ((u8(packed + group - 4) >> 6) << 4)),
          static_cast<float>((low >> 4) | ((u8(packed + group) >> 6) << 4))};
}

// Q4_K: f16 scale, f16 scale of minima, 12 bytes of scales, 128 bytes; a run of 32 bytes holds
// group 2j in its low and group 2j+1 in its high nibbles. Q5_K: the same with 32 bytes of fifth
// bits before.
void q4_or_q5_k(const std::byte* block, bool five_bits, float* out) {
  const float d = f16(block), d_min = f16(block + 2);
  const std::byte* high_bits = block + 16;
  const std::byte* quants = block + (five_bits ? 48 : 16);
  for (int group = 0; group < 8; ++group) {
    const ScaleMin s = k_scale(block + 4, group);
    const float step = d * s.scale, minimum = d_min * s.minimum;
    for (int i = 0; i < 32; ++i) {
      int q = (u8(quants + ptrdiff_t{32} * (group / 2) + i) >> (4 * (group % 2))) & 0xF;
      if (five_bits) q |= ((u8(high_bits + i) >> group) & 1) << 4;
      out[32 * group + i] = step * static_cast<float>(q) - minimum;
    }
  }
}

// Q6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, f16 scale.
void q6_k(const std::byte* block, float* out) {
  const float d = f16(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, quarter = i / 32 % 4, lane = i % 32;
    const uint8_t low = u8(block + ptrdiff_t{64} * half + ptrdiff_t{32} * (quarter % 2) + lane);
    const uint8_t high = u8(block + 128 + ptrdiff_t{32} * half + lane);
    const int q =
        (((low >> (4 * (quarter / 2))) & 0xF) | (((high >> (2 * quarter)) & 3) << 4)) - 32;
    const float step = d * static_cast<float>(load_le<int8_t>(block + 192 + i / 16));
    out[i] = step * static_cast<float>(q);
  }
}

// IQ2_XXS: f16 scale, then for each 32 elements four code book indices and a word with four 7-bit
// sign patterns (the eighth sign makes the number of minus signs even) and a 4-bit scale on top.
void iq2_xxs(const std::byte* block, float* out) {
  const float d = f16(block);
  for (int group = 0; group < 8; ++group) {
    const std::byte* at = block + 2 + ptrdiff_t{8} * group;
    const auto word = load_le<uint32_t>(at + 4);
    const float step = d * (0.5F + static_cast<float>(word >> 28)) * 0.25F;
    for (int part = 0; part < 4; ++part) {
      const uint16_t code = kIq2XxsCodeBook[u8(at + part)];
      const uint32_t seven = (word >> (7 * part)) & 127;
      const uint32_t signs = seven | (static_cast<uint32_t>(std::popcount(seven) & 1) << 7);
      for (int i = 0; i < 8; ++i) {
        const float magnitude = kIq2XxsMagnitudes[(code >> (2 * i)) & 3];
        out[32 * group + 8 * part + i] = step * magnitude * ((signs >> i & 1) != 0 ? -1.0F : 1.0F);
      }
    }
  }
}

/// One block (or one element of a plain format) at `at`.
void decode_block(DType type, const std::byte* at, float* out) {
  switch (type) {
    case DType::f32:
      *out = load_le<float>(at);
      return;
    case DType::f16:
      *out = f16(at);
      return;
    case DType::bf16:
      *out = float_from_bf16(load_le<uint16_t>(at));
      return;
    case DType::i8:
      *out = static_cast<float>(load_le<int8_t>(at));
      return;
    case DType::i32:
      *out = static_cast<float>(load_le<int32_t>(at));
      return;
    case DType::i64:
      *out = static_cast<float>(load_le<int64_t>(at));
      return;
    case DType::f8_e4m3:
      *out = float_from_e4m3(u8(at));
      return;
    case DType::f8_e8m0:
      *out = float_from_e8m0(u8(at));
      return;
    case DType::f4_e2m1:
      out[0] = kE2m1[u8(at) & 0xF];
      out[1] = kE2m1[u8(at) >> 4];
      return;
    case DType::q8_0:
      return q8_0(at, out);
    case DType::mxfp4:
      return mxfp4(at, out);
    case DType::q2_k:
      return q2_k(at, out);
    case DType::q4_k:
      return q4_or_q5_k(at, false, out);
    case DType::q5_k:
      return q4_or_q5_k(at, true, out);
    case DType::q6_k:
      return q6_k(at, out);
    case DType::iq2_xxs:
      return iq2_xxs(at, out);
  }
}

}  // namespace

void dequantize_row(const Tensor& tensor, uint64_t row, std::span<float> out) {
  const bool vector = tensor.shape.size() < 2;
  const uint64_t cols = vector ? tensor.n_elements() : tensor.cols();
  const BlockShape block = block_of(tensor.type);
  SABLE_CHECK(row < (vector ? 1 : tensor.rows()) && out.size() == cols &&
              cols % block.elements == 0);
  const uint64_t n_blocks = cols / block.elements;
  SABLE_CHECK((row + 1) * n_blocks * block.bytes <= tensor.bytes.size());
  const std::byte* at = tensor.bytes.data() + row * n_blocks * block.bytes;
  for (uint64_t b = 0; b < n_blocks; ++b) {
    decode_block(tensor.type, at + b * block.bytes, out.data() + b * block.elements);
  }
  if (tensor.scales.empty()) return;
  const uint64_t group = tensor.type == DType::f4_e2m1 ? 32 : 128;
  const uint64_t n_groups = (cols + group - 1) / group;
  const uint64_t scale_row = tensor.type == DType::f4_e2m1 ? row : row / 128;
  SABLE_CHECK((scale_row + 1) * n_groups <= tensor.scales.size());
  const std::byte* scales = tensor.scales.data() + scale_row * n_groups;
  for (uint64_t i = 0; i < cols; ++i) out[i] *= float_from_e8m0(u8(scales + i / group));
}

}  // namespace sable::inference
