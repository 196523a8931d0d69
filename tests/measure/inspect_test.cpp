#include "measure/inspect.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "measure/machine.h"
#include "model/hf_folder.h"
#include "tests/model/tiny_checkpoint.h"
#include "tests/model/tiny_file.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

Inspection inspect_bytes(const std::vector<std::byte>& bytes) {
  return inspect(GgufFile::parse(bytes, "test"));
}

Inspection inspect_repository(const std::string& path) {
  return inspect(GgufFile::open(TERN_SOURCE_DIR "/" + path));
}

TEST(Inspect, CountsWeightsAndThoseOneTokenUses) {
  const TinyConfig config{.experts = 4, .used = 1, .groups = 1, .groups_used = 1};
  const TinyFile file = tiny_file(config);
  uint64_t weights = 0;
  for (const TinyTensor& tensor : file.tensors) weights += tensor.values.size();
  const Inspection found = inspect_bytes(file.bytes());
  EXPECT_EQ(found.weights, weights);
  // Three of four experts idle in one layer; of an untied embedding only a row is read.
  EXPECT_EQ(found.active_weights, weights - 3 * 3 * 32 * 32 - 48 * 32);
  EXPECT_EQ(found.types.at("F32").tensors, file.tensors.size());
  EXPECT_EQ(found.gate, "sigmoid");
}

TEST(Inspect, CacheIsTheLatentTwiceAndTheRopedKey) {
  const Inspection found = inspect_bytes(tiny_file({.context = 500}).bytes());
  EXPECT_EQ(found.cache_bytes_per_token, 2u * (32 + 8 + 32) * 4);
  EXPECT_EQ(found.cache_full_context, found.cache_bytes_per_token * 512);  // in whole pages of 32
  EXPECT_EQ(found.cache_sequences, EngineOptions{}.parallel);
  EXPECT_EQ(found.cache_memory, found.cache_full_context * EngineOptions{}.parallel);
}

TEST(Inspect, DraftLayersTakeNoMemory) {
  TinyFile file = tiny_file({});
  const Inspection plain = inspect_bytes(file.bytes());
  file.set("block_count", 3u);
  file.set("nextn_predict_layers", 1u);
  file.tensors.push_back({"blk.2.nextn.eh_proj.weight", {32, 32}, std::vector<float>(32 * 32)});
  const Inspection found = inspect_bytes(file.bytes());
  EXPECT_EQ(found.weights, plain.weights + 32 * 32);
  EXPECT_EQ(found.weights_memory, plain.weights_memory);
  EXPECT_EQ(found.cache_memory, plain.cache_memory);
}

TEST(Inspect, WeightsTakeWhatTheLoaderTakes) {
  int dumps = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(TERN_SOURCE_DIR "/tests/model/oracles/dumps")) {
    if (entry.path().extension() != ".gguf") continue;
    const GgufFile file = GgufFile::open(entry.path().string());
    EXPECT_EQ(inspect(file).weights_memory, load_model(file, {})->shape().packed_bytes) << entry.path();
    ++dumps;
  }
  EXPECT_GT(dumps, 5);
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::q8_0}) {
    for (const bool split : {true, false}) {
      TinyFile tiny = tiny_file({.hidden = 64, .split = split});
      convert(tiny, [&](size_t) { return type; });
      const std::vector<std::byte> bytes = tiny.bytes();
      const GgufFile file = GgufFile::parse(bytes, "tiny");
      EXPECT_EQ(inspect(file).weights_memory, load_model(file, {})->shape().packed_bytes)
          << ggml_type_name(static_cast<uint32_t>(type)) << (split ? "" : ", keys and values together");
    }
  }
}

TEST(Inspect, TheModelInTheProgramRuns) {
  const Inspection found = inspect_repository("models/search.gguf");
  EXPECT_EQ(found.refused, "");
  EXPECT_EQ(found.template_refused, "");
  EXPECT_TRUE(to_json(found)["runs"].get<bool>());
  EXPECT_NE(to_text(found).find("runs here     yes"), std::string::npos) << to_text(found);
}

