#include <algorithm>

#include "tests/kernels/tables.h"

namespace tern::test {
namespace {

using Matmul = EveryTable;
TERN_EVERY_TABLE(Matmul);

// BF16 weights meet activations rounded to bf16 here, everything else has scalar's bits.
bool rounds_activations(const Kernels& kernels, DType type) {
  return kernels.isa == Isa::avx512_bf16 && type == DType::bf16;
}

// The exact product in double, and what a sum of float products may be off by.
struct Exact {
  double value = 0, magnitude = 0;
};
Exact exact_dot(const Weights& w, size_t row, const float* x) {
  Exact exact;
  for (size_t k = 0; k < w.cols; ++k) {
    const double product = static_cast<double>(w.decoded[row * w.cols + k]) * x[k];
    exact.value += product;
    exact.magnitude += std::abs(product);
  }
  return exact;
}

// What the kernels of block formats compute with: x as int8 blocks.
std::vector<float> quantised(const std::vector<float>& x) {
  std::vector<float> result(x.size());
  for (size_t b = 0; b < x.size(); b += 32) {
    float most = 0;
    for (size_t i = b; i < b + 32; ++i) most = std::max(most, std::abs(x[i]));
    const float scale = most / 127.0f;
    for (size_t i = b; i < b + 32; ++i) result[i] = scale == 0 ? 0 : std::nearbyint(x[i] / scale) * scale;
  }
  return result;
}

void check_against_double(const Kernels& kernels, const Weights& w, const std::vector<float>& x,
                          size_t tokens) {
  const std::vector<float> y = run_matmul(kernels, w, x, tokens);
  const std::vector<float> seen = needs_quantized(w.type) ? quantised(x) : x;
  const double tolerance =
      rounds_activations(kernels, w.type) ? 0x1p-8 : 0x1p-24 * (8 + static_cast<double>(w.cols));
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t r = 0; r < w.rows; ++r) {
      const Exact exact = exact_dot(w, r, &seen[t * w.cols]);
      ASSERT_NEAR(y[t * w.rows + r], exact.value, tolerance * exact.magnitude + 1e-30)
          << traits(w.type).name << " " << w.rows << " x " << w.cols << ", token " << t << ", row " << r;
    }
  }
}

void check_against_scalar(const Kernels& kernels, const Kernels& scalar, const Weights& w,
                          const std::vector<float>& x, size_t tokens) {
  if (rounds_activations(kernels, w.type)) return check_against_double(kernels, w, x, tokens);
  ASSERT_TRUE(same(run_matmul(kernels, w, x, tokens), run_matmul(scalar, w, x, tokens)))
      << traits(w.type).name << " " << w.rows << " x " << w.cols << ", " << tokens << " tokens";
}

TEST_P(Matmul, MatchesDouble) {
  Rng rng(1);
  for (const DType type : all_types) {
    for (const size_t least : {32, 96, 288}) {
      const size_t cols = whole_blocks(type, least);
      const Weights w(type, 37, cols, rng);
      for (const size_t tokens : {1, 3, 17}) {
        check_against_double(table(), w, random_floats(rng, tokens * cols), tokens);
      }
    }
  }
}

TEST_P(Matmul, MatchesScalarForEveryNumberOfRows) {
  Rng rng(2);
  for (const DType type : all_types) {
    for (size_t rows = 1; rows <= 67; rows += traits(type).block_size == 256 ? 11 : 1) {
      const Weights w(type, rows, whole_blocks(type, 64), rng);
      for (const size_t tokens : {1, 2, 5}) {
        check_against_scalar(table(), scalar(), w, random_floats(rng, tokens * w.cols), tokens);
      }
    }
  }
}

TEST_P(Matmul, MatchesScalarForEveryNumberOfTokens) {
  Rng rng(3);
  for (const DType type : all_types) {
    const Weights w(type, traits(type).block_size == 256 ? 35 : 83, whole_blocks(type, 96), rng);
    for (size_t tokens = 0; tokens <= 27; ++tokens) {
      check_against_scalar(table(), scalar(), w, random_floats(rng, tokens * w.cols), tokens);
    }
  }
}

TEST_P(Matmul, MatchesScalarForOddColumns) {
  Rng rng(4);
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    for (const size_t cols : {1, 2, 3, 5, 7, 31, 33, 63, 127, 128, 129, 255, 256, 257, 511, 513}) {
      const Weights w(type, 21, cols, rng);
      for (const size_t tokens : {1, 2, 4, 7}) {
        check_against_scalar(table(), scalar(), w, random_floats(rng, tokens * cols), tokens);
      }
    }
  }
}

// Longer than the pieces that tiles work in.
TEST_P(Matmul, MatchesScalarForLongRows) {
  Rng rng(5);
  for (const DType type : all_types) {
    const Weights w(type, 50, whole_blocks(type, 32 * 67), rng);
    for (const size_t tokens : {1, 4, 13}) {
      check_against_scalar(table(), scalar(), w, random_floats(rng, tokens * w.cols), tokens);
    }
  }
}

