// Sixteen FP32 lanes as one AVX-512 register. Include only where AVX-512 F, BW, DQ and VL are
// compiled for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

namespace sable::inference::lanes_avx512 {

struct V {
  __m512 v;
};

/// How many rows and vectors one tile of products holds in registers, and how many vectors of
/// values.
inline constexpr size_t kTileRows = 8, kTileVectors = 3, kValueVectors = 4;
/// So many vectors, at most, meet a weight without a first-level cache's being minded; and so many,
/// at most, meet rows as they are decoded.
inline constexpr size_t kFewVectors = 4, kDecodingVectors = 8;
/// How many rows are decoded side by side for so many vectors; and from how many vectors on each
/// part of a vector is loaded once for all of them.
constexpr size_t decoding_rows(size_t n_vectors) {
  return n_vectors <= 2 ? 8 : n_vectors <= 5 ? 4 : 2;
}
inline constexpr size_t kVectorsFirst = 4;

inline V zero() { return {_mm512_setzero_ps()}; }
inline V splat(float x) { return {_mm512_set1_ps(x)}; }
inline V load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, V a) { _mm512_storeu_ps(p, a.v); }
inline V add(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
inline V sub(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline V mul(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline V div(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
inline V max(V a, V b) { return {_mm512_max_ps(a.v, b.v)}; }
inline V min(V a, V b) { return {_mm512_min_ps(a.v, b.v)}; }
inline V fma(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline V round_to_even(V a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline V power_of_two(V a) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(a.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
}

inline float sum(V a) {
  const __m256 high = _mm512_extractf32x8_ps(a.v, 1);
  const __m256 t = _mm256_add_ps(_mm512_castps512_ps256(a.v), high);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float largest(V a) { return _mm512_reduce_max_ps(a.v); }

// The steps of sum() for two vectors at a time, each keeping its half of the result. Blends run on
// units that shuffles across the register would share with products.
inline __m512 fold8(V a, V b) {  // [a, b], 8 lanes each
  return _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a.v, b.v),
                       _mm512_shuffle_f32x4(a.v, b.v, 0x4e));
}
inline __m512 fold4(__m512 a, __m512 b) {  // four vectors, 4 lanes each: a's and b's in turns
  const __m512 kept = _mm512_mask_blend_ps(0xf0f0, a, b),
               moved = _mm512_mask_blend_ps(0xf0f0, b, a);
  return _mm512_add_ps(kept, _mm512_shuffle_f32x4(moved, moved, 0xb1));
}
inline __m512 fold2(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}
inline __m512 fold1(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}
/// out[i] = sum(a[i]) for sixteen vectors.
[[gnu::always_inline]] inline void sums16(const V* a, float* out) {
  __m512 fours[4];
  for (int i = 0; i < 4; ++i) fours[i] = fold4(fold8(a[i], a[8 + i]), fold8(a[4 + i], a[12 + i]));
  _mm512_storeu_ps(out, fold1(fold2(fours[0], fours[1]), fold2(fours[2], fours[3])));
}
[[gnu::always_inline]] inline void sums8(const V* a, float* out) {
  const __m512 low = fold4(fold8(a[0], a[4]), fold8(a[1], a[5]));  // a0 a1 | a4 a5 by lanes of 4
  const __m512 high = fold4(fold8(a[2], a[6]), fold8(a[3], a[7]));
  const __m512 twos = fold2(low, high);
  const __m512 ones = fold1(twos, twos);
  // Lanes of four hold (a0, a2), (a1, a3), (a4, a6), (a5, a7), each twice.
  const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 8, 12, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm256_storeu_ps(out, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, ones)));
}
template <size_t N>
[[gnu::always_inline]] inline void sums(const V* a, float* out) {
  for (size_t i = 0; i + 16 <= N; i += 16) sums16(a + i, out + i);
  if constexpr (N % 16 >= 8) sums8(a + N / 16 * 16, out + N / 16 * 16);
  constexpr size_t kLeft = N % 8;
  if constexpr (kLeft >= 3) {
    V eight[8] = {};
    float of_eight[8];
    for (size_t i = 0; i < kLeft; ++i) eight[i] = a[N - kLeft + i];
    sums8(eight, of_eight);
    std::memcpy(out + N - kLeft, of_eight, kLeft * sizeof(float));
  } else {
    for (size_t i = N - kLeft; i < N; ++i) out[i] = sum(a[i]);
  }
}

/// Sixteen times the binary16 number at p.
inline V splat_f16(const void* p) {
  short bits;
  std::memcpy(&bits, p, sizeof bits);
  return {_mm512_cvtph_ps(_mm256_set1_epi16(bits))};
}

inline V load_bf16(const void* p) {
  const __m256i raw = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16))};
}
inline V load_f16(const void* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
inline V load_i8(const void* p) {
  const __m128i raw = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(raw))};
}
inline V load_e4m3_over_256(const void* p) {
  const __m128i raw = _mm_loadu_si128(static_cast<const __m128i*>(p));
  const __m256i moved = _mm256_slli_epi16(_mm256_cvtepi8_epi16(raw), 7);
  return {_mm512_cvtph_ps(_mm256_and_si256(moved, _mm256_set1_epi16(static_cast<short>(0xbfff))))};
}

