// The gate's rules, one by one, and the experts' store.
#include "model/moe.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "base/rng.h"
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

std::vector<float> random_floats(Rng& rng, size_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.uniform() * 2 - 1);
  return values;
}

// One layer of a tiny file, loaded, whose type of weights is `type` (with biases, gpt-oss's gating).
struct TinyLayer {
  TinyLayer(const TinyConfig& config, DType type, bool gpt_oss) : team(3) {
    TinyFile tiny = tiny_file(config);
    convert(tiny, [&](size_t) { return type; });
    if (gpt_oss) {
      Rng rng(7);
      for (const auto& [name, rows] :
           {std::pair{"gate", config.expert_ff}, {"up", config.expert_ff}, {"down", config.hidden}}) {
        tiny.tensors.push_back({.name = fmt::format("blk.1.ffn_{}_exps.bias", name),
                                .dims = {rows, config.experts},
                                .values = random_floats(rng, rows * config.experts)});
      }
    }
    const std::vector<std::byte> bytes = tiny.bytes();
    const GgufFile file = GgufFile::parse(bytes, "tiny");
    TensorReader reader(file, memory, team);
    const auto gating = gpt_oss ? Gating::clamped_silu : Gating::silu;
    store.add_layer(reader, 1, {config.hidden, config.expert_ff, config.experts, gpt_oss, gating});
    weights.gate = reader.matrix("blk.1.ffn_gate_inp.weight", config.hidden, config.experts);
    const uint32_t ff = config.expert_ff * config.shared;
    if (ff == 0) return;
    weights.shared.gate = reader.matrix("blk.1.ffn_gate_shexp.weight", config.hidden, ff);
    weights.shared.up = reader.matrix("blk.1.ffn_up_shexp.weight", config.hidden, ff);
    weights.shared.down = reader.matrix("blk.1.ffn_down_shexp.weight", ff, config.hidden);
  }

  ThreadTeam team;
  WeightMemory memory;
  ExpertStore store;
  MoeWeights weights;
};

std::vector<float> times(const Kernels& kernels, const PackedMatrix& w, const float* bias,
                         const std::vector<float>& x) {
  Activations activations;
  activations.reserve(1, w.cols);
  activations.set(kernels, x.data(), w.cols, 1, w.cols, needs_quantized(w));
  std::vector<float> y(w.rows);
  kernels.matmul(w, activations, y.data(), w.rows, 0, w.panels(), false);
  for (size_t r = 0; bias && r < w.rows; ++r) y[r] += bias[r];
  return y;
}

std::vector<float> network_alone(const Kernels& kernels, const GatedWeights& w, const std::vector<float>& x) {
  std::vector<float> gate = times(kernels, w.gate, w.gate_bias, x);
  std::vector<float> up = times(kernels, w.up, w.up_bias, x);
  for (size_t i = 0; w.gating == Gating::clamped_silu && i < gate.size(); ++i) {
    gate[i] = 1.702f * std::min(gate[i], 7.0f);
    up[i] = (std::clamp(up[i], -7.0f, 7.0f) + 1.0f) / 1.702f;
  }
  kernels.silu_mul(gate.data(), up.data(), gate.size(), gate.data());
  return times(kernels, w.down, w.down_bias, gate);
}

class MoeLayerOf : public testing::TestWithParam<std::tuple<DType, bool>> {};

TEST_P(MoeLayerOf, AddsEachTokensExpertsAloneInTheOrderOfItsChoiceTheSharedOneLast) {
  const auto [type, gpt_oss] = GetParam();
  TinyConfig config;
  config.hidden = 288;     // panels in three goes, the last of two
  config.expert_ff = 160;  // five pairs of panels
  config.shared = gpt_oss ? 0 : 2;
  TinyLayer layer(config, type, gpt_oss);
  const RouterParams params{.experts = 8, .used = 3, .score = kSigmoid, .scale = 1.5f};
  const Kernels& table = kernels(detect_isa());
  const Compute compute = {table, layer.team};
  MoeLayer moe(params, config.hidden, config.expert_ff, size_t(config.expert_ff) * config.shared, 40,
               layer.team.size());
  Rng rng(5);
  for (const size_t tokens : {40, 1, 0, 7}) {
    const std::vector<float> x = random_floats(rng, tokens * config.hidden);
    std::vector<float> y(tokens * config.hidden, kNan);
    moe.forward(compute, layer.store, 1, layer.weights, x.data(), tokens, y.data());
    EXPECT_EQ(layer.store.leased(), 0);
    for (size_t t = 0; t < tokens; ++t) {
      const auto row = x.begin() + static_cast<ptrdiff_t>(t * config.hidden);
      const std::vector<float> token(row, row + config.hidden);
      std::vector<float> sum(config.hidden);
      for (int k = 0; k < params.used; ++k) {
        const ExpertLease expert = layer.store.acquire(1, moe.chosen(t)[k]);
        const std::vector<float> result = network_alone(table, *expert, token);
        table.axpy(moe.weights(t)[k], result.data(), config.hidden, sum.data());
      }
      if (config.shared > 0) {
        table.axpy(1.0f, network_alone(table, layer.weights.shared, token).data(), config.hidden, sum.data());
      }
      for (size_t c = 0; c < config.hidden; ++c)
        ASSERT_EQ(y[t * config.hidden + c], sum[c]) << "token " << t << " of " << tokens << ", column " << c;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MoeLayerOf,
                         testing::Combine(testing::Values(DType::f32, DType::f16, DType::q8_0, DType::q4_0),
                                          testing::Bool()),
                         [](const auto& test) {
                           return fmt::format("{}{}", traits(std::get<0>(test.param)).name,
                                              std::get<1>(test.param) ? "_gpt_oss" : "");
                         });

}  // namespace
}  // namespace tern
