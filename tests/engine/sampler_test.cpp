#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "base/error.h"

namespace tern {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(p > 0 ? static_cast<float>(std::log(p)) : -kInfinity);
  return logits;
}

SamplingParams hot(uint64_t seed = 1) {
  SamplingParams params;
  params.temperature = 1;
  params.seed = seed;
  return params;
}

std::map<int32_t, int> draws(const SamplingParams& params, const std::vector<float>& logits, int n) {
  Sampler sampler(params, -1);
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) {
    std::vector<float> copy = logits;
    ++counts[sampler.sample(copy, nullptr).token];
  }
  return counts;
}

std::set<int32_t> reachable(const SamplingParams& params, const std::vector<float>& logits) {
  std::set<int32_t> tokens;
  for (const auto& [token, count] : draws(params, logits, 4000)) tokens.insert(token);
  return tokens;
}

std::string refusal(const SamplingParams& params, int top_logprobs = -1) {
  try {
    Sampler sampler(params, top_logprobs);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return error.what();
  }
  return "accepted";
}

TEST(Sampler, GreedyTakesTheBestAndTheLowestIdOfEquals) {
  for (const size_t size : {1, 2, 7, 8, 9, 16, 31, 1000}) {
    for (size_t at = 0; at < size; at += 1 + size / 5) {
      std::vector<float> logits(size, -3);
      logits[at] = 2;
      logits.back() = 2;
      Sampler sampler({}, -1);
      EXPECT_EQ(sampler.sample(logits, nullptr).token, static_cast<int32_t>(at)) << "of " << size;
    }
  }
}

TEST(Sampler, DrawsFollowTheDistribution) {
  const std::vector<double> p = {0.35, 0.02, 0.2, 0.03, 0.4};
  const int n = 20000;
  const auto counts = draws(hot(), logits_of(p), n);
  double chi2 = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const auto at = counts.find(static_cast<int32_t>(i));
    const double seen = at == counts.end() ? 0 : at->second;
    chi2 += (seen - n * p[i]) * (seen - n * p[i]) / (n * p[i]);
  }
  EXPECT_LT(chi2, 25);  // 4 degrees of freedom: p about 5e-5
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  const auto logits = logits_of({0.2, 0.8});
  SamplingParams params = hot();
  const int n = 20000;
  for (const float temperature : {0.5f, 2.0f}) {
    params.temperature = temperature;
    const double odds = std::pow(4.0, 1 / temperature);
    EXPECT_NEAR(draws(params, logits, n)[1], n * odds / (1 + odds), 5 * std::sqrt(n) / 2);
  }
}

TEST(Sampler, TemperaturesWithoutMeaningDoNotBreakIt) {
  const auto logits = logits_of({0.1, 0.6, 0.3});
  SamplingParams params = hot();
  params.temperature = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(reachable(params, logits), (std::set<int32_t>{1}));
  params.temperature = std::numeric_limits<float>::max();
  EXPECT_EQ(reachable(params, logits), (std::set<int32_t>{0, 1, 2}));
  params.top_k = 1;  // ranks by logit, even where the weights are equal
  EXPECT_EQ(reachable(params, logits), (std::set<int32_t>{1}));
}

