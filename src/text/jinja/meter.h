// What a template may cost: templates come out of files that nobody checked, and may run forever.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/error.h"

namespace tern::jinja {

/// Bounds of one rendering; what goes beyond ends with Error{limit}.
struct Limits {
  uint64_t steps = 10'000'000;    ///< expressions, statements, items and characters looked at
  uint64_t bytes = 512ull << 20;  ///< of all strings and lists made on the way, kept or not
  size_t output = 64ull << 20;    ///< bytes of one string, the prompt among them
  int depth = 600;                ///< expressions, statements and macro calls inside each other
};

/// Values nest no deeper than this (lists in lists), nor does a request.
inline constexpr int kMaxValueDepth = 100;
/// Items of one range(), as in jinja2's sandbox.
inline constexpr int64_t kMaxRange = 100'000;

/// Counts one rendering's cost against its limits.
class Meter {
 public:
  explicit Meter(const Limits& limits) : limits_(limits) {}

  void steps(uint64_t n = 1) {
    if (n > limits_.steps - steps_) fail(ErrorKind::limit, "more than {} steps", limits_.steps);
    steps_ += n;
  }
  /// Memory for a string or list.
  void bytes(uint64_t n) {
    if (n > limits_.bytes - bytes_) fail(ErrorKind::limit, "more than {} bytes of memory", limits_.bytes);
    bytes_ += n;
  }
  /// One string grows to `size`.
  void length(size_t size) const {
    if (size > limits_.output) fail(ErrorKind::limit, "a string of more than {} bytes", limits_.output);
  }

  /// One level deeper while it lives.
  class Level {
   public:
    explicit Level(Meter& meter) : meter_(meter) {
      if (meter.depth_ >= meter.limits_.depth)
        fail(ErrorKind::limit, "nested deeper than {} levels", meter.limits_.depth);
      ++meter.depth_;
    }
    ~Level() { --meter_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Meter& meter_;
  };

 private:
  Limits limits_;
  uint64_t steps_ = 0, bytes_ = 0;
  int depth_ = 0;
};

}  // namespace tern::jinja
