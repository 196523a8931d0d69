// SentencePiece's vocabularies: tests/text/tokenizers_test.py holds them to SentencePiece itself.
#include "text/spm.h"

#include <limits>

#include "files/gguf.h"
#include "tests/expect_error.h"
#include "tests/text/fixtures.h"

namespace tern {
namespace {

// <unk> <s> </s>, the bytes, and tokens with the scores that training gives: merges first, characters last.
Vocabulary spm_vocabulary(const std::vector<std::pair<std::string, float>>& learned) {
  Vocabulary vocabulary;
  vocabulary.model = TokenizerModel::spm;
  vocabulary.pre.clear();
  vocabulary.space_prefix = SpacePrefix::always;
  vocabulary.tokens = {"<unk>", "<s>", "</s>"};
  vocabulary.types = {TokenType::unknown, TokenType::control, TokenType::control};
  vocabulary.scores = {0, 0, 0};
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
    vocabulary.types.push_back(TokenType::byte);
    vocabulary.scores.push_back(0);
  }
  for (const auto& [token, score] : learned) {
    vocabulary.tokens.push_back(token);
    vocabulary.types.push_back(TokenType::normal);
    vocabulary.scores.push_back(score);
  }
  vocabulary.unk = 0, vocabulary.bos = 1, vocabulary.eos = 2;
  vocabulary.add_bos = true;
  return vocabulary;
}

const Vocabulary& abc() {
  static const Vocabulary vocabulary = spm_vocabulary({{" a", 0},
                                                       {"bc", -1},
                                                       {"ab", -2},
                                                       {" abc", -3},
                                                       {"  ", -4},
                                                       {" ", -5},
                                                       {"a", -6},
                                                       {"b", -7},
                                                       {"c", -8}});
  return vocabulary;
}

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> found;
  for (const int32_t id : tokenizer.encode(text)) found.emplace_back(tokenizer.bytes(id));
  return found;
}

using Pieces = std::vector<std::string>;

TEST(Spm, MergesTheHighestScoreFirst) {
  const Tokenizer tokenizer(abc());
  EXPECT_EQ(pieces(tokenizer, ""), Pieces{});
  EXPECT_EQ(pieces(tokenizer, "abc"), (Pieces{" abc"}));
  EXPECT_EQ(pieces(tokenizer, "cab"), (Pieces{" ", "c", "ab"}));
  EXPECT_EQ(pieces(tokenizer, "aab"), (Pieces{" a", "ab"}));
  EXPECT_EQ(pieces(tokenizer, "a\u2581 a"), (Pieces{" a", " ", " a"}));
}

TEST(Spm, FallsBackToBytes) {
  const Tokenizer tokenizer(abc());
  EXPECT_EQ(pieces(tokenizer, "é\xFF\n"), (Pieces{" ", "\xC3", "\xA9", "\xFF", "\n"}));
  EXPECT_EQ(tokenizer.encode("é"), (std::vector<int32_t>{264, 3 + 0xC3, 3 + 0xA9}));
  Rng rng(21);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_bytes(rng, rng.below(60));
    if (text.find("\u2581") != std::string::npos) continue;
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << "seed 21, text " << i;
  }
}

TEST(Spm, PutsSpacesWhereAsked) {
  Vocabulary vocabulary = abc();
  const auto spaced = [&](SpacePrefix prefix, std::string_view text) {
    vocabulary.space_prefix = prefix;
    const Tokenizer tokenizer(vocabulary);
    return tokenizer.decode(tokenizer.encode(text, true), true).size() + (prefix != SpacePrefix::none) -
           text.size();
  };
  EXPECT_EQ(spaced(SpacePrefix::none, "a</s>a"), 0u);
  EXPECT_EQ(spaced(SpacePrefix::always, "a</s>a"), 2u);
  EXPECT_EQ(spaced(SpacePrefix::always, " a</s> a"), 2u);
  EXPECT_EQ(spaced(SpacePrefix::where_missing, "a</s>a"), 2u);
  EXPECT_EQ(spaced(SpacePrefix::where_missing, "a</s> a"), 1u);
  EXPECT_EQ(spaced(SpacePrefix::first, "a</s>a"), 1u);
}

TEST(Spm, SpecialTokensAreTextUnlessAsked) {
  const Tokenizer tokenizer(abc());
  for (const int32_t id : tokenizer.encode("<s>a</s><unk><0x0A>")) EXPECT_FALSE(tokenizer.is_special(id));
  EXPECT_EQ(tokenizer.encode("<s></s><unk>", true), (std::vector<int32_t>{1, 2, 0}));
  EXPECT_TRUE(tokenizer.is_end_of_generation(2));
}

