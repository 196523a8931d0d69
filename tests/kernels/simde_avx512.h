// AVX-512 intrinsics as functions over AVX2: SIMDe's, and those that its Debian version lacks.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

#include <cstddef>
#include <cstdint>

namespace tern::test::emulated {

struct Halves {
  __m256 low, high;
};
struct IntHalves {
  __m256i low, high;
};
inline Halves halves(__m512 v) {
  Halves h;
  __builtin_memcpy(&h, &v, sizeof h);
  return h;
}
inline IntHalves halves(__m512i v) {
  IntHalves h;
  __builtin_memcpy(&h, &v, sizeof h);
  return h;
}
inline __m512 whole(const Halves& h) {
  __m512 v;
  __builtin_memcpy(&v, &h, sizeof v);
  return v;
}
inline __m512i whole(const IntHalves& h) {
  __m512i v;
  __builtin_memcpy(&v, &h, sizeof v);
  return v;
}

inline __m512 maskz_loadu_ps(unsigned mask, const float* from) {
  alignas(64) float lanes[16] = {};
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) lanes[i] = from[i];
  }
  return whole(Halves{_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8)});
}
inline void mask_storeu_ps(float* to, unsigned mask, __m512 v) {
  float lanes[16];
  __builtin_memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) to[i] = lanes[i];
  }
}
inline __m512 cvtph_ps(__m256i halves_of_floats) {
  return whole(Halves{_mm256_cvtph_ps(_mm256_castsi256_si128(halves_of_floats)),
                      _mm256_cvtph_ps(_mm256_extracti128_si256(halves_of_floats, 1))});
}
inline __m512i cvtps_epi32(__m512 v) {
  const Halves h = halves(v);
  return whole(IntHalves{_mm256_cvtps_epi32(h.low), _mm256_cvtps_epi32(h.high)});
}
inline __m512 cvtepi32_ps(__m512i v) {
  const IntHalves h = halves(v);
  return whole(Halves{_mm256_cvtepi32_ps(h.low), _mm256_cvtepi32_ps(h.high)});
}
inline __m512i cvtepu8_epi32(__m128i v) {
  return whole(IntHalves{_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(v, v))});
}
inline __m512i cvtepi8_epi32(__m128i v) {
  return whole(IntHalves{_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(v, v))});
}
inline __m512i srai_epi32(__m512i v, int count) {
  const IntHalves h = halves(v);
  return whole(IntHalves{_mm256_srai_epi32(h.low, count), _mm256_srai_epi32(h.high, count)});
}
inline __m128i cvtepi32_epi8(__m512i v) {
  int32_t lanes[16];
  int8_t bytes[16];
  __builtin_memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<int8_t>(lanes[i]);
  __m128i result;
  __builtin_memcpy(&result, bytes, sizeof result);
  return result;
}

// Round to nearest even; denormals count as zero and NaNs become quiet, as the instruction's description
// says.
inline uint16_t rounded_bf16(uint32_t bits) {
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  if (magnitude < 0x00800000) return static_cast<uint16_t>(bits >> 16 & 0x8000);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline __m256bh cvtneps_pbh(__m512 v) {
  uint32_t lanes[16];
  uint16_t rounded[16];
  __builtin_memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 16; ++i) rounded[i] = rounded_bf16(lanes[i]);
  __m256bh result;
  __builtin_memcpy(&result, rounded, sizeof result);
  return result;
}

}  // namespace tern::test::emulated

#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepi8_epi32
#undef _mm512_srai_epi32
#undef _mm512_cvtepi32_epi8
#undef _mm512_cvtneps_pbh
#define _mm512_maskz_loadu_ps tern::test::emulated::maskz_loadu_ps
#define _mm512_mask_storeu_ps tern::test::emulated::mask_storeu_ps
#define _mm512_cvtph_ps tern::test::emulated::cvtph_ps
#define _mm512_cvtps_epi32 tern::test::emulated::cvtps_epi32
#define _mm512_cvtepi32_ps tern::test::emulated::cvtepi32_ps
#define _mm512_cvtepu8_epi32 tern::test::emulated::cvtepu8_epi32
#define _mm512_cvtepi8_epi32 tern::test::emulated::cvtepi8_epi32
#define _mm512_srai_epi32 tern::test::emulated::srai_epi32
#define _mm512_cvtepi32_epi8 tern::test::emulated::cvtepi32_epi8
#define _mm512_cvtneps_pbh tern::test::emulated::cvtneps_pbh