/// Sixteen small unsigned numbers.
using Bytes16 = __m128i;
inline Bytes16 load_bytes(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
/// (byte >> shift) & mask, of each; the mask has no bit that the shift would bring in.
inline Bytes16 field(Bytes16 a, int shift, int mask) {
  return _mm_and_si128(_mm_srl_epi16(a, _mm_cvtsi32_si128(shift)),
                       _mm_set1_epi8(static_cast<char>(mask)));
}
/// low | high << at, of each, where that stays in eight bits.
inline Bytes16 with_upper(Bytes16 low, Bytes16 high, int at) {
  return _mm_or_si128(low, _mm_sll_epi16(high, _mm_cvtsi32_si128(at)));
}
inline V from_u8(Bytes16 a) { return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(a))}; }

/// The sixteen FP4 values times an E8M0 scale. A lookup reads only the low four bits of each lane.
inline __m512 scaled_e2m1(uint8_t exponent) {
  return _mm512_load_ps(kScaledE2m1[exponent].values.data());
}
inline void load_e2m1_pairs(const void* p, uint8_t exponent, V& a, V& b) {
  const __m128i raw = _mm_loadu_si128(static_cast<const __m128i*>(p));
  // The even lane holds the byte, the odd one the byte moved down by four.
  const __m512i low = _mm512_cvtepu8_epi64(raw);
  const __m512i high = _mm512_cvtepu8_epi64(_mm_unpackhi_epi64(raw, raw));
  const __m512 table = scaled_e2m1(exponent);
  a.v = _mm512_permutexvar_ps(_mm512_or_si512(low, _mm512_slli_epi64(low, 28)), table);
  b.v = _mm512_permutexvar_ps(_mm512_or_si512(high, _mm512_slli_epi64(high, 28)), table);
}
inline void load_e2m1_halves(const void* p, uint8_t exponent, V& a, V& b) {
  const __m512i raw = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m512 table = scaled_e2m1(exponent);
  a.v = _mm512_permutexvar_ps(raw, table);
  b.v = _mm512_permutexvar_ps(_mm512_srli_epi32(raw, 4), table);
}

// The same from copies of eight bytes in every part of the register, each lane shifting out its
// own: no shuffling of bytes, but another order of lanes.
inline constexpr bool kDealE2m1 = true;
inline void load_e2m1_pairs_dealt(const void* p, uint8_t exponent, V& a, V& b) {
  long long first, second;
  std::memcpy(&first, p, 8);
  std::memcpy(&second, static_cast<const char*>(p) + 8, 8);
  const __m512i nibble =
      _mm512_setr_epi32(0, 0, 4, 4, 8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 28, 28);
  const __m512 table = scaled_e2m1(exponent);
  a.v = _mm512_permutexvar_ps(_mm512_srlv_epi32(_mm512_set1_epi64(first), nibble), table);
  b.v = _mm512_permutexvar_ps(_mm512_srlv_epi32(_mm512_set1_epi64(second), nibble), table);
}
/// Lane 2k + m holds element 8m + k.
inline V deal_pairs(V x) {
  const __m512i from = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  return {_mm512_permutexvar_ps(from, x.v)};
}
inline V undeal_pairs(V x) {
  const __m512i from = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  return {_mm512_permutexvar_ps(from, x.v)};
}

}  // namespace sable::inference::lanes_avx512
