// Sixteen lanes as one AVX-512 register. Included inside an instruction set's own namespace (no includes
// here).

#define TERN_INLINE __attribute__((always_inline)) inline
#define TERN_INLINE_LAMBDA __attribute__((always_inline))
#define TERN_NOINLINE __attribute__((noinline))

// Tile sizes. 32 registers hold 12 tokens x 2 panels = 24 sums, 2 of weights and 1 broadcast activation: 14
// loads for 24 multiply-adds, of which at least 8 must be under way at once (two a cycle, latency 4). With
// few tokens, several panels at once give as many sums.
constexpr size_t float_tokens = 12;
constexpr size_t float_panels = 2;
constexpr size_t panels_at_once(size_t tokens) {
  return tokens <= 2 ? 4 : 2;
}
// 6 tokens x 2 panels = 12 integer sums, as many float sums, 2 of weights and 1 broadcast activation.
constexpr size_t q8_tokens = 6;
constexpr size_t q8_panels = 2;

struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};

// The first n of 16 lanes, n up to 16.
inline __mmask16 first_lanes(size_t n) {
  return static_cast<__mmask16>((1u << n) - 1);
}

inline Floats zero() {
  return {_mm512_setzero_ps()};
}
inline Floats broadcast(float value) {
  return {_mm512_set1_ps(value)};
}
inline Floats load(const float* from) {
  return {_mm512_loadu_ps(from)};
}
inline void store(float* to, Floats v) {
  _mm512_storeu_ps(to, v.v);
}
// The first n lanes, 0 to 16; the others are zero, or not written. No byte beyond is touched.
inline Floats load_first(const float* from, size_t n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), from)};
}
inline void store_first(float* to, Floats v, size_t n) {
  _mm512_mask_storeu_ps(to, first_lanes(n), v.v);
}

inline Floats add(Floats a, Floats b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Floats subtract(Floats a, Floats b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Floats multiply(Floats a, Floats b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Floats divide(Floats a, Floats b) {
  return {_mm512_div_ps(a.v, b.v)};
}
/// a * b + c, rounded once.
inline Floats fused(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
/// a > b ? a : b, so b where either is NaN.
inline Floats greater(Floats a, Floats b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Ints bits(Floats v) {
  return {_mm512_castps_si512(v.v)};
}
inline Floats negate(Floats v) {
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000));
  return {_mm512_castsi512_ps(_mm512_xor_si512(bits(v).v, sign))};
}
inline Floats round_to_even(Floats v) {
  return {_mm512_roundscale_ps(v.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// a < b ? less : otherwise; otherwise where either is NaN.
inline Floats where_less(Floats a, Floats b, Floats less, Floats otherwise) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), otherwise.v, less.v)};
}
inline Floats keep_first(Floats v, size_t n, Floats otherwise) {
  return {_mm512_mask_blend_ps(first_lanes(n), otherwise.v, v.v)};
}

inline __m256 low_half(Floats v) {
  return _mm512_castps512_ps256(v.v);
}
inline __m256 high_half(Floats v) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v.v), 1));
}
// Lanes l and l + 8, then l + 4, l + 2, l + 1.
inline float sum_of(Floats v) {
  const __m256 eight = _mm256_add_ps(low_half(v), high_half(v));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float greatest_of(Floats v) {
  const __m256 eight = _mm256_max_ps(high_half(v), low_half(v));
  const __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
  const __m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
  return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two));
}

// Weights of 16 rows: halves, and pairs of bf16 of which the even column is the low half.
inline Floats load_f16(const std::byte* from) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
}
inline Ints load_ints(const std::byte* from) {
  return {_mm512_loadu_si512(from)};
}
inline Floats load_bf16_even(const std::byte* from) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(load_ints(from).v, 16))};
}
inline Floats load_bf16_odd(const std::byte* from) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm512_castsi512_ps(_mm512_and_si512(load_ints(from).v, upper))};
}

inline Ints to_ints(Floats v) {
  return {_mm512_cvtps_epi32(v.v)};
}
inline Floats to_floats(Ints v) {
  return {_mm512_cvtepi32_ps(v.v)};
}
inline Ints add(Ints a, Ints b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline Ints subtract(Ints a, Ints b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
inline Ints halve(Ints v) {
  return {_mm512_srai_epi32(v.v, 1)};
}
/// 2^n for n in -126 to 127.
inline Floats power_of_two(Ints n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n.v, _mm512_set1_epi32(127)), 23))};
}

