// Sixteen lanes as two AVX2 registers. Included inside an instruction set's own namespace (no includes here).

// Tile sizes. 16 registers hold 6 tokens x 2 halves of a panel's 16 rows = 12 sums, 2 of weights and 1
// broadcast activation. 12 independent sums cover two multiply-adds a cycle of latency 4. With few tokens,
// several panels at once give as many sums: 4 panels x 1 token, 2 x 2 and so on.
constexpr size_t float_tokens = 6;
constexpr size_t float_panels = 1;
constexpr size_t panels_at_once(size_t tokens) {
  return tokens == 1 ? 4 : tokens == 2 ? 2 : 1;
}
// 4 tokens x 2 halves = 8 integer sums; weights, their magnitudes, the ones and the products take the rest.
constexpr size_t q8_tokens = 4;
constexpr size_t q8_panels = 1;

#define TERN_INLINE __attribute__((always_inline)) inline
#define TERN_INLINE_LAMBDA __attribute__((always_inline))
#define TERN_NOINLINE __attribute__((noinline))

struct Floats {
  __m256 low, high;
};
struct Ints {
  __m256i low, high;
};

// -1 for the first n of 16 lanes, from a window on a table of ones and zeros.
alignas(64) constexpr int32_t lane_masks[32] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                -1, -1, -1, -1, -1, -1, -1, -1};

inline Ints first_lanes(size_t n) {
  const int32_t* window = lane_masks + 16 - n;
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(window)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(window + 8))};
}

