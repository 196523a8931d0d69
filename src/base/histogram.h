// Counts of values by bucket: what happened so far, and by difference what happened between two moments.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tern {

/// Where buckets end. A bucket holds the values above the bound before it, up to and with its own; one more
/// takes all above the last bound.
struct Buckets {
  static constexpr size_t kMost = 160;  ///< bounds

  std::vector<double> bounds;    ///< ascending
  std::vector<uint16_t> coarse;  ///< indices of the few that are shown where all would be too many, ascending

  /// The bucket of a value; NaN and what is below the first bound go to the first.
  size_t index(double value) const;
};

/// Seconds from 10 µs to 1,000 s in twenty steps a decade (the R20 series of ISO 3), so that a quantile is
/// known to some percent; coarse: 1, 2, 5.
const Buckets& seconds_buckets();
/// Counts from 1 to 1,000,000: 1, 2, 5.
const Buckets& count_buckets();
/// What was taken over what was expected: the same steps as seconds, coarse from 1/4 to 4.
const Buckets& ratio_buckets();

/// The state of a histogram. Whoever adds and reads knows the buckets.
struct HistogramCounts {
  std::array<uint64_t, Buckets::kMost + 1> counts{};
  double sum = 0;

  void add(const Buckets& buckets, double value) {
    ++counts[buckets.index(value)];
    sum += value;
  }
  uint64_t count() const;
  /// Below it lies the share q (0 to 1), interpolated inside its bucket; NaN where nothing was counted. What
  /// lies above all bounds counts as the last bound.
  double quantile(const Buckets& buckets, double q) const;
};
HistogramCounts operator-(const HistogramCounts& later, const HistogramCounts& earlier);

/// A histogram that any thread may add to and read, without locks: two additions a value. A reading is not
/// one moment's, but counts nothing twice.
class Histogram {
 public:
  /// `buckets` must outlive it.
  explicit Histogram(const Buckets& buckets) : buckets_(buckets) {}

  const Buckets& buckets() const { return buckets_; }
  void add(double value);
  HistogramCounts counts() const;

 private:
  const Buckets& buckets_;
  std::array<std::atomic<uint64_t>, Buckets::kMost + 1> counts_{};
  std::atomic<double> sum_ = 0;
};

}  // namespace tern
