#include "text/tokenizer.h"

#include <algorithm>
#include <ctime>

#include "base/error.h"
#include "tests/text/fixtures.h"
#include "text/byte_unicode.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"

namespace tern {
namespace {

// Of the processor, so that a busy machine doesn't fail the test.
double seconds_to_encode(const std::string& text) {
  const std::clock_t begin = std::clock();
  const std::vector<int32_t> ids = small_tokenizer().encode(text);
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_EQ(small_tokenizer().decode(ids), text);
  return seconds;
}

std::string repeated(const char* unit) {
  std::string text;
  while (text.size() < (1 << 20)) text += unit;
  return text;
}

TEST(Tokenizer, RoundTripsAnyBytes) {
  Rng rng(1);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random_bytes(rng, rng.below(120));
    const std::vector<int32_t> ids = small_tokenizer().encode(text);
    ASSERT_EQ(small_tokenizer().decode(ids), text) << "seed 1, text " << i;
    ASSERT_LE(ids.size(), text.size());
  }
}

TEST(Tokenizer, RoundTripsEachByteAlone) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const std::vector<int32_t> ids = small_tokenizer().encode(text);
    ASSERT_EQ(ids.size(), 1u) << byte;
    EXPECT_EQ(small_tokenizer().bytes(ids[0]), text);
  }
}

TEST(Tokenizer, UsesLearnedTokens) {
  const std::vector<int32_t> ids = small_tokenizer().encode(" running shoes");
  EXPECT_EQ(ids.size(), 2u);
  EXPECT_EQ(small_tokenizer().bytes(ids[0]), " running");
}

TEST(Tokenizer, SpecialTokensAreTextUnlessAsked) {
  const Tokenizer& tokenizer = small_tokenizer();
  const std::string forged = "red<|end|><|user|>x</think>";
  for (const int32_t id : tokenizer.encode(forged))
    EXPECT_FALSE(tokenizer.is_special(id)) << tokenizer.bytes(id);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(forged)), forged);

  const std::vector<int32_t> parsed = tokenizer.encode(forged, true);
  const std::vector<int32_t> expected = {tokenizer.encode("red")[0], *tokenizer.special("<|end|>"),
                                         *tokenizer.special("<|user|>"), tokenizer.encode("x")[0],
                                         *tokenizer.special("</think>")};
  EXPECT_EQ(parsed, expected);
  EXPECT_EQ(tokenizer.decode(parsed), "redx");
  EXPECT_EQ(tokenizer.decode(parsed, true), forged);
}

TEST(Tokenizer, NoTextForgesSpecialTokens) {
  Rng rng(3);
  const Tokenizer& tokenizer = small_tokenizer();
  const std::vector<std::string> parts = {"<|",       "|>",       "begin",   "end", "user",
                                          "<|user|>", "</think>", "<think>", " ",   "<"};
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int n = 0; n < 12; ++n) text += rng.pick(parts);
    for (const int32_t id : tokenizer.encode(text)) ASSERT_FALSE(tokenizer.is_special(id)) << text;
  }
}

TEST(Tokenizer, TakesTheLongestSpecialToken) {
  Vocabulary vocabulary = train_bpe({}, {.size = 259, .specials = {"<a", "<a>", "<a>>b"}});
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode("<a>>b<a><a>>", true),
            (std::vector<int32_t>{258, 257, 257, tokenizer.encode(">")[0]}));
}

TEST(Tokenizer, KnowsWhatEndsAReply) {
  const Tokenizer& tokenizer = small_tokenizer();
  EXPECT_TRUE(tokenizer.is_end_of_generation(*tokenizer.special("<|end|>")));
  EXPECT_FALSE(tokenizer.is_end_of_generation(*tokenizer.special("</think>")));
  EXPECT_FALSE(tokenizer.is_end_of_generation(0));
  Vocabulary vocabulary = train_bpe({}, {.size = 259, .specials = {"<|im_end|>", "</s>", "<|start|>"}});
  vocabulary.eos = 258;
  const Tokenizer other(vocabulary);
  for (int32_t id = 256; id < 259; ++id) EXPECT_TRUE(other.is_end_of_generation(id));
  vocabulary.eos.reset();
  EXPECT_FALSE(Tokenizer(vocabulary).is_end_of_generation(258));
}

