// BF16 weights against transformers and the papers on the same rounded weights: logits within 2%, and the
// same experts. (Transformers' own rounding of activations to BF16 is worth 1 to 4%, see the dumps'
// metadata.)
#include <gtest/gtest.h>

#include "tests/model/changed_file.h"
#include "tests/model/oracles.h"
#include "tests/model/runner.h"

namespace tern {
namespace {

/// The same model as a BF16 checkpoint gives it: every weight rounded, matrices in BF16, vectors in F32.
GgufFile as_bf16(const GgufFile& file) {
  return changed(file, [](FileParts& parts) {
    for (GgufTensor& tensor : parts.tensors) {
      if (tensor.name == "rope_freqs.weight") continue;  // computed, no weight of a checkpoint
      set_values(tensor, tensor.dims.size() > 1 ? DType::bf16 : DType::f32, [](std::span<float> values) {
        for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
      });
    }
  });
}

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
    const size_t same = count_same(experts, oracle.bf16_experts);
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
