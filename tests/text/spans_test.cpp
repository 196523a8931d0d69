// Text that is trusted in parts.
#include <algorithm>

#include "tests/expect_error.h"
#include "tests/text/fixtures.h"

namespace tern {
namespace {

std::vector<int32_t> encode(const std::string& text, const std::vector<TextSpan>& trusted) {
  return small_tokenizer().encode(text, trusted);
}

int32_t special(const char* name) {
  return *small_tokenizer().special(name);
}

TEST(TrustedSpans, AllAndNoneAreTheTwoOldWays) {
  Rng rng(11);
  const std::vector<std::string> parts = {"<|user|>", "<|end|>", "<think>", "red ", "<|us", "er|>", " "};
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (int n = 0; n < 6; ++n) text += rng.chance(0.7) ? rng.pick(parts) : random_bytes(rng, 8);
    ASSERT_EQ(encode(text, {{0, text.size()}}), small_tokenizer().encode(text, true)) << text;
    ASSERT_EQ(encode(text, {}), small_tokenizer().encode(text)) << text;
  }
}

TEST(TrustedSpans, RecogniseWhatLiesInOneOfThem) {
  const std::string text = "<|user|>a<|user|>b<|user|>";
  const std::vector<int32_t> plain = small_tokenizer().encode("a<|user|>b");
  std::vector<int32_t> expected = {special("<|user|>")};
  expected.insert(expected.end(), plain.begin(), plain.end());
  expected.push_back(special("<|user|>"));
  EXPECT_EQ(encode(text, {{0, 8}, {18, 26}}), expected);
  EXPECT_EQ(encode(text, {{0, 9}, {18, 26}}), expected);
}

TEST(TrustedSpans, DontRecogniseAcrossTheirBorders) {
  const std::string text = "<|user|>";
  const std::vector<int32_t> plain = small_tokenizer().encode(text);
  for (size_t cut = 1; cut < text.size(); ++cut) {
    EXPECT_EQ(encode(text, {{0, cut}}), plain) << cut;
    EXPECT_EQ(encode(text, {{cut, text.size()}}), plain) << cut;
    EXPECT_EQ(encode(text, {{0, cut}, {cut, text.size()}}), (std::vector<int32_t>{special("<|user|>")}))
        << cut;
    EXPECT_EQ(encode(text, {{0, cut}, {cut, cut}, {cut, 8}}), (std::vector<int32_t>{special("<|user|>")}))
        << cut;
  }
}

TEST(TrustedSpans, ShorterTokensStandWhereLongerOnesDontFit) {
  Vocabulary vocabulary = train_bpe({}, {.size = 258, .specials = {"<a>", "<a>>b"}});
  const Tokenizer tokenizer(vocabulary);
  const std::vector<TextSpan> trusted = {{0, 3}};
  std::vector<int32_t> expected = tokenizer.encode(">b");
  expected.insert(expected.begin(), 256);
  EXPECT_EQ(tokenizer.encode("<a>>b", trusted), expected);
}

TEST(TrustedSpans, LeavePlainTextWhole) {
  Rng rng(12);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_bytes(rng, 1 + rng.below(80));
    std::vector<size_t> cuts = {0, 0, 0, 0};
    for (size_t& cut : cuts) cut = rng.below(text.size() + 1);
    std::sort(cuts.begin(), cuts.end());
    if (small_tokenizer().encode(text) != small_tokenizer().encode(text, true)) continue;
    ASSERT_EQ(encode(text, {{cuts[0], cuts[1]}, {cuts[2], cuts[3]}}), small_tokenizer().encode(text)) << text;
  }
}

TEST(TrustedSpans, NoOtherTextForgesSpecialTokens) {
  Rng rng(13);
  const std::vector<std::string> parts = {"<|", "|>", "user", "<|user|>", "</think>", "<think>", " ", "<"};
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    for (int n = 0; n < 8; ++n) text += rng.pick(parts);
    const std::string whole = "<|user|>" + text + "<|end|>";
    const std::vector<int32_t> ids = encode(whole, {{0, 8}, {whole.size() - 7, whole.size()}});
    ASSERT_EQ(ids.front(), special("<|user|>"));
    ASSERT_EQ(ids.back(), special("<|end|>"));
    for (size_t at = 1; at + 1 < ids.size(); ++at)
      ASSERT_FALSE(small_tokenizer().is_special(ids[at])) << text;
  }
}

TEST(TrustedSpans, MustBeInOrder) {
  const std::vector<std::vector<TextSpan>> wrong = {{{0, 9}}, {{3, 2}}, {{2, 4}, {1, 5}}, {{2, 4}, {3, 5}}};
  for (const auto& spans : wrong) {
    expect_error(ErrorKind::internal, {"trusted span"}, [&] { encode("12345678", spans); });
  }
}

// DeepSeek's vocabularies have such tokens, and text means them wherever it stands.
TEST(AddedTokens, OfOneCharacterOrWhiteSpaceAreText) {
  Vocabulary vocabulary = train_bpe({}, {.size = 260, .specials = {"ö", "   ", "<x>", "öö"}});
  for (int id = 256; id < 260; ++id) vocabulary.types[id] = TokenType::user_defined;
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode("ö<x>   "), [&] {
    std::vector<int32_t> ids = tokenizer.encode("<x>");
    ids.insert(ids.begin(), 256);
    ids.push_back(257);
    return ids;
  }());
  EXPECT_EQ(tokenizer.encode("öö<x>", true), (std::vector<int32_t>{259, 258}));
  EXPECT_EQ(tokenizer.encode("öö"), (std::vector<int32_t>{256, 256}));
  EXPECT_FALSE(tokenizer.is_special(256));
  EXPECT_FALSE(tokenizer.is_special(257));
  EXPECT_TRUE(tokenizer.is_special(258));
  EXPECT_EQ(tokenizer.special("ö"), std::nullopt);
}

TEST(AddedTokens, LookingForThemIsLinear) {
  std::vector<std::string> specials;
  for (int i = 0; i < 300; ++i) specials.push_back("<|reserved_" + std::to_string(i) + "|>");
  const Tokenizer tokenizer(train_bpe({}, {.size = 556, .specials = specials}));
  std::string text;
  while (text.size() < (1 << 20)) text += "<|reserved_";
  const std::clock_t begin = std::clock();
  tokenizer.encode(text, true);
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, kMegabyteSeconds);
}

}  // namespace
}  // namespace tern
