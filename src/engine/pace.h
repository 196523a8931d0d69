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

/// Step time as a sum of what each kind of work costs, the costs followed by a Kalman filter: each drifts by
/// some percent a step it takes part in, and a step's time says as much about each as the others leave open.
/// So decoding alone, step after step, teaches nothing about prompts. A cost that few steps tell apart from
/// another may be negative for a while; it counts as nothing then. Belongs to one thread.
class Pace {
 public:
  static constexpr int kCosts = 6;
  using Costs = std::array<double, kCosts>;  ///< seconds a unit, in the order of StepWork

  Pace();                             ///< knows nothing: the first steps teach most
  explicit Pace(const Costs& costs);  ///< of an earlier run on the same machine

  /// The most likely time, in seconds.
  double predict(const StepWork& work) const;
  /// 99 of 100 steps take less than predict() times this: of late, at least 1.
  double p99_factor() const;
  double p99(const StepWork& work) const { return predict(work) * p99_factor(); }
  /// Forgets how far off predictions were, not what steps cost.
  void forget_ratios() { ratios_ = {}; }
  /// What a step took. Times that can't be (not above 0, not finite) are ignored.
  void observe(const StepWork& work, double seconds);

  const Costs& costs() const { return costs_; }

 private:
  void correct(const Costs& amounts, double seconds);

  Costs costs_;
  std::array<Costs, kCosts> covariance_{};  ///< of the costs' errors
  RecentQuantiles ratios_;                  ///< taken over predicted
};

}  // namespace tern
