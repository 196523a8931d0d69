#include "text/stream.h"

#include "base/error.h"
#include "tests/text/fixtures.h"
#include "text/utf8.h"

namespace tern {
namespace {

// What each ill-formed sequence becomes, from the Unicode standard's section 3.9 and the Encoding Standard.
TEST(Utf8Stream, ReplacesMaximalSubparts) {
  const std::pair<std::string, std::string> cases[] = {
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "\uFFFD\uFFFD\uFFFD\uFFFDA"},
      {"\xF0\x9F\x98\x80", "😀"},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"", ""},
  };
  for (const auto& [bytes, text] : cases) {
    Utf8Stream whole;
    std::string out = whole.push(bytes);
    out += whole.finish();
    EXPECT_EQ(out, text);
    Utf8Stream single;
    out.clear();
    for (const char c : bytes) out += single.push(std::string_view(&c, 1));
    EXPECT_EQ(out + single.finish(), text);
  }
}

TEST(Utf8Stream, PiecesEqualTheWhole) {
  Rng rng(21);
  for (int i = 0; i < 2000; ++i) {
    const bool broken = rng.chance(0.5);
    const std::string bytes = broken ? random_bytes(rng, rng.below(60)) : random_text(rng, rng.below(60));
    Utf8Stream whole, stream;
    std::string expected = whole.push(bytes);
    expected += whole.finish();
    std::string text;
    for (const std::string_view piece : random_cuts(rng, bytes)) {
      const std::string part = stream.push(piece);
      ASSERT_EQ(utf8_valid_prefix(part), part.size()) << "half a character";
      text += part;
    }
    text += stream.finish();
    ASSERT_EQ(text, expected);
    if (!broken) {
      ASSERT_EQ(text, bytes);
    }
  }
}

TEST(Utf8Stream, HoldsBackNoMoreThanItMust) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xE2"), "a");
  EXPECT_EQ(stream.push("\x82"), "");
  EXPECT_EQ(stream.push("\xAC"), "€");
  EXPECT_EQ(stream.push("\xE2\x82x"), "\uFFFDx");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, TokensOfAReplyBecomeItsText) {
  Rng rng(22);
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_text(rng, 40);
    Utf8Stream stream;
    std::string out;
    for (const int32_t id : small_tokenizer().encode(text)) {
      const std::string part = stream.push(small_tokenizer().bytes(id));
      ASSERT_EQ(utf8_valid_prefix(part), part.size());
      out += part;
    }
    ASSERT_EQ(out, text);
  }
}

// Where the text must end: before the stop that is complete first, the longest of those.
std::optional<size_t> naive_stop(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t found = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) found = std::max(found, stop.size());
    }
    if (found > 0) return end - found;
  }
  return std::nullopt;
}

TEST(StopStream, AgreesWithASearchOfTheWhole) {
  Rng rng(23);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t letters = 1 + rng.below(3);
    const auto word = [&](uint64_t length) {
      std::string made;
      for (; length > 0; --length) made += static_cast<char>('a' + rng.below(letters));
      return made;
    };
    const std::string text = word(rng.below(30));
    std::vector<std::string> stops;
    for (uint64_t n = rng.below(4); n > 0; --n) stops.push_back(word(1 + rng.below(6)));
    StopStream stream(stops);
    std::string out;
    for (const std::string_view piece : random_cuts(rng, text)) {
      out += stream.push(piece);
      ASSERT_EQ(text.substr(0, out.size()), out);
    }
    const auto stop = naive_stop(text, stops);
    ASSERT_EQ(stream.stopped(), stop.has_value());
    out += stream.finish();
    ASSERT_EQ(out, text.substr(0, stop.value_or(text.size()))) << text;
    ASSERT_EQ(stream.push("more"), stop ? "" : "more");
  }
}

TEST(StopStream, HoldsBackOnlyWhatMayBecomeAStop) {
  StopStream stream({"aab", "\n\n"});
  EXPECT_EQ(stream.push("xaaa"), "xa");
  EXPECT_EQ(stream.push("c\n"), "aac");
  EXPECT_EQ(stream.push("d"), "\nd");
  EXPECT_EQ(stream.push("\n"), "");
  EXPECT_EQ(stream.push("\nz"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.push("more"), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StopStream, IsLinear) {
  const std::string text(1 << 20, 'a');
  StopStream stream({std::string(10000, 'a') + "b"});
  std::string out;
  for (size_t at = 0; at < text.size(); at += 64) out += stream.push(std::string_view(text).substr(at, 64));
  EXPECT_EQ(out.size(), text.size() - 10000);
  EXPECT_EQ(out + stream.finish(), text);
}

TEST(StopStream, RefusesEmptyStops) {
  EXPECT_THROW(StopStream({"a", ""}), Error);
}

}  // namespace
}  // namespace tern
