#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace tern {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The best logit. Throws where one is NaN or +infinity, or all are -infinity.
float best_logit(std::span<const float> logits) {
  constexpr size_t kLanes = 8;  // independent maxima, so that the loop needs no reduction a step
  std::array<float, kLanes> most;
  std::array<int, kLanes> broken{};
  most.fill(-kInfinity);
  for (size_t i = 0; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float x = logits[i + lane];
      most[lane] = x > most[lane] ? x : most[lane];
      broken[lane] |= !(x < kInfinity);
    }
  }
  for (size_t i = logits.size() / kLanes * kLanes; i < logits.size(); ++i) {
    most[0] = std::max(most[0], logits[i]);
    broken[0] |= !(logits[i] < kInfinity);
  }
  if (std::any_of(broken.begin(), broken.end(), [](int b) { return b != 0; }))
    fail(ErrorKind::bad_input, "the model's logits are not numbers (NaN or infinity)");
  const float best = *std::max_element(most.begin(), most.end());
  if (best == -kInfinity) fail(ErrorKind::bad_input, "no token may come next: every logit is -infinity");
  return best;
}

int32_t first_with(std::span<const float> logits, float value) {
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), value) - logits.begin());
}

/// log(sum of exp(logits)).
double log_sum_exp(std::span<const float> logits, float best) {
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - best);
  return best + std::log(sum);
}

}  // namespace

Sampler::Sampler(const SamplingParams& params, int top_logprobs, std::span<const int32_t> prompt)
    : params_(params), top_logprobs_(top_logprobs), rng_(params.seed) {
  if (params.repetition_penalty != 1) {
    for (const int32_t token : prompt) said_.emplace(token, 0);
  }
  // Written so that NaN fails every one.
  if (!(params.repetition_penalty > 0 && params.repetition_penalty < kInfinity))
    fail(ErrorKind::bad_input, "repetition_penalty: expected a number above 0, found {}",
         params.repetition_penalty);
  if (!(std::abs(params.frequency_penalty) < kInfinity))
    fail(ErrorKind::bad_input, "frequency_penalty: expected a number, found {}", params.frequency_penalty);
  if (!(std::abs(params.presence_penalty) < kInfinity))
    fail(ErrorKind::bad_input, "presence_penalty: expected a number, found {}", params.presence_penalty);
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || !(std::abs(bias) < kInfinity))
      fail(ErrorKind::bad_input, "logit_bias: expected token ids and numbers, found {}: {}", token, bias);
  }
  if (!(params.temperature >= 0 && params.temperature < kInfinity))
    fail(ErrorKind::bad_input, "temperature: expected a number from 0, found {}", params.temperature);
  if (params.top_k < 0) fail(ErrorKind::bad_input, "top_k: expected 0 (all) or more, found {}", params.top_k);
  if (!(params.top_p >= 0 && params.top_p <= 1))
    fail(ErrorKind::bad_input, "top_p: expected 0 to 1, found {}", params.top_p);
  if (!(params.min_p >= 0 && params.min_p <= 1))
    fail(ErrorKind::bad_input, "min_p: expected 0 to 1, found {}", params.min_p);
  if (top_logprobs < -1)
    fail(ErrorKind::bad_input, "top_logprobs: expected -1 (none) or more, found {}", top_logprobs);
}

Sampled Sampler::sample(std::span<float> logits, Constraint* constraint) {
  const double number = rng_.uniform();  // one a token, used or not: a seed's course depends on nothing else
  const float model_best = best_logit(logits);
  const bool wants_logprobs = top_logprobs_ >= 0;
  const double log_sum = wants_logprobs ? log_sum_exp(logits, model_best) : 0;

  changed_.clear();
  Sampled sampled;
  if (top_logprobs_ > 0) sampled.top = best_logprobs(logits, log_sum);
  if (const auto forced = constraint ? constraint->forced() : std::nullopt) {
    if (*forced < 0 || static_cast<size_t>(*forced) >= logits.size())
      fail(ErrorKind::bad_input, "forced token {}: expected below {}", *forced, logits.size());
    sampled.token = *forced;
  } else {
    bias_and_penalise(logits);
    if (constraint) constraint->mask(logits);
    const bool changed = constraint || !changed_.empty();
    const float best = changed ? best_logit(logits) : model_best;
    sampled.token = params_.temperature == 0 ? first_with(logits, best) : draw(logits, best, number);
  }
  if (wants_logprobs) sampled.logprob = static_cast<float>(model_logit(logits, sampled.token) - log_sum);
  if (penalises()) ++said_[sampled.token];
  if (constraint) constraint->accept(sampled.token);
  return sampled;
}

