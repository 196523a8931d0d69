// Chats: a conversation to a prompt by the model's own template, and what in a reply is whose.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/jinja/template.h"
#include "text/reasoning.h"
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

/// The Jinja template that tern writes into its own models.
/// The format: <|begin|>, then for each message a system's text and a newline, or <|user|>text, or
/// <|assistant|>answer<|end|>; last <|assistant|> and <think>, or <think></think> where there is no thinking.
/// In training the reply goes on with the thinking, </think>, the answer and <|end|>. Of an earlier assistant
/// turn what follows its last "</think>" is kept.
extern const char* const kTernChatTemplate;

/// Whether the model is asked to think before it answers.
enum class Thinking { on, off };

/// Adds what a template expects and a request need not say: add_generation_prompt (true), tools and documents
/// (none), and bos_token and eos_token of the vocabulary, where there is one. These are trusted; what the
/// request says itself stays as it is.
void complete_variables(jinja::Dict& variables, const Tokenizer* tokenizer);

/// The messages as a template sees them.
jinja::Value message_list(std::span<const ChatMessage> messages);

/// How a model chats: its template, its markers, its ends of a turn. Made once when a model is loaded;
/// immutable, safe to share between threads.
class ChatFormat {
 public:
  /// Never fails on a template: refused() says what is wrong with it. `tokenizer` must outlive this.
  explicit ChatFormat(const Tokenizer& tokenizer);

  const Tokenizer& tokenizer() const { return tokenizer_; }
  /// Why this model can't chat; empty where it can.
  const std::string& refused() const { return refused_; }
  /// Whether the template asks for a variable of this name anywhere.
  bool asks_for(std::string_view variable) const;

  /// The prompt of a request whose keys are the template's variables, `messages` among them. Throws as
  /// jinja::Template::render, and Error{unsupported} where the model can't chat.
  jinja::Rendered render(jinja::Dict variables, const jinja::RenderOptions& options = {}) const;
  /// Its tokens. Special tokens are recognised only in what the template wrote, so a user can't forge a turn.
  std::vector<int32_t> encode(const jinja::Rendered& prompt) const;

  const ReasoningFormat& reasoning() const { return reasoning_; }
  /// Whether a prompt ends inside a thought.
  bool opens_thinking(std::span<const int32_t> prompt) const;
  /// The vocabulary's ends of generation, and the token that the template writes after an assistant's text.
  bool ends_reply(int32_t id) const;

 private:
  void find_ends();
  std::optional<int32_t> end_after_answer(bool goes_on) const;

  const Tokenizer& tokenizer_;
  std::optional<jinja::Template> template_;
  std::string refused_;
  ErrorKind refused_kind_ = ErrorKind::unsupported;
  ReasoningFormat reasoning_;
  std::vector<int32_t> ends_;  ///< found in the template
};

/// The prompt's token ids for plain messages; `thinking` becomes enable_thinking. Throws as
/// ChatFormat::render. Parses the template each time: for one conversation, or a trainer's.
std::vector<int32_t> render_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                 Thinking thinking);

/// Ids of the thinking markers in this vocabulary, where it has them.
struct ThinkingTokens {
  std::optional<int32_t> open, close;
};
ThinkingTokens thinking_tokens(const Tokenizer& tokenizer);

}  // namespace tern