TEST(Inspect, AModelWithoutATokenizerDoesNotRun) {
  const Inspection found = inspect_repository("tests/model/oracles/dumps/v2_greedy_yarn.gguf");
  EXPECT_NE(found.refused.find("the model could run, but the file has no tokenizer"), std::string::npos)
      << found.refused;
  EXPECT_NE(found.refused.find("tokenizer.ggml.model"), std::string::npos) << found.refused;
  EXPECT_FALSE(to_json(found)["runs"].get<bool>());
  EXPECT_GT(found.vocab, 0u);  // the embedding's rows
  EXPECT_GT(found.weights_memory, 0u);
}

TEST(Inspect, ATokenizerOfAnotherKindIsNamed) {
  TinyFile file = tiny_file({});
  file.keys.emplace_back("tokenizer.ggml.model", std::string("bert"));
  const Inspection found = inspect_bytes(file.bytes());
  EXPECT_NE(found.refused.find("the model could run, but tern can't use the file's tokenizer"),
            std::string::npos)
      << found.refused;
  EXPECT_NE(found.refused.find("bert"), std::string::npos) << found.refused;
}

void expect_refused(const TinyFile& file, const std::string& why) {
  const Inspection found = inspect_bytes(file.bytes());
  EXPECT_EQ(found.refused.find("the model could run"), std::string::npos) << found.refused;
  EXPECT_NE(found.refused.find(why), std::string::npos) << found.refused;
  EXPECT_FALSE(found.refused.starts_with("test: ")) << "the file's name stands above already";
  const auto json = to_json(found);
  EXPECT_FALSE(json["runs"].get<bool>());
  EXPECT_TRUE(json["memory"].is_null());
  EXPECT_EQ(to_text(found).find("\nmemory"), std::string::npos) << to_text(found);
}

TEST(Inspect, WhatTheLoaderRefusesIsRefusedWithItsReason) {
  TinyFile capped = tiny_file({});
  capped.set("attn_logit_softcapping", 30.0f);
  expect_refused(capped, "attn_logit_softcapping");
  TinyFile stretched = tiny_file({});
  stretched.set("rope.scaling.type", std::string("su"));
  expect_refused(stretched, "rope.scaling.type");
  TinyFile torn = tiny_file({});
  torn.erase_tensor("blk.1.ffn_down_exps.weight");
  expect_refused(torn, "blk.1.ffn_down_exps.weight");
}

TEST(Inspect, SaysWhyAnotherArchitectureDoesNotRun) {
  TinyFile file = tiny_file({});
  file.set("general.architecture", std::string("mamba"));
  expect_refused(file, "mamba");
}

TEST(Inspect, AbsurdSizesAreRefusedAndNotASmallNumber) {
  TinyFile layers = tiny_file({});
  layers.set("block_count", 4000000000u);
  expect_refused(layers, "block_count");
  TinyFile rank = tiny_file({});
  rank.set("attention.kv_lora_rank", 4000000000u);
  expect_refused(rank, "kv_lora_rank");
}

TEST(Inspect, ATokenReadsTheExpertsItUsesAndNoDraftLayer) {
  TinyFile file = tiny_file({.experts = 4, .used = 1, .groups = 1, .groups_used = 1});
  const Inspection plain = inspect_bytes(file.bytes());
  EXPECT_EQ(plain.bytes_per_token, 4 * plain.active_weights);
  file.set("block_count", 3u);
  file.set("nextn_predict_layers", 1u);
  file.tensors.push_back({"blk.2.nextn.eh_proj.weight", {32, 32}, std::vector<float>(32 * 32)});
  EXPECT_EQ(inspect_bytes(file.bytes()).bytes_per_token, plain.bytes_per_token);
}

