// However a sequence is cut into pieces and whoever shares its batches: the same bits on one path through
// attention.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "tests/model/runner.h"
#include "tests/model/tiny_file.h"

namespace tern {
namespace {

std::vector<int32_t> random_tokens(Rng& rng, size_t n, int vocab) {
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.below(vocab));
  return tokens;
}

std::unique_ptr<Model> load(const TinyFile& file, const ModelOptions& options) {
  const std::vector<std::byte> bytes = file.bytes();
  return load_model(GgufFile::parse(bytes, "tiny"), options);
}

/// The types a file's matrices are given in turn.
struct Types {
  const char* name;
  std::vector<DType> types;
};
const Types kTypes[] = {{"f32", {DType::f32}},
                        {"q8_0", {DType::q8_0}},
                        {"mixed", {DType::q8_0, DType::bf16, DType::f32, DType::q8_0, DType::f16}}};

TinyFile typed_file(const TinyConfig& config, const Types& types) {
  TinyFile file = tiny_file(config);
  convert(file, [&](size_t index) { return types.types[index % types.types.size()]; });
  return file;
}

struct Setting {
  Isa isa;
  AttentionPath path;
  const Types* types;
  CacheType cache = CacheType::automatic;
};

std::vector<Setting> settings() {
  std::vector<Setting> result;
  for (const Isa isa : kAllIsas) {
    for (const AttentionPath path : {AttentionPath::decompressed, AttentionPath::absorbed}) {
      for (const Types& types : kTypes) {
        // The slow oracle runs the richest file only.
        if (isa != Isa::scalar || &types == std::end(kTypes) - 1) result.push_back({isa, path, &types});
      }
      for (const CacheType cache : {CacheType::bf16, CacheType::int8})
        result.push_back({isa, path, &kTypes[0], cache});
    }
  }
  return result;
}

std::string name_of(const Setting& s) {
  return std::string(isa_name(s.isa)) +
         (s.path == AttentionPath::absorbed ? "_absorbed_" : "_decompressed_") + s.types->name + "_" +
         std::string(cache_type_name(s.cache));
}

void PrintTo(const Setting& setting, std::ostream* out) {
  *out << name_of(setting);
}

class Agreement : public testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam().isa)) GTEST_SKIP() << isa_name(GetParam().isa) << " is not on this machine";
  }
  std::unique_ptr<Model> load_with(const TinyConfig& config, int threads, int max_batch) const {
    return load(typed_file(config, *GetParam().types), options_with(threads, max_batch));
  }
  static ModelOptions options_with(int threads, int max_batch) {
    return {.isa = GetParam().isa,
            .threads = threads,
            .max_batch = max_batch,
            .attention = GetParam().path,
            .cache = GetParam().cache};
  }
};

TEST_P(Agreement, OnePieceOrManyOrTokenByToken) {
  Rng rng(11);
  const std::vector<int32_t> tokens = random_tokens(rng, 110, 48);
  const auto model = load_with({}, 1, 128);
  const std::vector<float> whole = run_fresh(*model, tokens, 128);
  for (const int piece : {1, 5, 31, 32, 33, 64}) {
    EXPECT_TRUE(same_bits(run_fresh(*model, tokens, piece), whole)) << "pieces of " << piece;
  }
  const auto threaded = load_with({}, 3, 128);
  EXPECT_TRUE(same_bits(run_fresh(*threaded, tokens, 128), whole)) << "three threads";
  EXPECT_TRUE(same_bits(run_fresh(*threaded, tokens, 9), whole)) << "three threads, pieces of 9";
}

