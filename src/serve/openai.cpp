#include "serve/openai.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "serve/common_fields.h"
#include "serve/json_fields.h"
#include "serve/template_variables.h"

namespace tern {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

void refuse_unsupported_in_chat(const Fields& fields) {
  if (!fields.boolean("add_generation_prompt").value_or(true)) refuse_unsupported("add_generation_prompt");
  if (fields.boolean("continue_final_message").value_or(false)) refuse_unsupported("continue_final_message");
  refuse_unless_empty(fields, {"chat_template", "echo", "add_special_tokens"});
  // Calls that the model makes stay text of its answer, so none can be promised.
  const RequestJson* choice = fields.find("tool_choice");
  if (choice && *choice != RequestJson("auto")) refuse_unless_word(fields, "tool_choice", "none");
}

void refuse_unsupported_in_completions(const Fields& fields) {
  refuse_unless_empty(fields, {"echo", "tools"});
  refuse_unless_word(fields, "tool_choice", "none");
  const RequestJson* suffix = fields.find("suffix");
  if (suffix && *suffix != RequestJson("")) refuse_unsupported("suffix");
  // A budget of 0 asks for no thinking at all, so any number asks for something.
  for (const char* key : {"thinking_budget_tokens", "thinking_token_budget"}) {
    if (fields.find(key)) refuse_unsupported(key);
  }
  const RequestJson* line = fields.find("thinking_closing_line");
  if (line && *line != RequestJson("")) refuse_unless_empty(fields, {"thinking_closing_line"});
}

/// A message's text: a string, or the texts of an array of parts one after the other.
std::string read_content(const RequestJson& content, const std::string& name) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) refuse_type(name, "a string or an array of parts", content);
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part_name = fmt::format("{}[{}]", name, i);
    if (!content[i].is_object()) refuse_type(part_name, "an object", content[i]);
    const Fields part(content[i], part_name + ".");
    const std::string type = part.string("type").value_or("");
    if (type != "text") {
      refuse(part_name + ".type", "unsupported_content",
             "Invalid value for '{}.type': only \"text\" is supported, but got \"{}\".", part_name, type);
    }
    const auto piece = part.string("text");
    if (!piece)
      refuse(part_name + ".text", "missing_required_parameter", "'{}.text' is required.", part_name);
    text += *piece;
  }
  return text;
}

ChatMessage read_message(const RequestJson& value, const std::string& name) {
  if (!value.is_object()) refuse_type(name, "an object", value);
  const Fields fields(value, name + ".");
  ChatMessage message;
  message.role = fields.string("role").value_or("");
  if (message.role == "developer") message.role = "system";
  constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool"};
  if (std::find(std::begin(kRoles), std::end(kRoles), message.role) == std::end(kRoles)) {
    refuse(
        name + ".role", "invalid_value",
        "Invalid value for '{}.role': expected system, developer, user, assistant or tool, but got \"{}\".",
        name, message.role);
  }
  for (const char* key : {"function_call", "audio"}) {
    const RequestJson* asked = fields.find(key);
    if (asked && !asks_nothing(*asked)) refuse_unsupported(fields.name(key));
  }
  const RequestJson* content = fields.find("content");
  if (content) {
    message.content = read_content(*content, fields.name("content"));
  } else if (message.role != "assistant") {
    refuse(fields.name("content"), "missing_required_parameter", "'{}' is required.", fields.name("content"));
  }
  return message;
}

std::vector<ChatMessage> read_messages(const Fields& fields) {
  const RequestJson* list = fields.array("messages");
  if (!list) refuse("messages", "missing_required_parameter", "'messages' is required.");
  if (list->empty()) refuse("messages", "invalid_value", "'messages' must have at least one message.");
  std::vector<ChatMessage> messages;
  messages.reserve(list->size());
  for (size_t i = 0; i < list->size(); ++i)
    messages.push_back(read_message((*list)[i], fmt::format("messages[{}]", i)));
  return messages;
}

std::optional<Effort> read_effort(const Fields& fields) {
  const auto name = fields.string("reasoning_effort");
  if (!name) return std::nullopt;
  const auto effort = effort_named(*name);
  if (!effort) {
    refuse("reasoning_effort", "invalid_value",
           "Invalid value for 'reasoning_effort': expected none, minimal, low, medium, high or xhigh, but "
           "got \"{}\".",
           *name);
  }
  return effort;
}

std::optional<int> read_budget(const Fields& fields, const char* key) {
  const auto tokens = fields.integer(key, 0, kMaxInt);
  return tokens ? std::optional(static_cast<int>(*tokens)) : std::nullopt;
}

/// The line before a forced end of the thinking: its text, or true for tern's own.
std::string read_closing_line(const Fields& fields) {
  constexpr const char* kName = "thinking_closing_line";
  const RequestJson* value = fields.find(kName);
  if (!value) return "";
  if (value->is_boolean()) return value->get<bool>() ? kClosingLine : "";
  if (!value->is_string()) refuse_type(kName, "a string or a boolean", *value);
  auto line = value->get<std::string>();
  if (line.size() > kMaxClosingBytes) {
    refuse(kName, "invalid_value", "Invalid value for '{}': expected at most {} bytes, but got {}.", kName,
           kMaxClosingBytes, line.size());
  }
  return line;
}

