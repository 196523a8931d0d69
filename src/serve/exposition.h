// Prometheus' text format, version 0.0.4.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/histogram.h"

namespace tern {

inline constexpr const char* kExpositionType = "text/plain; version=0.0.4; charset=utf-8";

/// Writes families of metrics, each under one or several names with the same samples. All samples carry the
/// labels given at the start; label values may hold anything.
class Exposition {
 public:
  using Names = std::initializer_list<std::string_view>;
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  explicit Exposition(Labels common);

  /// A family of one sample. Counters' names end in _total.
  void counter(Names names, std::string_view help, double value);
  void gauge(Names names, std::string_view help, double value);
  /// A family of several: its head, then each sample.
  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(std::string_view name, Labels labels, double value);
  /// A histogram over the coarse bounds of its buckets.
  void histogram(Names names, std::string_view help, const Buckets& buckets, const HistogramCounts& counts);
  void histogram_samples(std::string_view name, Labels labels, const Buckets& buckets,
                         const HistogramCounts& counts);

  std::string take() { return std::move(text_); }

 private:
  void one(Names names, std::string_view type, std::string_view help, double value);
  std::string rendered(Labels labels) const;  ///< the common ones and these
  void line(std::string_view name, std::string_view suffix, std::string_view labels, double value);

  std::string common_;  ///< rendered
  std::string text_;
};

}  // namespace tern
