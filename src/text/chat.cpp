#include "text/chat.h"

#include <utility>

#include "base/error.h"

namespace tern {
namespace {

// What a conversation becomes, in order: texts and special tokens. Neighbouring texts are one text.
struct Part {
  std::string text;
  const char* special = nullptr;  ///< the token's name, or null where the part is `text`
};

class Parts {
 public:
  void special(const char* name) { list_.push_back({{}, name}); }
  void text(std::string_view text) {
    if (text.empty()) return;
    if (list_.empty() || list_.back().special) list_.emplace_back();
    list_.back().text += text;
  }
  std::vector<Part> list() && { return std::move(list_); }

 private:
  std::vector<Part> list_;
};

std::string_view without_thinking(std::string_view content) {
  const size_t close = content.rfind(kEndThinkToken);
  if (close == std::string_view::npos) return content;
  return content.substr(close + std::string_view(kEndThinkToken).size());
}

void add_message(const ChatMessage& message, Parts& parts) {
  if (message.role == "system") {
    parts.text(message.content);
    parts.text("\n");
  } else if (message.role == "user") {
    parts.special(kUserToken);
    parts.text(message.content);
  } else if (message.role == "assistant") {
    parts.special(kAssistantToken);
    parts.text(without_thinking(message.content));
    parts.special(kEndToken);
  } else {
    fail(ErrorKind::bad_input, "message role \"{}\": expected system, user or assistant", message.role);
  }
}

std::vector<Part> conversation(std::span<const ChatMessage> messages, Thinking thinking) {
  if (messages.empty()) fail(ErrorKind::bad_input, "a chat needs at least one message");
  Parts parts;
  parts.special(kBeginToken);
  for (const ChatMessage& message : messages) add_message(message, parts);
  parts.special(kAssistantToken);
  parts.special(kThinkToken);
  if (thinking == Thinking::off) parts.special(kEndThinkToken);
  return std::move(parts).list();
}

}  // namespace

const char* const kTernChatTemplate =
    R"({%- if not messages %}{{ raise_exception('a chat needs at least one message') }}{% endif %}
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
        {{- message['content'] + '\n' }}
    {%- elif message['role'] == 'user' %}
        {{- '<|user|>' + message['content'] }}
    {%- elif message['role'] == 'assistant' %}
        {{- '<|assistant|>' + message['content'].split('</think>')[-1] + '<|end|>' }}
    {%- else %}
        {{- raise_exception('message role "' + message['role'] + '": expected system, user or assistant') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|><think>' }}
    {%- if enable_thinking is defined and not enable_thinking %}
        {{- '</think>' }}
    {%- endif %}
{%- endif %}
)";

std::vector<int32_t> render_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                 Thinking thinking) {
  if (tokenizer.vocabulary().chat_template != kTernChatTemplate) {
    fail(ErrorKind::unsupported,
         "the model's chat template is {}: tern renders the one of its own models only",
         tokenizer.vocabulary().chat_template.empty() ? "missing" : "another one");
  }
  std::vector<int32_t> ids;
  for (const Part& part : conversation(messages, thinking)) {
    if (!part.special) {
      const std::vector<int32_t> text = tokenizer.encode(part.text);
      ids.insert(ids.end(), text.begin(), text.end());
      continue;
    }
    const std::optional<int32_t> id = tokenizer.special(part.special);
    if (!id) fail(ErrorKind::bad_input, "the vocabulary has no special token {}", part.special);
    ids.push_back(*id);
  }
  return ids;
}

std::string render_chat_text(std::span<const ChatMessage> messages, Thinking thinking) {
  std::string text;
  for (const Part& part : conversation(messages, thinking)) {
    text += part.special ? std::string_view(part.special) : std::string_view(part.text);
  }
  return text;
}

ThinkingTokens thinking_tokens(const Tokenizer& tokenizer) {
  return {tokenizer.special(kThinkToken), tokenizer.special(kEndThinkToken)};
}

Vocabulary tern_vocabulary(std::span<const std::string> lines, int32_t size) {
  BpeTraining options;
  options.size = size;
  options.specials = {kBeginToken, kEndToken, kUserToken, kAssistantToken, kThinkToken, kEndThinkToken};
  Vocabulary vocabulary = train_bpe(lines, options);
  const auto first = vocabulary.size() - static_cast<int32_t>(options.specials.size());
  vocabulary.bos = first;
  vocabulary.eos = first + 1;
  vocabulary.add_bos = true;
  vocabulary.chat_template = kTernChatTemplate;
  return vocabulary;
}

}  // namespace tern
