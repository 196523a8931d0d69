// AdamW over flat buffers against the formula, written out in double.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/expect_error.h"
#include "tests/train/numerics.h"

namespace tern::train {
namespace {

/// A matrix, which decays, and a norm's weight, which doesn't.
Parameters two_parameters() {
  Parameters parameters;
  parameters.add_matrix("layer.matrix", {3, 5}, 0.5);
  parameters.add_norm("layer.norm", 4);
  parameters.allocate(at::TensorOptions(at::kFloat), 1);
  return parameters;
}

OptimizerConfig plain_config() {
  OptimizerConfig config;
  config.beta1 = 0.8;
  config.beta2 = 0.9;
  config.epsilon = 0.05;  // large enough to tell where it stands
  config.weight_decay = 0.2;
  config.clip = 1e6;
  return config;
}

/// Algorithm 2 of arXiv 1711.05101, with the decay multiplied by the learning rate as PyTorch does.
struct AdamWInDouble {
  at::Tensor weights, first, second;
  double decay;

  AdamWInDouble(const at::Tensor& start, double weight_decay)
      : weights(start.to(at::kDouble, false, /*copy=*/true)),
        first(at::zeros_like(weights)),
        second(at::zeros_like(weights)),
        decay(weight_decay) {}

  void step(const at::Tensor& gradient, int t, double rate, const OptimizerConfig& config) {
    for (int64_t i = 0; i < weights.numel(); ++i) {
      double& w = weights.data_ptr<double>()[i];
      double& m = first.data_ptr<double>()[i];
      double& v = second.data_ptr<double>()[i];
      const auto g = static_cast<double>(gradient.data_ptr<float>()[i]);
      m = config.beta1 * m + (1 - config.beta1) * g;
      v = config.beta2 * v + (1 - config.beta2) * g * g;
      const double m_hat = m / (1 - std::pow(config.beta1, t)), v_hat = v / (1 - std::pow(config.beta2, t));
      w -= rate * (m_hat / (std::sqrt(v_hat) + config.epsilon) + decay * w);
    }
  }
};

TEST(Optimizer, IsAdamWThatDecaysMatricesOnly) {
  const OptimizerConfig config = plain_config();
  Parameters parameters = two_parameters();
  AdamW optimizer(parameters, config);
  std::vector<AdamWInDouble> expected = {{parameters.values()[0], config.weight_decay},
                                         {parameters.values()[1], 0}};
  at::manual_seed(3);
  for (int t = 1; t <= 5; ++t) {
    const double rate = 0.1 / t;
    for (size_t g = 0; g < 2; ++g) {
      const at::Tensor gradient = at::randn_like(parameters.gradients()[g]);
      parameters.gradients()[g].copy_(gradient);
      expected[g].step(gradient, t, rate, config);
    }
    optimizer.step(rate);
    for (size_t g = 0; g < 2; ++g) {
      EXPECT_LT(relative_error(parameters.values()[g], expected[g].weights), 1e-6) << "step " << t;
      EXPECT_LT(relative_error(optimizer.first()[g], expected[g].first), 1e-6) << "step " << t;
      EXPECT_LT(relative_error(optimizer.second()[g], expected[g].second), 1e-6) << "step " << t;
      EXPECT_EQ(parameters.gradients()[g].abs().max().item<float>(), 0) << "cleared for the next step";
    }
  }
  EXPECT_EQ(optimizer.steps(), 5);
}

TEST(Optimizer, ClipsTheNormOfTheWholeGradient) {
  OptimizerConfig config = plain_config();
  config.clip = 1;
  const auto first_moments = [&](float matrix, float norm, double expected_norm) {
    Parameters parameters = two_parameters();
    AdamW optimizer(parameters, config);
    parameters.gradients()[0][0] = matrix;
    parameters.gradients()[1][0] = norm;
    EXPECT_NEAR(optimizer.step(0.1), expected_norm, 1e-6);
    return std::pair(optimizer.first()[0][0].item<double>(), optimizer.first()[1][0].item<double>());
  };
  const auto [clipped, clipped_norm] = first_moments(6, 8, 10);
  EXPECT_NEAR(clipped, 0.2 * 0.6, 1e-7);
  EXPECT_NEAR(clipped_norm, 0.2 * 0.8, 1e-7);
  const auto [small, small_norm] = first_moments(0.3f, 0.4f, 0.5);
  EXPECT_NEAR(small, 0.2 * 0.3, 1e-7) << "what is small enough stays";
  EXPECT_NEAR(small_norm, 0.2 * 0.4, 1e-7);
}

TEST(Optimizer, AGradientThatIsNoNumberIsAnErrorThatNamesItAndChangesNothing) {
  Parameters parameters = two_parameters();
  AdamW optimizer(parameters, plain_config());
  for (const at::Tensor& gradient : parameters.gradients()) gradient.fill_(0.1);
  optimizer.step(0.1);
  const auto everything = [&] {
    return at::cat({parameters.values()[0], parameters.values()[1], optimizer.first()[0],
                    optimizer.first()[1], optimizer.second()[0], optimizer.second()[1]});
  };
  const at::Tensor before = everything();
  for (const float wrong : {NAN, INFINITY}) {
    for (const at::Tensor& gradient : parameters.gradients()) gradient.fill_(0.1);
    parameters.gradients()[1][2] = wrong;
    expect_error(ErrorKind::internal, {"step 2", "layer.norm"}, [&] { optimizer.step(0.1); });
    EXPECT_TRUE(at::equal(everything(), before));
    EXPECT_EQ(optimizer.steps(), 1);
  }
}

}  // namespace
}  // namespace tern::train
