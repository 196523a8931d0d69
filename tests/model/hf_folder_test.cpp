// Hugging Face checkpoints told in GGUF's terms.
#include "model/hf_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "base/atomic_file.h"
#include "model/model.h"
#include "tests/expect_error.h"
#include "tests/model/tiny_checkpoint.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

using Dims = std::vector<uint64_t>;

struct Expected {
  const char* name;
  Dims dims;
};

void expect_tensors(const GgufFile& file, const std::vector<Expected>& expected) {
  for (const Expected& tensor : expected) {
    SCOPED_TRACE(tensor.name);
    EXPECT_EQ(file.tensor(tensor.name).dims, tensor.dims);
    EXPECT_EQ(file.tensor(tensor.name).load().size(), file.tensor(tensor.name).bytes());
  }
}

TEST(HfFolder, DeepseekV3HasTheKeysOfTheConverter) {
  const GgufFile file = tiny_deepseek_v3().assemble();
  const std::pair<const char*, uint64_t> numbers[] = {{"block_count", 3},
                                                      {"nextn_predict_layers", 1},
                                                      {"context_length", 64},
                                                      {"embedding_length", 32},
                                                      {"feed_forward_length", 24},
                                                      {"attention.head_count", 3},
                                                      {"attention.head_count_kv", 1},
                                                      {"attention.q_lora_rank", 12},
                                                      {"attention.kv_lora_rank", 16},
                                                      {"attention.key_length", 20},
                                                      {"attention.value_length", 16},
                                                      {"attention.key_length_mla", 12},
                                                      {"attention.value_length_mla", 6},
                                                      {"rope.dimension_count", 4},
                                                      {"leading_dense_block_count", 1},
                                                      {"expert_count", 4},
                                                      {"expert_used_count", 2},
                                                      {"expert_shared_count", 2},
                                                      {"expert_feed_forward_length", 10},
                                                      {"expert_gating_func", 2},
                                                      {"expert_group_count", 2},
                                                      {"expert_group_used_count", 1},
                                                      {"vocab_size", 20}};
  EXPECT_EQ(file.get_string("general.architecture"), "deepseek2");
  EXPECT_EQ(file.get_string("general.name"), "tiny");
  for (const auto& [key, value] : numbers)
    EXPECT_EQ(file.get_uint(std::string("deepseek2.") + key), value) << key;
  EXPECT_EQ(file.get_float("deepseek2.expert_weights_scale"), 2.5);
  EXPECT_TRUE(file.bool_or("deepseek2.expert_weights_norm", false));
  EXPECT_EQ(file.get_float("deepseek2.rope.freq_base"), 500000.0);
  EXPECT_EQ(file.get_float("deepseek2.attention.layer_norm_rms_epsilon"), 1e-5);
}