TEST(Inspect, SpeedIsBandwidthOverWhatATokenReads) {
  Inspection found = inspect_bytes(tiny_file({}).bytes());
  EXPECT_EQ(decode_speed(found, 0), 0);  // not measured
  found.read_bandwidth = 1e9;
  EXPECT_DOUBLE_EQ(decode_speed(found, 0), 1e9 / static_cast<double>(found.bytes_per_token));
  const double both = static_cast<double>(found.bytes_per_token + 100 * found.cache_bytes_per_token);
  EXPECT_DOUBLE_EQ(decode_speed(found, 100), 1e9 / both);
  EXPECT_NE(to_text(found).find("1.0 GB/s"), std::string::npos) << to_text(found);
}

TEST(Inspect, SaysWhetherItFits) {
  Inspection found = inspect_bytes(tiny_file({}).bytes());
  EXPECT_EQ(fit_of(found), Fit::unknown);
  EXPECT_TRUE(to_json(found)["machine"].is_null());
  found.memory_available = found.weights_memory + found.cache_memory;
  EXPECT_EQ(fit_of(found), Fit::all_sequences);
  --found.memory_available;
  EXPECT_EQ(fit_of(found), Fit::one_sequence);
  found.memory_available = found.weights_memory + found.cache_full_context - 1;
  EXPECT_EQ(fit_of(found), Fit::no);
  EXPECT_EQ(to_json(found)["machine"]["fits"], "no");
  EXPECT_NE(to_text(found).find("does not fit"), std::string::npos) << to_text(found);
}

Inspection with_template(const std::string& source) {
  TinyFile file = tiny_file({});
  file.keys.emplace_back("tokenizer.chat_template", source);
  return inspect_bytes(file.bytes());
}

TEST(Inspect, ATemplateThatCantRunIsShownWithItsLine) {
  EXPECT_EQ(with_template("{{ messages[0].content }}").template_refused, "");
  EXPECT_EQ(inspect_bytes(tiny_file({}).bytes()).template_refused, "");
  const std::pair<const char*, std::string> cases[] = {
      {"a\n{% if %}", "can't be parsed: line 2"},
      {"{% include 'x' %}", "can't be parsed: line 1"},
      {"\n\n{{ raise_exception('not today') }}", "can't render a question: line 3: not today"},
      {"{{ messages[0].content.nothing() }}", "can't render a question: line 1"},
      {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
       "can't render a question: line 1: more than"},
  };
  for (const auto& [source, why] : cases) {
    const Inspection found = with_template(source);
    EXPECT_TRUE(found.template_refused.starts_with(why)) << found.template_refused;
    EXPECT_EQ(to_json(found)["chat_template_refused"], found.template_refused);
    EXPECT_NE(to_text(found).find(" bytes, not usable: it " + found.template_refused + "\n"),
              std::string::npos)
        << to_text(found);
  }
}

TEST(Inspect, AFolderIsShownAsOne) {
  const TemporaryFolder folder;
  tiny_deepseek_v3().write(folder / "m");
  const Inspection found = inspect(open_hf_folder(folder / "m"));
  EXPECT_EQ(found.gguf_version, 0u);
  EXPECT_EQ(found.draft_layers, 1u);
  EXPECT_GT(found.types.at("F32").bytes, 0u);
  EXPECT_NE(found.refused.find("tokenizer.json"), std::string::npos) << found.refused;
  EXPECT_NE(to_text(found).find("Hugging Face folder"), std::string::npos);
}

TEST(Bandwidth, IsThatOfMemory) {
  const double measured = measure_read_bandwidth(1, 0.01);
  EXPECT_GT(measured, 1e8);
  EXPECT_LT(measured, 1e13);
}

TEST(Inspect, TextNamesWhatAPersonLooksFor) {
  const std::string text = to_text(inspect_bytes(tiny_file({}).bytes()));
  for (const char* word : {"architecture", "deepseek2", "experts", "of weights", "of cache", "F32",
                           "8 sequences of 512 tokens"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << " is missing from\n" << text;
  }
}

}  // namespace
}  // namespace tern
