#include "measure/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tern::load {
namespace {

constexpr double kTicks = 1e7;  // a second
constexpr double kLongest = 86400;
constexpr int kBits = 7;  // of a bucket's index inside its octave

/// Below 2^(kBits + 1) each tick is a bucket; above, the highest kBits + 1 bits of the ticks tell which.
size_t bucket_of(uint64_t ticks) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(ticks)) - kBits - 1);
  return (static_cast<size_t>(shift) << kBits) + (ticks >> shift);
}

/// The middle of a bucket, in seconds.
double middle_of(size_t bucket) {
  const size_t octave = bucket >> kBits;
  const int shift = octave == 0 ? 0 : static_cast<int>(octave) - 1;
  const uint64_t low = (bucket - (static_cast<size_t>(shift) << kBits)) << shift;
  return (static_cast<double>(low) + 0.5 * static_cast<double>((uint64_t{1} << shift) - 1)) / kTicks;
}

uint64_t ticks_of(double seconds) {
  return static_cast<uint64_t>(std::llround(std::min(seconds, kLongest) * kTicks));
}

}  // namespace

Histogram::Histogram() : buckets_(bucket_of(ticks_of(kLongest)) + 1) {}

void Histogram::add(double seconds) {
  seconds = std::max(seconds, 0.0);
  ++buckets_[bucket_of(ticks_of(seconds))];
  min_ = count_ ? std::min(min_, seconds) : seconds;
  max_ = std::max(max_, seconds);
  sum_ += seconds;
  ++count_;
}

void Histogram::add(const Histogram& other) {
  if (other.count_ == 0) return;
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  min_ = count_ ? std::min(min_, other.min_) : other.min_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  count_ += other.count_;
}

double Histogram::quantile(double q) const {
  if (count_ == 0) return 0;
  const auto rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_)));
  uint64_t below = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    below += buckets_[i];
    if (below >= std::max<uint64_t>(rank, 1)) return std::clamp(middle_of(i), min_, max_);
  }
  return max_;
}

}  // namespace tern::load