TEST_P(Matmul, NoColumnsGiveZeros) {
  Rng rng(12);
  for (const DType type : all_types) {
    const Weights w(type, 19, 0, rng);
    for (const size_t tokens : {1, 2, 9}) {
      EXPECT_TRUE(same(run_matmul(table(), w, {}, tokens), std::vector<float>(tokens * 19, 0.0f)));
    }
  }
}

// A token's result is the same alone, in any batch, and however the panels are cut.
TEST_P(Matmul, CompanyDoesNotMatter) {
  Rng rng(6);
  for (const DType type : all_types) {
    const Weights w(type, 16 * 11 + 3, whole_blocks(type, 544), rng);
    const size_t most = 29;
    const std::vector<float> x = random_floats(rng, most * w.cols);
    const std::vector<float> all = run_matmul(table(), w, x, most);
    for (const size_t panels_a_call : {1, 2, 3, 5}) {
      ASSERT_TRUE(same(run_matmul(table(), w, x, most, panels_a_call), all)) << traits(type).name;
    }
    for (const size_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 23}) {
      const size_t first = most - tokens;
      const std::vector<float> some(x.begin() + first * w.cols, x.end());
      const std::vector<float> expected(all.begin() + first * w.rows, all.end());
      ASSERT_TRUE(same(run_matmul(table(), w, some, tokens), expected)) << traits(type).name << " " << tokens;
      ASSERT_TRUE(same(run_matmul(table(), w, some, tokens, 1), expected))
          << traits(type).name << " " << tokens;
    }
  }
}

// The columns [begin, begin + cols) of all rows.
Weights columns_of(const Weights& w, size_t begin, size_t cols, Rng& rng) {
  const size_t row = row_bytes(w.type, w.cols), at = row_bytes(w.type, begin),
               bytes = row_bytes(w.type, cols);
  std::vector<std::byte> file;
  for (size_t r = 0; r < w.rows; ++r) {
    file.insert(file.end(), w.file.begin() + r * row + at, w.file.begin() + r * row + at + bytes);
  }
  return Weights(Weights(w.type, w.rows, cols, rng), file);
}

// Half of the columns, then the other half on top, gives the bits of all at once.
TEST_P(Matmul, AccumulatingGoesOnWithTheSums) {
  Rng rng(13);
  for (const DType type : all_types) {
    const size_t half = whole_blocks(type, 64);
    const Weights w(type, 16 * 9 + 3, 2 * half, rng);
    for (const size_t tokens : {1, 3, 4, 5, 16}) {
      const std::vector<float> x = random_floats(rng, tokens * w.cols);
      Grid y(tokens, w.rows, w.rows + 5);
      for (const size_t begin : {size_t{0}, half}) {
        const Weights part = columns_of(w, begin, half, rng);
        Activations activations;
        activations.reserve(tokens, half);
        activations.set(table(), x.data() + begin, w.cols, tokens, half, needs_quantized(type));
        table().matmul(part.matrix(), activations, y.data(), y.stride(), 0, part.matrix().panels(),
                       begin > 0);
      }
      ASSERT_TRUE(y.check());
      ASSERT_TRUE(same(y.values(), run_matmul(table(), w, x, tokens))) << traits(type).name << " " << tokens;
    }
  }
}

// A view of some rows is those rows.
TEST_P(Matmul, RowsOfActivationsAreAView) {
  Rng rng(14);
  for (const DType type : {DType::f32, DType::q4_k, DType::q8_0}) {
    const Weights w(type, 37, 256, rng);
    const std::vector<float> x = random_floats(rng, 9 * w.cols);
    const std::vector<float> all = run_matmul(table(), w, x, 9);
    Activations activations;
    activations.reserve(9, w.cols);
    activations.set(table(), x.data(), w.cols, 9, w.cols, needs_quantized(type));
    std::vector<float> y(4 * w.rows);
    table().matmul(w.matrix(), activations.rows(3, 4), y.data(), w.rows, 0, w.matrix().panels(), false);
    EXPECT_TRUE(same(y, {all.begin() + 3 * w.rows, all.begin() + 7 * w.rows})) << traits(type).name;
  }
}