// Long enough for several segments of keys, whose sums several threads work out apart.
TEST_P(Agreement, BehindSeveralSegmentsOfKeys) {
  constexpr int kTokens = 500, kLast = 6;
  Rng rng(12);
  const std::vector<int32_t> tokens = random_tokens(rng, kTokens, 48);
  const auto alone = load_with({}, 1, kTokens), team = load_with({}, 5, kTokens);
  PagedCache cache = cache_for(*alone, 1, kTokens);
  const std::vector<float> whole = run_sequence(*alone, cache, 0, tokens, kTokens);
  PagedCache others = cache_for(*team, 1, kTokens);
  run_sequence(*team, others, 0, std::span(tokens).first(kTokens - kLast), 170);
  const std::vector<float> last = run_sequence(*team, others, 0, std::span(tokens).last(kLast), 1);
  EXPECT_TRUE(same_bits(last, std::span(whole).last(last.size())));
}

/// What one sequence says alone and what is left of it to be said among others.
struct Stream {
  std::vector<int32_t> tokens;
  std::vector<float> alone;
  int done = 0;
};

/// One random step: some streams bring some of their next tokens, shuffled together. Returns false when all
/// are done.
bool random_step(Model& model, PagedCache& cache, std::vector<Stream>& streams, int max_batch, Rng& rng) {
  std::vector<BatchToken> batch;
  bool left = false;
  for (size_t s = 0; s < streams.size(); ++s) {
    Stream& stream = streams[s];
    if (stream.done > 0 && rng.chance(0.05)) {  // takes some back and says them again
      stream.done = static_cast<int>(rng.below(stream.done));
      cache.truncate(static_cast<SequenceId>(s), stream.done);
    }
    const int rest = static_cast<int>(stream.tokens.size()) - stream.done;
    left |= rest > 0;
    const int most = std::min<int>(rest, max_batch - static_cast<int>(batch.size()));
    if (most <= 0 || rng.chance(0.3)) continue;
    const int count = rng.chance(0.5) ? 1 : static_cast<int>(rng.between(1, most));
    EXPECT_TRUE(cache.extend(static_cast<SequenceId>(s), count));
    for (int i = 0; i < count; ++i) {
      const int position = stream.done + i;
      batch.push_back({stream.tokens[position], position, static_cast<SequenceId>(s), rng.chance(0.5)});
    }
    stream.done += count;
  }
  if (batch.empty()) return left;
  // Interleave, each sequence's tokens staying in order.
  rng.shuffle(batch);
  std::vector<BatchToken> ordered = batch;
  for (size_t s = 0; s < streams.size(); ++s) {
    std::vector<BatchToken> mine;
    std::copy_if(batch.begin(), batch.end(), std::back_inserter(mine),
                 [&](auto& t) { return t.sequence == int(s); });
    std::sort(mine.begin(), mine.end(), [](auto& a, auto& b) { return a.position < b.position; });
    size_t next = 0;
    for (BatchToken& token : ordered) {
      if (token.sequence == int(s)) token = mine[next++];
    }
  }
  const size_t vocab = model.shape().vocab;
  std::vector<float> logits(ordered.size() * vocab);
  model.forward(ordered, cache, logits.data());
  size_t row = 0;
  for (const BatchToken& token : ordered) {
    if (!token.wants_logits) continue;
    const std::span<const float> alone(streams[token.sequence].alone.data() + token.position * vocab, vocab);
    EXPECT_TRUE(same_bits({logits.data() + row * vocab, vocab}, alone))
        << "sequence " << token.sequence << ", position " << token.position;
    ++row;
  }
  cache.check();
  return left;
}

TEST_P(Agreement, AloneOrAmongStrangers) {
  constexpr int kMaxBatch = 40;
  Rng rng(23);
  const auto alone = load_with({.seed = 5}, 1, 128);
  const auto shared = load_with({.seed = 5}, 2, kMaxBatch);
  for (int round = 0; round < 3; ++round) {
    std::vector<Stream> streams(6);
    for (Stream& stream : streams) {
      stream.tokens = random_tokens(rng, rng.between(1, 90), 48);
      stream.alone = run_fresh(*alone, stream.tokens, 128);
    }
    PagedCache cache = cache_for(*shared, static_cast<int>(streams.size()), 96);
    while (random_step(*shared, cache, streams, kMaxBatch, rng) && !HasFailure()) {
    }
    if (HasFailure()) break;
  }
}

