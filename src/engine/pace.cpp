#include "engine/pace.h"

#include <algorithm>
#include <cmath>

namespace tern {
namespace {

constexpr double kNoise = 0.1;    // of a step's time: what no cost explains
constexpr double kDrift = 0.02;   // of a cost, in a step that it takes part in
constexpr double kOutlier = 3;    // standard deviations: no step teaches more, it may be a hiccup
constexpr double kUnknown = 0.3;  // of a cost from an earlier run
constexpr double kBucket = 0.05;  // a bucket's width, in ratio
constexpr double kLowest = 1.0 / 16;
constexpr double kEnough = 40;       // stretches of a length, to be believed
constexpr double kUnmeasured = 1.5;  // the factor while nothing was measured
/// Seconds that a stretch was predicted to take at least; the first kind are single steps.
constexpr std::array<double, Forecast::kHorizons> kLengths = {0, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096};

Pace::Costs units(const StepWork& work) {
  return {work.passes, work.streams, work.prompt, work.experts, work.stream_keys, work.prompt_keys};
}

}  // namespace

double distinct_experts(int experts, int used, double tokens) {
  if (experts <= 0) return 0;
  return experts * (1 - std::pow(1 - static_cast<double>(used) / experts, tokens));
}

void RecentQuantiles::add(double ratio) {
  const double place = std::log(std::max(ratio, kLowest) / kLowest) / std::log1p(kBucket);
  for (double& weight : weight_) weight *= kForget;
  total_ = total_ * kForget + 1;
  weight_[static_cast<size_t>(std::min<double>(place, kBuckets - 1))] += 1;
}

double RecentQuantiles::quantile(double q, double otherwise) const {
  if (total_ == 0) return otherwise;
  double below = 0;
  for (int i = 0; i < kBuckets; ++i) {
    below += weight_[i];
    if (below >= q * total_) return kLowest * std::pow(1 + kBucket, i + 1);  // its upper end
  }
  return kLowest * std::pow(1 + kBucket, kBuckets);
}

double Forecast::predict(const StepWork& work) const {
  const Costs amounts = units(work);
  double sum = 0;
  for (int i = 0; i < kCosts; ++i) sum += std::max(costs_[i], 0.0) * amounts[i];
  return sum;
}

double Forecast::p99(double seconds) const {
  double factor = factors_[0];
  for (int i = 1; i < kHorizons && kLengths[i] <= seconds; ++i) factor = factors_[i];
  return seconds * factor;
}

Pace::Pace() {
  // Wide enough for any machine: a second a pass, a token or an expert, a millisecond a cached token.
  for (int i = 0; i < kCosts; ++i) covariance_[i][i] = i < 4 ? 1 : 1e-6;
  forget_ratios();
}

Pace::Pace(const Costs& costs) {
  forecast_.costs_ = costs;
  for (int i = 0; i < kCosts; ++i) covariance_[i][i] = kUnknown * costs[i] * kUnknown * costs[i];
  forget_ratios();
}

void Pace::forget_ratios() {
  stretches_ = {};
  forecast_.factors_.fill(kUnmeasured);
}

void Pace::observe(const StepWork& work, double seconds) {
  if (!(seconds > 0) || !std::isfinite(seconds)) return;
  if (const double predicted = predict(work); predicted > 0) measure(predicted, seconds);
  correct(units(work), seconds);
}

/// Adds a step to the stretch under way of each length. Where a length has few, the next shorter one stands
/// for it, which is never the better known.
void Pace::measure(double predicted, double actual) {
  for (int i = 0; i < Forecast::kHorizons; ++i) {
    Stretches& stretches = stretches_[i];
    stretches.predicted += predicted;
    stretches.actual += actual;
    if (stretches.predicted >= kLengths[i]) {
      stretches.ratios.add(stretches.actual / stretches.predicted);
      stretches.p99 = std::max(1.0, stretches.ratios.quantile(0.99, 1));
      stretches.predicted = stretches.actual = 0;
    }
    const bool enough = stretches.ratios.weight() >= (i > 0 ? kEnough : 1);
    const double shorter = i > 0 ? forecast_.factors_[i - 1] : kUnmeasured;
    forecast_.factors_[i] = enough ? stretches.p99 : shorter;
  }
}

/// One step of the filter, all relative to the step's own time: the measured value is 1, its noise kNoise.
void Pace::correct(const Costs& amounts, double seconds) {
  Costs& costs = forecast_.costs_;
  Costs per_second, spread{};  // the measurement's row, and the covariance times it
  double expected = 0, variance = kNoise * kNoise;
  for (int i = 0; i < kCosts; ++i) {
    per_second[i] = amounts[i] / seconds;
    expected += per_second[i] * costs[i];
  }
  for (int i = 0; i < kCosts; ++i) {
    for (int j = 0; j < kCosts; ++j) spread[i] += covariance_[i][j] * per_second[j];
    variance += per_second[i] * spread[i];
  }
  const double most = kOutlier * std::sqrt(variance);
  const double error = std::clamp(1 - expected, -most, most);
  for (int i = 0; i < kCosts; ++i) {
    costs[i] += spread[i] / variance * error;
    for (int j = 0; j < kCosts; ++j) covariance_[i][j] -= spread[i] * spread[j] / variance;
    if (amounts[i] > 0) covariance_[i][i] += kDrift * costs[i] * kDrift * costs[i];
  }
}

}  // namespace tern
