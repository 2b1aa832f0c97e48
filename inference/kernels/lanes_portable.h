// Sixteen FP32 lanes in plain C++: the vocabulary of lane_kernels.inl for any machine. Every other
// vocabulary gives the same bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sable::inference::lanes_portable {

struct V {
  float v[16];
};

/// How many rows and vectors one tile of products holds in registers, and how many vectors of
/// values.
inline constexpr size_t kTileRows = 1, kTileVectors = 2, kValueVectors = 1;
/// So many vectors, at most, meet a weight without a first-level cache's being minded; and so many,
/// at most, meet rows as they are decoded.
inline constexpr size_t kFewVectors = 2, kDecodingVectors = 2;
/// How many rows are decoded side by side for so many vectors; and from how many vectors on each
/// part of a vector is loaded once for all of them.
constexpr size_t decoding_rows(size_t n_vectors) { return n_vectors == 1 ? 2 : 1; }
inline constexpr size_t kVectorsFirst = 3;

inline V zero() { return V{}; }
inline V splat(float x) {
  V r;
  for (float& e : r.v) e = x;
  return r;
}
inline V load(const float* p) {
  V r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
inline void store(float* p, const V& a) { std::memcpy(p, a.v, sizeof a.v); }

#define SABLE_LANEWISE(name, expression)  \
  inline V name(const V& a, const V& b) { \
    V r;                                  \
    for (int i = 0; i < 16; ++i) {        \
      const float x = a.v[i], y = b.v[i]; \
      r.v[i] = expression;                \
    }                                     \
    return r;                             \
  }
SABLE_LANEWISE(add, x + y)
SABLE_LANEWISE(sub, x - y)
SABLE_LANEWISE(mul, x* y)
SABLE_LANEWISE(div, x / y)
SABLE_LANEWISE(max, x > y ? x : y)
SABLE_LANEWISE(min, x < y ? x : y)
#undef SABLE_LANEWISE

inline V fma(const V& a, const V& b, const V& c) {
  V r;
  for (int i = 0; i < 16; ++i) r.v[i] = std::fma(a.v[i], b.v[i], c.v[i]);
  return r;
}
inline V round_to_even(const V& a) {
  V r;
  for (int i = 0; i < 16; ++i) r.v[i] = std::nearbyint(a.v[i]);
  return r;
}
/// 2^a for whole a in -126 .. 127.
inline V power_of_two(const V& a) {
  V r;
  for (int i = 0; i < 16; ++i) {
    r.v[i] = std::bit_cast<float>(static_cast<uint32_t>(static_cast<int32_t>(a.v[i]) + 127) << 23);
  }
  return r;
}

/// Lane j with lane j + 8, then + 4, + 2, + 1: the one order of every sum.
inline float sum(const V& a) {
  float t[8];
  for (int i = 0; i < 8; ++i) t[i] = a.v[i] + a.v[i + 8];
  for (int i = 0; i < 4; ++i) t[i] += t[i + 4];
  for (int i = 0; i < 2; ++i) t[i] += t[i + 2];
  return t[0] + t[1];
}
/// out[i] = sum(a[i]), i < N.
template <size_t N>
void sums(const V* a, float* out) {
  for (size_t i = 0; i < N; ++i) out[i] = sum(a[i]);
}
inline float largest(const V& a) {
  float r = a.v[0];
  for (int i = 1; i < 16; ++i) r = a.v[i] > r ? a.v[i] : r;
  return r;
}

inline float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 0xffu : exponent + 112u;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

/// Sixteen times the binary16 number at p.
inline V splat_f16(const void* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return splat(half_to_float(bits));
}

inline V load_bf16(const void* p) {
  uint16_t raw[16];
  std::memcpy(raw, p, sizeof raw);
  V r;
  for (int i = 0; i < 16; ++i) r.v[i] = std::bit_cast<float>(static_cast<uint32_t>(raw[i]) << 16);
  return r;
}
inline V load_f16(const void* p) {
  uint16_t raw[16];
  std::memcpy(raw, p, sizeof raw);
  V r;
  for (int i = 0; i < 16; ++i) r.v[i] = half_to_float(raw[i]);
  return r;
}
inline V load_i8(const void* p) {
  int8_t raw[16];
  std::memcpy(raw, p, sizeof raw);
  V r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(raw[i]);
  return r;
}
/// FP8 E4M3 divided by 256 (a binary16 with the bits moved); the two codes of NaN read as
/// +-480/256.
inline V load_e4m3_over_256(const void* p) {
  uint8_t raw[16];
  std::memcpy(raw, p, sizeof raw);
  V r;
  for (int i = 0; i < 16; ++i) {
    r.v[i] =
        half_to_float(static_cast<uint16_t>(((raw[i] & 0x80u) << 8) | ((raw[i] & 0x7fu) << 7)));
  }
  return r;
}

/// Sixteen small unsigned numbers.
struct Bytes16 {
  uint8_t v[16];
};
inline Bytes16 load_bytes(const void* p) {
  Bytes16 a;
  std::memcpy(a.v, p, sizeof a.v);
  return a;
}
/// (byte >> shift) & mask, of each.
inline Bytes16 field(Bytes16 a, int shift, int mask) {
  for (uint8_t& x : a.v) x = static_cast<uint8_t>((x >> shift) & mask);
  return a;
}
/// low | high << at, of each, where that stays in eight bits.
inline Bytes16 with_upper(Bytes16 low, const Bytes16& high, int at) {
  for (int i = 0; i < 16; ++i) low.v[i] = static_cast<uint8_t>(low.v[i] | high.v[i] << at);
  return low;
}
inline V from_u8(const Bytes16& a) {
  V r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<float>(a.v[i]);
  return r;
}

inline constexpr float kE2m1[16] = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                    -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};

/// 32 FP4 values from 16 bytes, low nibble first: a = elements 0..15, b = 16..31.
/// Each times `scale`.
inline void load_e2m1_pairs(const void* p, uint8_t exponent, V& a, V& b) {
  const float scale = kE8m0[exponent];
  uint8_t raw[16];
  std::memcpy(raw, p, sizeof raw);
  for (size_t i = 0; i < 8; ++i) {
    a.v[2 * i] = kE2m1[raw[i] & 15] * scale;
    a.v[2 * i + 1] = kE2m1[raw[i] >> 4] * scale;
    b.v[2 * i] = kE2m1[raw[8 + i] & 15] * scale;
    b.v[2 * i + 1] = kE2m1[raw[8 + i] >> 4] * scale;
  }
}
/// 32 FP4 values from 16 bytes, ggml's order: a = the low nibbles, b = the high ones.
inline void load_e2m1_halves(const void* p, uint8_t exponent, V& a, V& b) {
  const float scale = kE8m0[exponent];
  uint8_t raw[16];
  std::memcpy(raw, p, sizeof raw);
  for (int i = 0; i < 16; ++i) {
    a.v[i] = kE2m1[raw[i] & 15] * scale;
    b.v[i] = kE2m1[raw[i] >> 4] * scale;
  }
}

// No other order of lanes is faster here.
inline constexpr bool kDealE2m1 = false;
inline void load_e2m1_pairs_dealt(const void* p, uint8_t exponent, V& a, V& b) {
  load_e2m1_pairs(p, exponent, a, b);
}
inline V deal_pairs(V x) { return x; }
inline V undeal_pairs(V x) { return x; }

}  // namespace sable::inference::lanes_portable