TEST_P(Agreement, APassThatPausesForOthersIsAsOneInOneGo) {
  Rng rng(27);
  const auto model = load_with({.layers = 3, .seed = 5}, 2, 128);
  const std::vector<int32_t> prompt = random_tokens(rng, 70, 48), stream = random_tokens(rng, 40, 48);
  const std::vector<float> whole = run_fresh(*model, prompt, 35);
  const std::vector<float> decoded = run_fresh(*model, stream, 1);
  PagedCache cache = cache_for(*model, 2);
  std::vector<float> logits(35 * 48), one(48);
  for (int done = 0, at = 0; done < 70; done += 35) {
    ASSERT_TRUE(cache.extend(0, 35));
    std::vector<BatchToken> batch;
    for (int i = done; i < done + 35; ++i) batch.push_back({prompt[i], i, 0, true});
    PausedPass pass;
    int pauses = 0;
    while (!model->forward_part(
        batch, cache, pass, [] { return true; }, logits.data())) {
      EXPECT_EQ(pass.layers, ++pauses);
      ASSERT_TRUE(cache.extend(1, 1));
      const BatchToken token{stream[at], at, 1, true};
      model->forward({&token, 1}, cache, one.data());
      EXPECT_TRUE(same_bits(one, std::span(decoded).subspan(at++ * 48, 48)));
    }
    EXPECT_EQ(pauses, 2);
    EXPECT_EQ(pass.layers, 0);
    EXPECT_TRUE(same_bits(logits, std::span(whole).subspan(done * 48, 35 * 48)));
  }
}

TEST_P(Agreement, TruncatedThenContinuedIsAsFresh) {
  Rng rng(31);
  const auto model = load_with({.seed = 6}, 1, 128);
  const std::vector<int32_t> first = random_tokens(rng, 80, 48);
  for (const int keep : {0, 1, 31, 32, 50, 64}) {
    std::vector<int32_t> second(first.begin(), first.begin() + keep);
    const std::vector<int32_t> rest = random_tokens(rng, 45, 48);
    second.insert(second.end(), rest.begin(), rest.end());
    PagedCache cache = cache_for(*model);
    run_sequence(*model, cache, 0, first, 64);
    cache.truncate(0, keep);
    const std::vector<float> continued = run_sequence(*model, cache, 0, rest, 17);
    const std::vector<float> fresh = run_fresh(*model, second, 128);
    EXPECT_TRUE(same_bits(continued, std::span(fresh).subspan(keep * 48))) << "kept " << keep;
  }
}

TEST_P(Agreement, WhatComesLaterOrElsewhereCannotSpoilAToken) {
  TinyFile file = typed_file({.seed = 7}, kTypes[0]);
  // Token 47 is poison: its embedding and all that follows from it is NaN.
  TinyTensor& embedding = file.tensor("token_embd.weight");
  std::fill(embedding.values.end() - embedding.dims[0], embedding.values.end(),
            std::numeric_limits<float>::quiet_NaN());
  const auto model = load(file, options_with(1, 128));
  Rng rng(37);
  const std::vector<int32_t> clean = random_tokens(rng, 50, 47);
  const std::vector<float> expected = run_fresh(*model, clean, 128);
  std::vector<int32_t> spoilt = clean;
  spoilt.insert(spoilt.end(), {47, 3, 47});
  PagedCache cache = cache_for(*model, 2);
  const std::vector<float> logits = run_sequence(*model, cache, 1, spoilt, 128);
  EXPECT_TRUE(same_bits(std::span(logits).first(expected.size()), expected)) << "later in the same piece";
  EXPECT_TRUE(std::isnan(logits.back()));
  // The pages that held NaN go to another sequence.
  cache.truncate(1, 0);
  EXPECT_TRUE(same_bits(run_sequence(*model, cache, 0, clean, 11), expected)) << "in pages used before";
}

INSTANTIATE_TEST_SUITE_P(Paths, Agreement, testing::ValuesIn(settings()),
                         [](const auto& test) { return name_of(test.param); });