/// The bits of |v|: as integers they order like the floats, and NaNs lie above infinity.
inline Ints magnitude_bits(Floats v) {
  return {_mm512_and_si512(bits(v).v, _mm512_set1_epi32(0x7fffffff))};
}
inline Ints greater(Ints a, Ints b) {
  return {_mm512_max_epi32(a.v, b.v)};
}
inline __m256i low_half(Ints v) {
  return _mm512_castsi512_si256(v.v);
}
inline __m256i high_half(Ints v) {
  return _mm512_extracti64x4_epi64(v.v, 1);
}
inline int32_t greatest_of(Ints v) {
  const __m256i eight = _mm256_max_epi32(low_half(v), high_half(v));
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
inline int32_t sum_of(Ints v) {
  const __m256i eight = _mm256_add_epi32(low_half(v), high_half(v));
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
/// 16 values within int8.
inline void store_bytes(int8_t* to, Ints v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(v.v));
}

inline void store_ints(std::byte* to, Ints v) {
  _mm512_storeu_si512(to, v.v);
}
inline Ints broadcast_int(int32_t value) {
  return {_mm512_set1_epi32(value)};
}
inline Ints or_ints(Ints a, Ints b) {
  return {_mm512_or_si512(a.v, b.v)};
}
// Ints as 64 bytes. Shifts are of 16-bit lanes: mask what crosses from byte to byte.
template <unsigned Count>
inline Ints shift_right(Ints v) {
  return {_mm512_srli_epi16(v.v, Count)};
}
template <unsigned Count>
inline Ints shift_left(Ints v) {
  return {_mm512_slli_epi16(v.v, Count)};
}
inline Ints and_bytes(Ints v, uint8_t mask) {
  return {_mm512_and_si512(v.v, _mm512_set1_epi8(static_cast<char>(mask)))};
}
inline Ints add_bytes(Ints v, uint8_t to_each) {
  return {_mm512_add_epi8(v.v, _mm512_set1_epi8(static_cast<char>(to_each)))};
}
/// table[v] for bytes 0 to 15.
inline Ints lookup(Ints v, const int8_t (&table)[16]) {
  const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(lane), v.v)};
}
inline Ints unsigned_ints(Bytes v) {
  return {_mm512_cvtepu8_epi32(v.v)};
}
inline Floats unsigned_floats(Bytes v) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v.v))};
}
inline Floats signed_floats(Bytes v) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(v.v))};
}

// Four columns of 16 rows, a byte each, times four activations, added to 16 sums. The instruction multiplies
// unsigned by signed bytes, so signed weights go in as w + 128 (a flipped sign bit), and sums start at -128
// times the sum of the activations. Nothing saturates: four products are at most 4 * 255 * 127.
template <bool Signed>
struct Factor {
  __m512i bytes;
};
constexpr int signed_zero = 128;
template <bool Signed>
inline Factor<Signed> factor_of(Ints codes) {
  if constexpr (Signed) return {_mm512_xor_si512(codes.v, _mm512_set1_epi32(static_cast<int>(0x80808080)))};
  return {codes.v};
}
inline __m512i broadcast_four(const int8_t* from) {
  int32_t four;
  __builtin_memcpy(&four, from, 4);
  return _mm512_set1_epi32(four);
}
// To the compiler the value is another one now: what is computed from it is computed anew.
inline void keep_computing(__m512i& v) {
#ifdef __AVX512F__
  asm volatile("" : "+v"(v));
#else  // the tests' emulation
  asm volatile("" : "+m"(v));
#endif
}
inline void keep_computing(Ints& v) {
  keep_computing(v.v);
}
template <bool Signed>
inline Ints add_products(Ints sums, const Factor<Signed>& w, __m512i x) {
  return {_mm512_dpbusd_epi32(sums.v, w.bytes, x)};
}
// Products are added to whole sums at once, whatever the codes.
constexpr size_t groups_in_words(int /*most*/) {
  return layout::part_groups;
}
constexpr int unpacked_most(int /*most*/) {
  return 255;
}
inline Ints start_partial(Ints sums) {
  return sums;
}
inline Ints end_partial(Ints /*sums*/, Ints partial) {
  return partial;
}
