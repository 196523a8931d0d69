// From logits to the next token.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace tern {

/// How the next token is drawn, in vLLM's order: temperature, then min-p, top-k and top-p, each on what the
/// one before left, renormalised. Equally good tokens rank by id, the lower first, so every cut keeps an
/// exact set.
struct SamplingParams {
  float temperature = 0.0f;  ///< 0: the most probable token, the rest is then without effect
  int top_k = 0;             ///< keep the k best; 0: all
  float top_p = 1.0f;  ///< keep the fewest best tokens that reach this probability together, at least one
  float min_p = 0.0f;  ///< drop tokens below min_p times the best one's probability
  uint64_t seed = 0;
};

/// Limits what a sequence may say next: a closing, a grammar, a budget.
class Constraint {
 public:
  virtual ~Constraint() = default;
  /// A token that must come next, if there is one.
  virtual std::optional<int32_t> forced() const { return std::nullopt; }
  /// Sets logits of forbidden tokens to -infinity. logits: {vocab}.
  virtual void mask(std::span<float> logits) const { (void)logits; }
  /// Told of every token that was chosen.
  virtual void accept(int32_t token) = 0;
};

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  ///< natural log, of the model's distribution before constraint, temperature and cuts
};

struct Sampled {
  int32_t token = 0;
  float logprob = 0;              ///< as TokenLogprob's; 0 where no logprobs were asked for
  std::vector<TokenLogprob> top;  ///< best first, as many as asked
};

/// One sequence's sampler. Its numbers depend only on the seed and on how many tokens it has chosen, so a
/// seed gives the same text whatever else is in the batch.
class Sampler {
 public:
  /// top_logprobs: -1 for no logprobs, 0 for the chosen token's, n for the n best as well.
  /// Throws Error{bad_input} naming the parameter out of range.
  Sampler(const SamplingParams& params, int top_logprobs);
  /// logits {vocab} are changed. `constraint` may be null; it is told of the choice.
  /// Throws Error{bad_input} where a logit is NaN or +infinity, a forced id is out of range, or nothing may
  /// be said.
  Sampled sample(std::span<float> logits, Constraint* constraint);

 private:
  struct Candidate {
    float logit, weight;  ///< weight: the probability after temperature over the best one's
    int32_t token;
  };
  static bool ranks_before(const Candidate& a, const Candidate& b);

  std::vector<TokenLogprob> best_logprobs(std::span<const float> logits, double log_sum);
  int32_t draw(std::span<const float> logits, float best, double number);
  void collect(std::span<const float> logits, float best);
  void cut_top_k();
  void cut_top_p();

  SamplingParams params_;
  int top_logprobs_;
  Rng rng_;
  std::vector<Candidate> candidates_;
};

}  // namespace tern
