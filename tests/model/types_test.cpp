// Weights of every type against F32 weights of the same values: mean KL of the next token, and the same
// experts. What is left between the two is the kernels' own: the rounding of activations to int8 for types of
// blocks. Printed beside it is what the type itself costs: the KL of its values against those before they
// were encoded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "tests/model/runner.h"
#include "tests/model/tiny_file.h"

namespace tern {
namespace {

struct Outcome {
  std::vector<float> logits;
  Routes routes;
};

void run(const TinyFile& file, Isa isa, AttentionPath path, std::span<const int32_t> tokens, Outcome& result,
         CacheType cache = CacheType::f32) {
  const std::vector<std::byte> bytes = file.bytes();
  const auto model = load_model(GgufFile::parse(bytes, "tiny"), {.isa = isa,
                                                                 .threads = 1,
                                                                 .max_batch = 128,
                                                                 .attention = path,
                                                                 .cache = cache,
                                                                 .router_observer = &result.routes});
  result.logits = run_fresh(*model, tokens, 128);
}

double mean_kl(std::span<const float> p, std::span<const float> q, size_t vocab) {
  const auto log_sum = [&](const float* x) {
    double sum = 0;
    for (size_t i = 0; i < vocab; ++i) sum += std::exp(double{x[i]});
    return std::log(sum);
  };
  double total = 0;
  for (size_t row = 0; row < p.size(); row += vocab) {
    const double norm_p = log_sum(&p[row]), norm_q = log_sum(&q[row]);
    for (size_t i = row; i < row + vocab; ++i) {
      total += std::exp(p[i] - norm_p) * ((p[i] - norm_p) - (q[i] - norm_q));
    }
  }
  return total * static_cast<double>(vocab) / static_cast<double>(p.size());
}

struct TypeCase {
  const char* name;
  std::vector<DType> types;
  uint64_t seed;  ///< of a model where no choice of experts is a near tie, so that rounding cannot change it
  double most_kl;
  bool wide = true;  ///< rows of 256 and more, so that every type fits; else of 32 and 64
};

void PrintTo(const TypeCase& test, std::ostream* out) {
  *out << test.name;
}

class Types : public testing::TestWithParam<TypeCase> {};

TinyFile plain_file(const TypeCase& test) {
  if (!test.wide) {
    return tiny_file({.hidden = 64,
                      .layers = 3,
                      .groups = 1,
                      .groups_used = 1,
                      .split = std::string(test.name) != "mixed",
                      .seed = test.seed});
  }
  // Few choices of experts, so that models without a near tie are easily found.
  return tiny_file({.hidden = 256,
                    .heads = 2,
                    .q_rank = 256,
                    .kv_rank = 256,
                    .v = 128,
                    .dense_ff = 256,
                    .experts = 4,
                    .used = 2,
                    .groups = 1,
                    .groups_used = 1,
                    .expert_ff = 256,
                    .seed = test.seed});
}

TEST_P(Types, SayWhatTheSameValuesInF32Say) {
  const TypeCase& test = GetParam();
  const TinyFile before = plain_file(test);
  TinyFile file = before;
  convert(file, [&](size_t index) { return test.types[index % test.types.size()]; });
  Rng rng(5);
  std::vector<int32_t> tokens(40);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.below(48));
  const bool has_bf16 = std::find(test.types.begin(), test.types.end(), DType::bf16) != test.types.end();
  Outcome plain, exact;
  run(dequantised(file), detect_isa(), AttentionPath::decompressed, tokens, plain);
  run(before, detect_isa(), AttentionPath::decompressed, tokens, exact);
  std::printf("%s: the type itself: mean KL %.2g\n", test.name, mean_kl(exact.logits, plain.logits, 48));
  for (const Isa isa : kAllIsas) {
    if (!isa_available(isa)) continue;
    for (const AttentionPath path : {AttentionPath::decompressed, AttentionPath::absorbed}) {
      Outcome typed;
      run(file, isa, path, tokens, typed);
      const double kl = mean_kl(plain.logits, typed.logits, 48);
      const std::vector<int32_t> chosen = plain.routes.all();
      const size_t all = chosen.size(), same = count_same(chosen, typed.routes.all());
      std::printf("%s, %s, %s: mean KL %.2g, same experts %zu of %zu\n", test.name,
                  std::string(isa_name(isa)).c_str(),
                  path == AttentionPath::absorbed ? "absorbed" : "decompressed", kl, same, all);
      EXPECT_LE(kl, test.most_kl);
      // With BF16 matrices avx512_bf16 rounds activations as coarsely as Q8_0 does, so another model's ties
      // would be near for it.
      if (isa == Isa::avx512_bf16 && has_bf16) {
        EXPECT_GE(same, all * 0.9);
      } else {
        EXPECT_EQ(same, all);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Types,
    testing::Values(TypeCase{"f16", {DType::f16}, 52, 1e-9, false},
                    TypeCase{"bf16", {DType::bf16}, 52, 1e-4, false},
                    TypeCase{"q8_0", {DType::q8_0}, 26, 1e-3, false},
                    TypeCase{"mixed", {DType::q8_0, DType::bf16, DType::f16, DType::f32}, 38, 1e-3, false},
                    TypeCase{"q4_0", {DType::q4_0}, 7, 3e-3}, TypeCase{"q4_1", {DType::q4_1}, 3, 3e-3},
                    TypeCase{"q5_0", {DType::q5_0}, 1, 3e-3}, TypeCase{"q5_1", {DType::q5_1}, 5, 3e-3},
                    TypeCase{"q2_k", {DType::q2_k}, 1, 3e-3}, TypeCase{"q3_k", {DType::q3_k}, 3, 3e-3},
                    TypeCase{"q4_k", {DType::q4_k}, 3, 3e-3}, TypeCase{"q5_k", {DType::q5_k}, 2, 3e-3},
                    TypeCase{"q6_k", {DType::q6_k}, 1, 3e-3}, TypeCase{"iq4_nl", {DType::iq4_nl}, 9, 3e-3},
                    TypeCase{"iq4_xs", {DType::iq4_xs}, 2, 3e-3}, TypeCase{"mxfp4", {DType::mxfp4}, 2, 3e-3},
                    TypeCase{"q4_k_m", {DType::q4_k, DType::q6_k, DType::q5_0, DType::q8_0}, 2, 3e-3}),
    [](const auto& test) { return test.param.name; });

// What a cheaper cache costs, beside what quantized weights cost the same model (above). Random models have
// no preferences, so their outputs move more than a trained one's.
TEST(CacheTypes, SayNearlyWhatF32Says) {
  const TinyFile file =
      tiny_file({.hidden = 256, .heads = 2, .q_rank = 256, .kv_rank = 256, .v = 128, .seed = 3});
  Rng rng(6);
  std::vector<int32_t> tokens(100);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.below(48));
  Outcome exact;
  run(file, detect_isa(), AttentionPath::decompressed, tokens, exact);
  struct Limit {
    CacheType type;
    double kl;
  };
  for (const Limit& limit : {Limit{CacheType::f32, 1e-9}, {CacheType::bf16, 2e-3}, {CacheType::int8, 4e-3}}) {
    for (const AttentionPath path : {AttentionPath::decompressed, AttentionPath::absorbed}) {
      Outcome kept;
      run(file, detect_isa(), path, tokens, kept, limit.type);
      const double kl = mean_kl(exact.logits, kept.logits, 48);
      std::printf("%s, %s: mean KL %.2g\n", std::string(cache_type_name(limit.type)).c_str(),
                  path == AttentionPath::absorbed ? "absorbed" : "decompressed", kl);
      EXPECT_LE(kl, limit.kl);
      EXPECT_EQ(kl > 1e-9, limit.type != CacheType::f32);
    }
  }
}

}  // namespace
}  // namespace tern
