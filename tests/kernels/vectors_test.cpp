#include <algorithm>
#include <functional>

#include "tests/kernels/tables.h"

namespace tern::test {
namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInf = std::numeric_limits<float>::infinity();

using Vectors = EveryTable;
TERN_EVERY_TABLE(Vectors);

using test::same;

// What one function makes of a vector, and a number beside it.
struct Outcome {
  std::vector<float> values;
  float number = 0;
};
testing::AssertionResult same(const Outcome& a, const Outcome& b) {
  if (!same(a.number, b.number))
    return testing::AssertionFailure() << "returned " << a.number << " and " << b.number;
  return same(a.values, b.values);
}

// Runs f(x, other, y) on guarded copies; y starts as a copy of x.
Outcome run(const std::vector<float>& x, const std::vector<float>& other, size_t misalign,
            const std::function<float(const float*, const float*, float*)>& f) {
  const size_t n = x.size();
  Grid in(1, n, n, misalign), second(1, n, n, misalign + 1), out(1, n, n, misalign + 2);
  in.fill(x);
  second.fill(other);
  out.fill(x);
  Outcome outcome;
  outcome.number = f(in.data(), second.data(), out.data());
  EXPECT_TRUE(in.check());
  EXPECT_TRUE(second.check());
  EXPECT_TRUE(out.check());
  outcome.values = out.values();
  return outcome;
}

Outcome rms_norm(const Kernels& k, const std::vector<float>& x, const std::vector<float>& w,
                 size_t misalign) {
  return run(x, w, misalign, [&](const float* in, const float* weight, float* y) {
    k.rms_norm(in, weight, 1e-5f, x.size(), y);
    return 0.0f;
  });
}
Outcome silu_mul(const Kernels& k, const std::vector<float>& x, const std::vector<float>& up,
                 size_t misalign) {
  return run(x, up, misalign, [&](const float* gate, const float* other, float* y) {
    k.silu_mul(gate, other, x.size(), y);
    return 0.0f;
  });
}
Outcome exp_shifted(const Kernels& k, const std::vector<float>& x, float shift, size_t misalign = 0) {
  return run(x, x, misalign,
             [&](const float*, const float*, float* y) { return k.exp_shifted(y, shift, x.size()); });
}
Outcome max(const Kernels& k, const std::vector<float>& x, size_t misalign = 0) {
  return run(x, x, misalign, [&](const float* in, const float*, float*) { return k.max(in, x.size()); });
}
Outcome axpy(const Kernels& k, float a, const std::vector<float>& x, const std::vector<float>& y,
             size_t misalign) {
  return run(y, x, misalign, [&](const float*, const float* other, float* out) {
    k.axpy(a, other, x.size(), out);
    return 0.0f;
  });
}
Outcome scale(const Kernels& k, float a, const std::vector<float>& x, size_t misalign) {
  return run(x, x, misalign, [&](const float*, const float*, float* y) {
    k.scale(a, x.size(), y);
    return 0.0f;
  });
}

TEST_P(Vectors, ScalarsBitsForEveryLength) {
  Rng rng(1);
  for (size_t n = 0; n <= 100; ++n) {
    const std::vector<float> a = random_floats(rng, n, 4), b = random_floats(rng, n, 2);
    for (const size_t misalign : {0, 1, 3}) {
      ASSERT_TRUE(same(rms_norm(table(), a, b, misalign), rms_norm(scalar(), a, b, 0))) << n;
      ASSERT_TRUE(same(silu_mul(table(), a, b, misalign), silu_mul(scalar(), a, b, 0))) << n;
      ASSERT_TRUE(same(exp_shifted(table(), a, 1.5f, misalign), exp_shifted(scalar(), a, 1.5f))) << n;
      ASSERT_TRUE(same(max(table(), a, misalign), max(scalar(), a))) << n;
      ASSERT_TRUE(same(axpy(table(), 0.7f, a, b, misalign), axpy(scalar(), 0.7f, a, b, 0))) << n;
      ASSERT_TRUE(same(scale(table(), 0.7f, a, misalign), scale(scalar(), 0.7f, a, 0))) << n;
    }
  }
}

// Values where something goes wrong easily, in every lane.
TEST_P(Vectors, ScalarsBitsForAwkwardValues) {
  const std::vector<float> awkward = {0.0f,  -0.0f, 1e-45f, -1e-45f, 1e-38f, 3e38f,  -3e38f,  kInf,
                                      -kInf, kNan,  88.7f,  88.8f,   -87.2f, -87.4f, -103.0f, -1e4f,
                                      1e4f,  0.5f,  -0.5f,  1e-7f,   127.5f, 20.0f,  -20.0f,  1e20f};
  for (size_t turn = 0; turn < 16; ++turn) {
    std::vector<float> a(turn, 1.0f);
    a.insert(a.end(), awkward.begin(), awkward.end());
    const std::vector<float> b(a.rbegin(), a.rend());
    ASSERT_TRUE(same(rms_norm(table(), a, b, 0), rms_norm(scalar(), a, b, 0)));
    ASSERT_TRUE(same(silu_mul(table(), a, b, 0), silu_mul(scalar(), a, b, 0)));
    ASSERT_TRUE(same(exp_shifted(table(), a, 0.0f), exp_shifted(scalar(), a, 0.0f)));
    ASSERT_TRUE(same(max(table(), a), max(scalar(), a)));
    ASSERT_TRUE(same(axpy(table(), 1e-3f, a, b, 0), axpy(scalar(), 1e-3f, a, b, 0)));
    ASSERT_TRUE(same(scale(table(), 1e-3f, a, 0), scale(scalar(), 1e-3f, a, 0)));
  }
}

TEST_P(Vectors, ExpIsAccurate) {
  std::vector<float> x;
  for (double v = -87.32; v <= 88.72; v += 1.7e-4) x.push_back(static_cast<float>(v));
  for (float v = 1e-30f; v < 1; v *= 1.01f) x.insert(x.end(), {v, -v});
  const std::vector<float> y = exp_shifted(table(), x, 0.0f).values;
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    const double error = std::abs(y[i] - exact) / exact;
    ASSERT_LE(error, 2e-7) << "exp(" << x[i] << ")";
    worst = std::max(worst, error);
  }
  EXPECT_GT(worst, 0) << "not computed at all";
}

