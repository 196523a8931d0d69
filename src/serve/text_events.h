// What replies consist of almost entirely, the tokens' events and long lists of tokens, without a JSON
// library's work for each token.
#pragma once

#include <string>
#include <string_view>

#include "serve/replies.h"

namespace tern {

/// Appends `text` as what stands between a JSON string's quotes. Bytes that are no UTF-8 become U+FFFD, so
/// the result is valid whatever the text holds; it is byte for byte what dump() of replies.cpp writes.
void append_json_text(std::string& out, std::string_view text);

/// vLLM's reply of /tokenize: {"count", "max_model_len", "tokens", "token_strs"}, the last one null unless
/// `strings`. A list may have millions of tokens, so it is written at once.
std::string tokenize_reply(const Tokenizer& tokenizer, std::span<const int32_t> tokens, bool strings,
                           int context);

/// One choice's text_event()s, without log-probabilities: what is the same in all of them is rendered once.
class TextEvents {
 public:
  /// `usage` as for text_event(), the same in every event.
  TextEvents(const ReplyHead& head, int choice, const std::optional<ReplyJson>& usage);

  /// The same bytes as text_event(head, choice, text, thinking, nullptr, usage), appended to `out`.
  void append(std::string& out, std::string_view text, bool thinking) const;

 private:
  std::string before_answer_, before_thinking_, after_;
};

}  // namespace tern