// Every int8 value on both sides: -128 only weights have.
TEST_P(Matmul, ExtremeQuantsAreExact) {
  const size_t cols = 96, rows = 40;
  Rng rng(7);
  Weights w(DType::q8_0, rows, cols, std::vector<float>(rows * cols, 1.0f));
  const int8_t values[] = {-128, -127, -1, 0, 1, 127};
  for (size_t r = 0; r < rows; ++r) {
    for (size_t k = 0; k < cols; ++k) {
      const int8_t value = r == 0   ? -128
                           : r == 1 ? 127
                           : r == 2 ? (k % 2 ? -128 : 127)
                                    : values[rng.below(6)];
      w.file[r * row_bytes(w.type, cols) + k / 32 * 34 + 2 + k % 32] = static_cast<std::byte>(value);
    }
  }
  w = Weights(w, w.file);
  for (const size_t tokens : {1, 2, 3, 4, 9}) {
    std::vector<float> x(tokens * cols);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t t = i / cols;
      x[i] = t == 0   ? -127.0f
             : t == 1 ? 127.0f
             : t == 2 ? (i % 2 ? 127.0f : -127.0f)
                      : (rng.chance(0.5) ? 127.0f : -127.0f);
    }
    check_against_scalar(table(), scalar(), w, x, tokens);
    // Scales are 1 here or exact powers, so the integer sums themselves must come out.
    const std::vector<float> y = run_matmul(table(), w, x, tokens);
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t r = 0; r < rows; ++r) {
        const Exact exact = exact_dot(w, r, &x[t * cols]);
        ASSERT_NEAR(y[t * rows + r], exact.value, 1e-6 * exact.magnitude) << "token " << t << ", row " << r;
      }
    }
  }
}

// All codes and small scales at their least and greatest against activations at theirs: nothing saturates.
TEST_P(Matmul, ExtremeBlocksMatchScalar) {
  Rng rng(10);
  for (const DType type : block_types) {
    for (const uint8_t fill : {0x00, 0xff, 0x0f, 0xf0, 0x80}) {
      const Weights shape(type, 17, 512, rng);
      const Weights w(shape, random_blocks(type, 17 * 512, rng, fill));
      for (const size_t tokens : {1, 3, 4, 9}) {
        std::vector<float> x(tokens * w.cols);
        for (size_t i = 0; i < x.size(); ++i)
          x[i] = i / w.cols % 3 == 2 && i % 2 ? -127.0f : i / w.cols % 3 ? 127.0f : -127.0f;
        check_against_scalar(table(), scalar(), w, x, tokens);
        check_against_double(table(), w, x, tokens);
      }
    }
  }
}

// A scale that isn't finite shows in its row and nowhere else.
TEST_P(Matmul, ScalesNotFiniteStayInTheirRow) {
  Rng rng(11);
  for (const DType type : block_types) {
    if (type == DType::mxfp4) continue;  // has none
    const Weights good(type, 33, 512, rng);
    for (const uint16_t bad : {0x7e00, 0x7c00, 0xfc00}) {
      std::vector<std::byte> file = good.file;
      const size_t row = row_bytes(type, 512);
      bool first = true;
      each_half_scale(type, row, [&](size_t at) {
        if (first) std::memcpy(file.data() + 20 * row + at, &bad, 2);
        first = false;
      });
      const Weights w(good, file);
      for (const size_t tokens : {1, 3, 14}) {
        const std::vector<float> y = run_matmul(table(), w, random_floats(rng, tokens * 512), tokens);
        for (size_t i = 0; i < y.size(); ++i)
          ASSERT_EQ(std::isfinite(y[i]), i % w.rows != 20) << traits(type).name;
      }
    }
  }
}

// What isn't finite in one token or one row stays there, and stays visible.
TEST_P(Matmul, NotFiniteStaysVisibleAndAtHome) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  Rng rng(8);
  for (const DType type : all_types) {
    const Weights w(type, 33, whole_blocks(type, 96), rng);
    for (const float bad : {nan, inf, -inf}) {
      for (const size_t tokens : {2, 5, 14}) {
        std::vector<float> x = random_floats(rng, tokens * w.cols);
        x[1 * w.cols + 40] = bad;
        if (!rounds_activations(table(), type)) check_against_scalar(table(), scalar(), w, x, tokens);
        const std::vector<float> y = run_matmul(table(), w, x, tokens);
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_EQ(std::isfinite(y[i]), i / w.rows != 1) << traits(type).name << " token " << i / w.rows;
        }
      }
    }
  }
  std::vector<float> values = random_floats(rng, 33 * 96);
  values[20 * 96 + 5] = inf;
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const Weights w(type, 33, 96, values);
    for (const size_t tokens : {1, 3, 14}) {
      const std::vector<float> y = run_matmul(table(), w, random_floats(rng, tokens * 96), tokens);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(std::isfinite(y[i]), i % w.rows != 20) << traits(type).name;
    }
  }
}

TEST_P(Matmul, DenormalsAreComputedWith) {
  Rng rng(9);
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    if (rounds_activations(table(), type)) continue;  // its instruction takes them for zero
    const Weights w(type, 17, 40, random_floats(rng, 17 * 40, type == DType::f16 ? 1e-6f : 1e-39f));
    for (const size_t tokens : {1, 9}) {
      const std::vector<float> x = random_floats(rng, tokens * 40, 3);
      check_against_scalar(table(), scalar(), w, x, tokens);
      const std::vector<float> y = run_matmul(table(), w, x, tokens);
      EXPECT_TRUE(std::any_of(y.begin(), y.end(), [](float v) { return v != 0; })) << traits(type).name;
    }
  }
}

}  // namespace
}  // namespace tern::test
