// The gate's rules, one by one, and the experts' store.
#include "model/moe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/model/tiny_file.h"

namespace tern {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Choice {
  std::vector<int32_t> experts;
  std::vector<float> weights;
};

Choice choose(const RouterParams& params, std::vector<float> logits, const std::vector<float>& bias = {}) {
  Choice choice{std::vector<int32_t>(params.used), std::vector<float>(params.used)};
  std::vector<float> scratch(params.experts + params.groups);
  choose_experts(params, logits.data(), bias.empty() ? nullptr : bias.data(), scratch.data(),
                 choice.experts.data(), choice.weights.data());
  return choice;
}

using Ids = std::vector<int32_t>;
constexpr auto kSoftmax = RouterParams::Score::softmax;
constexpr auto kSigmoid = RouterParams::Score::sigmoid;

float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}

TEST(Router, SoftmaxKeepsItsScoresUnlessNormalised) {
  RouterParams params{.experts = 4, .used = 2, .score = kSoftmax};
  const std::vector<float> logits = {1.0f, 3.0f, 0.0f, 2.0f};
  const float sum = std::exp(1.0f) + std::exp(3.0f) + 1.0f + std::exp(2.0f);
  Choice choice = choose(params, logits);
  EXPECT_EQ(choice.experts, (Ids{1, 3}));
  EXPECT_NEAR(choice.weights[0], std::exp(3.0f) / sum, 1e-6);
  EXPECT_NEAR(choice.weights[1], std::exp(2.0f) / sum, 1e-6);
  params.normalise = true;
  params.scale = 2.5f;
  choice = choose(params, logits);
  EXPECT_NEAR(choice.weights[0] + choice.weights[1], 2.5f, 1e-6);
  EXPECT_NEAR(choice.weights[0] / choice.weights[1], std::exp(1.0f), 1e-5);
}

TEST(Router, BiasDecidesTheChoiceButNotTheWeights) {
  const RouterParams params{.experts = 4, .used = 2, .score = kSigmoid};
  const Choice choice = choose(params, {2.0f, 1.0f, 0.0f, -1.0f}, {0.0f, 0.0f, 0.0f, 0.9f});
  EXPECT_EQ(choice.experts, (Ids{3, 0}));
  EXPECT_FLOAT_EQ(choice.weights[0], sigmoid(-1.0f));
  EXPECT_FLOAT_EQ(choice.weights[1], sigmoid(2.0f));
}

TEST(Router, GroupsAreJudgedByTheirBestTwoWithABiasAndByTheirBestWithout) {
  // Group 0 has the single best expert, group 1 the best pair.
  const std::vector<float> logits = {3.0f, -3.0f, 1.5f, 1.4f, -2.0f, -2.0f};
  const RouterParams params{.experts = 6, .used = 2, .groups = 3, .groups_used = 1, .score = kSigmoid};
  EXPECT_EQ(choose(params, logits).experts, (Ids{0, 1}));
  EXPECT_EQ(choose(params, logits, std::vector<float>(6, 0.0f)).experts, (Ids{2, 3}));
}

TEST(Router, ExpertsOfOtherGroupsStayOutEvenBelowZero) {
  // All biased scores are negative; masking with 0 would let the other group in.
  const RouterParams params{.experts = 4, .used = 2, .groups = 2, .groups_used = 1, .score = kSigmoid};
  EXPECT_EQ(choose(params, {1.0f, 0.5f, 0.0f, -0.5f}, std::vector<float>(4, -5.0f)).experts, (Ids{0, 1}));
}

TEST(Router, TiesGoToTheLowerId) {
  const RouterParams flat{.experts = 5, .used = 3, .score = kSoftmax};
  EXPECT_EQ(choose(flat, {0, 1, 1, 1, 1}).experts, (Ids{1, 2, 3}));
  const RouterParams grouped{.experts = 6, .used = 2, .groups = 3, .groups_used = 1, .score = kSoftmax};
  EXPECT_EQ(choose(grouped, {1, 1, 1, 1, 1, 1}).experts, (Ids{0, 1}));
}

