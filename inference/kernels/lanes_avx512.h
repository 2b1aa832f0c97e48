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
inline constexpr size_t kTileRows = 4, kTileVectors = 6, kValueVectors = 4;

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

inline float half_to_float(uint16_t bits) { return _cvtsh_ss(bits); }

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

inline __m512 e2m1_table() {
  return _mm512_setr_ps(0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F, -0.0F, -0.5F, -1.0F, -1.5F,
                        -2.0F, -3.0F, -4.0F, -6.0F);
}
inline void load_e2m1_pairs(const void* p, V& a, V& b) {
  const __m128i raw = _mm_loadu_si128(static_cast<const __m128i*>(p));
  // A lookup reads only the low four bits of each lane: the even lane holds the byte, the odd one
  // the byte moved down by four.
  const __m512i low = _mm512_cvtepu8_epi64(raw);
  const __m512i high = _mm512_cvtepu8_epi64(_mm_unpackhi_epi64(raw, raw));
  const __m512 table = e2m1_table();
  a.v = _mm512_permutexvar_ps(_mm512_or_si512(low, _mm512_slli_epi64(low, 28)), table);
  b.v = _mm512_permutexvar_ps(_mm512_or_si512(high, _mm512_slli_epi64(high, 28)), table);
}
inline void load_e2m1_halves(const void* p, V& a, V& b) {
  const __m512i raw = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m512 table = e2m1_table();
  a.v = _mm512_permutexvar_ps(raw, table);
  b.v = _mm512_permutexvar_ps(_mm512_srli_epi32(raw, 4), table);
}

}  // namespace sable::inference::lanes_avx512