TEST(Sampler, TopKKeepsExactlyTheBest) {
  SamplingParams params = hot();
  params.top_k = 2;
  EXPECT_EQ(reachable(params, logits_of({0.1, 0.3, 0.2, 0.4})), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(reachable(params, logits_of({0.25, 0.25, 0.25, 0.25})), (std::set<int32_t>{0, 1}));
  params.top_k = 9;
  EXPECT_EQ(reachable(params, logits_of({0.5, 0.5})), (std::set<int32_t>{0, 1}));
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  const auto logits = logits_of({0.05, 0.5, 0.3, 0.15});
  const std::vector<std::pair<float, std::set<int32_t>>> cases = {
      {0.0f, {1}}, {0.49f, {1}}, {0.51f, {1, 2}}, {0.79f, {1, 2}}, {0.81f, {1, 2, 3}}, {1.0f, {0, 1, 2, 3}}};
  for (const auto& [top_p, kept] : cases) {
    SamplingParams params = hot();
    params.top_p = top_p;
    EXPECT_EQ(reachable(params, logits), kept) << top_p;
  }
}

TEST(Sampler, TopPOverManyEqualTokensTakesThemInOrder) {
  SamplingParams params = hot();
  params.top_p = 0.5f;
  const std::vector<float> logits(1024, 0.0f);
  const auto kept = draws(params, logits, 8000);
  EXPECT_EQ(kept.size(), 512u);
  EXPECT_EQ(kept.rbegin()->first, 511);
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  const auto logits = logits_of({0.5, 0.26, 0.14, 0.1});
  SamplingParams params = hot();
  params.min_p = 0.25f;
  EXPECT_EQ(reachable(params, logits), (std::set<int32_t>{0, 1, 2}));
  params.min_p = 0.5f;
  EXPECT_EQ(reachable(params, logits), (std::set<int32_t>{0, 1}));
  params.min_p = 1.0f;
  EXPECT_EQ(reachable(params, logits), (std::set<int32_t>{0}));
}

TEST(Sampler, CutsFollowOneAnotherRenormalised) {
  // After top_k = 2 the best has 0.4 / 0.7 = 0.571 of what is left, so top_p = 0.55 keeps it alone; over the
  // whole distribution 0.55 would keep two.
  SamplingParams params = hot();
  params.top_k = 2;
  params.top_p = 0.55f;
  EXPECT_EQ(reachable(params, logits_of({0.4, 0.3, 0.3})), (std::set<int32_t>{0}));
  // min_p comes before top_p: dropping the two small ones leaves 0.5 / 0.8 = 0.625.
  params = hot();
  params.min_p = 0.3f;
  params.top_p = 0.6f;
  EXPECT_EQ(reachable(params, logits_of({0.5, 0.3, 0.1, 0.1})), (std::set<int32_t>{0}));
}

TEST(Sampler, ImpossibleTokensAreNeverDrawn) {
  EXPECT_EQ(reachable(hot(), logits_of({0, 0.5, 0, 0.5})), (std::set<int32_t>{1, 3}));
}

TEST(Sampler, ASeedGivesTheSameCourse) {
  const auto logits = logits_of({0.1, 0.2, 0.3, 0.4});
  const auto course = [&](uint64_t seed, bool greedy_second) {
    Sampler sampler(hot(seed), -1);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 64; ++i) {
      std::vector<float> copy = logits;
      if (greedy_second && i == 1) copy = {0, 0, 9e9f, 0};
      tokens.push_back(sampler.sample(copy, nullptr).token);
    }
    return tokens;
  };
  EXPECT_EQ(course(7, false), course(7, false));
  EXPECT_NE(course(7, false), course(8, false));
  auto left = course(7, false), right = course(7, true);
  left[1] = right[1] = 0;
  EXPECT_EQ(left, right);  // a certain token costs one number like any other
}

class ForceSecond : public Constraint {
 public:
  std::optional<int32_t> forced() const override { return accepted_ == 1 ? std::optional(2) : std::nullopt; }
  void mask(std::span<float> logits) const override { logits[3] = -kInfinity; }
  void accept(int32_t token) override {
    ++accepted_;
    last_ = token;
  }
  int accepted_ = 0;
  int32_t last_ = -1;
};

TEST(Sampler, ConstraintsForceAndForbidAndAreTold) {
  ForceSecond constraint;
  Sampler sampler({}, 0);
  std::vector<int32_t> tokens;
  for (int i = 0; i < 3; ++i) {
    auto logits = logits_of({0.1, 0.3, 0.2, 0.4});
    const Sampled sampled = sampler.sample(logits, &constraint);
    EXPECT_EQ(constraint.last_, sampled.token);
    EXPECT_NEAR(std::exp(sampled.logprob), i == 1 ? 0.2 : 0.3, 1e-6);  // the model's, not the constraint's
    tokens.push_back(sampled.token);
  }
  EXPECT_EQ(tokens, (std::vector<int32_t>{1, 2, 1}));
}