TEST(HfFolder, DeepseekV3HasTheTensorsOfTheConverter) {
  const TinyCheckpoint checkpoint = tiny_deepseek_v3();
  const GgufFile file = checkpoint.assemble();
  expect_tensors(file, {{"token_embd.weight", {32, 20}},
                        {"output_norm.weight", {32}},
                        {"output.weight", {32, 20}},
                        {"blk.0.ffn_down.weight", {24, 32}},
                        {"blk.1.attn_q_a.weight", {32, 12}},
                        {"blk.1.attn_q_a_norm.weight", {12}},
                        {"blk.1.attn_q_b.weight", {12, 36}},
                        {"blk.1.attn_kv_a_mqa.weight", {32, 20}},
                        {"blk.1.attn_k_b.weight", {8, 16, 3}},
                        {"blk.1.attn_v_b.weight", {16, 6, 3}},
                        {"blk.1.attn_output.weight", {18, 32}},
                        {"blk.1.ffn_gate_inp.weight", {32, 4}},
                        {"blk.1.exp_probs_b.bias", {4}},
                        {"blk.1.ffn_gate_exps.weight", {32, 10, 4}},
                        {"blk.1.ffn_down_exps.weight", {10, 32, 4}},
                        {"blk.1.ffn_up_shexp.weight", {32, 20}},
                        {"blk.2.attn_norm.weight", {32}},
                        {"blk.2.ffn_gate_exps.weight", {32, 10, 4}},
                        {"blk.2.nextn.eh_proj.weight", {64, 32}},
                        {"blk.2.nextn.enorm.weight", {32}},
                        {"blk.2.nextn.hnorm.weight", {32}},
                        {"blk.2.nextn.embed_tokens.weight", {32, 20}},
                        {"blk.2.nextn.shared_head_head.weight", {32, 20}},
                        {"blk.2.nextn.shared_head_norm.weight", {32}}});
  const std::vector<float> kv_b = checkpoint.values("model.layers.1.self_attn.kv_b_proj.weight");
  const std::vector<float> k_b = floats_of(file.tensor("blk.1.attn_k_b.weight"));
  const std::vector<float> v_b = floats_of(file.tensor("blk.1.attn_v_b.weight"));
  for (size_t head = 0; head < 3; ++head) {
    for (size_t r = 0; r < 16; ++r) {
      for (size_t i = 0; i < 8; ++i)
        ASSERT_EQ(k_b[(head * 16 + r) * 8 + i], kv_b[(head * 14 + i) * 16 + r])
            << head << " " << r << " " << i;
      for (size_t i = 0; i < 6; ++i)
        ASSERT_EQ(v_b[(head * 6 + i) * 16 + r], kv_b[(head * 14 + 8 + i) * 16 + r])
            << head << " " << r << " " << i;
    }
  }
  const std::vector<float> experts = floats_of(file.tensor("blk.1.ffn_up_exps.weight"));
  const std::vector<float> third = checkpoint.values("model.layers.1.mlp.experts.2.up_proj.weight");
  EXPECT_TRUE(std::equal(third.begin(), third.end(), experts.begin() + 2 * 320));
}

TEST(HfFolder, TheModelRunsAndKeepsWhatPredictsFurtherTokensApart) {
  const GgufFile file = tiny_deepseek_v3().assemble();
  const ModelShape shape = measure_model(file);
  EXPECT_EQ(shape.layers, 2);
  EXPECT_EQ(shape.vocab, 20);
}

TEST(HfFolder, LayersThatAnExportLeftOutAreNotPromised) {
  TinyCheckpoint c = tiny_deepseek_v3();
  std::erase_if(c.tensors, [](const auto& item) { return item.first.starts_with("model.layers.2."); });
  const GgufFile file = c.assemble();
  EXPECT_EQ(file.get_uint("deepseek2.block_count"), 2u);
  EXPECT_EQ(file.find("deepseek2.nextn_predict_layers"), nullptr);
}

TEST(HfFolder, DeepseekV2HasASoftmaxGateAndNoBias) {
  const GgufFile file = tiny_deepseek_v2().assemble();
  EXPECT_EQ(file.get_uint("deepseek2.expert_gating_func"), 1u);
  EXPECT_EQ(file.get_uint("deepseek2.attention.q_lora_rank"), 0u);
  EXPECT_EQ(file.find("deepseek2.expert_weights_norm"), nullptr);
  EXPECT_EQ(file.find_tensor("blk.1.exp_probs_b.bias"), nullptr);
  EXPECT_EQ(file.tensor("blk.1.attn_q.weight").dims, (Dims{32, 36}));
  TinyCheckpoint greedy = tiny_deepseek_v2();
  greedy.config["topk_method"] = "greedy";
  EXPECT_EQ(greedy.assemble().find("deepseek2.expert_group_count"), nullptr);
}

