// Whole models: gradients, threads, balancing.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "tests/train/numerics.h"
#include "tests/train/tiny.h"
#include "train/network.h"
#include "train/step.h"

namespace tern::train {
namespace {

ModelConfig very_tiny(Family family) {
  ModelConfig model = family == Family::llama ? tiny_llama() : tiny_deepseek();
  model.vocab_size = 7;
  model.hidden = 4;
  model.layers = 2;
  model.heads = 2;
  model.context = 8;
  model.query_rank = 3;
  model.latent_rank = 3;
  model.nope_dim = 2;
  model.rope_dim = 2;
  model.value_dim = 3;
  model.dense_ff = 5;
  model.experts = 4;
  model.shared_experts = 1;
  model.expert_ff = 3;
  model.kv_heads = 1;
  model.head_dim = 4;
  return model;
}

Batch small_batch() {
  Batch batch;
  batch.tokens = {1, 5, 2, 6, 0, 3, 3, 4, 1};
  batch.starts = {0, 4, 9};
  batch.rows = {1, 2, 5, 6, 7};
  batch.targets = {2, 6, 3, 4, 1};
  return batch;
}

/// The loss over all parameters by central differences against backward(), in double.
void check_gradients(ModelConfig config) {
  const auto network = make_network(config, at::TensorOptions(at::kDouble), 3);
  const Batch batch = small_batch();
  Stepper stepper(*network, 1);
  stepper.accumulate(batch);
  const c10::NoGradGuard no_grad;
  for (size_t group = 0; group < 2; ++group) {
    at::Tensor& values = network->parameters().values()[group];
    const at::Tensor exact = at::zeros_like(values);
    for (int64_t i = 0; i < values.numel(); ++i) {
      constexpr double step = 1e-5;
      double& x = values.data_ptr<double>()[i];
      const double at = x;
      x = at + step;
      const double above = stepper.loss(batch);
      x = at - step;
      exact.data_ptr<double>()[i] = (above - stepper.loss(batch)) / (2 * step);
      x = at;
    }
    EXPECT_LT(relative_error(network->parameters().gradients()[group], exact), 1e-6) << "group " << group;
  }
}

TEST(Model, DeepseekGradientsAreFiniteDifferences) {
  check_gradients(very_tiny(Family::deepseek));
}

TEST(Model, LlamaGradientsAreFiniteDifferences) {
  check_gradients(very_tiny(Family::llama));
}

TEST(Model, TiedGradientsAreFiniteDifferences) {
  ModelConfig config = very_tiny(Family::deepseek);
  config.tied = true;
  check_gradients(config);
}

Batch random_batch(int64_t sequences, int64_t vocab) {
  Batch batch;
  batch.starts.push_back(0);
  Rng rng(9);
  for (int64_t b = 0; b < sequences; ++b) {
    const int64_t length = rng.between(3, 30);
    for (int64_t t = 0; t < length; ++t) {
      const auto row = static_cast<int64_t>(batch.tokens.size());
      batch.tokens.push_back(rng.between(0, vocab - 1));
      if (t + 1 == length || rng.chance(0.3)) continue;
      batch.rows.push_back(row);
      batch.targets.push_back(rng.between(0, vocab - 1));
    }
    batch.starts.push_back(static_cast<int64_t>(batch.tokens.size()));
  }
  return batch;
}

TEST(Model, FusedAndPlainAgreeOnLossAndGradients) {
  for (const ModelConfig& config : {tiny_deepseek(), tiny_llama()}) {
    const auto narrow = make_network(config, at::TensorOptions(at::kFloat), 5);
    const auto wide = make_network(config, at::TensorOptions(at::kDouble), 5);  // no fused loops in double
    const Batch batch = random_batch(9, config.vocab_size);
    Stepper fused(*narrow, 1), plain(*wide, 1);
    EXPECT_NEAR(fused.accumulate(batch), plain.accumulate(batch), 1e-5);
    for (size_t group = 0; group < 2; ++group) {
      EXPECT_LT(
          relative_error(narrow->parameters().gradients()[group], wide->parameters().gradients()[group]),
          1e-4);
    }
  }
}

TEST(Model, ThreadsAddUpToOne) {
  const auto network = make_network(tiny_deepseek(), at::TensorOptions(at::kFloat), 5);
  const Batch batch = random_batch(11, 300);
  Stepper one(*network, 1);
  const double loss = one.accumulate(batch);
  const at::Tensor gradient = network->parameters().gradients()[0].clone(), load = one.take_load();
  network->parameters().gradients()[0].zero_();
  Stepper three(*network, 3);
  EXPECT_NEAR(three.accumulate(batch), loss, 1e-6);
  EXPECT_LT(relative_error(network->parameters().gradients()[0], gradient), 1e-5);
  EXPECT_TRUE(at::equal(three.take_load(), load));
}

TEST(Model, SplitBatchKeepsEverySequenceAndTarget) {
  const Batch batch = random_batch(10, 300);
  for (size_t parts : {1, 2, 3, 20}) {
    std::vector<int64_t> tokens, targets;
    for (const Batch& part : split_batch(batch, parts)) {
      ASSERT_EQ(part.starts.back(), static_cast<int64_t>(part.tokens.size()));
      for (size_t i = 0; i < part.rows.size(); ++i) {
        const auto row = static_cast<int64_t>(tokens.size()) + part.rows[i];
        ASSERT_EQ(row, batch.rows[targets.size() + i]);
      }
      tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
      targets.insert(targets.end(), part.targets.begin(), part.targets.end());
    }
    EXPECT_EQ(tokens, batch.tokens);
    EXPECT_EQ(targets, batch.targets);
  }
}

TEST(Model, BalanceLiftsTheIdleAndReportsMaxVio) {
  const auto network = make_network(tiny_deepseek(), at::TensorOptions(at::kFloat), 5);
  const at::Tensor load = at::tensor({12, 0, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6}, at::kLong).view({2, 6});
  const Balance balance = network->balance(load, 0.25);
  EXPECT_NEAR(balance.worst, 1.0, 1e-6);
  EXPECT_NEAR(balance.mean, 0.5, 1e-6);
  const auto buffers = network->buffers();
  ASSERT_EQ(buffers.size(), 2u);
  EXPECT_TRUE(at::equal(buffers[0].second, at::tensor({-0.25f, 0.25f, 0.f, 0.f, 0.f, 0.f})));
  EXPECT_TRUE(at::equal(buffers[1].second, at::zeros({6})));
}

TEST(Model, BiasChoosesButDoesNotWeigh) {
  const auto network = make_network(tiny_deepseek(), at::TensorOptions(at::kFloat), 5);
  const Batch batch = random_batch(3, 300);
  Stepper stepper(*network, 1);
  const double before = stepper.loss(batch);
  for (const auto& [name, bias] : network->buffers()) bias.fill_(0.5);  // the same for all: the choice stays
  EXPECT_EQ(stepper.loss(batch), before);
  for (const auto& [name, bias] : network->buffers()) bias[1] += 10;
  EXPECT_NE(stepper.loss(batch), before);
}

TEST(Model, ActiveWeightsCountWhatATokenTouches) {
  const ModelConfig c = tiny_deepseek();
  const auto network = make_network(c, at::TensorOptions(at::kFloat), 5);
  const int64_t expert = 3 * c.hidden * c.expert_ff;
  EXPECT_EQ(network->parameters().count() - network->active_weights(),
            2 * (c.experts - c.experts_used) * expert + c.vocab_size * c.hidden);
}

TEST(Model, TheDenseTwinHasAsManyActiveWeights) {
  const auto active = [](const char* path) {
    const ModelConfig config = load_config(std::string(TERN_SOURCE_DIR) + path).model;
    return static_cast<double>(make_network(config, at::TensorOptions(at::kFloat), 1)->active_weights());
  };
  EXPECT_NEAR(active("/configs/search-dense.toml") / active("/configs/search.toml"), 1, 0.03);
}

}  // namespace
}  // namespace tern::train
