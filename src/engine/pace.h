// How long a step takes: predicted from what is in it, corrected by what it took.
#pragma once

#include <array>

namespace tern {

/// What one forward pass, or a part of one, asks of the machine.
struct StepWork {
  double passes = 0;   ///< of the weights that every token needs: 1, or the share of the layers that run
  double streams = 0;  ///< tokens decoded
  double prompt = 0;   ///< prompt tokens
  double experts = 0;  ///< distinct experts that a layer is expected to read, see distinct_experts()
  double stream_keys = 0,
         prompt_keys = 0;  ///< cached tokens attended to, summed over the tokens of each kind
};

/// The experts that a layer of `experts`, `used` of them a token, is expected to read for `tokens`, if they
/// choose independently and evenly: E (1 - (1 - k/E)^n). 0 for dense models.
double distinct_experts(int experts, int used, double tokens);

/// Where a stream of ratios lies of late: a histogram in steps of 5% that forgets.
class RecentQuantiles {
 public:
  void add(double ratio);
  /// Below it lies the share q (0 to 1) of what was added of late; `otherwise` while nothing was.
  double quantile(double q, double otherwise) const;
  double weight() const { return total_; }  ///< values that count, older ones in part

 private:
  static constexpr int kBuckets = 120;      // 1/16 to 16 and beyond at both ends
  static constexpr double kForget = 0.998;  // per value: half of the weight lies in the last 350
  std::array<double, kBuckets> weight_{};
  double total_ = 0;
};

/// What steps are expected to take, and how far off that may be. Plain numbers, cheap to copy.
class Forecast {
 public:
  static constexpr int kCosts = 6;
  using Costs = std::array<double, kCosts>;  ///< seconds a unit, in the order of StepWork
  static constexpr int kHorizons = 7;

  /// The most likely time, in seconds.
  double predict(const StepWork& work) const;
  /// Work predicted to take so long in all takes less than p99(seconds) 99 times of 100. Hiccups are rare and
  /// short, so what is long is known better than what is short: a hundred steps don't all take their worst.
  double p99(double seconds) const;

 private:
  friend class Pace;
  Costs costs_{};
  std::array<double, kHorizons>
      factors_{};  ///< 99 of 100 stretches of work took less than predicted times this
};

/// Step time as a sum of what each kind of work costs, the costs followed by a Kalman filter: each drifts by
/// some percent a step it takes part in, and a step's time says as much about each as the others leave open.
/// So decoding alone, step after step, teaches nothing about prompts. A cost that few steps tell apart from
/// another may be negative for a while; it counts as nothing then.
///
/// How far off predictions are is kept for stretches of several lengths, from single steps to seconds: each
/// is a row of steps that were predicted to take so long together. Belongs to one thread.
class Pace {
 public:
  static constexpr int kCosts = Forecast::kCosts;
  using Costs = Forecast::Costs;

  Pace();                             ///< knows nothing: the first steps teach most
  explicit Pace(const Costs& costs);  ///< of an earlier run on the same machine

  const Forecast& forecast() const { return forecast_; }
  double predict(const StepWork& work) const { return forecast_.predict(work); }
  /// Forgets how far off predictions were, not what steps cost.
  void forget_ratios();
  /// What a step took. Times that can't be (not above 0, not finite) are ignored.
  void observe(const StepWork& work, double seconds);

  const Costs& costs() const { return forecast_.costs_; }

 private:
  /// Stretches of one length.
  struct Stretches {
    double predicted = 0, actual = 0;  ///< of the one under way
    RecentQuantiles ratios;            ///< taken over predicted
    double p99 = 0;                    ///< of them
  };
  void measure(double predicted, double actual);
  void correct(const Costs& amounts, double seconds);

  Forecast forecast_;
  std::array<Costs, kCosts> covariance_{};  ///< of the costs' errors
  std::array<Stretches, Forecast::kHorizons> stretches_;
};

}  // namespace tern