TEST(Router, WhatIsNotANumberStaysInRange) {
  for (const float bad : {kNan, kInf, -kInf}) {
    for (const bool biased : {false, true}) {
      for (const int groups : {1, 4}) {
        for (const auto score : {kSoftmax, kSigmoid}) {
          const RouterParams params{.experts = 8,
                                    .used = 4,
                                    .groups = groups,
                                    .groups_used = (groups + 1) / 2,
                                    .score = score,
                                    .normalise = true};
          for (int mask = 1; mask < 256; ++mask) {
            std::vector<float> logits(8), bias(biased ? 8 : 0);
            for (int e = 0; e < 8; ++e) (biased ? bias : logits)[e] = (mask >> e & 1) ? bad : 0.1f * float(e);
            Ids ids = choose(params, logits, bias).experts;
            std::sort(ids.begin(), ids.end());
            ASSERT_TRUE(ids.front() >= 0 && ids.back() < 8);
            ASSERT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
          }
        }
      }
    }
  }
}

TEST(ExpertStore, EachExpertIsOneExtentOfWholePagesBehindALease) {
  const TinyConfig config;
  TinyFile tiny = tiny_file(config);
  const std::vector<std::byte> bytes = tiny.bytes();
  const GgufFile file = GgufFile::parse(bytes, "tiny");
  WeightMemory memory;
  ThreadTeam team(2);
  TensorReader reader(file, memory, team);
  ExpertStore store;
  store.add_layer(reader, 1, {config.hidden, config.expert_ff, config.experts});
  EXPECT_EQ(store.extent_bytes(1) % ExpertStore::kPage, 0u);
  {
    std::vector<ExpertLease> leases;
    for (uint32_t e = 0; e < config.experts; ++e) leases.push_back(store.acquire(1, static_cast<int>(e)));
    EXPECT_EQ(store.leased(), 8);
    for (const ExpertLease& lease : leases) {
      const std::byte* start = lease->gate.data;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(start) % ExpertStore::kPage, 0u);
      const std::byte* end =
          lease->down.data + packed_bytes(lease->down.type, lease->down.rows, lease->down.cols);
      EXPECT_EQ(lease->up.data, start + packed_bytes(lease->gate.type, lease->gate.rows, lease->gate.cols));
      EXPECT_LE(end, start + store.extent_bytes(1));
    }
    const ExpertLease moved = std::move(leases[0]);
    leases.clear();
    EXPECT_EQ(store.leased(), 1);
  }
  EXPECT_EQ(store.leased(), 0);
}

TEST(ExpertStore, LeasesTheExpertThatWasAskedFor) {
  const TinyConfig config;
  TinyFile tiny = tiny_file(config);
  const std::vector<std::byte> bytes = tiny.bytes();
  const GgufFile file = GgufFile::parse(bytes, "tiny");
  WeightMemory memory;
  ThreadTeam team(1);
  TensorReader reader(file, memory, team);
  ExpertStore store;
  store.add_layer(reader, 1, {config.hidden, config.expert_ff, config.experts});
  const Kernels& scalar = kernels(Isa::scalar);
  const std::vector<float>& down = tiny.tensor("blk.1.ffn_down_exps.weight").values;
  // The first column of each expert's down matrix, by multiplying with the first unit vector.
  std::vector<float> unit(config.expert_ff), column(config.hidden);
  unit[0] = 1;
  Activations activations;
  activations.reserve(1, config.expert_ff);
  activations.set(scalar, unit.data(), config.expert_ff, 1, config.expert_ff, false);
  for (uint32_t e = 0; e < config.experts; ++e) {
    const ExpertLease lease = store.acquire(1, static_cast<int>(e));
    scalar.matmul(lease->down, activations, column.data(), config.hidden, 0, lease->down.panels(), false);
    for (uint32_t r = 0; r < config.hidden; ++r)
      EXPECT_EQ(column[r], down[(e * config.hidden + r) * config.expert_ff]);
  }
}

}  // namespace
}  // namespace tern
