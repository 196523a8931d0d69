#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace tern {

Progress::Progress(std::string label) : label_(std::move(label)), terminal_(::isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  finish();
}

void Progress::update(double share, const std::string& text) {
  share_ = std::clamp(share, 0.0, 1.0);
  text_ = text;
  const double pause = terminal_ ? 0.1 : 30.0;
  const TimePoint now = Clock::now();
  if (first_share_ < 0) {
    first_share_ = share_;
    start_ = now;
  }
  if (drawn_ != TimePoint{} ? seconds_between(drawn_, now) < pause
                            : !terminal_ && seconds_between(start_, now) < pause)
    return;
  drawn_ = now;
  draw();
}

void Progress::draw() {
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(share_ * kWidth);
  const std::optional<double> seconds = seconds_left(seconds_since(start_), first_share_, share_);
  const std::string left = seconds ? fmt::format(", {} left", duration_text(*seconds)) : std::string();
  fmt::print(stderr, "{}{} [{:.<{}}] {:3.0f}%  {}{}{}", terminal_ ? "\r\x1b[K" : "", label_,
             std::string(filled, '#'), kWidth, share_ * 100, text_, left, terminal_ ? "" : "\n");
  std::fflush(stderr);
}

void Progress::finish() {
  if (!open_) return;
  open_ = false;
  if (drawn_ == TimePoint{}) return;
  draw();
  if (terminal_) std::fputc('\n', stderr);
}

std::optional<double> seconds_left(double elapsed, double first, double share) {
  if (share - first < 0.01 || share >= 1) return std::nullopt;
  return elapsed * (1 - share) / (share - first);
}

std::string duration_text(double seconds) {
  const int64_t s = static_cast<int64_t>(std::max(0.0, seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace tern