TEST_P(Vectors, ExpAtItsEnds) {
  const std::vector<float> x = {-kInf,  -1e30f, -104.0f, -87.34f, 0.0f, -0.0f,
                                88.72f, 88.73f, 1e30f,   kInf,    kNan};
  const std::vector<float> y = exp_shifted(table(), x, 0.0f).values;
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(y[i], 0.0f) << x[i];
  EXPECT_EQ(y[4], 1.0f);
  EXPECT_EQ(y[5], 1.0f);
  EXPECT_TRUE(std::isfinite(y[6]));
  for (size_t i = 7; i < 10; ++i) EXPECT_EQ(y[i], kInf) << x[i];
  EXPECT_TRUE(std::isnan(y[10]));
  EXPECT_TRUE(std::isnan(exp_shifted(table(), x, 0.0f).number));
}

TEST_P(Vectors, SoftmaxOfMaskedScores) {
  Rng rng(2);
  for (const size_t n : {1, 15, 16, 17, 100}) {
    std::vector<float> scores = random_floats(rng, n, 10);
    for (size_t i = 1; i < n; i += 3) scores[i] = -kInf;
    const float most = max(table(), scores).number;
    EXPECT_EQ(most, *std::max_element(scores.begin(), scores.end()));
    const Outcome e = exp_shifted(table(), scores, most);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      if (i % 3 == 1) {
        EXPECT_EQ(e.values[i], 0.0f);
      }
      sum += e.values[i];
    }
    EXPECT_NEAR(e.number, sum, 1e-6 * sum);
    EXPECT_GE(e.number, 1.0f);
  }
}

TEST_P(Vectors, MaxLeavesNansOut) {
  EXPECT_EQ(max(table(), {}).number, -kInf);
  EXPECT_EQ(max(table(), {kNan, kNan}).number, -kInf);
  for (size_t at = 0; at < 40; ++at) {
    std::vector<float> x(40, kNan);
    x[at] = -5.0f;
    EXPECT_EQ(max(table(), x).number, -5.0f) << at;
  }
}

TEST_P(Vectors, RmsNormMatchesDouble) {
  Rng rng(3);
  for (const size_t n : {1, 7, 64, 1000, 7168}) {
    const std::vector<float> x = random_floats(rng, n, 3), w = random_floats(rng, n);
    double squares = 0;
    for (const float v : x) squares += static_cast<double>(v) * v;
    const double root = std::sqrt(squares / static_cast<double>(n) + 1e-5);
    const std::vector<float> y = rms_norm(table(), x, w, 0).values;
    for (size_t i = 0; i < n; ++i) {
      ASSERT_NEAR(y[i], x[i] / root * w[i], 1e-6 * std::abs(x[i] / root * w[i]) + 1e-12);
    }
  }
  for (const float bad : {kNan, kInf}) {
    std::vector<float> x(20, 1.0f);
    x[17] = bad;
    EXPECT_TRUE(std::isnan(rms_norm(table(), x, x, 0).values[17]));
  }
}