TEST(Sampler, ConstraintsThatLeaveNothingAreErrors) {
  ForceSecond constraint;
  Sampler sampler({}, -1);
  std::vector<float> logits = {-kInfinity, -kInfinity, -kInfinity, 1};
  EXPECT_THROW(sampler.sample(logits, &constraint), Error);
  std::vector<float> small = {1, 1};
  constraint.accepted_ = 1;
  EXPECT_THROW(sampler.sample(small, &constraint), Error);
}

TEST(Sampler, LogprobsAreTheModelsBeforeTemperatureAndCuts) {
  const std::vector<double> p = {0.1, 0.4, 0.2, 0.3};
  SamplingParams params = hot();
  params.temperature = 0.1f;
  params.top_k = 1;
  Sampler sampler(params, 3);
  auto logits = logits_of(p);
  for (float& x : logits) x += 5;  // softmax doesn't mind
  const Sampled sampled = sampler.sample(logits, nullptr);
  EXPECT_EQ(sampled.token, 1);
  EXPECT_NEAR(sampled.logprob, std::log(0.4), 1e-6);
  ASSERT_EQ(sampled.top.size(), 3u);
  const std::vector<int32_t> order = {1, 3, 2};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(sampled.top[i].token, order[i]);
    EXPECT_NEAR(sampled.top[i].logprob, std::log(p[order[i]]), 1e-6);
  }
}

/// The greedy course over the same logits at every step.
std::vector<int32_t> course(const SamplingParams& params, const std::vector<float>& logits, int n,
                            std::vector<int32_t> prompt = {}) {
  Sampler sampler(params, -1, prompt);
  std::vector<int32_t> tokens;
  for (int i = 0; i < n; ++i) {
    std::vector<float> copy = logits;
    tokens.push_back(sampler.sample(copy, nullptr).token);
  }
  return tokens;
}

TEST(Sampler, LogitBiasIsAdded) {
  SamplingParams params;
  params.logit_bias = {{0, 1.0f}, {2, -100.0f}, {999, 5.0f}};
  EXPECT_EQ(course(params, {2.0f, 2.5f, 9.0f}, 1), (std::vector<int32_t>{0}));
}

TEST(Sampler, FrequencyCountsAndPresenceDoesNot) {
  SamplingParams frequency;
  frequency.frequency_penalty = 0.4f;
  // 3.0, 2.6, 2.2 … beside 2.5 and 1.9.
  EXPECT_EQ(course(frequency, {3.0f, 2.5f, 1.9f}, 6), (std::vector<int32_t>{0, 0, 1, 0, 1, 2}));
  SamplingParams presence;
  presence.presence_penalty = 0.8f;
  EXPECT_EQ(course(presence, {3.0f, 2.5f, 1.9f}, 5), (std::vector<int32_t>{0, 1, 0, 0, 0}));
  presence.presence_penalty = -2;
  EXPECT_EQ(course(presence, {3.0f, 2.5f, 1.9f}, 3), (std::vector<int32_t>{0, 0, 0}));
  // Neither sees the prompt.
  presence.presence_penalty = 2;
  EXPECT_EQ(course(presence, {3.0f, 2.5f, 1.9f}, 1, {0}), (std::vector<int32_t>{0}));
}

TEST(Sampler, RepetitionDividesAndMultipliesTokensOfPromptAndReply) {
  SamplingParams params;
  params.repetition_penalty = 2;
  EXPECT_EQ(course(params, {3.0f, 2.5f, 1.2f}, 3, {0}), (std::vector<int32_t>{1, 0, 0}));  // 1.5 1.25 1.2
  EXPECT_EQ(course(params, {-1.0f, -1.5f, -9.0f}, 2, {0}), (std::vector<int32_t>{1, 0}));  // -2, then -3
}