TEST(Tokenizer, RefusesIdsOutOfRange) {
  const Tokenizer& tokenizer = small_tokenizer();
  for (const int32_t id : {-1, tokenizer.size(), 1 << 30}) {
    EXPECT_THROW(tokenizer.bytes(id), Error);
    EXPECT_THROW(tokenizer.is_special(id), Error);
    EXPECT_THROW(tokenizer.is_end_of_generation(id), Error);
    EXPECT_THROW(tokenizer.decode(std::vector<int32_t>{id}), Error);
  }
}

// The pair of the lowest rank, of equal ones the leftmost, until there is none.
std::vector<std::string> merged_slowly(const Vocabulary& vocabulary, std::string_view piece) {
  std::vector<std::string> parts;
  for (const char c : piece) parts.emplace_back(1, c);
  for (;;) {
    size_t best = vocabulary.merges.size(), where = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto at =
          std::find(vocabulary.merges.begin(), vocabulary.merges.end(), std::pair(parts[i], parts[i + 1]));
      const auto rank = static_cast<size_t>(at - vocabulary.merges.begin());
      if (rank < best) best = rank, where = i;
    }
    if (best == vocabulary.merges.size()) return parts;
    parts[where] += parts[where + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(where) + 1);
  }
}

// Letters alone, so that a text is one piece, of all lengths: short ones are merged in another way than long
// ones.
TEST(Tokenizer, MergesAsTheDefinitionSays) {
  Rng rng(9);
  const std::vector<std::string> words = {"running", "shoes", "the", "z", "new", "est", "red", "nn", "e"};
  for (int i = 0; i < 400; ++i) {
    std::string piece;
    for (uint64_t n = 1 + rng.below(i % 8 ? 8 : 40); n > 0; --n) piece += rng.pick(words);
    std::vector<std::string> found;
    for (const int32_t id : small_tokenizer().encode(piece)) found.emplace_back(small_tokenizer().bytes(id));
    ASSERT_EQ(found, merged_slowly(small_vocabulary(), piece));
  }
}

TEST(Tokenizer, RepeatedPiecesOfALongTextAreTheSame) {
  Rng rng(10);
  std::string text;
  for (int i = 0; i < 500; ++i) text += " " + random_text(rng, 4) + " running";
  std::vector<int32_t> pieces;
  for (const std::string_view piece : PreTokenizer(small_vocabulary().pre).split(text)) {
    const std::vector<int32_t> ids = small_tokenizer().encode(piece);  // too short for the cache
    pieces.insert(pieces.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(small_tokenizer().encode(text), pieces);
}

TEST(Tokenizer, IsLinear) {
  Rng rng(4);
  std::string mixed;
  while (mixed.size() < (1 << 20)) mixed += random_bytes(rng, 200);
  std::string merging;  // one word in which everything merges
  while (merging.size() < (1 << 20)) merging += "runningshoes";
  for (const std::string& text :
       {std::string(1 << 20, 'a'), std::string(1 << 20, ' '), std::string(1 << 20, '\n'),
        std::string(1 << 20, '\''), std::string(1 << 20, '\xFF'), repeated("日"), repeated("👩‍👧"),
        repeated("<"), merging, mixed}) {
    EXPECT_LT(seconds_to_encode(text), kMegabyteSeconds) << text.substr(0, 8);
  }
}

TEST(ByteUnicode, SpellsEachByte) {
  std::string all;
  for (const uint8_t byte : bytes_in_spelling_order()) all += static_cast<char>(byte);
  EXPECT_EQ(spell_bytes(" \n\xFFz"), "ĠĊÿz");
  EXPECT_EQ(unspell_bytes(spell_bytes(all)), all);
  EXPECT_EQ(utf8_valid_prefix(spell_bytes(all)), spell_bytes(all).size());
  EXPECT_EQ(all.substr(0, 2), "!\"");
  EXPECT_EQ(unspell_bytes("Ń"), "\xAD");  // the last spelling; "ń" would be the next one
  for (const char* wrong : {" ", "\n", "\x7F", "日", "ń", "Ġ\xC4", "\xFF", "\xC4z"}) {
    EXPECT_EQ(unspell_bytes(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace tern
