// The embedded model and its dense twin: the perplexity that transformers gives the same text with the same
// weights (oracles/make_perplexity.py), within 0.1%. As they are, in Q8_0, the kernels round activations to
// int8; what that is worth is printed, and bounded: mean KL at most 1e-3 where the same experts are chosen.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "tests/model/changed_file.h"
#include "tests/model/oracles.h"
#include "tests/model/runner.h"

namespace tern {
namespace {

/// The same weights as F32.
GgufFile dequantised(const GgufFile& file) {
  return changed(file, [](FileParts& parts) {
    for (GgufTensor& tensor : parts.tensors) set_values(tensor, DType::f32, [](std::span<float>) {});
  });
}

/// What a model says after each token of a sequence, and which experts it asks.
struct Said {
  std::vector<float> logprobs;  ///< {tokens, vocab}
  Routes routes;
};

class Speaker {
 public:
  explicit Speaker(const GgufFile& file)
      : model_(load_model(file, {.threads = 2, .max_batch = 256, .router_observer = &routes_})) {}

  size_t vocab() const { return model_->shape().vocab; }
  Said say(std::span<const int32_t> tokens) {
    routes_.clear();
    Said said{run_fresh(*model_, tokens, 256), routes_};
    for (size_t row = 0; row < said.logprobs.size(); row += vocab()) {
      double sum = 0;
      for (size_t v = row; v < row + vocab(); ++v) sum += std::exp(double{said.logprobs[v]});
      for (size_t v = row; v < row + vocab(); ++v) said.logprobs[v] -= static_cast<float>(std::log(sum));
    }
    return said;
  }

 private:
  Routes routes_;
  std::unique_ptr<Model> model_;
};

double kl(std::span<const float> p, std::span<const float> q) {
  double sum = 0;
  for (size_t v = 0; v < p.size(); ++v) sum += std::exp(double{p[v]}) * (double{p[v]} - q[v]);
  return sum;
}

/// Sums over a text.
struct Sums {
  double plain = 0, typed = 0;  ///< -log p of each token
  double kl = 0, tokens = 0,
         same = 0;  ///< KL over the positions with the same experts; positions; those of them
};

void add(const Said& plain, const Said& typed, std::span<const int32_t> tokens, size_t vocab, Sums& sums) {
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const auto p = std::span(plain.logprobs).subspan(i * vocab, vocab);
    const auto q = std::span(typed.logprobs).subspan(i * vocab, vocab);
    sums.plain -= p[tokens[i + 1]];
    sums.typed -= q[tokens[i + 1]];
    sums.tokens += 1;
    const int at = static_cast<int>(i);
    if (plain.routes.at(at) != typed.routes.at(at)) continue;
    sums.same += 1;
    sums.kl += kl(p, q);
  }
}

class Perplexity : public testing::TestWithParam<const char*> {};

TEST_P(Perplexity, IsTransformersOnTheSameText) {
  const auto dump = SafetensorsFile::open(dump_path("perplexity.safetensors"));
  const auto tokens = dumped<int32_t>(dump, "tokens"), lengths = dumped<int32_t>(dump, "lengths");
  const auto expected = dumped<float>(dump, GetParam());
  double reference = 0;
  for (const float value : expected) reference += value;

  const auto file = GgufFile::open(std::string(TERN_SOURCE_DIR "/models/") + GetParam() + ".gguf");
  Speaker plain(dequantised(file)), typed(file);
  Sums sums;
  size_t at = 0;
  for (const int32_t length : lengths) {
    const auto sequence = std::span(tokens).subspan(at, length);
    add(plain.say(sequence), typed.say(sequence), sequence, plain.vocab(), sums);
    at += length;
  }
  const double f32 = std::exp(sums.plain / sums.tokens), as_it_is = std::exp(sums.typed / sums.tokens);
  reference = std::exp(reference / sums.tokens);
  std::printf(
      "%s: perplexity in transformers %.5f, as F32 %.5f, as it is %.5f; mean KL %.2g over the %.1f%% of "
      "positions with the same experts\n",
      GetParam(), reference, f32, as_it_is, sums.kl / sums.same, 100 * sums.same / sums.tokens);
  EXPECT_NEAR(f32 / reference, 1, 1e-4);
  EXPECT_NEAR(as_it_is / reference, 1, 5e-3);
  EXPECT_LE(sums.kl / sums.same, 1e-3);
  EXPECT_GE(sums.same, 0.9 * sums.tokens);
}

INSTANTIATE_TEST_SUITE_P(Models, Perplexity, testing::Values("search", "search-dense"), [](const auto& test) {
  return std::string(test.param) == "search" ? "search" : "search_dense";
});

}  // namespace
}  // namespace tern
