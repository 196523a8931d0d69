// Sixteen bytes as one 128-bit register, for AVX2 and AVX-512 alike: one field of a record, a byte a row.
// Included inside an instruction set's own namespace, before its simd.h.

struct Bytes {
  __m128i v;
};
inline Bytes load_bytes(const std::byte* from) {
  return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))};
}
// Shifts are of 16-bit lanes: mask what crosses from byte to byte.
inline Bytes shift_right(Bytes a, size_t count) {
  return {_mm_srl_epi16(a.v, _mm_cvtsi32_si128(static_cast<int>(count)))};
}
inline Bytes shift_left_2(Bytes a) {
  return {_mm_slli_epi16(a.v, 2)};
}
inline Bytes shift_left_4(Bytes a) {
  return {_mm_slli_epi16(a.v, 4)};
}
inline Bytes and_bytes(Bytes a, uint8_t mask) {
  return {_mm_and_si128(a.v, _mm_set1_epi8(static_cast<char>(mask)))};
}
inline Bytes or_bytes(Bytes a, Bytes b) {
  return {_mm_or_si128(a.v, b.v)};
}
inline Bytes subtract(Bytes a, uint8_t b) {
  return {_mm_sub_epi8(a.v, _mm_set1_epi8(static_cast<char>(b)))};
}