inline Floats zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Floats broadcast(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
inline Floats load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
inline void store(float* to, Floats v) {
  _mm256_storeu_ps(to, v.low);
  _mm256_storeu_ps(to + 8, v.high);
}
// The first n lanes, 0 to 16; the others are zero, or not written. No byte beyond is touched.
inline Floats load_first(const float* from, size_t n) {
  const Ints mask = first_lanes(n);
  return {_mm256_maskload_ps(from, mask.low), _mm256_maskload_ps(from + 8, mask.high)};
}
inline void store_first(float* to, Floats v, size_t n) {
  const Ints mask = first_lanes(n);
  _mm256_maskstore_ps(to, mask.low, v.low);
  _mm256_maskstore_ps(to + 8, mask.high, v.high);
}

inline Floats add(Floats a, Floats b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Floats subtract(Floats a, Floats b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Floats multiply(Floats a, Floats b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Floats divide(Floats a, Floats b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
/// a * b + c, rounded once.
inline Floats fused(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
/// a > b ? a : b, so b where either is NaN.
inline Floats greater(Floats a, Floats b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline Floats negate(Floats v) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(v.low, sign), _mm256_xor_ps(v.high, sign)};
}
inline Floats round_to_even(Floats v) {
  return {_mm256_round_ps(v.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(v.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// a < b ? less : otherwise; otherwise where either is NaN.
inline Floats where_less(Floats a, Floats b, Floats less, Floats otherwise) {
  return {_mm256_blendv_ps(otherwise.low, less.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(otherwise.high, less.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
inline Floats keep_first(Floats v, size_t n, Floats otherwise) {
  const Ints mask = first_lanes(n);
  return {_mm256_blendv_ps(otherwise.low, v.low, _mm256_castsi256_ps(mask.low)),
          _mm256_blendv_ps(otherwise.high, v.high, _mm256_castsi256_ps(mask.high))};
}

// Lanes l and l + 8, then l + 4, l + 2, l + 1.
inline float sum_of(Floats v) {
  const __m256 eight = _mm256_add_ps(v.low, v.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float greatest_of(Floats v) {
  const __m256 eight = _mm256_max_ps(v.high, v.low);
  const __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
  const __m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
  return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two));
}

// Weights of 16 rows: halves, and pairs of bf16 of which the even column is the low half.
inline Floats load_f16(const std::byte* from) {
  const auto* halves = reinterpret_cast<const __m128i*>(from);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
inline Ints load_ints(const std::byte* from) {
  const auto* ints = reinterpret_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(ints), _mm256_loadu_si256(ints + 1)};
}
inline Floats load_bf16_even(const std::byte* from) {
  const Ints pairs = load_ints(from);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs.low, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(pairs.high, 16))};
}
inline Floats load_bf16_odd(const std::byte* from) {
  const Ints pairs = load_ints(from);
  const __m256i high_half = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm256_castsi256_ps(_mm256_and_si256(pairs.low, high_half)),
          _mm256_castsi256_ps(_mm256_and_si256(pairs.high, high_half))};
}

inline Ints to_ints(Floats v) {
  return {_mm256_cvtps_epi32(v.low), _mm256_cvtps_epi32(v.high)};
}
inline Floats to_floats(Ints v) {
  return {_mm256_cvtepi32_ps(v.low), _mm256_cvtepi32_ps(v.high)};
}
inline Ints add(Ints a, Ints b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
inline Ints subtract(Ints a, Ints b) {
  return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}
inline Ints halve(Ints v) {
  return {_mm256_srai_epi32(v.low, 1), _mm256_srai_epi32(v.high, 1)};
}
/// 2^n for n in -126 to 127.
inline Floats power_of_two(Ints n) {
  const __m256i bias = _mm256_set1_epi32(127);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n.low, bias), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n.high, bias), 23))};
}

/// The bits of |v|: as integers they order like the floats, and NaNs lie above infinity.
inline Ints magnitude_bits(Floats v) {
  const __m256 all_but_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_castps_si256(_mm256_and_ps(v.low, all_but_sign)),
          _mm256_castps_si256(_mm256_and_ps(v.high, all_but_sign))};
}
inline Ints greater(Ints a, Ints b) {
  return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)};
}
inline int32_t greatest_of(Ints v) {
  const __m256i eight = _mm256_max_epi32(v.low, v.high);
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
inline int32_t sum_of(Ints v) {
  const __m256i eight = _mm256_add_epi32(v.low, v.high);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
/// 16 values within int8.
inline void store_bytes(int8_t* to, Ints v) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(v.low, v.high), 0xd8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}

inline void store_ints(std::byte* to, Ints v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v.low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + 1, v.high);
}
inline Ints broadcast_int(int32_t value) {
  return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
}
inline Ints or_ints(Ints a, Ints b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
// Ints as 64 bytes. Shifts are of 16-bit lanes: mask what crosses from byte to byte.
template <int Count>
inline Ints shift_right(Ints v) {
  return {_mm256_srli_epi16(v.low, Count), _mm256_srli_epi16(v.high, Count)};
}
template <int Count>
inline Ints shift_left(Ints v) {
  return {_mm256_slli_epi16(v.low, Count), _mm256_slli_epi16(v.high, Count)};
}
inline Ints and_bytes(Ints v, uint8_t mask) {
  const __m256i masks = _mm256_set1_epi8(static_cast<char>(mask));
  return {_mm256_and_si256(v.low, masks), _mm256_and_si256(v.high, masks)};
}
/// table[v] for bytes 0 to 15.
inline Ints lookup(Ints v, const int8_t (&table)[16]) {
  const __m256i lanes = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(lanes, v.low), _mm256_shuffle_epi8(lanes, v.high)};
}
inline Ints unsigned_ints(Bytes v) {
  return {_mm256_cvtepu8_epi32(v.v), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(v.v, v.v))};
}
inline Floats unsigned_floats(Bytes v) {
  return to_floats(unsigned_ints(v));
}
inline Floats signed_floats(Bytes v) {
  return to_floats(Ints{_mm256_cvtepi8_epi32(v.v), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(v.v, v.v))});
}

// Four columns of 16 rows, a byte each, times four activations. The instruction multiplies unsigned by signed
// bytes and adds pairs in saturating 16 bits. Signed weights' sign moves to the activation: |w| (128 for
// -128) times x sign(w). As x is never -128, x sign(w) is exact. (Widening both to int16 instead measured the
// same for many tokens and a third slower for one.) A pair is at most 2 * most * 127, so several groups'
// pairs fit 16 bits before they are widened into the sums: eight of nibbles, one of 8 bits.
template <bool Signed>
struct Factor {
  Ints codes;
};
template <>
struct Factor<true> {
  Ints weights, magnitudes;
};
constexpr int signed_zero = 0;
template <bool Signed>
inline Factor<Signed> factor_of(Ints codes) {
  if constexpr (Signed) {
    return {codes, {_mm256_abs_epi8(codes.low), _mm256_abs_epi8(codes.high)}};
  } else {
    return {codes};
  }
}
inline __m256i broadcast_four(const int8_t* from) {
  int32_t four;
  __builtin_memcpy(&four, from, 4);
  return _mm256_set1_epi32(four);
}
// To the compiler the value is another one now: what is computed from it is computed anew.
inline void keep_computing(__m256i& v) {
  asm volatile("" : "+x"(v));
}
inline void keep_computing(Ints& v) {
  keep_computing(v.low);
  keep_computing(v.high);
}
inline Ints add_products(Ints words, const Factor<false>& w, __m256i x) {
  return {_mm256_add_epi16(words.low, _mm256_maddubs_epi16(w.codes.low, x)),
          _mm256_add_epi16(words.high, _mm256_maddubs_epi16(w.codes.high, x))};
}
inline __m256i signed_products(__m256i w, __m256i magnitude, __m256i x) {
  return _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
}
inline Ints add_products(Ints words, const Factor<true>& w, __m256i x) {
  return {_mm256_add_epi16(words.low, signed_products(w.weights.low, w.magnitudes.low, x)),
          _mm256_add_epi16(words.high, signed_products(w.weights.high, w.magnitudes.high, x))};
}
constexpr size_t groups_in_words(int most) {
  const int groups = 32767 / (2 * most * 127);
  return groups < 8 ? static_cast<size_t>(groups) : 8;
}
// The greatest code that as many groups fit for, so that formats share their tiles.
constexpr int unpacked_most(int most) {
  return 32767 / (2 * 127 * static_cast<int>(groups_in_words(most)));
}
inline Ints start_partial(Ints /*sums*/) {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline Ints end_partial(Ints sums, Ints words) {
  const __m256i ones = _mm256_set1_epi16(1);
  return add(sums, Ints{_mm256_madd_epi16(words.low, ones), _mm256_madd_epi16(words.high, ones)});
}
