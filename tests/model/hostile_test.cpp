// Files and batches that break the rules: a clear error that names the place, never a crash.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "tests/expect_error.h"
#include "tests/model/runner.h"
#include "tests/model/tiny_file.h"

namespace tern {
namespace {

struct Spoilt {
  const char* name;
  std::function<void(TinyFile&)> spoil;
  ErrorKind kind;
  const char* names;  ///< a part of the message
};

void PrintTo(const Spoilt& test, std::ostream* out) {
  *out << test.name;
}

constexpr auto kBad = ErrorKind::bad_input;
constexpr auto kUnsupported = ErrorKind::unsupported;

auto set(const char* key, TinyValue value) {
  return [=](TinyFile& file) { file.set(key, value); };
}
auto drop_key(const char* key) {
  return [=](TinyFile& file) { file.erase(key); };
}
auto drop(const char* tensor) {
  return [=](TinyFile& file) { file.erase_tensor(tensor); };
}
auto reshape(const char* tensor, std::vector<uint64_t> dims) {
  return [=](TinyFile& file) {
    file.tensor(tensor).dims = dims;
    uint64_t n = 1;
    for (const uint64_t d : dims) n *= d;
    file.tensor(tensor).values.resize(n);
  };
}

const Spoilt kSpoilt[] = {
    {"no_architecture", drop_key("general.architecture"), kBad, "general.architecture"},
    {"unknown_architecture", set("general.architecture", std::string("mamba")), kUnsupported, "mamba"},
    {"no_layers", set("block_count", 0u), kBad, "block_count"},
    {"absurd_layers", set("block_count", 4000000000u), kBad, "block_count"},
    {"more_layers_than_tensors", set("block_count", 3u), kBad, "blk.2."},
    {"absurd_heads", set("attention.head_count", 4294967295u), kBad, "head_count"},
    {"absurd_hidden", set("embedding_length", 4294967295u), kBad, "embedding_length"},
    {"wrong_hidden", set("embedding_length", 64u), kBad, "token_embd.weight"},
    {"absurd_context", set("context_length", 4294967295u), kBad, "context_length"},
    {"absurd_experts", set("expert_count", 4294967295u), kBad, "expert_count"},
    {"wrong_experts", set("expert_count", 16u), kBad, "blk.1."},
    {"more_used_than_experts", set("expert_used_count", 9u), kBad, "expert_used_count"},
    {"none_used", set("expert_used_count", 0u), kBad, "expert_used_count"},
    {"uneven_groups", set("expert_group_count", 3u), kBad, "expert_group_count"},
    {"groups_of_one", set("expert_group_count", 8u), kBad, "expert_group_count"},
    {"too_many_groups_used", set("expert_group_used_count", 5u), kBad, "expert_group_used_count"},
    {"too_few_experts_in_groups", set("expert_group_used_count", 1u), kBad, "expert_used_count"},
    {"absurd_shared", set("expert_shared_count", 4294967295u), kBad, "expert_shared_count"},
    {"unknown_gate", set("expert_gating_func", 3u), kUnsupported, "expert_gating_func"},
    {"gate_of_another_kind", set("expert_gating_func", std::string("sigmoid")), kBad, "expert_gating_func"},
    {"scale_not_a_number", set("expert_weights_scale", std::numeric_limits<float>::quiet_NaN()), kBad,
     "expert_weights_scale"},
    {"negative_eps", set("attention.layer_norm_rms_epsilon", -1.0f), kBad, "layer_norm_rms_epsilon"},
    {"no_eps", drop_key("attention.layer_norm_rms_epsilon"), kBad, "layer_norm_rms_epsilon"},
    {"keys_shorter_than_rope", set("attention.key_length_mla", 8u), kBad, "key_length_mla"},
    {"grouped_kv_heads", set("attention.head_count_kv", 2u), kUnsupported, "head_count_kv"},
    {"softcapping", set("attn_logit_softcapping", 30.0f), kUnsupported, "attn_logit_softcapping"},
    {"unknown_scaling", set("rope.scaling.type", std::string("su")), kUnsupported, "rope.scaling.type"},
    {"all_layers_draft", set("nextn_predict_layers", 2u), kBad, "nextn_predict_layers"},
    {"no_embedding", drop("token_embd.weight"), kBad, "token_embd.weight"},
    {"no_output_norm", drop("output_norm.weight"), kBad, "output_norm.weight"},
    {"no_q", drop("blk.1.attn_q_b.weight"), kBad, "blk.1.attn_q_b.weight"},
    {"no_k", drop("blk.0.attn_k_b.weight"), kBad, "blk.0.attn_k_b.weight"},
    {"no_experts", drop("blk.1.ffn_down_exps.weight"), kBad, "blk.1.ffn_down_exps.weight"},
    {"no_shared_expert", drop("blk.1.ffn_up_shexp.weight"), kBad, "blk.1.ffn_up_shexp.weight"},
    {"transposed_q", reshape("blk.0.attn_q_b.weight", {120, 32}), kBad, "blk.0.attn_q_b.weight"},
    {"flat_experts", reshape("blk.1.ffn_up_exps.weight", {32, 256}), kBad, "blk.1.ffn_up_exps.weight"},
    {"short_norm", reshape("blk.0.attn_norm.weight", {16}), kBad, "blk.0.attn_norm.weight"},
    {"long_bias", reshape("blk.1.exp_probs_b.bias", {9}), kBad, "blk.1.exp_probs_b.bias"},
    {"wide_output", reshape("output.weight", {32, 49}), kBad, "output.weight"},
    {"bias_on_q",
     [](TinyFile& file) {
       file.tensors.push_back({"blk.0.attn_q.bias", {4}, std::vector<float>(4)});
     },
     kUnsupported, "blk.0.attn_q.bias"},
};

class Hostile : public testing::TestWithParam<Spoilt> {};

TEST_P(Hostile, IsRefusedByName) {
  const Spoilt& test = GetParam();
  TinyFile file = tiny_file({});
  test.spoil(file);
  const std::vector<std::byte> bytes = file.bytes();
  const GgufFile parsed = GgufFile::parse(bytes, "tiny.gguf");
  expect_error(test.kind, {test.names, "tiny.gguf"}, [&] { load_model(parsed, {}); });
  expect_error(test.kind, {test.names, "tiny.gguf"}, [&] { measure_model(parsed); });
}

INSTANTIATE_TEST_SUITE_P(Files, Hostile, testing::ValuesIn(kSpoilt),
                         [](const auto& test) { return std::string(test.param.name); });

std::unique_ptr<Model> load(const TinyFile& file, const ModelOptions& options = {}) {
  const std::vector<std::byte> bytes = file.bytes();
  return load_model(GgufFile::parse(bytes, "tiny.gguf"), options);
}

TEST(Files, LoadUnspoilt) {
  EXPECT_NO_THROW(load(tiny_file({})));
}

TEST(Files, DraftLayersAreLeftAlone) {
  TinyFile file = tiny_file({});
  const std::vector<int32_t> tokens = {1, 2, 3};
  const std::vector<float> plain = run_fresh(*load(file), tokens, 3);
  file.set("block_count", 3u);
  file.set("nextn_predict_layers", 1u);
  file.tensors.push_back({"blk.2.nextn.enorm.weight", {32}, std::vector<float>(32)});
  EXPECT_TRUE(same_bits(run_fresh(*load(file), tokens, 3), plain));
}

TEST(Files, OptionsOutOfRangeAreRefused) {
  for (const int max_batch : {0, -1, 1 << 30}) {
    EXPECT_THROW(load(tiny_file({}), {.max_batch = max_batch}), Error) << max_batch;
  }
}

TEST(Files, AnyWeightMayBeNotANumber) {
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5};
  const TinyFile sound = tiny_file({});
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 3e38f}) {
    for (size_t i = 0; i < sound.tensors.size(); ++i) {
      TinyFile file = sound;
      std::fill(file.tensors[i].values.begin(), file.tensors[i].values.end(), bad);
      for (const AttentionPath path : {AttentionPath::absorbed, AttentionPath::decompressed}) {
        const auto model = load(file, {.attention = path});
        EXPECT_EQ(run_fresh(*model, tokens, 3).size(), tokens.size() * 48);
      }
    }
  }
}

