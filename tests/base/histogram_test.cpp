#include "base/histogram.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "base/clock.h"
#include "base/rng.h"

namespace tern {
namespace {

TEST(Buckets, AscendAndHaveRoundBounds) {
  for (const Buckets* buckets : {&seconds_buckets(), &count_buckets(), &ratio_buckets()}) {
    ASSERT_LE(buckets->bounds.size(), Buckets::kMost);
    for (size_t i = 1; i < buckets->bounds.size(); ++i) EXPECT_LT(buckets->bounds[i - 1], buckets->bounds[i]);
    ASSERT_FALSE(buckets->coarse.empty());
  }
  const Buckets& seconds = seconds_buckets();
  std::vector<double> coarse;
  for (const uint16_t i : seconds.coarse) coarse.push_back(seconds.bounds[i]);
  EXPECT_EQ(coarse,
            (std::vector<double>{1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2,
                                 0.1,  0.2,  0.5,  1,    2,    5,    10,   20,   50,   100,  200,  500}));
  EXPECT_EQ(count_buckets().bounds.back(), 1e6);
}

TEST(Buckets, ABoundBelongsToTheBucketThatItEnds) {
  const Buckets& counts = count_buckets();
  EXPECT_EQ(counts.index(-3), 0u);
  EXPECT_EQ(counts.index(std::numeric_limits<double>::quiet_NaN()), 0u);
  EXPECT_EQ(counts.index(0), 0u);
  EXPECT_EQ(counts.index(1), 0u);
  EXPECT_EQ(counts.index(1.5), 1u);
  EXPECT_EQ(counts.index(2), 1u);
  EXPECT_EQ(counts.index(3), 2u);
  EXPECT_EQ(counts.index(1e6), counts.bounds.size() - 1);
  EXPECT_EQ(counts.index(1e7), counts.bounds.size());
  EXPECT_EQ(counts.index(std::numeric_limits<double>::infinity()), counts.bounds.size());
}

TEST(HistogramCounts, QuantilesAreCloseToThoseOfTheValues) {
  Rng rng(7);
  std::vector<double> values(5000);
  HistogramCounts counts;
  for (double& value : values) {
    value = std::exp(8 * rng.uniform() - 8);  // 0.3 ms to 1 s
    counts.add(seconds_buckets(), value);
  }
  std::sort(values.begin(), values.end());
  for (const double q : {0.01, 0.5, 0.9, 0.99}) {
    const double exact = values[static_cast<size_t>(q * 4999)];
    EXPECT_NEAR(counts.quantile(seconds_buckets(), q) / exact, 1, 0.07) << q;
  }
  EXPECT_EQ(counts.count(), 5000u);
}

TEST(HistogramCounts, QuantilesAtTheEnds) {
  HistogramCounts counts;
  EXPECT_TRUE(std::isnan(counts.quantile(count_buckets(), 0.5)));
  counts.add(count_buckets(), 1e9);
  EXPECT_EQ(counts.quantile(count_buckets(), 0.5), 1e6);
  HistogramCounts small;
  for (int i = 0; i < 10; ++i) small.add(count_buckets(), 1);
  EXPECT_LE(small.quantile(count_buckets(), 0.99), 1);
}

TEST(HistogramCounts, ADifferenceIsWhatLiesBetween) {
  HistogramCounts counts;
  counts.add(count_buckets(), 5);
  const HistogramCounts before = counts;
  counts.add(count_buckets(), 100);
  const HistogramCounts between = counts - before;
  EXPECT_EQ(between.count(), 1u);
  EXPECT_EQ(between.sum, 100);
  EXPECT_GT(between.quantile(count_buckets(), 0.5), 50);
}

TEST(Histogram, ManyThreadsLoseNothing) {
  Histogram histogram(count_buckets());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) histogram.add(i % 64);
    });
  }
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t now = histogram.counts().count();
    EXPECT_GE(now, last);
    last = now;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.counts().count(), 80000u);
  EXPECT_EQ(histogram.counts().sum, 4 * (20000 / 64 * (63.0 * 64 / 2) + 31.0 * 32 / 2));
}

TEST(Histogram, AddingIsCheap) {
#ifdef TERN_SANITIZED
  GTEST_SKIP() << "timing says nothing under sanitizers";
#endif
  Histogram histogram(seconds_buckets());
  double best = 1;
  for (int round = 0; round < 20; ++round) {
    const TimePoint began = Clock::now();
    for (int i = 0; i < 2000; ++i) histogram.add(1e-4 * (i & 255));
    best = std::min(best, seconds_since(began) / 2000);
  }
  RecordProperty("nanoseconds", static_cast<int>(best * 1e9));
  EXPECT_LT(best, 1e-7) << best * 1e9 << " ns";
}

}  // namespace
}  // namespace tern
