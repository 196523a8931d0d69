// Chat messages to prompt text, for the one format of tern's own models, until a Jinja interpreter exists.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tern {

struct ChatMessage {
  std::string role;     ///< "system", "user" or "assistant"
  std::string content;  ///< text; special tokens in it stay text
};

// The special tokens of tern's own models.
inline constexpr const char* kBeginToken = "<|begin|>";
inline constexpr const char* kEndToken = "<|end|>";
inline constexpr const char* kUserToken = "<|user|>";
inline constexpr const char* kAssistantToken = "<|assistant|>";
inline constexpr const char* kThinkToken = "<think>";
inline constexpr const char* kEndThinkToken = "</think>";

/// The vocabulary of tern's own models: `size` byte-level BPE tokens learned from `lines` (see train_bpe),
/// the six tokens above as its last ones in this order, begin and end set, kTernChatTemplate inside.
Vocabulary tern_vocabulary(std::span<const std::string> lines, int32_t size);

/// The Jinja template that tern writes into its own models; render_chat() is the same in code.
/// The format: <|begin|>, then for each message a system's text and a newline, or <|user|>text, or
/// <|assistant|>answer<|end|>; last <|assistant|> and <think>, or <think></think> where there is no thinking.
/// In training the reply goes on with the thinking, </think>, the answer and <|end|>. Of an earlier assistant
/// turn what follows its last "</think>" is kept.
extern const char* const kTernChatTemplate;

/// Whether the model starts its reply by thinking, and how the prompt opens it.
enum class Thinking { on, off };

/// Token ids of bos, the messages and the opening of the assistant's turn. With Thinking::on the prompt ends
/// in <think>, with off in <think></think>. Text of messages is encoded without special tokens, so a user
/// can't forge a turn. Earlier assistant turns are rendered without their thinking. Throws Error{bad_input}
/// for an unknown role or an empty list, Error{unsupported} where the vocabulary's template is another one.
std::vector<int32_t> render_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                 Thinking thinking);

/// The same as text, special tokens spelled out: what jinja2 renders from kTernChatTemplate.
std::string render_chat_text(std::span<const ChatMessage> messages, Thinking thinking);

/// Ids of the thinking markers in this vocabulary, where it has them.
struct ThinkingTokens {
  std::optional<int32_t> open, close;
};
ThinkingTokens thinking_tokens(const Tokenizer& tokenizer);

}  // namespace tern