TEST(Files, RandomKeysNeverCrash) {
  Rng rng(17);
  const TinyFile sound = tiny_file({});
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    TinyFile file = sound;
    for (int change = 0; change < 2; ++change) {
      auto& [key, value] = file.keys[rng.below(file.keys.size())];
      if (key == "general.architecture") continue;
      const uint32_t numbers[] = {0, 1, 2, 3, 7, 31, 33, 64, 255, 65536, 0x7fffffff, 0x80000000, 0xffffffff};
      value = numbers[rng.below(std::size(numbers))];
    }
    try {
      run_fresh(*load(file), std::vector<int32_t>{1, 2, 3}, 3);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 200);
}

class Batches : public testing::Test {
 protected:
  void SetUp() override {
    model = load(tiny_file({}), {.max_batch = 8});
    ASSERT_TRUE(cache.extend(0, 6));
    ASSERT_TRUE(cache.extend(1, 2));
  }
  void expect_refused(std::vector<BatchToken> batch, const char* part) {
    std::vector<float> logits(48 * std::max<size_t>(1, batch.size()));
    try {
      model->forward(batch, cache, logits.data());
      ADD_FAILURE() << "accepted, expected an error about " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kBad);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
  static constexpr uint64_t kTinyPage = 9216;
  std::unique_ptr<Model> model;
  PagedCache cache{{.layers = 2, .layer_bytes = kTinyPage, .pages = 4, .max_sequences = 2, .max_tokens = 64}};
};

TEST_F(Batches, OfNoneOrTooManyTokens) {
  expect_refused({}, "1 to 8");
  expect_refused(std::vector<BatchToken>(9), "1 to 8");
}

TEST_F(Batches, WithIdsOutOfRange) {
  expect_refused({{.token = 48}}, "token id 48");
  expect_refused({{.token = -1}}, "token id -1");
  expect_refused({{.sequence = 2}}, "sequence 2");
  expect_refused({{.sequence = -1}}, "sequence -1");
}

TEST_F(Batches, AtPositionsWithoutRoom) {
  expect_refused({{.position = 6}}, "position 6");
  expect_refused({{.position = -1}}, "position -1");
  expect_refused({{.position = 2, .sequence = 1}}, "position 2");
}

TEST_F(Batches, WithGapsOrRepeats) {
  expect_refused({{.position = 0}, {.position = 2}}, "expected 1");
  expect_refused({{.position = 0}, {.position = 0}}, "expected 1");
  expect_refused({{.position = 1}, {.position = 0}}, "expected 2");
  expect_refused({{.position = 0}, {.position = 0, .sequence = 1}, {.position = 2}}, "expected 1");
}

TEST_F(Batches, InACacheOfAnotherModel) {
  PagedCache other(
      {.layers = 2, .layer_bytes = kTinyPage + 64, .pages = 4, .max_sequences = 2, .max_tokens = 64});
  ASSERT_TRUE(other.extend(0, 1));
  const BatchToken token{.wants_logits = true};
  std::vector<float> logits(48);
  EXPECT_THROW(model->forward({&token, 1}, other, logits.data()), Error);
}

TEST_F(Batches, ARefusedBatchLeavesTheModelUsable) {
  expect_refused({{.token = 48}}, "token id");
  const std::vector<int32_t> tokens = {1, 2};
  const std::vector<float> expected = run_fresh(*load(tiny_file({}), {.max_batch = 8}), tokens, 2);
  EXPECT_TRUE(same_bits(run_fresh(*model, tokens, 2), expected));
}

}  // namespace
}  // namespace tern
