#include "base/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace tern {
namespace {

// R20, in hundredths.
constexpr std::array<int, 20> kSteps = {100, 112, 125, 140, 160, 180, 200, 224, 250, 280,
                                        315, 355, 400, 450, 500, 560, 630, 710, 800, 900};

/// Twenty steps a decade over `decades` from 10^-5 on. Dividing whole numbers gives the double next to each
/// decimal, so that it prints as such.
std::vector<double> r20(int decades) {
  std::vector<double> bounds;
  double scale = 1e7;
  for (int decade = 0; decade < decades; ++decade, scale /= 10) {
    for (const int step : kSteps) bounds.push_back(step / scale);
  }
  return bounds;
}

bool is_125(size_t index) {
  const int step = kSteps[index % kSteps.size()];
  return step == 100 || step == 200 || step == 500;
}

template <typename Predicate>
Buckets make_buckets(std::vector<double> bounds, Predicate is_coarse) {
  Buckets buckets{std::move(bounds), {}};
  for (size_t i = 0; i < buckets.bounds.size(); ++i) {
    if (is_coarse(i)) buckets.coarse.push_back(static_cast<uint16_t>(i));
  }
  return buckets;
}

}  // namespace

size_t Buckets::index(double value) const {
  // Not upper_bound: a bound belongs to the bucket that it ends.
  const auto at = std::lower_bound(bounds.begin(), bounds.end(), value);
  return static_cast<size_t>(at - bounds.begin());
}

const Buckets& seconds_buckets() {
  static const Buckets buckets = make_buckets(r20(8), is_125);
  return buckets;
}

const Buckets& ratio_buckets() {
  static const Buckets buckets = [] {
    const std::vector<double> bounds = r20(8);
    return make_buckets(bounds, [&](size_t i) { return bounds[i] >= 0.25 && bounds[i] <= 4; });
  }();
  return buckets;
}

const Buckets& count_buckets() {
  static const Buckets buckets = [] {
    std::vector<double> bounds;
    for (double decade = 1; decade < 1e6; decade *= 10) {
      for (const int step : {1, 2, 5}) bounds.push_back(step * decade);
    }
    bounds.push_back(1e6);
    return make_buckets(std::move(bounds), [](size_t) { return true; });
  }();
  return buckets;
}

uint64_t HistogramCounts::count() const {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

double HistogramCounts::quantile(const Buckets& buckets, double q) const {
  const uint64_t all = count();
  if (all == 0) return std::numeric_limits<double>::quiet_NaN();
  const double wanted = q * static_cast<double>(all);
  double below = 0;
  for (size_t i = 0; i < buckets.bounds.size(); ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (here > 0 && below + here >= wanted) {
      const double from = i == 0 ? 0 : buckets.bounds[i - 1];
      return from + (buckets.bounds[i] - from) * std::max(0.0, wanted - below) / here;
    }
    below += here;
  }
  return buckets.bounds.back();
}

HistogramCounts operator-(const HistogramCounts& later, const HistogramCounts& earlier) {
  HistogramCounts between = later;
  for (size_t i = 0; i < between.counts.size(); ++i) between.counts[i] -= earlier.counts[i];
  between.sum -= earlier.sum;
  return between;
}

void Histogram::add(double value) {
  counts_[buckets_.index(value)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

HistogramCounts Histogram::counts() const {
  HistogramCounts read;
  for (size_t i = 0; i < counts_.size(); ++i) read.counts[i] = counts_[i].load(std::memory_order_relaxed);
  read.sum = sum_.load(std::memory_order_relaxed);
  return read;
}

}  // namespace tern
