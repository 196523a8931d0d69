// What a model says of its passes is what they did.
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "base/clock.h"
#include "tests/model/runner.h"
#include "tests/model/tiny_file.h"

namespace tern {
namespace {

std::unique_ptr<Model> load(const TinyConfig& config, ModelOptions options = {}) {
  const std::vector<std::byte> bytes = tiny_file(config).bytes();
  return load_model(GgufFile::parse(bytes, "tiny"), options);
}

/// Counts what the router tells its observer.
class Counting final : public RouterObserver {
 public:
  void on_route(int layer, const BatchToken&, std::span<const int32_t> experts,
                std::span<const float>) override {
    for (const int32_t expert : experts) ++counts[{layer, expert}];
  }
  std::map<std::pair<int, int32_t>, uint64_t> counts;
};

std::vector<BatchToken> prompt(int tokens) {
  std::vector<BatchToken> batch;
  for (int i = 0; i < tokens; ++i) batch.push_back({i % 40, i, 0, i + 1 == tokens});
  return batch;
}

TEST(ModelStatistics, ExpertChoicesAreTheRouters) {
  TinyConfig config;
  config.layers = 4;
  Counting observer;
  ModelOptions options;
  options.router_observer = &observer;
  const auto model = load(config, options);
  PagedCache cache = cache_for(*model);
  std::vector<int32_t> tokens(50);
  std::iota(tokens.begin(), tokens.end(), -2);
  tokens[0] = tokens[1] = 7;
  run_sequence(*model, cache, 0, std::span(tokens).first(33), 11);
  run_sequence(*model, cache, 0, std::span(tokens).subspan(33), 1);

  const std::vector<uint64_t> choices = model->expert_choices();
  ASSERT_EQ(choices.size(), 3 * config.experts) << "one layer is dense";
  for (uint32_t layer = 1; layer < config.layers; ++layer) {
    for (uint32_t e = 0; e < config.experts; ++e) {
      EXPECT_EQ(choices[(layer - 1) * config.experts + e], observer.counts[std::pair(layer, e)])
          << "layer " << layer << " expert " << e;
    }
  }
  EXPECT_EQ(std::accumulate(choices.begin(), choices.end(), uint64_t{0}), 50u * 3 * config.used);
}

TEST(ModelStatistics, StagesAddUpToTheTimeThatPassesTook) {
  TinyConfig config;
  config.hidden = 256;
  config.experts = 16;
  config.expert_ff = config.dense_ff = 256;
  config.layers = 3;
  const auto model = load(config);
  PagedCache cache = cache_for(*model);
  ASSERT_TRUE(cache.extend(0, 128));
  std::vector<float> logits(config.vocab);
  double took = 0;
  for (int i = 0; i < 20; ++i) {
    const TimePoint began = Clock::now();
    model->forward(prompt(128), cache, logits.data());
    took += seconds_since(began);
  }
  const ModelStatistics statistics = model->statistics();
  EXPECT_EQ(statistics.passes, 20u);
  EXPECT_EQ(statistics.tokens, 20u * 128);
  for (const Stage stage :
       {Stage::attention, Stage::router, Stage::experts, Stage::dense, Stage::head, Stage::rest})
    EXPECT_GT(statistics.stages[stage], 0) << stage_name(stage);
  EXPECT_LE(statistics.stages.total(), took);
  EXPECT_GE(statistics.stages.total(), 0.9 * took);
  EXPECT_GT(statistics.stages[Stage::attention], statistics.stages[Stage::rest]);
}

TEST(ModelStatistics, APassInPartsCountsOnce) {
  const auto model = load({});
  PagedCache cache = cache_for(*model);
  ASSERT_TRUE(cache.extend(0, 16));
  std::vector<float> logits(model->shape().vocab);
  PausedPass pass;
  int parts = 1;
  while (!model->forward_part(
      prompt(16), cache, pass, [] { return true; }, logits.data()))
    ++parts;
  EXPECT_EQ(parts, 2);
  const ModelStatistics in_parts = model->statistics();
  EXPECT_EQ(in_parts.passes, 1u);
  EXPECT_EQ(in_parts.tokens, 16u);
  model->forward(prompt(16), cache, logits.data());
  EXPECT_EQ((model->statistics() - in_parts).bytes, in_parts.bytes);
}

/// Bytes of an F32 matrix as it is packed: rows in panels of 16.
uint64_t f32(uint64_t rows, uint64_t cols) {
  return (rows + 15) / 16 * 16 * cols * 4;
}

TEST(ModelStatistics, BytesAreThoseOfTheWeightsThatAPassTouches) {
  const TinyConfig c;  // one dense layer, one with experts
  ModelOptions options;
  options.attention = AttentionPath::absorbed;
  const auto model = load(c, options);
  PagedCache cache = cache_for(*model);
  ASSERT_TRUE(cache.extend(0, 9));
  std::vector<float> logits(c.vocab);
  const auto pass_bytes = [&](std::vector<BatchToken> batch) {
    const uint64_t before = model->statistics().bytes;
    model->forward(batch, cache, logits.data());
    return model->statistics().bytes - before;
  };

  const uint64_t qk = c.nope + c.rope;
  const uint64_t attention = f32(c.q_rank, c.hidden) + f32(c.heads * qk, c.q_rank) +
                             f32(c.kv_rank + c.rope, c.hidden) + f32(c.hidden, c.heads * c.v) +
                             c.heads * (f32(c.kv_rank, c.nope) + f32(c.v, c.kv_rank));
  const uint64_t dense = 2 * f32(c.dense_ff, c.hidden) + f32(c.hidden, c.dense_ff);
  const uint64_t expert = 2 * f32(c.expert_ff, c.hidden) + f32(c.hidden, c.expert_ff);
  const uint64_t fixed =
      2 * attention + dense + f32(c.experts, c.hidden) + c.shared * expert + f32(c.vocab, c.hidden);
  const uint64_t row = (2 * c.kv_rank + c.rope) * 4;  // the latent is key and value

  EXPECT_EQ(pass_bytes({{1, 0, 0, true}}), fixed + c.used * expert + 2 * row);
  EXPECT_EQ(pass_bytes({{1, 8, 0, true}}), fixed + c.used * expert + 2 * 9 * row);
  // Without logits neither the last layer's feed-forward nor the head runs.
  EXPECT_EQ(pass_bytes({{1, 8, 0, false}}), 2 * attention + dense + 2 * 9 * row);
}

TEST(ModelStatistics, ADistinctExpertIsReadOnceABatch) {
  const TinyConfig c;
  const auto model = load(c);
  PagedCache cache = cache_for(*model, 4);
  std::vector<float> logits(4 * c.vocab);
  std::vector<BatchToken> batch;
  for (SequenceId s = 0; s < 4; ++s) {
    ASSERT_TRUE(cache.extend(s, 1));
    batch.push_back({5, 0, s, true});  // four times the same token: the same experts
  }
  model->forward(std::span(batch).first(1), cache, logits.data());
  const uint64_t alone = model->statistics().bytes;
  model->forward(batch, cache, logits.data());
  const uint64_t rows = 2 * (2 * c.kv_rank + c.rope) * 4;
  EXPECT_EQ(model->statistics().bytes - alone, alone + 3 * rows);
}

TEST(ModelStatistics, DenseModelsHaveNoExperts) {
  TinyConfig config;
  config.layers = config.dense_layers = 2;
  const auto model = load(config);
  run_fresh(*model, std::vector<int32_t>{1, 2, 3}, 3);
  EXPECT_TRUE(model->expert_choices().empty());
  EXPECT_EQ(model->statistics().stages[Stage::experts], 0);
  EXPECT_GT(model->statistics().stages[Stage::dense], 0);
}

}  // namespace
}  // namespace tern
