// Sixteen FP32 lanes as two AVX2 registers. Include only where AVX2, FMA and F16C are compiled for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

namespace sable::inference::lanes_avx2 {

struct V {
  __m256 lo, hi;
};

/// How many rows and vectors one tile of products holds in registers, and how many vectors of
/// values.
inline constexpr size_t kTileRows = 2, kTileVectors = 3, kValueVectors = 1;
/// So many vectors, at most, meet a weight without a first-level cache's being minded; and so many,
/// at most, meet rows as they are decoded.
inline constexpr size_t kFewVectors = 2, kDecodingVectors = 2;
/// How many rows are decoded side by side for so many vectors; and from how many vectors on each
/// part of a vector is loaded once for all of them.
constexpr size_t decoding_rows(size_t n_vectors) { return n_vectors == 1 ? 4 : 2; }
inline constexpr size_t kVectorsFirst = 3;

inline V zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline V splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, V a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline V add(V a, V b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline V sub(V a, V b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
inline V mul(V a, V b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline V div(V a, V b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
inline V max(V a, V b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline V min(V a, V b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
inline V fma(V a, V b, V c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline V round_to_even(V a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, kMode), _mm256_round_ps(a.hi, kMode)};
}
inline __m256 power_of_two_half(__m256 a) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
inline V power_of_two(V a) { return {power_of_two_half(a.lo), power_of_two_half(a.hi)}; }

inline float sum(V a) {
  const __m256 t = _mm256_add_ps(a.lo, a.hi);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float largest(V a) {
  const __m256 t = _mm256_max_ps(a.lo, a.hi);
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/// out[i] = sum(a[i]), i < N.
template <size_t N>
void sums(const V* a, float* out) {
  for (size_t i = 0; i < N; ++i) out[i] = sum(a[i]);
}

/// Sixteen times the binary16 number at p.
inline V splat_f16(const void* p) {
  short bits;
  std::memcpy(&bits, p, sizeof bits);
  const __m256 all = _mm256_cvtph_ps(_mm_set1_epi16(bits));
  return {all, all};
}

inline __m128i load_half(const void* p, int which) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p) + which);
}
inline __m256 bf16_half(__m128i raw) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}
inline V load_bf16(const void* p) {
  return {bf16_half(load_half(p, 0)), bf16_half(load_half(p, 1))};
}
inline V load_f16(const void* p) {
  return {_mm256_cvtph_ps(load_half(p, 0)), _mm256_cvtph_ps(load_half(p, 1))};
}
inline V from_i8(__m128i raw) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(raw)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(raw, raw)))};
}
inline V load_i8(const void* p) { return from_i8(load_half(p, 0)); }
inline V load_e4m3_over_256(const void* p) {
  const __m256i moved = _mm256_slli_epi16(_mm256_cvtepi8_epi16(load_half(p, 0)), 7);
  const __m256i f16 = _mm256_and_si256(moved, _mm256_set1_epi16(static_cast<short>(0xbfff)));
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(f16)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(f16, 1))};
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
inline V from_u8(Bytes16 a) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(a)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(a, a)))};
}

/// Twice the FP4 value of each nibble, as a byte. -0 reads as +0: it never changes a sum but for
/// the sign of a zero, which the portable lanes lose in their first addition too.
inline __m128i doubled_e2m1(__m128i nibbles) {
  const __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  return _mm_shuffle_epi8(table, nibbles);
}
inline void load_e2m1_pairs(const void* p, uint8_t exponent, V& a, V& b) {
  const __m128i raw = load_half(p, 0), mask = _mm_set1_epi8(15);
  const __m128i even = doubled_e2m1(_mm_and_si128(raw, mask));
  const __m128i odd = doubled_e2m1(_mm_and_si128(_mm_srli_epi16(raw, 4), mask));
  const V half = splat(0.5F), factor = splat(kE8m0[exponent]);
  a = mul(mul(from_i8(_mm_unpacklo_epi8(even, odd)), half), factor);
  b = mul(mul(from_i8(_mm_unpackhi_epi8(even, odd)), half), factor);
}
inline void load_e2m1_halves(const void* p, uint8_t exponent, V& a, V& b) {
  const __m128i raw = load_half(p, 0), mask = _mm_set1_epi8(15);
  const V half = splat(0.5F), factor = splat(kE8m0[exponent]);
  a = mul(mul(from_i8(doubled_e2m1(_mm_and_si128(raw, mask))), half), factor);
  b = mul(mul(from_i8(doubled_e2m1(_mm_and_si128(_mm_srli_epi16(raw, 4), mask))), half), factor);
}

// No other order of lanes is faster here.
inline constexpr bool kDealE2m1 = false;
inline void load_e2m1_pairs_dealt(const void* p, uint8_t exponent, V& a, V& b) {
  load_e2m1_pairs(p, exponent, a, b);
}
inline V deal_pairs(V x) { return x; }
inline V undeal_pairs(V x) { return x; }

}  // namespace sable::inference::lanes_avx2