void read_thinking(const Fields& fields, ChatRequest& request) {
  request.effort = read_effort(fields);
  if (request.effort) request.thinking = *request.effort == Effort::none ? Thinking::off : Thinking::on;
  if (const RequestJson* object = fields.object("chat_template_kwargs")) {
    const Fields inner(*object, "chat_template_kwargs.");
    // vLLM's Qwen and DeepSeek templates call the same switch differently.
    for (const char* key : {"thinking", "enable_thinking"}) {
      if (const auto on = inner.boolean(key)) request.thinking = *on ? Thinking::on : Thinking::off;
    }
    request.thinking_budget = read_budget(inner, "thinking_budget");
  }
  for (const char* key : {"thinking_token_budget", "thinking_budget_tokens"}) {  // the first is vLLM's
    if (const auto budget = read_budget(fields, key)) request.thinking_budget = budget;
  }
  request.closing_line = read_closing_line(fields);
}

int read_chat_logprobs(const Fields& fields) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMaxTopLogprobs);
  if (!wanted && top.value_or(0) > 0) {
    refuse("top_logprobs", "invalid_value", "'top_logprobs' goes only with \"logprobs\": true.");
  }
  return wanted ? static_cast<int>(top.value_or(0)) : -1;
}

bool all_integers(const RequestJson& list) {
  return std::all_of(list.begin(), list.end(),
                     [](const RequestJson& item) { return item.is_number_integer(); });
}

PromptInput read_prompt(const RequestJson& value, const std::string& name) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array() || value.empty() || !all_integers(value)) {
    refuse_type(name, "a string or an array of token ids", value);
  }
  return read_token_ids(value, name);
}

/// A string, an array of token ids, or an array of either.
std::vector<PromptInput> read_prompts(const Fields& fields) {
  const RequestJson* value = fields.find("prompt");
  if (!value) refuse("prompt", "missing_required_parameter", "'prompt' is required.");
  if (value->is_string()) return {read_prompt(*value, "prompt")};
  if (!value->is_array())
    refuse_type("prompt", "a string, an array of token ids or an array of those", *value);
  if (value->empty()) refuse("prompt", "invalid_value", "'prompt' must not be empty.");
  if (all_integers(*value)) return {read_token_ids(*value, "prompt")};
  if (value->size() > kMaxPrompts) {
    refuse("prompt", "invalid_value", "Invalid value for 'prompt': expected at most {} prompts, but got {}.",
           kMaxPrompts, value->size());
  }
  std::vector<PromptInput> prompts;
  for (size_t i = 0; i < value->size(); ++i)
    prompts.push_back(read_prompt((*value)[i], fmt::format("prompt[{}]", i)));
  return prompts;
}

/// A conversation, read as a chat request reads it.
ChatRequest read_conversation(std::string_view body, const Fields& fields) {
  if (fields.find("prompt")) refuse("prompt", "invalid_value", "Either 'prompt' or 'messages', not both.");
  refuse_unless_empty(fields, {"chat_template", "continue_final_message"});
  ChatRequest chat;
  chat.messages = read_messages(fields);
  read_thinking(fields, chat);
  chat.variables = template_variables(body, fields, chat.messages, chat.thinking);
  chat.variables.set("add_generation_prompt", fields.boolean("add_generation_prompt").value_or(true));
  return chat;
}

}  // namespace

int parse_deadline_ms(std::string_view text) {
  int ms = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || ms < 1 || ms > kMaxDeadlineMs) {
    refuse("X-Tern-Deadline-Ms", "invalid_value",
           "Invalid value for 'X-Tern-Deadline-Ms': expected 1 to {}, but got \"{}\".", kMaxDeadlineMs, text);
  }
  return ms;
}

ChatRequest parse_chat_request(std::string_view body) {
  const RequestJson json = parse_json_object(body);
  const Fields fields(json);
  ChatRequest request;
  refuse_unsupported_in_chat(fields);
  read_common(fields, request);
  request.messages = read_messages(fields);
  read_thinking(fields, request);
  request.top_logprobs = read_chat_logprobs(fields);
  request.variables = template_variables(body, fields, request.messages, request.thinking);
  return request;
}

CompletionRequest parse_completion_request(std::string_view body) {
  const RequestJson json = parse_json_object(body);
  const Fields fields(json);
  CompletionRequest request;
  refuse_unsupported_in_completions(fields);
  read_common(fields, request);
  request.prompts = read_prompts(fields);
  request.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  request.top_logprobs = static_cast<int>(fields.integer("logprobs", 0, kMaxTopLogprobs).value_or(-1));
  return request;
}

TokenizeRequest parse_tokenize_request(std::string_view body) {
  const RequestJson json = parse_json_object(body);
  const Fields fields(json);
  TokenizeRequest request;
  request.model = fields.string("model");
  if (fields.find("messages")) {
    request.chat = read_conversation(body, fields);
  } else if (const auto prompt = fields.string("prompt")) {
    request.prompt = *prompt;
  } else {
    refuse("prompt", "missing_required_parameter", "'prompt' or 'messages' is required.");
  }
  request.add_special_tokens = fields.boolean("add_special_tokens").value_or(!request.chat);
  request.return_token_strs = fields.boolean("return_token_strs").value_or(false);
  return request;
}

DetokenizeRequest parse_detokenize_request(std::string_view body) {
  const RequestJson json = parse_json_object(body);
  const Fields fields(json);
  DetokenizeRequest request;
  request.model = fields.string("model");
  const RequestJson* tokens = fields.array("tokens");
  if (!tokens) refuse("tokens", "missing_required_parameter", "'tokens' is required.");
  request.tokens = read_token_ids(*tokens, "tokens");
  return request;
}

}  // namespace tern
