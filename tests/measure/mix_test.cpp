// Which tensor gets which type: chosen names beside what llama.cpp's quantizer gives them.
#include "measure/mix.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/expect_error.h"

namespace tern {
namespace {

struct Shape {
  const char* architecture = "llama";
  uint64_t layers = 32, heads = 32, kv_heads = 8, experts = 0;
  bool tied = false;
};

GgufTensor tensor_of(const std::string& name, std::vector<uint64_t> dims, DType type = DType::f16) {
  GgufTensor tensor;
  tensor.name = name;
  tensor.dims = std::move(dims);
  tensor.ggml_type = static_cast<uint32_t>(type);
  return tensor;
}

GgufFile model_of(const Shape& shape) {
  std::vector<GgufTensor> tensors{tensor_of("token_embd.weight", {4096, 1000})};
  if (!shape.tied) tensors.push_back(tensor_of("output.weight", {4096, 1000}));
  for (uint64_t i = 0; i < shape.layers; ++i) {
    tensors.push_back(tensor_of(fmt::format("blk.{}.attn_v.weight", i), {4096, 1024}));
  }
  const std::string arch = shape.architecture;
  return GgufFile::assemble("m",
                            {{"general.architecture", arch},
                             {arch + ".block_count", shape.layers},
                             {arch + ".attention.head_count", shape.heads},
                             {arch + ".attention.head_count_kv", shape.kv_heads},
                             {arch + ".expert_count", shape.experts}},
                            std::move(tensors), nullptr);
}

std::string type_in(const Shape& shape, const char* mix, const std::string& name,
                    std::vector<uint64_t> dims = {4096, 1024}) {
  const GgufFile file = model_of(shape);
  const MixRules rules(file, find_mix(mix));
  return std::string(traits(rules.type_of(tensor_of(name, std::move(dims)))).name);
}

TEST(Mix, NamesAreFoundInEitherCase) {
  EXPECT_EQ(find_mix("q4_k_m").file_type, 15u);
  EXPECT_EQ(find_mix("Q4_K").file_type, 15u);
  EXPECT_EQ(find_mix("bf16").file_type, 32u);
  EXPECT_EQ(find_mix("mxfp4_moe").file_type, 38u);
  expect_error(ErrorKind::bad_input, {"'q9'", "Q4_K_M", "MXFP4_MOE"}, [] { find_mix("q9"); });
}

struct Case {
  const char* mix;
  const char* tensor;
  const char* type;
};

TEST(Mix, LayersOfADenseModel) {
  const Case cases[] = {
      {"Q4_K_M", "blk.0.attn_v.weight", "Q6_K"},
      {"Q4_K_M", "blk.3.attn_v.weight", "Q6_K"},
      {"Q4_K_M", "blk.4.attn_v.weight", "Q4_K"},
      {"Q4_K_M", "blk.5.attn_v.weight", "Q4_K"},
      {"Q4_K_M", "blk.6.attn_v.weight", "Q6_K"},
      {"Q4_K_M", "blk.27.ffn_down.weight", "Q6_K"},
      {"Q4_K_M", "blk.26.ffn_down.weight", "Q4_K"},
      {"Q4_K_M", "blk.28.ffn_down.weight", "Q6_K"},
      {"Q4_K_M", "blk.0.attn_q.weight", "Q4_K"},
      {"Q4_K_M", "blk.0.attn_output.weight", "Q4_K"},
      {"Q4_K_M", "blk.0.ffn_up.weight", "Q4_K"},
      {"Q4_K_M", "output.weight", "Q6_K"},
      {"Q4_K_M", "token_embd.weight", "Q4_K"},
      {"Q5_K_M", "blk.31.attn_v.weight", "Q6_K"},
      {"Q5_K_M", "blk.4.ffn_down.weight", "Q5_K"},
      {"Q4_K_S", "blk.3.attn_v.weight", "Q5_K"},
      {"Q4_K_S", "blk.4.attn_v.weight", "Q4_K"},
      {"Q4_K_S", "blk.3.ffn_down.weight", "Q5_K"},
      {"Q4_K_S", "blk.4.ffn_down.weight", "Q4_K"},
      {"Q5_K_S", "blk.0.attn_v.weight", "Q5_K"},
      {"Q6_K", "blk.0.ffn_down.weight", "Q6_K"},
      {"Q3_K_S", "blk.0.attn_v.weight", "Q3_K"},
      {"Q3_K_M", "blk.1.attn_v.weight", "Q5_K"},
      {"Q3_K_M", "blk.2.attn_v.weight", "Q4_K"},
      {"Q3_K_M", "blk.1.ffn_down.weight", "Q5_K"},
      {"Q3_K_M", "blk.2.ffn_down.weight", "Q4_K"},
      {"Q3_K_M", "blk.2.attn_output.weight", "Q4_K"},
      {"Q3_K_L", "blk.9.attn_v.weight", "Q5_K"},
      {"Q3_K_L", "blk.9.attn_output.weight", "Q5_K"},
      {"Q3_K_L", "blk.9.ffn_gate.weight", "Q3_K"},
      {"Q2_K", "blk.9.attn_v.weight", "Q4_K"},
      {"Q2_K", "blk.9.ffn_down.weight", "Q3_K"},
      {"Q2_K", "blk.9.attn_output.weight", "Q3_K"},
      {"Q2_K", "blk.9.attn_k.weight", "Q2_K"},
      {"Q8_0", "output.weight", "Q8_0"},
      {"Q4_0", "output.weight", "Q6_K"},
      {"Q4_0", "blk.0.ffn_down.weight", "Q4_0"},
      {"Q5_1", "blk.0.attn_v.weight", "Q5_1"},
      {"F16", "output.weight", "F16"},
      {"BF16", "blk.0.ffn_down.weight", "BF16"},
  };
  for (const Case& c : cases) EXPECT_EQ(type_in({}, c.mix, c.tensor), c.type) << c.mix << " " << c.tensor;
}

TEST(Mix, WhatStaysIsLeftAlone) {
  for (const char* name : {"blk.0.attn_norm.weight", "output_norm.weight", "blk.0.attn_q.bias"})
    EXPECT_EQ(type_in({}, "Q4_K_M", name, {4096}), "F16") << name;
  for (const char* name : {"blk.0.ffn_gate_inp.weight", "blk.0.exp_probs_b.bias", "blk.0.ffn_down_exps.bias"})
    EXPECT_EQ(type_in({}, "Q8_0", name, {4096, 8}), "F16") << name;
  EXPECT_EQ(type_in({}, "Q8_0", "rope_freqs.weight", {4096, 1, 1}), "F16");
}

TEST(Mix, ATiedEmbeddingIsTheOutput) {
  EXPECT_EQ(type_in({.tied = true}, "Q4_K_M", "token_embd.weight"), "Q6_K");
  EXPECT_EQ(type_in({.tied = true}, "Q8_0", "token_embd.weight"), "Q8_0");
}

TEST(Mix, RowsThatDontFallIntoBlocksGetTheNearestType) {
  const Case cases[] = {
      {"Q4_K_M", "blk.9.ffn_up.weight", "Q5_0"}, {"Q5_K_M", "blk.9.ffn_up.weight", "Q5_1"},
      {"Q6_K", "blk.9.ffn_up.weight", "Q8_0"},   {"Q3_K_M", "blk.9.ffn_up.weight", "Q4_0"},
      {"Q2_K", "blk.9.ffn_up.weight", "Q4_0"},   {"Q4_K_M", "blk.0.ffn_down.weight", "Q8_0"},
      {"Q4_K_M", "output.weight", "Q8_0"}};
  for (const Case& c : cases)
    EXPECT_EQ(type_in({}, c.mix, c.tensor, {1408, 8}), c.type) << c.mix << " " << c.tensor;
  EXPECT_EQ(type_in({}, "Q4_K_M", "blk.9.ffn_up.weight", {40, 8}), "F16");
  EXPECT_EQ(type_in({}, "Q4_0", "blk.9.ffn_up.weight", {40, 8}), "F16");
}

TEST(Mix, ExpertsAndLatentAttention) {
  const Shape v2{.architecture = "deepseek2", .layers = 27, .heads = 16, .kv_heads = 1, .experts = 64};
  EXPECT_EQ(type_in(v2, "Q4_K_M", "blk.0.ffn_down.weight", {10944, 2048}), "Q8_0");  // of Q6_K, for its rows
  EXPECT_EQ(type_in(v2, "Q4_K_M", "blk.26.ffn_down_exps.weight", {1536, 2048, 64}), "Q6_K");
  EXPECT_EQ(type_in(v2, "Q4_K_M", "blk.4.ffn_down_shexp.weight", {2816, 2048}), "Q4_K");
  EXPECT_EQ(type_in(v2, "Q4_K_M", "blk.4.attn_k_b.weight", {128, 512, 16}), "Q5_0");
  EXPECT_EQ(type_in(v2, "Q4_K_M", "blk.4.attn_v_b.weight", {512, 128, 16}), "Q4_K");
  EXPECT_EQ(type_in(v2, "Q4_K_M", "blk.4.attn_kv_a_mqa.weight", {2048, 576}), "Q4_K");
  EXPECT_EQ(type_in(v2, "MXFP4_MOE", "blk.4.ffn_down_exps.weight", {1408, 2048, 64}), "MXFP4");
  EXPECT_EQ(type_in(v2, "MXFP4_MOE", "blk.4.attn_k_b.weight", {128, 512, 16}), "Q8_0");
  EXPECT_EQ(type_in(v2, "MXFP4_MOE", "blk.4.ffn_down_shexp.weight", {2816, 2048}), "Q8_0");
}

TEST(Mix, EightExpertsAnd70B) {
  const Shape mixtral{.experts = 8};
  EXPECT_EQ(type_in(mixtral, "Q4_K_M", "blk.9.attn_v.weight"), "Q8_0");
  EXPECT_EQ(type_in(mixtral, "Q4_K_M", "blk.9.attn_k.weight"), "Q8_0");
  EXPECT_EQ(type_in(mixtral, "Q4_K_M", "blk.9.attn_output.weight"), "Q5_K");
  EXPECT_EQ(type_in(mixtral, "Q5_K_M", "blk.9.attn_output.weight"), "Q5_K");
  EXPECT_EQ(type_in(mixtral, "Q3_K_L", "blk.9.attn_output.weight"), "Q3_K");
  const Shape large{.layers = 80, .heads = 64};
  EXPECT_EQ(type_in(large, "Q4_K_M", "blk.10.attn_v.weight"), "Q5_K");
  EXPECT_EQ(type_in(large, "Q4_K_M", "blk.12.attn_v.weight"), "Q6_K");
  EXPECT_EQ(type_in(large, "Q3_K_S", "blk.12.attn_v.weight"), "Q5_K");
}

}  // namespace
}  // namespace tern
