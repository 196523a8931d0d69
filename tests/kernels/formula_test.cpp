// What kernels.h promises of block formats, computed from the file's blocks without packing: every table must
// give these bits.
#include <cmath>

#include "quant/blocks.h"
#include "tests/kernels/tables.h"

namespace tern::test {
namespace {

using Formula = EveryTable;
TERN_EVERY_TABLE(Formula);

struct SubBlock {
  float scale;
  float offset = 0;
};

// Weight integers are quants less `zero`, or looked up; sub-blocks of `cols`.
struct Meaning {
  int zero = 0;
  const int8_t* table = nullptr;
  size_t cols = 32;
  bool has_offset = false;
};

float product(uint16_t half, int integer) {
  return f16_to_f32(half) * static_cast<float>(integer);
}

Meaning meaning(const BlockQ4_0&) {
  return {8};
}
Meaning meaning(const BlockQ5_0&) {
  return {16};
}
Meaning meaning(const BlockIQ4_NL&) {
  return {0, iq4_values};
}
Meaning meaning(const BlockIQ4_XS&) {
  return {0, iq4_values};
}
Meaning meaning(const BlockMXFP4&) {
  return {0, mxfp4_values};
}
Meaning meaning(const BlockQ3_K&) {
  return {4, nullptr, 16};
}
Meaning meaning(const BlockQ6_K&) {
  return {32, nullptr, 16};
}
Meaning meaning(const BlockQ2_K&) {
  return {0, nullptr, 16, true};
}
Meaning meaning(const BlockQ8_0&) {
  return {};
}
template <typename Block>  // Q4_1, Q5_1, Q4_K, Q5_K
Meaning meaning(const Block&) {
  return {0, nullptr, 32, true};
}

SubBlock sub_block(const BlockQ4_1& b, size_t) {
  return {f16_to_f32(b.d), f16_to_f32(b.m)};
}
SubBlock sub_block(const BlockQ5_1& b, size_t) {
  return {f16_to_f32(b.d), f16_to_f32(b.m)};
}
SubBlock sub_block(const BlockMXFP4& b, size_t) {
  return {mxfp4_scale(b.e)};
}
SubBlock sub_block(const BlockQ2_K& b, size_t s) {
  return {product(b.d, b.scales[s] & 15), -product(b.dmin, b.scales[s] >> 4)};
}
SubBlock sub_block(const BlockQ3_K& b, size_t s) {
  return {product(b.d, stored_scale(b, s) - 32)};
}
SubBlock sub_block(const BlockQ4_K& b, size_t s) {
  return {product(b.d, scale_min(b.scales, s).scale), -product(b.dmin, scale_min(b.scales, s).min)};
}
SubBlock sub_block(const BlockQ5_K& b, size_t s) {
  return {product(b.d, scale_min(b.scales, s).scale), -product(b.dmin, scale_min(b.scales, s).min)};
}
SubBlock sub_block(const BlockQ6_K& b, size_t s) {
  return {product(b.d, b.scales[s])};
}
SubBlock sub_block(const BlockIQ4_XS& b, size_t s) {
  return {product(b.d, stored_scale(b, s) - 32)};
}
template <typename Block>  // Q4_0, Q5_0, Q8_0, IQ4_NL
SubBlock sub_block(const Block& b, size_t) {
  return {f16_to_f32(b.d)};
}

// One row times one token.
template <typename Block>
float formula(const std::byte* row, size_t cols, const int8_t* q, const float* scales) {
  float y = 0;
  for (size_t first = 0; first < cols; first += meaning(Block{}).cols) {
    Block block;
    std::memcpy(&block, row + first / Block::size * sizeof(Block), sizeof block);
    const Meaning m = meaning(block);
    uint8_t codes[32];
    quants(block, first % Block::size / 32, codes);
    int32_t products = 0, sum = 0;
    for (size_t k = first; k < first + m.cols; ++k) {
      const uint8_t code = codes[k % 32];
      const int integer = m.table                      ? m.table[code]
                          : Block::type == DType::q8_0 ? static_cast<int8_t>(code)
                                                       : code - m.zero;
      products += integer * q[k];
      sum += q[k];
    }
    const SubBlock s = sub_block(block, first % Block::size / m.cols);
    y = std::fma(static_cast<float>(products), s.scale * scales[first / 32], y);
    if (m.has_offset) y = std::fma(static_cast<float>(sum) * scales[first / 32], s.offset, y);
  }
  return y;
}

TEST_P(Formula, IsWhatComesOutBitForBit) {
  Rng rng(1);
  for (const DType type : block_types) {
    const size_t rows = 19, cols = 1280, most = 7;
    const Weights w(type, rows, cols, rng);
    const std::vector<float> x = random_floats(rng, most * cols);
    Activations a;
    a.reserve(most, cols);
    a.set(table(), x.data(), cols, most, cols, true);
    std::vector<float> expected(most * rows);
    for (size_t i = 0; i < expected.size(); ++i) {
      const std::byte* row = w.file.data() + i % rows * row_bytes(type, cols);
      visit_block(type, [&]<typename Block>(Block) {
        expected[i] = formula<Block>(row, cols, a.q(i / rows), a.scales(i / rows));
      });
    }
    ASSERT_TRUE(same(run_matmul(table(), w, x, most), expected)) << traits(type).name;
    const std::vector<float> first(x.begin(), x.begin() + cols),
        first_expected(expected.begin(), expected.begin() + rows);
    ASSERT_TRUE(same(run_matmul(table(), w, first, 1), first_expected)) << traits(type).name;
  }
}

}  // namespace
}  // namespace tern::test