TEST(HfFolder, FusedExpertsGiveTheSameTensors) {
  const TinyCheckpoint apart = tiny_deepseek_v3();
  TinyCheckpoint fused = apart;
  const std::string prefix = "model.layers.1.mlp.experts.";
  std::vector<float> gate_up, down;
  for (int e = 0; e < 4; ++e) {
    const std::string expert = fmt::format("{}{}.", prefix, e);
    for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
      const std::vector<float> values = apart.values(expert + part + ".weight");
      auto& to = std::string(part) == "down_proj" ? down : gate_up;
      to.insert(to.end(), values.begin(), values.end());
      fused.tensors.erase(expert + part + ".weight");
    }
  }
  fused.add(prefix + "gate_up_proj", {4, 20, 32}, gate_up);
  fused.add(prefix + "down_proj", {4, 32, 10}, down);
  const GgufFile a = apart.assemble(), b = fused.assemble();
  for (const char* part : {"gate", "up", "down"}) {
    const std::string name = fmt::format("blk.1.ffn_{}_exps.weight", part);
    EXPECT_EQ(a.tensor(name).dims, b.tensor(name).dims);
    EXPECT_EQ(floats_of(a.tensor(name)), floats_of(b.tensor(name))) << part;
  }
}

TEST(HfFolder, YarnOfDeepseekIsOneNumber) {
  TinyCheckpoint c = tiny_deepseek_v3();
  c.config["rope_scaling"] = {{"type", "yarn"},
                              {"factor", 40},
                              {"beta_fast", 32},
                              {"beta_slow", 1},
                              {"mscale", 0.707},
                              {"mscale_all_dim", 0.707},
                              {"original_max_position_embeddings", 4096}};
  const GgufFile file = c.assemble();
  EXPECT_EQ(file.get_string("deepseek2.rope.scaling.type"), "yarn");
  EXPECT_EQ(file.get_float("deepseek2.rope.scaling.factor"), 40);
  EXPECT_EQ(file.get_uint("deepseek2.rope.scaling.original_context_length"), 4096u);
  EXPECT_DOUBLE_EQ(file.get_float("deepseek2.rope.scaling.yarn_log_multiplier"), 0.0707);
  c.config["rope_scaling"]["mscale"] = 1.0;
  expect_error(ErrorKind::unsupported, {"mscale"}, [&] { c.assemble(); });
  c.config["rope_scaling"].erase("mscale_all_dim");
  expect_error(ErrorKind::bad_input, {"mscale_all_dim"}, [&] { c.assemble(); });
}

TEST(HfFolder, LlamaPutsRotatedRowsSideBySide) {
  const TinyCheckpoint c = tiny_llama();
  const GgufFile file = c.assemble();
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  EXPECT_EQ(file.get_uint("llama.attention.head_count_kv"), 2u);
  EXPECT_EQ(file.get_uint("llama.rope.dimension_count"), 4u);
  const std::vector<float> k = floats_of(file.tensor("blk.1.attn_k.weight"));
  const std::vector<float> source = c.values("model.layers.1.self_attn.k_proj.weight");
  const size_t order[] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (size_t row = 0; row < 8; ++row)
    for (size_t i = 0; i < 16; ++i) ASSERT_EQ(k[row * 16 + i], source[order[row] * 16 + i]) << row;
  EXPECT_EQ(floats_of(file.tensor("blk.1.attn_v.weight")),
            c.values("model.layers.1.self_attn.v_proj.weight"));
}

TEST(HfFolder, HeadsMayBeOfAnotherWidth) {
  const GgufFile file = tiny_mistral().assemble();
  EXPECT_EQ(file.get_uint("llama.attention.key_length"), 6u);
  expect_tensors(file, {{"blk.0.attn_q.weight", {16, 24}}, {"blk.0.attn_output.weight", {24, 16}}});
}

TEST(HfFolder, Llama3StretchesLongWavelengths) {
  TinyCheckpoint c = tiny_llama();
  c.config["head_dim"] = 4;
  c.config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", 8.0},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 8192}};
  const std::vector<float> divisors = floats_of(c.assemble().tensor("rope_freqs.weight"));
  // Wavelengths 2 pi and 2 pi sqrt(500000) = 4443: the first is kept, the second lies between 2048 and 8192.
  const double smooth = (8192 / 4442.882938158366 - 1.0) / 3.0;
  ASSERT_EQ(divisors.size(), 2u);
  EXPECT_EQ(divisors[0], 1.0f);
  EXPECT_NEAR(divisors[1], 1 / ((1 - smooth) / 8 + smooth), 1e-6);
  c.config["rope_scaling"]["original_max_position_embeddings"] = 1000;
  EXPECT_EQ(floats_of(c.assemble().tensor("rope_freqs.weight"))[1], 8.0f);
}

