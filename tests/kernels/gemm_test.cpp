#include "tests/kernels/tables.h"

namespace tern::test {
namespace {

using Gemm = EveryTable;
TERN_EVERY_TABLE(Gemm);

struct Shape {
  size_t m, n, k;
};

// c of one table; operands are strided, misaligned and surrounded by NaNs.
std::vector<float> run_gemm(const Kernels& kernels, const Shape& s, const std::vector<float>& a,
                            const std::vector<float>& b, const std::vector<float>& c, bool accumulate) {
  Grid left(s.m, s.k, s.k + 1), right(s.k, s.n, s.n + 7), out(s.m, s.n, s.n + 2);
  left.fill(a);
  right.fill(b);
  if (accumulate) out.fill(c);
  kernels.gemm(left.data(), left.stride(), right.data(), right.stride(), out.data(), out.stride(), s.m, s.n,
               s.k, accumulate);
  EXPECT_TRUE(out.check());
  EXPECT_TRUE(left.check());
  EXPECT_TRUE(right.check());
  return out.values();
}

void check(const Kernels& kernels, const Kernels& scalar, const Shape& s, Rng& rng) {
  const std::vector<float> a = random_floats(rng, s.m * s.k), b = random_floats(rng, s.k * s.n);
  const std::vector<float> c = random_floats(rng, s.m * s.n);
  for (const bool accumulate : {false, true}) {
    const std::vector<float> result = run_gemm(kernels, s, a, b, c, accumulate);
    ASSERT_TRUE(same(result, run_gemm(scalar, s, a, b, c, accumulate)))
        << s.m << " x " << s.n << " x " << s.k << (accumulate ? " accumulated" : "");
    for (size_t i = 0; i < s.m * s.n; ++i) {
      double exact = accumulate ? c[i] : 0, magnitude = std::abs(exact);
      for (size_t k = 0; k < s.k; ++k) {
        const double product = static_cast<double>(a[i / s.n * s.k + k]) * b[k * s.n + i % s.n];
        exact += product;
        magnitude += std::abs(product);
      }
      ASSERT_NEAR(result[i], exact, 0x1p-24 * (2 + static_cast<double>(s.k)) * magnitude + 1e-30);
    }
  }
}

TEST_P(Gemm, EveryWidth) {
  Rng rng(1);
  for (size_t n = 1; n <= 67; ++n) {
    for (const size_t m : {1, 2, 3, 7}) check(table(), scalar(), {m, n, 9}, rng);
  }
}

TEST_P(Gemm, EveryHeight) {
  Rng rng(2);
  for (size_t m = 1; m <= 27; ++m) {
    for (const size_t n : {5, 16, 40, 65}) check(table(), scalar(), {m, n, 20}, rng);
  }
}

TEST_P(Gemm, EveryDepth) {
  Rng rng(3);
  for (const size_t k : {1, 2, 3, 127, 128, 129, 255, 256, 257, 520}) {
    for (const size_t m : {1, 2, 4, 13}) check(table(), scalar(), {m, 37, k}, rng);
  }
}

TEST_P(Gemm, NothingToDo) {
  Rng rng(4);
  check(table(), scalar(), {0, 5, 5}, rng);
  check(table(), scalar(), {5, 0, 5}, rng);
  check(table(), scalar(), {5, 21, 0}, rng);
  check(table(), scalar(), {1, 21, 0}, rng);
}

// One sequence's rows may be computed alone or with others, its keys in one go or several.
TEST_P(Gemm, CompanyDoesNotMatter) {
  Rng rng(5);
  const Shape s{19, 77, 70};
  const std::vector<float> a = random_floats(rng, s.m * s.k), b = random_floats(rng, s.k * s.n);
  const std::vector<float> all = run_gemm(table(), s, a, b, {}, false);
  for (size_t i = 0; i < s.m; ++i) {
    const std::vector<float> row(a.begin() + i * s.k, a.begin() + (i + 1) * s.k);
    const std::vector<float> expected(all.begin() + i * s.n, all.begin() + (i + 1) * s.n);
    ASSERT_TRUE(same(run_gemm(table(), {1, s.n, s.k}, row, b, {}, false), expected)) << "row " << i;
  }
}

}  // namespace
}  // namespace tern::test
