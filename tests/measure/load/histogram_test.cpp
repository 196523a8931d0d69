#include "measure/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace tern::load {
namespace {

double exact(const std::vector<double>& sorted, double q) {
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

TEST(Histogram, QuantilesAreWithinItsBuckets) {
  Rng rng(1);
  std::vector<double> times;
  Histogram histogram;
  double sum = 0;
  for (int i = 0; i < 50'000; ++i) {
    times.push_back(std::pow(10, rng.uniform() * 9 - 6));  // a microsecond to a quarter of an hour
    histogram.add(times.back());
    sum += times.back();
  }
  std::sort(times.begin(), times.end());
  for (const double q : {0.0, 0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.9999, 1.0}) {
    const double right = exact(times, q);
    EXPECT_NEAR(histogram.quantile(q), right, right * 0.004 + 0.5e-7) << q;
  }
  EXPECT_EQ(histogram.count(), times.size());
  EXPECT_DOUBLE_EQ(histogram.max(), times.back());
  EXPECT_DOUBLE_EQ(histogram.min(), times.front());
  EXPECT_NEAR(histogram.mean(), sum / 50'000, 1e-9);
}

TEST(Histogram, OneTimeIsItsOwnQuantile) {
  for (const double time : {0.0, 1e-7, 3e-5, 0.123456, 7.0, 86400.0}) {
    Histogram one;
    one.add(time);
    EXPECT_DOUBLE_EQ(one.quantile(0.5), time);
    EXPECT_DOUBLE_EQ(one.quantile(0.99), time);
  }
}

TEST(Histogram, NearestRank) {
  Histogram histogram;
  for (int i = 1; i <= 100; ++i) histogram.add(i * 2e-7);  // below 25.6 µs the buckets are exact
  EXPECT_NEAR(histogram.quantile(0.5), 100e-7, 1e-12);
  EXPECT_NEAR(histogram.quantile(0.99), 198e-7, 1e-12);
  EXPECT_NEAR(histogram.quantile(0.991), 200e-7, 1e-12);
}

TEST(Histogram, TakesWhatNoTimeShouldBe) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0);
  histogram.add(-1);
  histogram.add(1e12);
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.quantile(0.1), 0);
  EXPECT_NEAR(histogram.quantile(1), 86400, 400);
}

TEST(Histogram, SumsAreWhatOneWouldHaveCounted) {
  Histogram a, b, both;
  for (int i = 0; i < 1000; ++i) {
    const double time = 1e-4 * (i % 97 + 1);
    (i % 3 ? a : b).add(time);
    both.add(time);
  }
  a.add(b);
  a.add(Histogram());
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.max(), both.max());
  EXPECT_EQ(a.min(), both.min());
  for (const double q : {0.1, 0.5, 0.99}) EXPECT_EQ(a.quantile(q), both.quantile(q));
}

}  // namespace
}  // namespace tern::load