TEST(HfFolder, BothSpellingsOfRopeAreRead) {
  TinyCheckpoint c = tiny_llama();
  c.config.erase("rope_theta");
  c.config["rope_parameters"] = {{"rope_theta", 1234.0}, {"rope_type", "linear"}, {"factor", 2.0}};
  const GgufFile file = c.assemble();
  EXPECT_EQ(file.get_float("llama.rope.freq_base"), 1234.0);
  EXPECT_EQ(file.get_string("llama.rope.scaling.type"), "linear");
  EXPECT_EQ(file.get_float("llama.rope.scaling.factor"), 2.0);
}

TEST(HfFolder, QwenKeepsBiasesNormsAndTiedEmbeddings) {
  const GgufFile two = tiny_qwen2().assemble();
  EXPECT_EQ(two.get_string("general.architecture"), "qwen2");
  expect_tensors(two, {{"blk.1.attn_q.bias", {16}}, {"blk.1.attn_k.bias", {8}}, {"blk.1.attn_v.bias", {8}}});
  EXPECT_EQ(two.find_tensor("output.weight"), nullptr);
  const TinyCheckpoint c = tiny_qwen3();
  const GgufFile three = c.assemble();
  expect_tensors(
      three,
      {{"blk.1.attn_q_norm.weight", {6}}, {"blk.1.attn_k_norm.weight", {6}}, {"output.weight", {16, 20}}});
  EXPECT_EQ(floats_of(three.tensor("blk.0.attn_q.weight")),
            c.values("model.layers.0.self_attn.q_proj.weight"));
  TinyCheckpoint experts = tiny_qwen3moe();
  const GgufFile moe = experts.assemble();
  EXPECT_EQ(moe.get_uint("qwen3moe.expert_feed_forward_length"), 8u);
  expect_tensors(moe, {{"blk.1.ffn_gate_inp.weight", {16, 3}}, {"blk.1.ffn_down_exps.weight", {8, 16, 3}}});
  experts.config["num_local_experts"] = experts.config["num_experts"];  // as transformers 5 writes it
  experts.config.erase("num_experts");
  EXPECT_EQ(experts.assemble().get_uint("qwen3moe.expert_count"), 3u);
}

TEST(HfFolder, GptOssTakesGateAndUpApart) {
  const TinyCheckpoint c = tiny_gpt_oss(false);
  const GgufFile file = c.assemble();
  EXPECT_EQ(file.get_uint("gpt-oss.attention.sliding_window"), 16u);
  expect_tensors(file, {{"blk.1.attn_sinks.weight", {4}},
                        {"blk.1.attn_output.bias", {64}},
                        {"blk.1.post_attention_norm.weight", {64}},
                        {"blk.1.ffn_gate_inp.bias", {3}},
                        {"blk.1.ffn_gate_exps.bias", {32, 3}},
                        {"blk.1.ffn_down_exps.bias", {64, 3}},
                        {"blk.1.ffn_down_exps.weight", {32, 64, 3}}});
  const std::string from = "model.layers.1.mlp.experts.", to = "blk.1.ffn_";
  const std::vector<float> both = c.values(from + "gate_up_proj"), down = c.values(from + "down_proj");
  const std::vector<float> gate = floats_of(file.tensor(to + "gate_exps.weight")),
                           up = floats_of(file.tensor(to + "up_exps.weight"));
  const std::vector<float> down_exps = floats_of(file.tensor(to + "down_exps.weight"));
  for (size_t e = 0; e < 3; ++e) {
    for (size_t f = 0; f < 32; ++f) {
      for (size_t h = 0; h < 64; ++h) {
        ASSERT_EQ(gate[(e * 32 + f) * 64 + h], both[(e * 64 + h) * 64 + 2 * f]);
        ASSERT_EQ(up[(e * 32 + f) * 64 + h], both[(e * 64 + h) * 64 + 2 * f + 1]);
        ASSERT_EQ(down_exps[(e * 64 + h) * 32 + f], down[(e * 32 + f) * 64 + h]);
      }
    }
  }
  const std::vector<float> bias = c.values(from + "gate_up_proj_bias"),
                           up_bias = floats_of(file.tensor(to + "up_exps.bias"));
  for (size_t i = 0; i < up_bias.size(); ++i) ASSERT_EQ(up_bias[i], bias[2 * i + 1]);
}

