// Activations to int8 blocks, for every instruction set. Included inside an instruction set's own namespace,
// after its simd.h.

TERN_INLINE void quantize_block(const float* x, int8_t* q, float* scale, int32_t* sums) {
  constexpr int32_t infinity_bits = 0x7f800000;
  constexpr float least_normal = 0x1p-126f;
  const Floats low = load(x), high = load(x + 16);
  const int32_t most_bits = greatest_of(greater(magnitude_bits(low), magnitude_bits(high)));
  float most;
  __builtin_memcpy(&most, &most_bits, 4);
  const float wanted = most / 127.0f;
  if (most_bits >= infinity_bits || wanted < least_normal) {
    *scale = most_bits >= infinity_bits ? __builtin_nanf("") : 0.0f;
    sums[0] = sums[1] = 0;
    __builtin_memset(q, 0, layout::part_cols);
    return;
  }
  const Ints q_low = to_ints(divide(low, broadcast(wanted)));
  const Ints q_high = to_ints(divide(high, broadcast(wanted)));
  store_bytes(q, q_low);
  store_bytes(q + 16, q_high);
  *scale = wanted;
  sums[0] = sum_of(q_low);
  sums[1] = sum_of(q_high);
}

void quantize_q8(const float* x, size_t n, int8_t* q, float* scales, int32_t* sums) {
  for (size_t b = 0; b < n / layout::part_cols; ++b) {
    quantize_block(x + b * layout::part_cols, q + b * layout::part_cols, scales + b, sums + 2 * b);
  }
}
