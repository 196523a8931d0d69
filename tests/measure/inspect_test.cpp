#include "measure/inspect.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "files/gguf.h"

namespace tern {
namespace {

std::vector<std::byte> floats(size_t n) {
  return std::vector<std::byte>(4 * n);
}

GgufWriter small_moe() {
  GgufWriter writer;
  writer.add_string("general.architecture", "deepseek2");
  writer.add_u32("deepseek2.block_count", 2);
  writer.add_u32("deepseek2.context_length", 64);
  writer.add_u32("deepseek2.embedding_length", 32);
  writer.add_u32("deepseek2.attention.kv_lora_rank", 16);
  writer.add_u32("deepseek2.rope.dimension_count", 8);
  writer.add_u32("deepseek2.expert_count", 4);
  writer.add_u32("deepseek2.expert_used_count", 1);
  writer.add_u32("deepseek2.expert_gating_func", 2);
  writer.add_tensor("token_embd.weight", DType::f32, {32, 10}, floats(320));
  writer.add_tensor("output.weight", DType::f32, {32, 10}, floats(320));
  writer.add_tensor("blk.1.ffn_up_exps.weight", DType::f32, {32, 8, 4}, floats(1024));
  return writer;
}

Inspection inspect_bytes(const GgufWriter& writer) {
  const auto bytes = writer.bytes();
  return inspect(GgufFile::parse(bytes, "test"));
}

TEST(Inspect, CountsWeightsAndThoseOneTokenUses) {
  const Inspection found = inspect_bytes(small_moe());
  EXPECT_EQ(found.weights, 320u + 320u + 1024u);
  EXPECT_EQ(found.active_weights, 320u + 256u);  // one of four experts; of an untied embedding only a row
  EXPECT_EQ(found.types.at("F32").tensors, 3u);
  EXPECT_EQ(found.gate, "sigmoid");
  EXPECT_TRUE(found.refused.empty()) << found.refused;
}

TEST(Inspect, CacheIsTheLatentAndTheRopedKey) {
  const Inspection found = inspect_bytes(small_moe());
  EXPECT_EQ(found.cache_bytes_per_token, 2u * (16 + 8) * 4);
}

TEST(Inspect, SaysWhyAnotherArchitectureDoesNotRun) {
  GgufWriter writer;
  writer.add_string("general.architecture", "mamba");
  const Inspection found = inspect_bytes(writer);
  EXPECT_NE(found.refused.find("mamba"), std::string::npos);
  EXPECT_FALSE(to_json(found)["runs"].get<bool>());
}

TEST(Inspect, AbsurdSizesAreAnErrorAndNotASmallNumber) {
  GgufWriter absurd;
  absurd.add_string("general.architecture", "deepseek2");
  absurd.add_u64("deepseek2.block_count", uint64_t{1} << 40);
  absurd.add_u64("deepseek2.attention.kv_lora_rank", uint64_t{1} << 40);
  EXPECT_THROW(inspect_bytes(absurd), Error);
}

TEST(Inspect, TextNamesWhatAPersonLooksFor) {
  const std::string text = to_text(inspect_bytes(small_moe()));
  for (const char* word : {"architecture", "deepseek2", "experts", "memory", "F32"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << " is missing from\n" << text;
  }
}

}  // namespace
}  // namespace tern