float fp4(unsigned bits) {
  const float values[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return (bits & 8) != 0 ? -values[bits & 7] : values[bits & 7];
}

TEST(HfFolder, GptOssBlocksKeepTheirValuesInGgmlsOrder) {
  if (!find_dtype(39)) GTEST_SKIP() << "MXFP4 is not in this build";
  const TinyCheckpoint c = tiny_gpt_oss(true);
  const GgufFile file = c.assemble();
  const std::vector<float> up = floats_of(file.tensor("blk.0.ffn_up_exps.weight"));
  const auto& quants = c.tensors.at("model.layers.0.mlp.experts.gate_up_proj_blocks").data;
  const auto& scales = c.tensors.at("model.layers.0.mlp.experts.gate_up_proj_scales").data;
  ASSERT_EQ(up.size(), 3u * 32 * 64);
  for (size_t i = 0; i < up.size(); ++i) {
    const size_t row = i / 64, source = (2 * row + 1) * 64 + i % 64;
    const auto pair = std::to_integer<unsigned>(quants[source / 2]);
    const int exponent = std::to_integer<int>(scales[source / 32]) - 127;
    ASSERT_EQ(up[i], std::ldexp(fp4(source % 2 == 0 ? pair & 15 : pair >> 4), exponent)) << i;
  }
}

TEST(HfFolder, Fp8BlocksAreMultipliedByTheirScales) {
  TinyCheckpoint c = tiny_llama();
  c.config["quantization_config"] = {
      {"quant_method", "fp8"}, {"fmt", "e4m3"}, {"weight_block_size", {10, 7}}};
  const std::string name = "model.layers.0.mlp.gate_proj.weight";  // {24, 16}: blocks of {10, 7} leave edges
  std::vector<std::byte> data(24 * 16);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i % 127);
  c.add_bytes(name, {24, 16}, "F8_E4M3", data);
  std::vector<float> scales(9);
  for (size_t i = 0; i < 9; ++i) scales[i] = 0.25f * static_cast<float>(i + 1);
  c.add(name + "_scale_inv", {3, 3}, scales);
  const GgufFile file = c.assemble();
  EXPECT_EQ(file.tensor("blk.0.ffn_gate.weight").dtype(), DType::bf16);
  const std::vector<float> values = floats_of(file.tensor("blk.0.ffn_gate.weight"));
  for (size_t row = 0; row < 24; ++row) {
    for (size_t col = 0; col < 16; ++col) {
      const size_t bits = (row * 16 + col) % 127;
      const double value =
          bits < 8 ? static_cast<double>(bits) / 512
                   : std::ldexp(1 + static_cast<double>(bits % 8) / 8, static_cast<int>(bits / 8) - 7);
      const double expected = value * scales[row / 10 * 3 + col / 7];
      ASSERT_NEAR(values[row * 16 + col], expected, expected / 256) << row << " " << col;
    }
  }
  c.tensors.erase(name + "_scale_inv");
  expect_error(ErrorKind::bad_input, {"gate_proj.weight_scale_inv"}, [&] { c.assemble(); });
  c.config.erase("quantization_config");
  expect_error(ErrorKind::unsupported, {"gate_proj", "F8_E4M3", "weight_block_size"}, [&] { c.assemble(); });
}