TEST(Sampler, PenaltiesLeaveLogprobsAndForcedTokensAlone) {
  SamplingParams params;
  params.presence_penalty = 2;
  params.logit_bias = {{0, -1.0f}};
  Sampler sampler(params, 2);
  const std::vector<double> p = {0.5, 0.4, 0.1};
  for (const int32_t expected : {1, 0, 2}) {
    auto logits = logits_of(p);
    const Sampled sampled = sampler.sample(logits, nullptr);
    EXPECT_EQ(sampled.token, expected);
    EXPECT_NEAR(sampled.logprob, std::log(p[expected]), 1e-6);
    EXPECT_EQ(sampled.top[0].token, 0);
    EXPECT_NEAR(sampled.top[0].logprob, std::log(0.5), 1e-6);
  }
}

TEST(Sampler, LogprobsOfAllSumToOne) {
  Sampler sampler({}, 1000);
  std::vector<float> logits;
  for (int i = 0; i < 301; ++i) logits.push_back(static_cast<float>(7 * std::sin(i * 1.7)));
  const Sampled sampled = sampler.sample(logits, nullptr);
  ASSERT_EQ(sampled.top.size(), 301u);
  double sum = 0;
  for (const auto& entry : sampled.top) sum += std::exp(static_cast<double>(entry.logprob));
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST(Sampler, BrokenLogitsAreErrors) {
  for (const float broken : {kNaN, kInfinity}) {
    for (const size_t at : {0, 5, 16, 18}) {
      std::vector<float> logits(19, 0.5f);
      logits[at] = broken;
      for (const float temperature : {0.0f, 1.0f}) {
        SamplingParams params;
        params.temperature = temperature;
        Sampler sampler(params, 2);
        EXPECT_THROW(sampler.sample(logits, nullptr), Error) << broken << " at " << at;
      }
    }
  }
  std::vector<float> nothing(5, -kInfinity);
  EXPECT_THROW(Sampler({}, -1).sample(nothing, nullptr), Error);
}

TEST(Sampler, AbsurdPenaltiesAreRefusedByName) {
  const auto found = [](auto&& set) {
    SamplingParams params;
    set(params);
    return refusal(params);
  };
  for (const float bad : {0.0f, -1.0f, kNaN, kInfinity}) {
    EXPECT_NE(found([&](auto& p) { p.repetition_penalty = bad; }).find("repetition_penalty"),
              std::string::npos);
  }
  for (const float bad : {kNaN, kInfinity, -kInfinity}) {
    EXPECT_NE(found([&](auto& p) { p.frequency_penalty = bad; }).find("frequency_penalty"),
              std::string::npos);
    EXPECT_NE(found([&](auto& p) { p.presence_penalty = bad; }).find("presence_penalty"), std::string::npos);
    EXPECT_NE(found([&](auto& p) { p.logit_bias = {{1, bad}}; }).find("logit_bias"), std::string::npos);
  }
  EXPECT_NE(found([&](auto& p) { p.logit_bias = {{-1, 1.0f}}; }).find("logit_bias"), std::string::npos);
}

TEST(Sampler, AbsurdParametersAreRefusedByName) {
  const auto with = [](auto&& change) {
    SamplingParams params = hot();
    change(params);
    return refusal(params);
  };
  for (const float bad : {-0.1f, kNaN, kInfinity, -kInfinity}) {
    EXPECT_EQ(with([&](auto& p) { p.temperature = bad; }).find("temperature"), 0u) << bad;
  }
  for (const float bad : {-0.1f, 1.1f, kNaN, kInfinity}) {
    EXPECT_EQ(with([&](auto& p) { p.top_p = bad; }).find("top_p"), 0u) << bad;
    EXPECT_EQ(with([&](auto& p) { p.min_p = bad; }).find("min_p"), 0u) << bad;
  }
  EXPECT_EQ(with([](auto& p) { p.top_k = -1; }).find("top_k"), 0u);
  EXPECT_EQ(refusal(hot(), -2).find("top_logprobs"), 0u);
  EXPECT_EQ(refusal(hot(), -1), "accepted");
}

}  // namespace
}  // namespace tern