TEST(Paths, AgreeByLogitsWithEachOther) {
  Rng rng(41);
  const std::vector<int32_t> tokens = random_tokens(rng, 100, 48);
  for (const bool split : {true, false}) {
    for (const uint32_t q_rank : {0u, 32u}) {
      const TinyFile file = tiny_file({.q_rank = q_rank, .split = split, .seed = 8});
      const auto absorbed = load(file, {.max_batch = 128, .attention = AttentionPath::absorbed});
      const auto decompressed = load(file, {.max_batch = 128, .attention = AttentionPath::decompressed});
      const std::vector<float> a = run_fresh(*absorbed, tokens, 13),
                               d = run_fresh(*decompressed, tokens, 100);
      EXPECT_LE(relative_error(a, d), 1e-5);
      EXPECT_FALSE(same_bits(a, d))
          << "the two ways round differently; equal bits mean one of them never ran";
    }
  }
}

TEST(Paths, AutomaticLeavesTheSameRowsHoweverAPromptIsCut) {
  Rng rng(42);
  const auto model = load(tiny_file({.v = 31, .seed = 9}), {.threads = 2, .max_batch = 128});
  const int tips = model->shape().same_rows_from;
  ASSERT_EQ(tips, 96);  // (2 * 32 - 63) 512 * 513 / 2 / (32 * 63 - 512) = 87.3 tokens, and whole pages
  constexpr int kTokens = 120;
  const std::vector<int32_t> tokens = random_tokens(rng, kTokens, 48);
  const std::vector<float> whole = run_fresh(*model, tokens, kTokens);
  for (const int piece : {1, 7, 32, 50})
    EXPECT_TRUE(same_bits(run_fresh(*model, tokens, piece), whole)) << piece;
  // Generated tokens take the same way from there on, and another one before.
  for (const int prompt : {tips, tips - 16}) {
    PagedCache cache = cache_for(*model);
    run_sequence(*model, cache, 0, std::span(tokens).first(prompt), prompt);
    std::vector<float> logits(48);
    for (int at = prompt; at < kTokens; ++at) {
      ASSERT_TRUE(cache.extend(0, 1));
      const BatchToken token{tokens[at], at, 0, true, true};
      model->forward({&token, 1}, cache, logits.data());
    }
    EXPECT_EQ(same_bits(logits, std::span(whole).last(48)), prompt == tips) << prompt;
  }
}

TEST(Paths, AutomaticDependsOnTheSequenceAlone) {
  Rng rng(43);
  const TinyFile file = tiny_file({.seed = 9});
  const auto model = load(file, {.threads = 2, .max_batch = 128});
  const std::vector<int32_t> mine = random_tokens(rng, 60, 48), other = random_tokens(rng, 60, 48);
  // Pieces of 40, then 1 and 19, alone and beside a prompt and a decoding stream.
  const int cuts[] = {40, 1, 19};
  std::vector<float> results[2];
  for (const bool company : {false, true}) {
    PagedCache cache = cache_for(*model, 3);
    int done = 0;
    for (const int cut : cuts) {
      std::vector<BatchToken> batch;
      for (int stranger = 1; company && stranger <= 2; ++stranger) {
        const int count = stranger == 1 ? 1 : 20;
        const int position = cache.length(stranger);
        ASSERT_TRUE(cache.extend(stranger, count));
        for (int i = 0; i < count; ++i) batch.push_back({other[position + i], position + i, stranger, false});
      }
      ASSERT_TRUE(cache.extend(0, cut));
      for (int i = 0; i < cut; ++i) batch.push_back({mine[done + i], done + i, 0, true});
      done += cut;
      std::vector<float> logits(cut * 48);
      model->forward(batch, cache, logits.data());
      results[company].insert(results[company].end(), logits.begin(), logits.end());
    }
  }
  EXPECT_TRUE(same_bits(results[0], results[1]));
}

}  // namespace
}  // namespace tern