TEST(HfFolder, ShardsAndOneFileGiveTheSame) {
  const TemporaryFolder folder;
  const TinyCheckpoint c = tiny_llama();
  c.write(folder / "one");
  c.write(folder / "many", 3);
  const GgufFile one = open_model_file(folder / "one"), many = open_hf_folder(folder / "many/");
  EXPECT_EQ(one.get_string("general.name"), "one");
  EXPECT_EQ(many.get_string("general.name"), "many");
  ASSERT_EQ(one.tensors().size(), many.tensors().size());
  for (const GgufTensor& tensor : one.tensors()) {
    EXPECT_EQ(floats_of(tensor), floats_of(many.tensor(tensor.name))) << tensor.name;
  }
  EXPECT_NE(one.tensor("token_embd.weight").mapping, nullptr);
}

TEST(HfFolder, FoldersThatLackAFileSayWhich) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "empty");
  expect_error(ErrorKind::io, {"config.json"}, [&] { open_hf_folder(folder / "empty"); });
  tiny_llama().write(folder / "m", 2);
  std::filesystem::remove(folder / "m/model-00002-of-00002.safetensors");
  expect_error(ErrorKind::io, {"model-00002-of-00002"}, [&] { open_hf_folder(folder / "m"); });
  std::filesystem::remove(folder / "m/model.safetensors.index.json");
  expect_error(ErrorKind::io, {"model.safetensors"}, [&] { open_hf_folder(folder / "m"); });
}

TEST(HfFolder, AnIndexPointsIntoItsFolderOnly) {
  const TemporaryFolder folder;
  tiny_llama().write(folder / "m", 2);
  const std::string index = folder / "m/model.safetensors.index.json";
  for (const char* file : {"../secret", "/etc/passwd", "a/b", "", "."}) {
    write_file(index, nlohmann::json{{"weight_map", {{"t", file}}}}.dump());
    try {
      open_hf_folder(folder / "m");
      ADD_FAILURE() << file;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("root:"), std::string::npos);
    }
  }
  for (const char* text :
       {"", "[]", "{", "{\"weight_map\": 3}", "{\"weight_map\": {}}", "{\"weight_map\": {\"a\": 3}}"}) {
    write_file(index, text);
    expect_error(ErrorKind::bad_input, {"index.json"}, [&] { open_hf_folder(folder / "m"); });
  }
}

struct Switch {
  TinyCheckpoint (*make)();
  const char* key;
  nlohmann::json value;
};

