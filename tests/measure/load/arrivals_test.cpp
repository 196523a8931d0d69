#include "measure/load/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace tern::load {
namespace {

struct Moments {
  double mean = 0, cv = 0, above_mean = 0;
};

Moments moments(double rate, double burstiness) {
  constexpr int kGaps = 400'000;
  Arrivals arrivals(rate, burstiness, 7);
  double sum = 0, squares = 0;
  int above = 0;
  for (int i = 0; i < kGaps; ++i) {
    const double gap = arrivals.next_gap();
    EXPECT_GE(gap, 0);
    sum += gap;
    squares += gap * gap;
    above += gap > 1 / rate;
  }
  const double mean = sum / kGaps;
  return {mean, std::sqrt(squares / kGaps - mean * mean) / mean, static_cast<double>(above) / kGaps};
}

TEST(Arrivals, HaveTheRateAndTheVariationThatWereAskedFor) {
  for (const double rate : {0.5, 40.0}) {
    for (const double burstiness : {0.25, 0.5, 1.0, 4.0, 100.0}) {
      const Moments found = moments(rate, burstiness);
      EXPECT_NEAR(found.mean * rate, 1, 0.02) << burstiness;
      EXPECT_NEAR(found.cv * std::sqrt(burstiness), 1, 0.02) << burstiness;
    }
  }
}

TEST(Arrivals, AreExponentialAtBurstinessOne) {
  EXPECT_NEAR(moments(10, 1).above_mean, std::exp(-1), 0.005);
}

TEST(Arrivals, AtBurstinessTwoHaveErlangsTail) {  // P(gap > mean) = 3 e^-2
  EXPECT_NEAR(moments(10, 2).above_mean, 3 * std::exp(-2), 0.005);
}

TEST(Arrivals, AtAHalfHaveChiSquaredsTail) {  // P(chi² with one degree > 1) = 0.31731
  EXPECT_NEAR(moments(10, 0.5).above_mean, 0.31731, 0.005);
}

TEST(Arrivals, DependOnTheSeedAlone) {
  Arrivals a(5, 0.5, 3), b(5, 0.5, 3), other(5, 0.5, 4);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const double gap = a.next_gap();
    EXPECT_EQ(gap, b.next_gap());
    differs |= gap != other.next_gap();
  }
  EXPECT_TRUE(differs);
}

TEST(Arrivals, RefuseWhatHasNoMeaning) {
  for (const double rate : {0.0, -1.0, 1e7, std::nan("")}) EXPECT_THROW(Arrivals(rate, 1, 0), Error);
  for (const double burstiness : {0.0, -1.0, 1e7, std::nan("")})
    EXPECT_THROW(Arrivals(1, burstiness, 0), Error);
}

}  // namespace
}  // namespace tern::load
