// Logits against transformers and the papers (oracles/make_*dumps.py).
#include <gtest/gtest.h>

#include "tests/model/oracles.h"
#include "tests/model/runner.h"

namespace tern {
namespace {

class Parity : public testing::TestWithParam<std::string> {};

TEST_P(Parity, LogitsAreTheReferencesOnEveryInstructionSetAndPath) {
  const Oracle oracle = read_oracle(GetParam());
  double worst = 0;
  for (const Isa isa : kAllIsas) {
    if (!isa_available(isa)) continue;
    for (const AttentionPath path :
         {AttentionPath::automatic, AttentionPath::decompressed, AttentionPath::absorbed}) {
      const auto model =
          load_model(oracle.file, {.isa = isa, .threads = 2, .max_batch = 64, .attention = path});
      for (const int piece : {64, 7, 1}) {
        const std::vector<float> logits = run_fresh(*model, oracle.tokens, piece);
        ASSERT_EQ(logits.size(), oracle.logits.size());
        const double error = relative_error(logits, oracle.logits);
        EXPECT_LE(error, 1e-4) << isa_name(isa) << ", path " << static_cast<int>(path) << ", pieces of "
                               << piece;
        worst = std::max(worst, error);
      }
    }
  }
  RecordProperty("worst_relative_error", std::to_string(worst));
  std::printf("%s: worst relative error %.2g\n", oracle.name.c_str(), worst);
}

INSTANTIATE_TEST_SUITE_P(Oracles, Parity, testing::ValuesIn(oracle_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace tern