TEST(HfFolder, SwitchesThatChangeTheNumbersAreRefusedByName) {
  const Switch switches[] = {
      {tiny_llama, "attention_bias", true},
      {tiny_llama, "mlp_bias", true},
      {tiny_llama, "hidden_act", "gelu"},
      {tiny_llama, "partial_rotary_factor", 0.5},
      {tiny_llama, "rope_scaling", {{"rope_type", "longrope"}}},
      {tiny_llama, "rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}},
      {tiny_llama, "quantization_config", {{"quant_method", "gptq"}}},
      {tiny_llama, "quantization_config", {{"quant_method", "fp8"}}},
      {tiny_mistral, "sliding_window", 4096},
      {tiny_qwen2, "use_sliding_window", true},
      {tiny_qwen2, "layer_types", {"full_attention", "sliding_attention"}},
      {tiny_qwen2, "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}},
      {tiny_qwen3, "attention_bias", true},
      {tiny_qwen3moe, "norm_topk_prob", false},
      {tiny_qwen3moe, "norm_topk_prob", nullptr},
      {tiny_qwen3moe, "decoder_sparse_step", 2},
      {tiny_qwen3moe, "mlp_only_layers", {0}},
      {tiny_deepseek_v3, "rope_interleave", false},
      {tiny_deepseek_v3, "scoring_func", "softmax"},
      {tiny_deepseek_v3, "topk_method", "greedy"},
      {tiny_deepseek_v3, "moe_layer_freq", 2},
      {tiny_deepseek_v3, "mlp_layer_types", {"sparse", "dense"}},
      {tiny_deepseek_v3, "index_topk", 2048},
      {tiny_deepseek_v2, "norm_topk_prob", true},
      {tiny_deepseek_v2, "topk_method", "noaux_tc"},
      {[] { return tiny_gpt_oss(false); }, "swiglu_limit", 5.0},
      {[] { return tiny_gpt_oss(false); }, "layer_types", {"full_attention", "sliding_attention"}},
  };
  for (const Switch& spoiled : switches) {
    TinyCheckpoint c = spoiled.make();
    c.config[spoiled.key] = spoiled.value;
    SCOPED_TRACE(c.config["architectures"].dump() + spoiled.key);
    const bool nested = spoiled.value.is_object();
    expect_error_range(ErrorKind::unsupported,
                       std::vector<std::string>{nested ? "not supported" : spoiled.key},
                       [&] { c.assemble(); });
  }
}

TEST(HfFolder, UnknownArchitecturesAndTensorsAreNamed) {
  TinyCheckpoint c = tiny_llama();
  c.add("model.layers.0.self_attn.secret.weight", {2, 2});
  expect_error(ErrorKind::unsupported, {"secret"}, [&] { c.assemble(); });
  c.config["architectures"] = {"MambaForCausalLM"};
  expect_error(ErrorKind::unsupported, {"'MambaForCausalLM'", "LlamaForCausalLM"}, [&] { c.assemble(); });
  c.config["architectures"] = nlohmann::json::array();
  expect_error(ErrorKind::bad_input, {"architectures"}, [&] { c.assemble(); });
}

TEST(HfFolder, FrequenciesThatOldExportsCarryAreIgnored) {
  TinyCheckpoint c = tiny_llama();
  c.add("model.layers.0.self_attn.rotary_emb.inv_freq", {2});
  EXPECT_EQ(c.assemble().tensors().size(), tiny_llama().assemble().tensors().size());
}

TEST(HfFolder, MissingAndMisshapenTensorsAreNamed) {
  TinyCheckpoint c = tiny_llama();
  c.tensors.erase("model.layers.1.mlp.up_proj.weight");
  expect_error(ErrorKind::bad_input, {"model.layers.1.mlp.up_proj.weight"}, [&] { c.assemble(); });
  c.add("model.layers.1.mlp.up_proj.weight", {16, 24});
  expect_error(ErrorKind::bad_input, {"up_proj", "[24, 16]", "[16, 24]"}, [&] { c.assemble(); });
}

TEST(HfFolder, AbsurdConfigsAreRefusedBeforeTheyCost) {
  for (const char* key : {"num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "head_dim",
                          "intermediate_size", "num_key_value_heads"}) {
    for (const nlohmann::json& value :
         {nlohmann::json(0), nlohmann::json(-1), nlohmann::json(2147483647), nlohmann::json(1e300),
          nlohmann::json(18446744073709551615u), nlohmann::json("4"), nlohmann::json::array({1})}) {
      TinyCheckpoint c = tiny_llama();
      c.config[key] = value;
      expect_error(ErrorKind::bad_input, {}, [&] { c.assemble(); });
    }
  }
  TinyCheckpoint experts = tiny_deepseek_v3();
  experts.config["n_routed_experts"] = 2147483647;
  expect_error(ErrorKind::bad_input, {"gate.weight"}, [&] { experts.assemble(); });
}

TEST(HfConfig, TextThatIsNoConfigIsRefused) {
  const std::pair<ErrorKind, std::string> texts[] = {
      {ErrorKind::bad_input, ""},
      {ErrorKind::bad_input, "[]"},
      {ErrorKind::bad_input, "{\"a\": "},
      {ErrorKind::bad_input, "{\"a\": \"\xff\"}"},
      {ErrorKind::limit, "{\"a\":" + std::string(100'000, '[')},
      {ErrorKind::limit, std::string(5 << 20, ' ')}};
  for (const auto& [kind, text] : texts) {
    expect_error(kind, {"c.json"}, [&, t = text] { HfConfig::parse(t, "c.json"); });
  }
}

}  // namespace
}  // namespace tern
