#include "text/chat.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace tern {

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

void complete_variables(jinja::Dict& variables, const Tokenizer* tokenizer) {
  const auto add = [&](const char* name, jinja::Value value) {
    if (!variables.get(name)) variables.set(name, std::move(value));
  };
  add("add_generation_prompt", true);
  add("tools", jinja::None{});
  add("documents", jinja::None{});
  if (!tokenizer) return;
  const Vocabulary& vocabulary = tokenizer->vocabulary();
  const auto add_token = [&](const char* name, const std::optional<int32_t>& id) {
    if (id) add(name, jinja::Text::trusted_text(std::string(tokenizer->bytes(*id))));
  };
  add_token("bos_token", vocabulary.bos);
  add_token("eos_token", vocabulary.eos);
}

jinja::Value message_list(std::span<const ChatMessage> messages) {
  auto list = std::make_shared<jinja::List>();
  for (const ChatMessage& message : messages) {
    auto item = std::make_shared<jinja::Dict>();
    item->set("role", jinja::Text::request_text(message.role));
    item->set("content", jinja::Text::request_text(message.content));
    list->items.emplace_back(std::shared_ptr<const jinja::Dict>(std::move(item)));
  }
  list->depth = 2;
  return std::shared_ptr<const jinja::List>(std::move(list));
}

ChatFormat::ChatFormat(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), reasoning_(reasoning_format(tokenizer)) {
  const std::string& source = tokenizer.vocabulary().chat_template;
  if (source.empty()) {
    refused_ = "the model has no chat template: it answers /v1/completions only";
    return;
  }
  try {
    template_.emplace(source);
  } catch (const Error& error) {
    refused_ = fmt::format("the model's chat template can't be used: {}", error.what());
    refused_kind_ = error.kind();
    return;
  }
  find_ends();
}

bool ChatFormat::asks_for(std::string_view variable) const {
  return template_ && template_->asks_for(variable);
}

jinja::Rendered ChatFormat::render(jinja::Dict variables, const jinja::RenderOptions& options) const {
  if (!template_) fail(refused_kind_, "{}", refused_);
  complete_variables(variables, &tokenizer_);
  try {
    return template_->render(variables, options);
  } catch (const Error& error) {
    fail(error.kind(), "the chat template refuses the conversation: {}", error.what());
  }
}

std::vector<int32_t> ChatFormat::encode(const jinja::Rendered& prompt) const {
  return tokenizer_.encode(prompt.text, prompt.trusted);
}

bool ChatFormat::opens_thinking(std::span<const int32_t> prompt) const {
  return tern::opens_thinking(reasoning_, tokenizer_, prompt);
}

bool ChatFormat::ends_reply(int32_t id) const {
  // In channels <|end|> ends a message, the thinking say, and the reply goes on.
  if (reasoning_.is_marker(id)) return false;
  return tokenizer_.is_end_of_generation(id) || std::find(ends_.begin(), ends_.end(), id) != ends_.end();
}

void ChatFormat::find_ends() {
  for (const bool goes_on : {false, true}) {
    const auto end = end_after_answer(goes_on);
    if (end && !ends_reply(*end) && !reasoning_.is_marker(*end)) ends_.push_back(*end);
  }
}

/// The special token that the template writes next after an assistant's text, the last one of a conversation
/// or one that a user's follows.
std::optional<int32_t> ChatFormat::end_after_answer(bool goes_on) const {
  constexpr const char* kAnswer = "ternAnswerEnds";
  std::vector<ChatMessage> messages = {{"user", "question"}, {"assistant", kAnswer}};
  if (goes_on) messages.push_back({"user", "another"});
  jinja::Dict variables;
  variables.set("messages", message_list(messages));
  variables.set("add_generation_prompt", false);
  jinja::Rendered prompt;
  try {
    jinja::RenderOptions options;
    options.limits.steps = 1'000'000;  // loading is not the place to find out how long a template runs
    prompt = render(std::move(variables), options);
  } catch (const Error&) {
    return std::nullopt;
  }
  const size_t at = prompt.text.rfind(kAnswer);
  if (at == std::string::npos) return std::nullopt;
  const size_t end = at + std::string_view(kAnswer).size();
  std::vector<TextSpan> trusted;
  for (const TextSpan& span : prompt.trusted) {
    if (span.end > end) trusted.push_back({std::max(span.begin, end) - end, span.end - end});
  }
  for (const int32_t id : tokenizer_.encode(std::string_view(prompt.text).substr(end), trusted)) {
    if (tokenizer_.is_special(id)) return id;
  }
  return std::nullopt;
}

std::vector<int32_t> render_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                 Thinking thinking) {
  const ChatFormat format(tokenizer);
  jinja::Dict variables;
  variables.set("messages", message_list(messages));
  variables.set("enable_thinking", thinking == Thinking::on);
  return format.encode(format.render(std::move(variables)));
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
