// How far work is: who is told, and a bar on standard error.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"

namespace tern {

/// Is told how many of the bytes to be worked through are done.
using ByteProgress = std::function<void(uint64_t done, uint64_t wanted)>;

/// On a terminal one line that redraws itself, at most ten times a second; elsewhere a plain line every half
/// minute.
class Progress {
 public:
  explicit Progress(std::string label);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  /// `share` done, 0 to 1; `text` stands behind the bar, the time left is added. Work that goes on from
  /// before calls it once before it begins: the time left is reckoned from the first call.
  void update(double share, const std::string& text);
  /// Draws the last state and ends the line.
  void finish();

 private:
  void draw();

  std::string label_, text_;
  double share_ = 0;
  double first_share_ = -1;  // of the first update; before it -1
  bool terminal_;
  bool open_ = true;
  TimePoint start_ = Clock::now();  // of the first update, once there was one
  TimePoint drawn_;
};

/// Seconds left where the share done rose from `first` to `share` in `elapsed` seconds; nothing where that is
/// too little to tell, or all is done.
std::optional<double> seconds_left(double elapsed, double first, double share);

/// "42 s", "3:05", "1:02:03".
std::string duration_text(double seconds);

}  // namespace tern
