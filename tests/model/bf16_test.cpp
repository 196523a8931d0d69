// BF16 weights against transformers and the papers on the same rounded weights: logits within 2%, and the
// same experts. (Transformers' own rounding of activations to BF16 is worth 1 to 4%, see the dumps'
// metadata.)
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/model/oracles.h"
#include "tests/model/runner.h"

namespace tern {
namespace {

/// The same model as a BF16 checkpoint gives it: every weight rounded, matrices in BF16, vectors in F32.
GgufFile as_bf16(const GgufFile& file) {
  std::vector<GgufTensor> tensors = file.tensors();
  for (GgufTensor& tensor : tensors) {
    if (tensor.name == "rope_freqs.weight") continue;  // computed, no weight of a checkpoint
    const bool matrix = tensor.dims.size() > 1;
    const auto own = tensor.data;
    tensor.ggml_type = static_cast<uint32_t>(matrix ? DType::bf16 : DType::f32);
    tensor.make = [own, matrix](std::span<std::byte> to) {
      const size_t n = own.size() / sizeof(float);
      std::vector<float> values(n);
      std::vector<std::byte> rounded(n * 2);
      decode(DType::f32, own.data(), n, values.data());
      encode(DType::bf16, values.data(), n, rounded.data());
      decode(DType::bf16, rounded.data(), n, values.data());
      encode(matrix ? DType::bf16 : DType::f32, values.data(), n, to.data());
    };
  }
  return GgufFile::assemble(file.name(), file.metadata(), std::move(tensors),
                            std::make_shared<GgufFile>(file));
}

class Routes final : public RouterObserver {
 public:
  void on_route(int layer, const BatchToken& token, std::span<const int32_t> experts,
                std::span<const float> /*weights*/) override {
    auto& chosen = by_place[{layer, token.position}];
    chosen.assign(experts.begin(), experts.end());
    std::sort(chosen.begin(), chosen.end());
  }
  /// {moe layers, tokens, used}, as the dumps have it.
  std::vector<int32_t> all() const {
    std::vector<int32_t> result;
    for (const auto& [place, experts] : by_place) result.insert(result.end(), experts.begin(), experts.end());
    return result;
  }
  std::map<std::pair<int, int>, std::vector<int32_t>> by_place;
};

class Bf16 : public testing::TestWithParam<std::string> {};

TEST_P(Bf16, LogitsAndExpertsAreTheReferences) {
  const Oracle oracle = read_oracle(GetParam());
  const GgufFile file = as_bf16(oracle.file);
  for (const Isa isa : kAllIsas) {
    if (!isa_available(isa)) continue;
    Routes routes;
    const auto model =
        load_model(file, {.isa = isa, .threads = 2, .max_batch = 128, .router_observer = &routes});
    const double error = relative_error(run_fresh(*model, oracle.tokens, 128), oracle.bf16_logits);
    const std::vector<int32_t> experts = routes.all();
    ASSERT_EQ(experts.size(), oracle.bf16_experts.size());
    size_t same = 0;
    for (size_t i = 0; i < experts.size(); ++i) same += experts[i] == oracle.bf16_experts[i];
    std::printf("%s, %s: relative error %.2g, %zu of %zu experts the same\n", oracle.name.c_str(),
                std::string(isa_name(isa)).c_str(), error, same, experts.size());
    if (isa == Isa::avx512_bf16) {
      // It rounds activations too, which may turn a near tie of the router; then other experts answer.
      EXPECT_GE(same, experts.size() * 9 / 10);
      EXPECT_LE(error, same == experts.size() ? 2e-2 : 1.0);
    } else {
      EXPECT_EQ(same, experts.size());
      EXPECT_LE(error, 1e-4);  // nothing is rounded here but the weights
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Oracles, Bf16, testing::ValuesIn(oracle_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace tern