TEST_P(Vectors, SiluMatchesDouble) {
  Rng rng(4);
  const std::vector<float> gate = random_floats(rng, 5000, 20), up = random_floats(rng, 5000);
  const std::vector<float> y = silu_mul(table(), gate, up, 0).values;
  for (size_t i = 0; i < gate.size(); ++i) {
    const double exact = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
    ASSERT_NEAR(y[i], exact, 1e-6 * std::abs(exact) + 1e-37) << gate[i];
  }
}

TEST_P(Vectors, OutputMayBeTheInput) {
  Rng rng(5);
  const std::vector<float> a = random_floats(rng, 53, 3), b = random_floats(rng, 53);
  std::vector<float> y = a;
  table().rms_norm(y.data(), b.data(), 1e-5f, y.size(), y.data());
  EXPECT_TRUE(same(y, rms_norm(table(), a, b, 0).values));
  y = a;
  table().silu_mul(y.data(), b.data(), y.size(), y.data());
  EXPECT_TRUE(same(y, silu_mul(table(), a, b, 0).values));
  y = b;
  table().silu_mul(a.data(), y.data(), y.size(), y.data());
  EXPECT_TRUE(same(y, silu_mul(table(), a, b, 0).values));
}

// Quantising.

struct Quantised {
  std::vector<int8_t> q;
  std::vector<float> scales;
  std::vector<int32_t> sums;
};
Quantised quantise(const Kernels& k, const std::vector<float>& x) {
  const size_t n = x.size();
  Grid in(1, n, n, 1), scales(1, n / 32, n / 32, 3);
  in.fill(x);
  Quantised result{std::vector<int8_t>(n + 2, 77), {}, std::vector<int32_t>(n / 16)};
  k.quantize_q8(in.data(), n, result.q.data() + 1, scales.data(), result.sums.data());
  EXPECT_TRUE(scales.check());
  EXPECT_EQ(result.q.front(), 77);
  EXPECT_EQ(result.q.back(), 77);
  result.q = {result.q.begin() + 1, result.q.end() - 1};
  result.scales = scales.values();
  return result;
}

TEST_P(Vectors, QuantisesAsScalarDoesAndAsPromised) {
  Rng rng(6);
  for (const float size : {1e-45f, 1e-39f, 1e-37f, 1e-36f, 2e-36f, 1e-20f, 1.0f, 1e20f, 1e38f}) {
    const std::vector<float> x = random_floats(rng, 32 * 40, size);
    const Quantised result = quantise(table(), x), expected = quantise(scalar(), x);
    ASSERT_EQ(result.q, expected.q) << size;
    ASSERT_EQ(result.sums, expected.sums) << size;
    ASSERT_TRUE(same(result.scales, expected.scales)) << size;
    for (size_t b = 0; b < 40; ++b) {
      float most = 0;
      int32_t sums[2] = {};
      for (size_t i = b * 32; i < b * 32 + 32; ++i) most = std::max(most, std::abs(x[i]));
      for (size_t i = b * 32; i < b * 32 + 32; ++i) {
        ASSERT_GE(result.q[i], -127);
        ASSERT_NEAR(result.q[i] * result.scales[b], x[i], std::max(0.501f * most / 127.0f, 1.5e-36f));
        sums[i / 16 % 2] += result.q[i];
      }
      for (size_t half = 0; half < 2; ++half) ASSERT_EQ(result.sums[2 * b + half], sums[half]);
      ASSERT_EQ(result.scales[b], most / 127.0f < 0x1p-126f ? 0.0f : most / 127.0f);
    }
  }
}

TEST_P(Vectors, QuantisesTiesToEven) {
  std::vector<float> x(32, 127.0f);  // the scale is 1
  const float ties[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 125.5f, -126.5f};
  const int expected[] = {0, 2, 2, 0, -2, -2, 126, -126};
  std::copy(std::begin(ties), std::end(ties), x.begin() + 9);
  const Quantised result = quantise(table(), x);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(result.q[9 + i], expected[i]) << ties[i];
}

TEST_P(Vectors, QuantisedNotFiniteIsNan) {
  for (const float bad : {kNan, -kNan, kInf, -kInf}) {
    for (const size_t at : {0, 7, 16, 31}) {
      std::vector<float> x(96, 1.0f);
      x[32 + at] = bad;
      const Quantised result = quantise(table(), x);
      EXPECT_TRUE(std::isnan(result.scales[1]));
      EXPECT_EQ(result.scales[0], 1.0f / 127.0f);
      EXPECT_EQ(result.scales[2], 1.0f / 127.0f);
      EXPECT_EQ(result.sums[2], 0);
      EXPECT_EQ(result.sums[3], 0);
      for (size_t i = 32; i < 64; ++i) EXPECT_EQ(result.q[i], 0);
    }
  }
}

}  // namespace
}  // namespace tern::test
