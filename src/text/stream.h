// From tokens to what a reader may see: whole characters, thinking apart from the answer, stop strings held
// back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

/// Gives out bytes as soon as they form whole UTF-8 characters; a byte that can never become part of one is
/// replaced by U+FFFD. Never emits half a character.
class Utf8Stream {
 public:
  /// The text that is complete after adding `bytes`.
  std::string push(std::string_view bytes);
  /// What is left at the end: an unfinished character becomes one U+FFFD.
  std::string finish();

 private:
  std::string held_;
};

/// Watches a growing text for stop strings and holds back what could still become one. The first stop to be
/// complete counts; of several that end at the same byte, the longest. Time is linear in the text.
class StopStream {
 public:
  /// Throws Error{bad_input} for an empty stop string.
  explicit StopStream(std::vector<std::string> stops);
  /// The text safe to show. After a stop string was found: the text before it, then nothing more.
  std::string push(std::string_view text);
  /// What was held back, at the end of the text; nothing once stopped.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  struct Watched {
    std::string text;
    std::vector<size_t> borders;  ///< of each prefix, the longest border (Knuth, Morris, Pratt)
    size_t matched = 0;           ///< how much of `text` the stream ends with
  };
  static bool advance(Watched& stop, char c);

  std::vector<Watched> stops_;
  std::string held_;  ///< what was not given out: the start of the longest stop begun
  bool stopped_ = false;
};

}  // namespace tern
