// The scanners written by hand beside PCRE2 on the same patterns.
#include "text/scanners.h"

#include <algorithm>

#include "base/error.h"
#include "tests/text/fixtures.h"
#include "text/character_classes.h"
#include "text/patterns.h"
#include "text/regex.h"
#include "text/utf8.h"

namespace tern {
namespace {

const std::vector<std::string> kPatterns = {kGpt2,
                                            kLlama3,
                                            kQwen2,
                                            kQwen35,
                                            kGpt4o,
                                            kTekken,
                                            kKimiK2,
                                            kDeepseekV3,
                                            kDeepseekV3Han,
                                            kDeepseekWord,
                                            kDeepseekPunctuation,
                                            kDeepseekHan,
                                            kTrailingSpace,
                                            kSpacedLetters,
                                            kSpacedPunctuation,
                                            kNewline,
                                            kDigit,
                                            kDigits};

using Pieces = std::vector<std::string_view>;

void expect_same(const std::string& pattern, const Regex& regex, std::string_view text) {
  Pieces expected, found;
  regex.split(text, expected);
  find_scanner(pattern)(text, found);
  if (expected == found) return;
  size_t same = 0;
  while (same < std::min(expected.size(), found.size()) && expected[same] == found[same]) ++same;
  const auto piece = [same](const Pieces& pieces) {
    return same < pieces.size() ? nlohmann::json(pieces[same]) : nlohmann::json();
  };
  ADD_FAILURE() << pattern << "\npiece " << same << ": expected " << piece(expected) << ", found "
                << piece(found) << "\nof " << nlohmann::json(text.substr(0, 200));
}

TEST(Scanners, CutAsTheirPatterns) {
  for (const std::string& pattern : kPatterns) {
    const Regex regex(pattern);
    Rng rng(31);
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
      expect_same(pattern, regex, random_text(rng, rng.below(60)));
    }
  }
}

// Short texts over few characters meet every border of every alternative.
#if defined(TERN_SANITIZED)
constexpr int kCombinations = 500;
#else
constexpr int kCombinations = 6000;
#endif

TEST(Scanners, CutAsTheirPatternsOnEachCombination) {
  const std::vector<std::string> units = {" ",  "\n",     "\r", "a",      "B",  "\u02B0", "日",     "\u0301",
                                          "1",  "٣",      ".",  "/",      "'s", "'",      "\u017F", "'RE",
                                          "ll", "\u3000", "+",  "\u0001", "々", "⺀",     "〇"};
  for (const std::string& pattern : kPatterns) {
    const Regex regex(pattern);
    Rng rng(32);
    for (int i = 0; i < kCombinations && !testing::Test::HasFailure(); ++i) {
      std::string text;
      for (uint64_t n = 1 + rng.below(9); n > 0; --n) text += rng.pick(units);
      expect_same(pattern, regex, text);
    }
  }
}

// Whether the character came to Unicode after PCRE2's tables: Debian 12's has 14.0, its utf8proc 15.0.
bool is_newer(char32_t c) {
  static const Regex unassigned(R"(\p{Cn})");
  std::string text = "x";
  append_utf8(c, text);
  Pieces pieces;
  unassigned.split(text, pieces);
  namespace in = character_class;
  constexpr uint16_t assigned = in::letter | in::mark | in::number | in::punctuation | in::symbol;
  return pieces.size() == 2 && character_classes()[c] & assigned;
}

// Each code point between two letters, many in a text.
TEST(Scanners, KnowEachCharacter) {
  std::vector<std::string> texts(1);
  int newer = 0;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    if (c >= 0x32400 && c < 0xE0000) continue;  // nothing is assigned there
    if (is_newer(c)) {
      ++newer;
      continue;
    }
    append_utf8(c, texts.back());
    texts.back() += 'x';
    if (texts.back().size() > 4000) texts.emplace_back();
  }
  EXPECT_LT(newer, 5000);
  for (const char* pattern :
       {kLlama3, kQwen35, kGpt4o, kKimiK2, kDeepseekV3, kDeepseekV3Han, kDeepseekWord, kDeepseekPunctuation,
        kDeepseekHan, kSpacedPunctuation, kDigit, kTrailingSpace}) {
    const Regex regex(pattern);
    for (const std::string& text : texts) {
      if (testing::Test::HasFailure()) return;
      expect_same(pattern, regex, text);
    }
  }
}

TEST(Scanners, AreFoundInAnySpelling) {
  EXPECT_EQ(find_scanner("[\r\n]"), find_scanner(kNewline));
  EXPECT_EQ(find_scanner("[一-龥ࠀ-一가-퟿]+"), find_scanner(kDeepseekHan));
  EXPECT_EQ(find_scanner("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), find_scanner(kDeepseekPunctuation));
  EXPECT_NE(find_scanner(kDeepseekHan), nullptr);
  EXPECT_EQ(find_scanner("\\p{N}{1,4}"), nullptr);
}

TEST(Regex, RefusesWhatTheLibrariesMeanDifferently) {
  for (const char* pattern :
       {R"(\w+)",   R"(\b)",        R"(\h)",         R"(\R)",          R"(\X)",      R"(\K)",
        R"((a)\1)", R"((?m:.))",    R"((?<name>a))", R"([[:alpha:]])", R"([a[bc]])", R"(a{,3})",
        R"(a{2}+)", R"(\p{Greek})", R"(\p{^L})",     R"([\S])",        R"((*UTF))",  R"(\p)",
        R"(\)",     R"(a{)",        R"(\x{110000})", R"([a&&b])"}) {
    try {
      Regex{pattern};
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported) << pattern;
      EXPECT_NE(std::string_view(error.what()).find("pattern"), std::string_view::npos) << error.what();
    }
  }
  for (const char* pattern : {"(a", "a)", "[a", "*a"}) {
    EXPECT_THROW(Regex{pattern}, Error) << pattern;
  }
  EXPECT_THROW(Regex{std::string(20000, 'a')}, Error);
}

TEST(Regex, StopsPatternsThatExplode) {
  for (const char* pattern : {"(a+)+[bc]", "(a|a)*[bc]", "(?:a*)*[bc]", "a(?![^b]*c)"}) {
    Pieces pieces;
    const std::string text(1 << 16, 'a');
    const std::clock_t begin = std::clock();
    EXPECT_THROW(Regex{pattern}.split(text, pieces), Error) << pattern;
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 20) << pattern;
  }
}

}  // namespace
}  // namespace tern