bool Sampler::penalises() const {
  return params_.repetition_penalty != 1 || params_.frequency_penalty != 0 || params_.presence_penalty != 0;
}

/// Keeps what the model said of the tokens it changes.
void Sampler::bias_and_penalise(std::span<float> logits) {
  const auto change = [&](int32_t token, auto&& how) {
    if (static_cast<size_t>(token) >= logits.size()) return;
    changed_.emplace_back(token, logits[token]);
    logits[token] = how(logits[token]);
  };
  for (const auto& [token, bias] : params_.logit_bias) {
    change(token, [bias = bias](float logit) { return logit + bias; });
  }
  for (const auto& [token, count] : said_) {
    change(token, [&, count = count](float logit) {
      logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
      const float present = count > 0 ? params_.presence_penalty : 0;
      return logit - params_.frequency_penalty * static_cast<float>(count) - present;
    });
  }
}

/// A token's logit as the model gave it. (What a mask forbids is never asked for.)
float Sampler::model_logit(std::span<const float> logits, int32_t token) const {
  const auto is_it = [&](const auto& changed) { return changed.first == token; };
  const auto found = std::find_if(changed_.begin(), changed_.end(), is_it);
  return found == changed_.end() ? logits[token] : found->second;
}

bool Sampler::ranks_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

std::vector<TokenLogprob> Sampler::best_logprobs(std::span<const float> logits, double log_sum) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) candidates_.push_back({logits[i], 0, static_cast<int32_t>(i)});
  const size_t n = std::min(candidates_.size(), static_cast<size_t>(top_logprobs_));
  std::partial_sort(candidates_.begin(), candidates_.begin() + n, candidates_.end(), ranks_before);
  std::vector<TokenLogprob> top;
  for (size_t i = 0; i < n; ++i)
    top.push_back({candidates_[i].token, static_cast<float>(candidates_[i].logit - log_sum)});
  return top;
}

/// Draws from what the cuts leave, walking in the order of ids. number: uniform in [0, 1).
int32_t Sampler::draw(std::span<const float> logits, float best, double number) {
  collect(logits, best);
  const size_t collected = candidates_.size();
  if (params_.top_k > 0) cut_top_k();
  if (params_.top_p < 1) cut_top_p();
  if (candidates_.size() < collected) {
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  }

  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  double left = number * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return candidates_.back().token;  // rounding walked past the end
}

/// Temperature and min-p. Tokens whose weight vanishes can't be drawn and are left out.
void Sampler::collect(std::span<const float> logits, float best) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const float weight = std::exp((logits[i] - best) / params_.temperature);
    if (weight > 0 && weight >= params_.min_p)
      candidates_.push_back({logits[i], weight, static_cast<int32_t>(i)});
  }
}

void Sampler::cut_top_k() {
  const size_t k = static_cast<size_t>(params_.top_k);
  if (k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + k, candidates_.end(), ranks_before);
  candidates_.resize(k);
}

/// Sorts only as many of the best as the probability asks for, four times more each round.
void Sampler::cut_top_p() {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double wanted = params_.top_p * total;
  double reached = 0;
  size_t sorted = 0;
  for (size_t until = 64; sorted < candidates_.size(); until *= 4) {
    const size_t end = std::min(until, candidates_.size());
    std::partial_sort(candidates_.begin() + sorted, candidates_.begin() + end, candidates_.end(),
                      ranks_before);
    for (; sorted < end; ++sorted) {
      reached += candidates_[sorted].weight;
      if (reached >= wanted) return candidates_.resize(sorted + 1);
    }
  }
}

}  // namespace tern
