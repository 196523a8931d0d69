// The draft head (multi-token prediction) against the paper, and how it keeps house.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/hf_folder.h"
#include "tests/expect_error.h"
#include "tests/model/changed_file.h"
#include "tests/model/oracles.h"
#include "tests/model/runner.h"

namespace tern {
namespace {

/// The model's logits and the draft head's, `piece` tokens in each step.
struct Drafted {
  std::vector<float> logits, draft;
};

/// Each piece is said and then drafted from: at a position, from its state and the next token. The last one's
/// next token nobody knows.
Drafted run(Model& model, std::span<const int32_t> tokens, size_t piece) {
  const size_t vocab = model.shape().vocab, hidden = model.shape().hidden;
  PagedCache cache = cache_for(model);
  Drafted result;
  std::vector<float> states(piece * hidden), logits(piece * vocab);
  for (size_t done = 0; done < tokens.size(); done += piece) {
    const size_t count = std::min(piece, tokens.size() - done);
    EXPECT_TRUE(cache.extend(0, static_cast<int>(count)));
    std::vector<BatchToken> batch, drafts;
    for (size_t i = done; i < done + count; ++i) {
      batch.push_back({tokens[i], static_cast<int32_t>(i), 0, true});
      if (i + 1 < tokens.size()) drafts.push_back({tokens[i + 1], static_cast<int32_t>(i), 0, true});
    }
    model.forward(batch, cache, logits.data(), states.data());
    result.logits.insert(result.logits.end(), logits.begin(), logits.begin() + batch.size() * vocab);
    if (drafts.empty()) continue;
    model.draft(drafts, states.data(), cache, logits.data());
    result.draft.insert(result.draft.end(), logits.begin(), logits.begin() + drafts.size() * vocab);
  }
  return result;
}

std::vector<float> reference(const char* tensor) {
  return dumped<float>(SafetensorsFile::open(dump_path("v3_draft.safetensors")), tensor);
}

TEST(Draft, SaysWhatThePaperSays) {
  const Oracle oracle = read_oracle("v3_draft");
  const std::vector<float> expected = reference("draft_logits");
  for (const Isa isa : kAllIsas) {
    if (!isa_available(isa)) continue;
    for (const AttentionPath path : {AttentionPath::absorbed, AttentionPath::decompressed}) {
      const auto model = load_model(
          oracle.file, {.isa = isa, .threads = 2, .max_batch = 64, .attention = path, .draft = true});
      const Drafted whole = run(*model, oracle.tokens, 64);
      ASSERT_EQ(whole.draft.size(), expected.size());
      EXPECT_LE(relative_error(whole.draft, expected), 1e-4) << isa_name(isa);
      EXPECT_LE(relative_error(whole.logits, oracle.logits), 1e-4) << isa_name(isa);
      for (const size_t piece : {1, 7, 33}) {
        const Drafted cut = run(*model, oracle.tokens, piece);
        EXPECT_TRUE(same_bits(cut.draft, whole.draft)) << isa_name(isa) << ", pieces of " << piece;
        EXPECT_TRUE(same_bits(cut.logits, whole.logits)) << isa_name(isa) << ", pieces of " << piece;
      }
    }
  }
}

TEST(Draft, OfAFolderSaysTheSame) {
  const Oracle oracle = read_oracle("v3_draft");
  const auto model = load_model(open_hf_folder(dump_path("v3_draft")),
                                {.isa = Isa::scalar, .threads = 2, .max_batch = 64, .draft = true});
  const Drafted drafted = run(*model, oracle.tokens, 64);
  EXPECT_LE(relative_error(drafted.logits, oracle.bf16_logits), 1e-4);
  EXPECT_LE(relative_error(drafted.draft, reference("bf16_draft_logits")), 1e-4);
}

TEST(Draft, AskingForStatesChangesNoLogit) {
  const Oracle oracle = read_oracle("v3_draft");
  const auto plain = load_model(oracle.file, {.max_batch = 64});
  const auto drafting = load_model(oracle.file, {.max_batch = 64, .draft = true});
  EXPECT_TRUE(same_bits(run_fresh(*plain, oracle.tokens, 64), run(*drafting, oracle.tokens, 64).logits));
}

TEST(Draft, StatesAndLogitsComeInTheOrderOfTheBatch) {
  const Oracle oracle = read_oracle("v3_draft");
  const auto model = load_model(oracle.file, {.max_batch = 64, .draft = true});
  const size_t vocab = model->shape().vocab, hidden = model->shape().hidden;
  const auto tokens = std::span(oracle.tokens).first(6);
  // Two sequences of the same tokens, one after the other and interleaved.
  const auto states_of = [&](bool interleaved) {
    PagedCache cache = cache_for(*model, 2);
    std::vector<BatchToken> batch;
    for (int32_t i = 0; i < 12; ++i) {
      const int32_t sequence = interleaved ? i % 2 : i / 6, position = interleaved ? i / 2 : i % 6;
      batch.push_back({tokens[position], position, sequence, position == 5});
    }
    for (const SequenceId sequence : {0, 1}) EXPECT_TRUE(cache.extend(sequence, 6));
    std::vector<float> states(12 * hidden), logits(2 * vocab);
    model->forward(batch, cache, logits.data(), states.data());
    EXPECT_TRUE(same_bits(std::span(logits).first(vocab), std::span(logits).subspan(vocab)));
    return states;
  };
  const std::vector<float> behind = states_of(false), interleaved = states_of(true);
  for (size_t i = 0; i < 6; ++i) {
    const auto row = [&](const std::vector<float>& from, size_t r) {
      return std::span(from).subspan(r * hidden, hidden);
    };
    EXPECT_TRUE(same_bits(row(behind, i), row(interleaved, 2 * i)));
    EXPECT_TRUE(same_bits(row(behind, 6 + i), row(interleaved, 2 * i + 1)));
  }
}

TEST(Draft, IsLoadedWhereAskedForOnly) {
  const Oracle with = read_oracle("v3_draft"), without = read_oracle("v3");
  const auto plain = load_model(with.file, {}), drafting = load_model(with.file, {.draft = true});
  EXPECT_EQ(plain->shape().draft_layers, 1);
  EXPECT_EQ(plain->shape().cache_layers, 2);
  EXPECT_EQ(drafting->shape().cache_layers, 3);
  EXPECT_GT(drafting->shape().packed_bytes, plain->shape().packed_bytes);
  EXPECT_EQ(drafting->shape().weights, plain->shape().weights);
  const auto none = load_model(without.file, {.draft = true});
  EXPECT_EQ(none->shape().cache_layers, none->shape().layers);

  const BatchToken token{1, 0, 0, true};
  std::vector<float> states(plain->shape().hidden), logits(plain->shape().vocab);
  for (Model* model : {plain.get(), none.get()}) {
    PagedCache cache = cache_for(*model);
    ASSERT_TRUE(cache.extend(0, 1));
    expect_error(ErrorKind::bad_input, {"draft layer"}, [&] {
      model->draft({&token, 1}, states.data(), cache, logits.data());
    });
  }
}

/// The file with one tensor under another name.
GgufFile with_name(const GgufFile& file, const std::string& from, const std::string& to) {
  return changed(file, [&](FileParts& parts) { parts.tensor(from).name = to; });
}

TEST(Draft, ItsTensorsAreHeldToTheirShape) {
  const Oracle oracle = read_oracle("v3_draft");
  const GgufFile renamed = with_name(oracle.file, "blk.2.nextn.eh_proj.weight", "blk.2.nextn.other.weight");
  EXPECT_NO_THROW(load_model(renamed, {}));
  expect_error(ErrorKind::bad_input, {"changed", "blk.2.nextn.eh_proj.weight"},
               [&] { load_model(renamed, {.draft = true}); });
  const GgufFile extra =
      with_name(oracle.file, "blk.2.nextn.shared_head_norm.weight", "blk.2.nextn.other.weight");
  expect_error(ErrorKind::unsupported, {"changed", "blk.2.nextn.other.weight"},
               [&] { load_model(extra, {.draft = true}); });
}

/// The file with a table of the draft layer's own: the model's but for row 3, which is zero.
GgufFile with_table(const GgufFile& file, const std::string& name, const std::string& original, bool copy) {
  return changed(file, [&](FileParts& parts) {
    GgufTensor table = parts.tensor(original);
    table.name = name;
    set_values(table, DType::f32, [row = table.dims[0], copy](std::span<float> values) {
      if (!copy) std::ranges::fill(values.subspan(3 * row, row), 0.0f);
    });
    parts.tensors.push_back(table);
  });
}

TEST(Draft, MayBringAnEmbeddingOrAHeadOfItsOwn) {
  const Oracle oracle = read_oracle("v3_draft");
  const ModelOptions options = {.max_batch = 64, .draft = true};
  const std::vector<int32_t> tokens = {1, 2, 4, 3};
  const auto shared = load_model(oracle.file, options);
  const size_t vocab = shared->shape().vocab;
  const std::vector<float> plain = run(*shared, tokens, 8).draft;

  for (const bool copy : {true, false}) {
    const auto embedding = load_model(
        with_table(oracle.file, "blk.2.nextn.embed_tokens.weight", "token_embd.weight", copy), options);
    const std::vector<float> drafted = run(*embedding, tokens, 8).draft;
    EXPECT_TRUE(same_bits(std::span(drafted).first(2 * vocab), std::span(plain).first(2 * vocab)));
    EXPECT_EQ(same_bits(std::span(drafted).last(vocab), std::span(plain).last(vocab)), copy)
        << "after token 3";

    const auto head = load_model(
        with_table(oracle.file, "blk.2.nextn.shared_head_head.weight", "output.weight", copy), options);
    const std::vector<float> headed = run(*head, tokens, 8).draft;
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(headed[i], !copy && i % vocab == 3 ? 0 : plain[i]);
    // A copy is not kept twice.
    EXPECT_EQ(embedding->shape().packed_bytes == shared->shape().packed_bytes, copy);
    EXPECT_EQ(head->shape().packed_bytes == shared->shape().packed_bytes, copy);
  }
}

}  // namespace
}  // namespace tern