TEST(Spm, ComesBackFromGguf) {
  GgufWriter writer;
  write_vocabulary(abc(), writer);
  const std::vector<std::byte> bytes = writer.bytes();
  const GgufFile file = GgufFile::parse(bytes, "test.gguf");
  EXPECT_EQ(file.get_string("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(file.get_strings("tokenizer.ggml.tokens")[3 + '\n'], "<0x0A>");
  EXPECT_EQ(file.get_strings("tokenizer.ggml.tokens")[259], "▁a");
  const Vocabulary back = read_vocabulary(file);
  EXPECT_EQ(back.tokens, abc().tokens);
  EXPECT_EQ(back.types, abc().types);
  EXPECT_EQ(back.scores, abc().scores);
  EXPECT_EQ(back.space_prefix, SpacePrefix::always);
  EXPECT_TRUE(back.add_bos);
  EXPECT_EQ(back.unk, 0);
}

TEST(Spm, ComesBackFromTokenizerJson) {
  const Vocabulary back = parse_tokenizer_json(tokenizer_json(abc()), "test.json");
  EXPECT_EQ(back.model, TokenizerModel::spm);
  EXPECT_EQ(back.tokens, abc().tokens);
  EXPECT_EQ(back.types, abc().types);
  EXPECT_EQ(back.space_prefix, SpacePrefix::always);
  EXPECT_EQ(back.merges, spm_merges(abc()));
  const Tokenizer scored(abc()), merged(back);
  Rng rng(22);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (int n = 0; n < 30; ++n) text += "  abcé"[rng.below(6)];
    ASSERT_EQ(merged.encode(text), scored.encode(text)) << text;
  }
}

TEST(Spm, ScoresOfMergesMergeTheSame) {
  Vocabulary merged = abc();
  merged.merges = spm_merges(abc());
  merged.scores.clear();
  Vocabulary scored = merged;
  scored.scores = spm_scores(merged);
  scored.merges.clear();
  EXPECT_EQ(spm_merges(scored), merged.merges);
}

TEST(Spm, RefusesMergesThatNoScoresSay) {
  Vocabulary fewer = abc();
  fewer.merges = {{"b", "c"}};
  expect_error(ErrorKind::unsupported, {"don't merge, no scores say that"}, [&] { spm_scores(fewer); });
  Vocabulary apart = spm_vocabulary({{"ab", 0}, {"bc", -1}, {"abc", -2}, {"a", -3}, {"b", -4}, {"c", -5}});
  apart.merges = {{"a", "bc"}, {"a", "b"}, {"b", "c"}, {"ab", "c"}};
  expect_error(ErrorKind::unsupported, {"stand apart"}, [&] { spm_scores(apart); });
  Vocabulary cut = abc();
  cut.split_spaces = true;
  cut.merges = spm_merges(abc());
  expect_error(ErrorKind::unsupported, {"cut at its spaces"}, [&] { spm_scores(cut); });
}

TEST(Spm, RefusesHostileVocabularies) {
  Vocabulary vocabulary = abc();
  vocabulary.types[3 + 'x'] = TokenType::normal;
  expect_error(ErrorKind::bad_input, {"no token for byte 0x78"}, [&] { Tokenizer{vocabulary}; });
  vocabulary = abc();
  vocabulary.scores[259] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorKind::bad_input, {"score of token 259"}, [&] { Tokenizer{vocabulary}; });
  vocabulary = abc();
  vocabulary.scores.pop_back();
  expect_error(ErrorKind::bad_input, {"267 scores for 268 tokens"}, [&] { Tokenizer{vocabulary}; });
  vocabulary = abc();
  vocabulary.tokens.back() = std::string(300, 'a');
  expect_error(ErrorKind::limit, {"300 bytes"}, [&] { Tokenizer{vocabulary}; });
  expect_error(ErrorKind::bad_input, {"<0xZZ>"}, [&] { spm_bytes("<0xZZ>", TokenType::byte); });
  expect_error(ErrorKind::bad_input, {"a b"}, [&] { spm_bytes("a b", TokenType::normal); });
}

TEST(Spm, IsLinear) {
  const Tokenizer tokenizer(abc());
  for (const char* unit : {"a", " ", "ab", "日", " a", "\xFF"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    const std::clock_t begin = std::clock();
    tokenizer.encode(text);
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, kMegabyteSeconds) << unit;
  }
}

}  // namespace
}  // namespace tern
