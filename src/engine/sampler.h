// From logits to the next token.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace tern {

/// How the next token is drawn, in vLLM's order: logit bias, penalties, temperature, then min-p, top-k and
/// top-p, each on what the one before left, renormalised. Equally good tokens rank by id, the lower first, so
/// every cut keeps an exact set.
struct SamplingParams {
  float temperature = 0.0f;  ///< 0: the most probable token, the rest is then without effect
  int top_k = 0;             ///< keep the k best; 0: all
  float top_p = 1.0f;  ///< keep the fewest best tokens that reach this probability together, at least one
  float min_p = 0.0f;  ///< drop tokens below min_p times the best one's probability
  uint64_t seed = 0;
  /// Added to the logits of tokens. Each token once.
  std::vector<std::pair<int32_t, float>> logit_bias;
  float repetition_penalty = 1.0f;  ///< tokens of prompt and reply: logits above 0 are divided by it, others
                                    ///< multiplied (Keskar et al. 2019); above 0, 1: none
  float frequency_penalty = 0.0f;   ///< taken from a token's logit for each time the reply has it
  float presence_penalty = 0.0f;    ///< taken from it where the reply has it at all
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
  /// top_logprobs: -1 for no logprobs, 0 for the chosen token's, n for the n best as well. The prompt's ids,
  /// which repetition_penalty counts, are not negative. Throws Error{bad_input} naming the parameter out of
  /// range.
  Sampler(const SamplingParams& params, int top_logprobs, std::span<const int32_t> prompt = {});
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

  bool penalises() const;
  void bias_and_penalise(std::span<float> logits);
  float model_logit(std::span<const float> logits, int32_t token) const;
  std::vector<TokenLogprob> best_logprobs(std::span<const float> logits, double log_sum);
  int32_t draw(std::span<const float> logits, float best, double number);
  void collect(std::span<const float> logits, float best);
  void cut_top_k();
  void cut_top_p();

  SamplingParams params_;
  int top_logprobs_;
  Rng rng_;
  std::map<int32_t, int> said_;  ///< tokens that penalties apply to: how often the reply has them
  std::vector<std::pair<int32_t, float>> changed_;  ///< by this sample: token, its logit before
  std::vector<Candidate> candidates_;
};

}  // namespace tern
