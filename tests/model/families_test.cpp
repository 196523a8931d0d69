// What every family promises, on the tiny models of the dumps: the same bits however a prompt is cut and
// whoever shares the batch, and files that lack something refused by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/rng.h"
#include "tests/expect_error.h"
#include "tests/model/changed_file.h"
#include "tests/model/oracles.h"
#include "tests/model/runner.h"

namespace tern {
namespace {

const std::vector<std::string> kFamilies = {
    "llama3", "llama_tied_linear_bias", "mistral", "qwen2", "qwen2_tied_yarn", "qwen3", "qwen3moe",
    "gpt_oss"};

class Families : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Dumps, Families, testing::ValuesIn(kFamilies),
                         [](const auto& test) { return test.param; });

TEST_P(Families, OnePieceOrManyOrTokenByToken) {
  const Oracle oracle = read_oracle(GetParam());
  for (const Isa isa : kAllIsas) {
    if (!isa_available(isa)) continue;
    const auto one = load_model(oracle.file, {.isa = isa, .max_batch = 128});
    const auto three = load_model(oracle.file, {.isa = isa, .threads = 3, .max_batch = 128});
    const std::vector<float> whole = run_fresh(*one, oracle.tokens, 128);
    for (const int piece : {1, 5, 31, 32, 33, 64}) {
      EXPECT_TRUE(same_bits(run_fresh(*one, oracle.tokens, piece), whole)) << isa_name(isa) << ", " << piece;
    }
    EXPECT_TRUE(same_bits(run_fresh(*three, oracle.tokens, 128), whole))
        << isa_name(isa) << ", three threads";
    EXPECT_TRUE(same_bits(run_fresh(*three, oracle.tokens, 1), whole)) << isa_name(isa) << ", three threads";
  }
}

TEST_P(Families, AloneOrAmongStrangers) {
  const Oracle oracle = read_oracle(GetParam());
  const auto model = load_model(oracle.file, {.threads = 2, .max_batch = 64});
  const size_t vocab = model->shape().vocab;
  Rng rng(3);
  std::vector<std::vector<int32_t>> streams(4);
  std::vector<std::vector<float>> alone;
  for (auto& stream : streams) {
    stream.resize(rng.between(40, 70));
    for (int32_t& token : stream) token = static_cast<int32_t>(rng.below(vocab));
    alone.push_back(run_fresh(*model, stream, 64));
  }
  PagedCache cache = cache_for(*model, static_cast<int>(streams.size()), 96);
  for (bool left = true; left;) {
    std::vector<BatchToken> batch;
    left = false;
    for (SequenceId s = 0; s < static_cast<SequenceId>(streams.size()); ++s) {
      const int done = cache.length(s), rest = static_cast<int>(streams[s].size()) - done;
      const int count = std::min<int>(rest, rng.chance(0.5) ? 1 : static_cast<int>(rng.between(0, 15)));
      left |= rest > count;
      ASSERT_TRUE(cache.extend(s, count));
      for (int i = done; i < done + count; ++i) batch.push_back({streams[s][i], i, s, rng.chance(0.7)});
    }
    if (batch.empty()) continue;
    std::vector<float> logits(batch.size() * vocab);
    model->forward(batch, cache, logits.data());
    size_t row = 0;
    for (const BatchToken& token : batch) {
      if (!token.wants_logits) continue;
      const auto expected = std::span(alone[token.sequence]).subspan(token.position * vocab, vocab);
      ASSERT_TRUE(same_bits(std::span(logits).subspan(row++ * vocab, vocab), expected))
          << "sequence " << token.sequence << ", position " << token.position;
    }
  }
}

/// The file with a token whose embedding is no number.
GgufFile with_poisoned_token(const GgufFile& file, int32_t token) {
  return changed(file, [&](FileParts& parts) {
    GgufTensor& table = parts.tensor("token_embd.weight");
    set_values(table, DType::f32, [row = table.dims[0], token](std::span<float> values) {
      std::ranges::fill(values.subspan(token * row, row), std::numeric_limits<float>::quiet_NaN());
    });
  });
}

TEST_P(Families, WhatComesLaterOrElsewhereCannotSpoilAToken) {
  const Oracle oracle = read_oracle(GetParam());
  const int32_t poison = 63;
  const auto model = load_model(with_poisoned_token(oracle.file, poison), {.max_batch = 128});
  std::vector<int32_t> clean = oracle.tokens;
  std::replace(clean.begin(), clean.end(), poison, 1);
  const std::vector<float> expected = run_fresh(*model, clean, 128);
  std::vector<int32_t> spoilt = clean;
  spoilt.insert(spoilt.end(), {poison, 3, poison});
  PagedCache cache = cache_for(*model, 2);
  const std::vector<float> logits = run_sequence(*model, cache, 1, spoilt, 128);
  EXPECT_TRUE(same_bits(std::span(logits).first(expected.size()), expected)) << "later in the same piece";
  EXPECT_TRUE(std::isnan(logits.back()));
  cache.truncate(1, 0);
  EXPECT_TRUE(same_bits(run_sequence(*model, cache, 0, clean, 11), expected)) << "in pages used before";
}

TEST(Window, AQuerySeesAsManyKeysAsItHolds) {
  // gpt-oss cut down to its first layer, which has a window of nine: a token is felt by the eight behind it,
  // and no further.
  const Oracle oracle = read_oracle("gpt_oss");
  const GgufFile file = changed(oracle.file, [](FileParts& parts) {
    parts.set("gpt-oss.block_count", uint64_t{1});
    std::erase_if(parts.tensors, [](const GgufTensor& t) {
      return t.name.starts_with("blk.1.") || t.name.starts_with("blk.2.");
    });
  });
  const auto model = load_model(file, {.max_batch = 128});
  const size_t vocab = 64, at = 30;
  std::vector<int32_t> other = oracle.tokens;
  other[at] = (other[at] + 1) % 64;
  const std::vector<float> a = run_fresh(*model, oracle.tokens, 128), b = run_fresh(*model, other, 128);
  for (size_t position = 0; position < oracle.tokens.size(); ++position) {
    const bool felt = position >= at && position < at + 9;
    EXPECT_NE(same_bits(std::span(a).subspan(position * vocab, vocab),
                        std::span(b).subspan(position * vocab, vocab)),
              felt)
        << position;
  }
}

// ---- files that lack something

struct Lack {
  const char* name;  ///< of the test
  const char* file;
  const char* tensor;  ///< taken away
};

class Lacking : public testing::TestWithParam<Lack> {};

TEST_P(Lacking, IsRefusedByName) {
  const Lack& lack = GetParam();
  const Oracle oracle = read_oracle(lack.file);
  const GgufFile file = changed(oracle.file, [&](FileParts& parts) { parts.erase_tensor(lack.tensor); });
  expect_error(ErrorKind::bad_input, {"changed", lack.tensor}, [&] { load_model(file, {}); });
  expect_error(ErrorKind::bad_input, {"changed", lack.tensor}, [&] { measure_model(file); });
}

INSTANTIATE_TEST_SUITE_P(Tensors, Lacking,
                         testing::Values(Lack{"q", "llama3", "blk.1.attn_q.weight"},
                                         Lack{"ff", "mistral", "blk.0.ffn_up.weight"},
                                         Lack{"one_bias", "llama_tied_linear_bias", "blk.1.attn_k.bias"},
                                         Lack{"bias", "qwen2", "blk.0.attn_q.bias"},
                                         Lack{"norm", "qwen3", "blk.0.attn_q_norm.weight"},
                                         Lack{"gate", "qwen3moe", "blk.0.ffn_gate_inp.weight"},
                                         Lack{"sinks", "gpt_oss", "blk.2.attn_sinks.weight"},
                                         Lack{"router_bias", "gpt_oss", "blk.0.ffn_gate_inp.bias"},
                                         Lack{"expert_bias", "gpt_oss", "blk.1.ffn_down_exps.bias"},
                                         Lack{"ffn_norm", "gpt_oss", "blk.1.post_attention_norm.weight"}),
                         [](const auto& test) { return std::string(test.param.name); });

/// One key set anew, or taken away with nullopt.
struct Spoilt {
  const char* name;
  const char* file;
  const char* key;
  std::optional<GgufValue> value;
  ErrorKind kind;
};

class SpoiltKeys : public testing::TestWithParam<Spoilt> {};

TEST_P(SpoiltKeys, AreRefusedByName) {
  const Spoilt& test = GetParam();
  const Oracle oracle = read_oracle(test.file);
  const GgufFile file = changed(oracle.file, [&](FileParts& parts) { parts.set(test.key, test.value); });
  expect_error(test.kind, {"changed", test.key}, [&] { load_model(file, {}); });
  expect_error(test.kind, {"changed", test.key}, [&] { measure_model(file); });
}

INSTANTIATE_TEST_SUITE_P(
    Keys, SpoiltKeys,
    testing::Values(
        Spoilt{"no_heads", "llama3", "llama.attention.head_count", std::nullopt, ErrorKind::bad_input},
        Spoilt{"uneven_groups", "llama3", "llama.attention.head_count_kv", uint64_t{3}, ErrorKind::bad_input},
        Spoilt{"more_kv_heads", "qwen2", "qwen2.attention.head_count_kv", uint64_t{8}, ErrorKind::bad_input},
        Spoilt{"wide_rope", "llama3", "llama.rope.dimension_count", uint64_t{14}, ErrorKind::bad_input},
        Spoilt{"odd_rope", "qwen3", "qwen3.rope.dimension_count", uint64_t{7}, ErrorKind::bad_input},
        Spoilt{"layers_differ", "llama3", "llama.attention.head_count_kv", std::vector<int64_t>{2, 1},
               ErrorKind::unsupported},
        Spoilt{"negative_layers", "llama3", "llama.attention.head_count_kv", std::vector<int64_t>{-2, -2},
               ErrorKind::bad_input},
        Spoilt{"mixtral", "llama3", "llama.expert_count", uint64_t{8}, ErrorKind::unsupported},
        Spoilt{"window", "qwen2", "qwen2.attention.sliding_window", uint64_t{64}, ErrorKind::unsupported},
        Spoilt{"no_window", "gpt_oss", "gpt-oss.attention.sliding_window", std::nullopt,
               ErrorKind::bad_input},
        Spoilt{"empty_window", "gpt_oss", "gpt-oss.attention.sliding_window", uint64_t{0},
               ErrorKind::bad_input},
        Spoilt{"scale", "llama3", "llama.attention.scale", 0.5, ErrorKind::unsupported},
        Spoilt{"mscale", "llama3", "llama.rope.scaling.yarn_log_multiplier", 0.1, ErrorKind::unsupported},
        Spoilt{"no_experts_used", "qwen3moe", "qwen3moe.expert_used_count", std::nullopt,
               ErrorKind::bad_input}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Keys, ArraysOfOneValueALayerCountAsThatValue) {
  const Oracle oracle = read_oracle("llama3");
  const GgufFile file = changed(oracle.file, [](FileParts& parts) {
    parts.set("llama.attention.head_count_kv", std::vector<int64_t>{2, 2});
  });
  const auto model = load_model(file, {.max_batch = 128});
  EXPECT_LE(relative_error(run_fresh(*model, oracle.tokens, 128), oracle.logits), 1e-4);
}

TEST(Divisors, MustBePositiveAndAsManyAsPairs) {
  const Oracle oracle = read_oracle("llama3");
  for (const bool too_many : {true, false}) {
    const GgufFile file = changed(oracle.file, [&](FileParts& parts) {
      GgufTensor& divisors = parts.tensor("rope_freqs.weight");
      set_values(divisors, DType::f32, [](std::span<float> values) { std::ranges::fill(values, 0.0f); });
      if (too_many) divisors.dims[0] += 1;
    });
    expect_error(ErrorKind::bad_input, {"changed", "rope_freqs.weight"}, [&] { load_model(file, {}); });
  }
}

}  // namespace
}  // namespace tern
