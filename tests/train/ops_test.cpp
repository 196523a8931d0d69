// The operations of the models: plain tensor arithmetic against finite differences, the fused loops against
// it.
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/train/numerics.h"
#include "train/ops.h"

namespace tern::train {
namespace {

constexpr double gradient_tolerance = 1e-6;  // of central differences in double
constexpr double fused_tolerance = 1e-5;     // of float sums in another order

at::Tensor random(std::vector<int64_t> shape, at::ScalarType type, double size = 1) {
  return (at::randn(shape, at::kDouble) * size).to(type);
}

/// A sum that no symmetry of the operation hides: every output element has a weight of its own.
at::Tensor weighed(const at::Tensor& x) {
  const at::Tensor weights = at::sin(at::arange(x.numel(), at::kDouble) + 1).to(x.scalar_type());
  return (x.flatten() * weights).sum();
}

void expect_gradients(const ScalarFunction& f, const std::vector<at::Tensor>& inputs) {
  const auto exact = finite_differences(f, inputs), found = gradients(f, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(relative_error(found[i], exact[i]), gradient_tolerance) << "input " << i;
  }
}

/// Values and gradients of the fused operation in float against the plain one in double.
void expect_same(const ScalarFunction& fused, const ScalarFunction& plain,
                 const std::vector<at::Tensor>& inputs) {
  if (!fused::usable(at::zeros({1}))) GTEST_SKIP() << "no AVX2 and FMA here";
  std::vector<at::Tensor> narrow;
  for (const at::Tensor& input : inputs) narrow.push_back(input.to(at::kFloat));
  EXPECT_NEAR(fused(narrow).item<double>(), plain(inputs).item<double>(), 1e-4);
  const auto found = gradients(fused, narrow), exact = gradients(plain, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(relative_error(found[i], exact[i]), fused_tolerance) << "input " << i;
  }
}

TEST(Ops, RmsNorm) {
  at::manual_seed(1);
  const std::vector<at::Tensor> inputs{random({5, 7}, at::kDouble), random({7}, at::kDouble)};
  const auto plain = [](const auto& x) { return weighed(reference::rms_norm(x[0], x[1], 1e-6)); };
  expect_gradients(plain, inputs);
  expect_same([](const auto& x) { return weighed(fused::rms_norm(x[0], x[1], 1e-6)); }, plain, inputs);
}

TEST(Ops, RmsNormOfPartOfARow) {
  at::manual_seed(2);
  const std::vector<at::Tensor> inputs{random({5, 40}, at::kDouble), random({16}, at::kDouble)};
  expect_same([](const auto& x) { return weighed(fused::rms_norm(x[0].narrow(1, 8, 16), x[1], 1e-6)); },
              [](const auto& x) { return weighed(reference::rms_norm(x[0].narrow(1, 8, 16), x[1], 1e-6)); },
              inputs);
}

TEST(Ops, Swiglu) {
  at::manual_seed(3);
  const std::vector<at::Tensor> inputs{random({9, 14}, at::kDouble, 3)};
  const auto plain = [](const auto& x) { return weighed(reference::swiglu(x[0])); };
  expect_gradients(plain, inputs);
  expect_same([](const auto& x) { return weighed(fused::swiglu(x[0])); }, plain, inputs);
}

struct AttentionCase {
  std::vector<int64_t> starts;
  int64_t heads, kv_heads, rope_heads, nope, rope, value;
};

void check_attention(const AttentionCase& c, bool differences) {
  at::manual_seed(4);
  const int64_t n = c.starts.back();
  const std::vector<at::Tensor> inputs{random({n, c.heads, c.nope + c.rope}, at::kDouble),
                                       random({n, c.kv_heads, c.nope + c.value}, at::kDouble),
                                       random({n, c.rope_heads, c.rope}, at::kDouble)};
  const Sequences sequences(c.starts, at::kCPU);
  const RopeTable wide(64, c.rope, 10000, at::TensorOptions(at::kDouble));
  const RopeTable narrow(64, c.rope, 10000, at::TensorOptions(at::kFloat));
  const auto plain = [&](const auto& x) {
    return weighed(reference::attention(x[0], x[1], x[2], sequences, wide));
  };
  if (differences) expect_gradients(plain, inputs);
  expect_same([&](const auto& x) { return weighed(fused::attention(x[0], x[1], x[2], sequences, narrow)); },
              plain, inputs);
}

TEST(Ops, AttentionOfLatentsWithOneSharedRotatedKey) {
  check_attention({{0, 4, 5, 8}, 2, 2, 1, 3, 4, 5}, true);
}

TEST(Ops, AttentionOfGroupedQueries) {
  check_attention({{0, 3, 7}, 4, 2, 2, 0, 4, 3}, true);
}

TEST(Ops, AttentionOfLongSequencesAndOddSizes) {
  check_attention({{0, 1, 18, 19, 60, 97}, 3, 3, 1, 32, 16, 32}, false);
  check_attention({{0, 33, 50}, 4, 2, 2, 0, 32, 32}, false);
  check_attention({{0, 17, 23}, 2, 2, 1, 5, 6, 7}, false);
}

TEST(Ops, AttentionSeesNoLaterTokenAndNoOtherSequence) {
  at::manual_seed(5);
  const Sequences sequences({0, 6, 11}, at::kCPU);
  const RopeTable rope(64, 4, 10000, at::TensorOptions(at::kFloat));
  const at::Tensor q = random({11, 2, 7}, at::kFloat), kv = random({11, 2, 8}, at::kFloat);
  const at::Tensor k_rope = random({11, 1, 4}, at::kFloat);
  const at::Tensor before = attention(q, kv, k_rope, sequences, rope);
  const at::Tensor changed = kv.clone();
  changed[8].add_(1);
  const at::Tensor after = attention(q, changed, k_rope, sequences, rope);
  EXPECT_TRUE(at::equal(before.narrow(0, 0, 8), after.narrow(0, 0, 8)));
  EXPECT_FALSE(at::equal(before[8], after[8]));
  EXPECT_FALSE(at::equal(before[10], after[10]));
}

TEST(Ops, AttentionRefusesSequencesBeyondTheContext) {
  const Sequences sequences({0, 3, 12}, at::kCPU);
  const RopeTable rope(8, 4, 10000, at::TensorOptions(at::kFloat));
  const at::Tensor q = at::zeros({12, 2, 7}), kv = at::zeros({12, 2, 8}), k_rope = at::zeros({12, 1, 4});
  expect_error(ErrorKind::limit, {"9 tokens", "context is 8"},
               [&] { attention(q, kv, k_rope, sequences, rope); });
}

TEST(Ops, Experts) {
  at::manual_seed(6);
  const int64_t tokens = 7, experts_count = 5, hidden = 6, ff = 4;
  const at::Tensor chosen =
      at::tensor({0, 1, 1, 0, 4, 1, 0, 4, 1, 2, 2, 1, 0, 2}, at::kLong).view({tokens, 2});  // 3: idle
  const std::vector<at::Tensor> inputs{
      random({tokens, hidden}, at::kDouble), random({tokens, 2}, at::kDouble),
      random({experts_count, 2 * ff, hidden}, at::kDouble), random({experts_count, hidden, ff}, at::kDouble)};
  const auto plain = [&](const auto& x) {
    return weighed(reference::experts(x[0], chosen, x[1], x[2], x[3]));
  };
  expect_gradients(plain, inputs);
  expect_same([&](const auto& x) { return weighed(fused::experts(x[0], chosen, x[1], x[2], x[3])); }, plain,
              inputs);

  // One token by hand: the weighed sum of its experts.
  const auto expert = [&](int64_t e) {
    return at::mv(inputs[3][e],
                  reference::swiglu(at::mv(inputs[2][e], inputs[0][4]).unsqueeze(0)).squeeze(0));
  };
  const at::Tensor by_hand = inputs[1][4][0] * expert(1) + inputs[1][4][1] * expert(2);
  const at::Tensor all = reference::experts(inputs[0], chosen, inputs[1], inputs[2], inputs[3]);
  EXPECT_LT(relative_error(all[4], by_hand), 1e-12);
}

TEST(Ops, HeadLoss) {
  at::manual_seed(7);
  const at::Tensor targets = at::tensor({3, 0, 8, 8, 5}, at::kLong);
  const std::vector<at::Tensor> inputs{random({5, 6}, at::kDouble), random({9, 6}, at::kDouble)};
  const auto plain = [&](const auto& x) { return reference::head_loss(x[0], x[1], targets, 7); };
  expect_gradients(plain, inputs);
  expect_same([&](const auto& x) { return fused::head_loss(x[0], x[1], targets, 7); }, plain, inputs);

  const at::Tensor logits = at::mm(inputs[0], inputs[1].t());
  EXPECT_NEAR(plain(inputs).item<double>(), at::cross_entropy_loss(logits, targets).item<double>() * 5 / 7,
              1e-12);
}

TEST(Ops, HeadLossInSeveralPieces) {
  at::manual_seed(8);
  const int64_t rows = 1100;
  const at::Tensor targets = at::randint(0, 50, {rows}, at::kLong);
  expect_same([&](const auto& x) { return fused::head_loss(x[0], x[1], targets, rows) * 100; },
              [&](const auto& x) { return reference::head_loss(x[0], x[1], targets, rows) * 100; },
              {random({rows, 16}, at::kDouble), random({50, 16}, at::kDouble)});
}

}  // namespace
}  // namespace tern::train
