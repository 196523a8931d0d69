// The prepared events beside those of the JSON library, byte for byte.
#include "serve/text_events.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace tern {
namespace {

std::string dumped(std::string_view text) {
  return ReplyJson(text).dump(-1, ' ', false, ReplyJson::error_handler_t::replace);
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  append_json_text(out, text);
  return out + '"';
}

const ReplyHead kHead{true, "chatcmpl-0123456789a", 1'795'000'000, "tern-\"search\""};

TEST(TextEvents, EveryPairOfBytesIsWhatTheLibraryWrites) {
  for (int first = 0; first < 256; ++first) {
    ASSERT_EQ(in_quotes(std::string(1, static_cast<char>(first))),
              dumped(std::string(1, static_cast<char>(first))));
    for (int second = 0; second < 256; ++second) {
      const std::string text{static_cast<char>(first), static_cast<char>(second)};
      ASSERT_EQ(in_quotes(text), dumped(text)) << first << " " << second;
    }
  }
}

/// Pieces that meet at their borders: characters of each length, their halves, controls, quotes, separators.
TEST(TextEvents, RandomTextIsWhatTheLibraryWrites) {
  const std::string_view pieces[] = {"a",
                                     "red shoes",
                                     "\"",
                                     "\\",
                                     "\n",
                                     "\r\n",
                                     "\t\b\f",
                                     std::string_view("\0", 1),
                                     "\x1f",
                                     "\x7f",
                                     "é",
                                     "€",
                                     "\U0001F600",
                                     "\u2028\u2029",
                                     "\xE2\x82",
                                     "\xF0\x9F\x98",
                                     "\xC0\xAF",
                                     "\xED\xA0\x80",
                                     "\xF4\x90\x80\x80",
                                     "\xFF",
                                     "\x80",
                                     "\xEF\xBB\xBF",
                                     "</script>"};
  Rng random(20260725);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (uint64_t left = random.below(12); left > 0; --left) {
      text += pieces[random.below(std::size(pieces))];
      if (random.chance(0.1)) text += static_cast<char>(random.below(256));
    }
    ASSERT_EQ(in_quotes(text), dumped(text)) << i;
    const bool thinking = random.chance(0.5);
    ReplyHead head = kHead;
    head.chat = random.chance(0.5);
    const auto usage = random.chance(0.5) ? std::optional<ReplyJson>() : ReplyJson(nullptr);
    std::string event = "before ";
    const int choice = static_cast<int>(random.below(16));
    TextEvents(head, choice, usage).append(event, text, thinking);
    ASSERT_EQ(event, "before " + text_event(head, choice, text, thinking, nullptr, usage)) << i;
  }
}

TEST(TextEvents, ATokenTakesLittleOfTheWire) {
  ReplyHead head = kHead;
  head.model = "sixteen-letters-";
  ASSERT_EQ(head.model.size(), 16u);
  head.id = new_reply_id(true);
  std::string event;
  TextEvents(head, 0, std::nullopt).append(event, " token", true);
  const std::string framed = fmt::format("{:x}\r\ndata: {}\n\n\r\n", event.size() + 8, event);
  EXPECT_LE(framed.size(), 210u) << framed;
}

}  // namespace
}  // namespace tern
