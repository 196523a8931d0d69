// Matrix products of Q8_0 weights with quantised activations, for every instruction set, and the quantising.
// Included inside an instruction set's own namespace, after its simd.h and generic/matmul.h.
//
// Inside a block of 32 columns all is integer, so its order is free; the blocks are summed in order in
// floats.

// Blocks of a piece: 16 KiB of weights a panel, 128 KiB a group of panels.
constexpr size_t piece_blocks = 32;

struct Q8Panel {
  const std::byte* quants;
  const std::byte* scales;
};
// Rows of activations, `q_ld` bytes apart; their scales and sums lie `block_ld` apart.
struct Q8Rows {
  const int8_t* q;
  size_t q_ld;
  const float* scales;
  const int32_t* sums;
  size_t block_ld;
};

template <size_t P, size_t T>
TERN_NOINLINE void q8_tile(const Q8Panel* w, const Q8Rows& x, size_t blocks, const Output& y) {
  Floats sums[T][P];
  start_sums(sums, y);
  for (size_t b = 0; b < blocks; ++b) {
    Ints dots[T][P];
    for (size_t t = 0; t < T; ++t) {
      for (size_t p = 0; p < P; ++p) dots[t][p] = start_dot(x.sums[t * x.block_ld + b]);
    }
    // Unrolled whole, so that no sum is copied from register to register at the end of a turn.
#pragma GCC unroll 8
    for (size_t group = 0; group < layout::q8_block / layout::q8_group; ++group) {
      Quants quants[P];
      for (size_t p = 0; p < P; ++p) {
        quants[p] = load_quants(w[p].quants + b * layout::q8_quants_bytes + group * layout::q8_group_bytes);
      }
      for (size_t t = 0; t < T; ++t) {
        const auto four = broadcast_four(x.q + t * x.q_ld + b * layout::q8_block + group * layout::q8_group);
        for (size_t p = 0; p < P; ++p) dots[t][p] = dot(dots[t][p], quants[p], four);
      }
    }
    for (size_t p = 0; p < P; ++p) {
      const Floats weight_scale = load_f16(w[p].scales + b * layout::q8_scales_bytes);
      for (size_t t = 0; t < T; ++t) {
        const Floats scale = multiply(weight_scale, broadcast(x.scales[t * x.block_ld + b]));
        sums[t][p] = fused(to_floats(dots[t][p]), scale, sums[t][p]);
      }
    }
  }
  store_sums(sums, y);
}

template <size_t P, size_t T>
TERN_INLINE void q8_tile_of(const Q8Panel* w, const Q8Rows& x, size_t tokens, size_t blocks,
                            const Output& y) {
  if (tokens == T) return q8_tile<P, T>(w, x, blocks, y);
  if constexpr (T > 1) q8_tile_of<P, T - 1>(w, x, tokens, blocks, y);
}

// The rows from token t on, from block b on.
TERN_INLINE Q8Rows q8_rows(const Activations& x, size_t t, size_t b) {
  const size_t row_blocks = x.cols / layout::q8_block;
  const size_t first = t * row_blocks + b;
  return {x.q_data + first * layout::q8_block, x.cols, x.scale_data + first, x.sum_data + first, row_blocks};
}

// One group of panels, blocks [b, b + blocks), all tokens.
TERN_INLINE void multiply_q8_group(const PackedMatrix& w, size_t panel_bytes, const Activations& x, float* y,
                                   size_t ldy, size_t panel, size_t panels, size_t b, size_t blocks) {
  const size_t scales_at = w.cols / layout::q8_block * layout::q8_quants_bytes;
  Q8Panel columns[group_panels];
  for (size_t p = 0; p < panels; ++p) {
    const std::byte* at = w.data + (panel + p) * panel_bytes;
    columns[p] = {at + b * layout::q8_quants_bytes, at + scales_at + b * layout::q8_scales_bytes};
  }
  const auto output = [&](size_t t, size_t last) {
    return Output{y + t * ldy, ldy, smaller(16, w.rows - last * 16), b > 0};
  };
  for (size_t t = 0, part = 0; t < x.tokens; t += part) {
    part = next_part(x.tokens - t, q8_tokens);
    const Q8Rows rows = q8_rows(x, t, b);
    size_t p = 0;
    for (; p + q8_panels <= panels; p += q8_panels) {
      Output to = output(t, panel + p + q8_panels - 1);
      to.at += (panel + p) * 16;
      q8_tile_of<q8_panels, q8_tokens>(columns + p, rows, part, blocks, to);
    }
    for (; p < panels; ++p) {
      Output to = output(t, panel + p);
      to.at += (panel + p) * 16;
      q8_tile_of<1, q8_tokens>(columns + p, rows, part, blocks, to);
    }
  }
}

TERN_NOINLINE void multiply_q8(const PackedMatrix& w, size_t panel_bytes, const Activations& x, float* y,
                               size_t ldy, size_t panel_begin, size_t panel_end) {
  const size_t all_blocks = w.cols / layout::q8_block;
  // With one tile of tokens each weight is met once: no need to cut.
  const size_t most = x.tokens <= q8_tokens ? all_blocks : piece_blocks;
  size_t b = 0;
  do {
    const size_t blocks = smaller(most, all_blocks - b);
    for (size_t panel = panel_begin; panel < panel_end; panel += group_panels) {
      multiply_q8_group(w, panel_bytes, x, y, ldy, panel, smaller(group_panels, panel_end - panel), b,
                        blocks);
    }
    b += blocks;
  } while (b < all_blocks);
}

TERN_INLINE void quantize_block(const float* x, int8_t* q, float* scale, int32_t* sum) {
  constexpr int32_t infinity_bits = 0x7f800000;
  constexpr float least_normal = 0x1p-126f;
  const Floats low = load(x), high = load(x + 16);
  const int32_t most_bits = greatest_of(greater(magnitude_bits(low), magnitude_bits(high)));
  float most;
  __builtin_memcpy(&most, &most_bits, 4);
  const float wanted = most / 127.0f;
  if (most_bits >= infinity_bits || wanted < least_normal) {
    *scale = most_bits >= infinity_bits ? __builtin_nanf("") : 0.0f;
    *sum = 0;
    __builtin_memset(q, 0, layout::q8_block);
    return;
  }
  const Ints q_low = to_ints(divide(low, broadcast(wanted)));
  const Ints q_high = to_ints(divide(high, broadcast(wanted)));
  store_bytes(q, q_low);
  store_bytes(q + 16, q_high);
  *scale = wanted;
  *sum = sum_of(add(q_low, q_high));
}

void quantize_q8(const float* x, size_t n, int8_t* q, float* scales, int32_t* sums) {
  for (size_t b = 0; b < n / layout::q8_block; ++b) {
    quantize_block(x + b * layout::q8_block, q + b * layout::q8_block, scales + b, sums + b);
  }
}
