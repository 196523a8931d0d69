#include "serve/openai.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "serve/json_fields.h"
#include "serve/template_variables.h"

namespace tern {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

[[noreturn]] void refuse_unsupported(const std::string& field) {
  refuse(field, "unsupported_parameter", "'{}' is not supported by this server yet.", field);
}

/// Whether a value of a field tern can't honour asks for nothing: then it may stand there.
bool asks_nothing(const RequestJson& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0;
  return value.is_null() || ((value.is_array() || value.is_object()) && value.empty());
}

void refuse_unless_empty(const Fields& fields, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const RequestJson* value = fields.find(key);
    if (value && !asks_nothing(*value)) refuse_unsupported(key);
  }
}

void refuse_unless_word(const Fields& fields, const char* key, std::string_view harmless) {
  const RequestJson* value = fields.find(key);
  if (value && *value != RequestJson(harmless)) refuse_unsupported(key);
}

/// Known fields of OpenAI's and vLLM's APIs that would change the answer and that tern does not have.
void refuse_known_unsupported(const Fields& fields) {
  refuse_unless_empty(fields, {"prompt_logprobs", "min_tokens", "stop_token_ids", "bad_words",
                               "allowed_token_ids", "use_beam_search", "structured_outputs", "guided_json",
                               "guided_regex", "guided_choice", "guided_grammar", "logits_processors"});
  refuse_unless_empty(fields, {"functions", "audio", "prediction", "web_search_options"});
  refuse_unless_word(fields, "function_call", "none");
  const RequestJson* modalities = fields.find("modalities");
  if (modalities && *modalities != RequestJson::array({"text"})) refuse_unsupported("modalities");
  const RequestJson* best_of = fields.find("best_of");
  if (best_of && *best_of != RequestJson(1)) refuse_unsupported("best_of");
  if (const RequestJson* format = fields.object("response_format")) {
    const Fields inner(*format, "response_format.");
    if (inner.string("type").value_or("") != "text") refuse_unsupported("response_format");
  }
}

void refuse_unsupported_in_chat(const Fields& fields) {
  if (!fields.boolean("add_generation_prompt").value_or(true)) refuse_unsupported("add_generation_prompt");
  if (fields.boolean("continue_final_message").value_or(false)) refuse_unsupported("continue_final_message");
  refuse_unless_empty(fields, {"chat_template"});
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
  if (fields.find("thinking_budget_tokens")) refuse_unsupported("thinking_budget_tokens");
}

std::string stop_string(const RequestJson& value, const std::string& name) {
  if (!value.is_string()) refuse_type(name, "a string", value);
  auto text = value.get<std::string>();
  if (text.empty() || text.size() > kMaxStopBytes) {
    refuse(name, "invalid_value", "Invalid value for '{}': expected 1 to {} bytes, but got {}.", name,
           kMaxStopBytes, text.size());
  }
  return text;
}

std::vector<std::string> read_stop(const Fields& fields) {
  const RequestJson* value = fields.find("stop");
  if (!value) return {};
  if (value->is_string()) return {stop_string(*value, "stop")};
  if (!value->is_array()) refuse_type("stop", "a string or an array of strings", *value);
  if (value->size() > kMaxStops) {
    refuse("stop", "invalid_value", "Invalid value for 'stop': expected at most {} strings, but got {}.",
           kMaxStops, value->size());
  }
  std::vector<std::string> stops;
  for (size_t i = 0; i < value->size(); ++i)
    stops.push_back(stop_string((*value)[i], fmt::format("stop[{}]", i)));
  return stops;
}

/// Any 64-bit integer; negative ones count from the top as in two's complement.
std::optional<uint64_t> read_seed(const Fields& fields) {
  const RequestJson* value = fields.find("seed");
  if (!value) return std::nullopt;
  if (!value->is_number_integer()) refuse_type("seed", "an integer", *value);
  return value->is_number_unsigned() ? value->get<uint64_t>() : static_cast<uint64_t>(value->get<int64_t>());
}

void read_stream(const Fields& fields, CommonFields& request) {
  request.stream = fields.boolean("stream").value_or(false);
  const RequestJson* options = fields.object("stream_options");
  if (!options) return;
  if (!request.stream)
    refuse("stream_options", "invalid_value", "'stream_options' goes only with \"stream\": true.");
  const Fields inner(*options, "stream_options.");
  request.include_usage = inner.boolean("include_usage").value_or(false);
  request.continuous_usage = inner.boolean("continuous_usage_stats").value_or(false);
}

/// {"TOKEN_ID": BIAS, …}, from -100 to 100.
std::vector<std::pair<int32_t, float>> read_logit_bias(const Fields& fields) {
  const RequestJson* object = fields.object("logit_bias");
  if (!object) return {};
  if (object->size() > kMaxBiases) {
    refuse("logit_bias", "invalid_value",
           "Invalid value for 'logit_bias': expected at most {} tokens, but got {}.", kMaxBiases,
           object->size());
  }
  const Fields inner(*object, "logit_bias.");
  std::map<int32_t, float> biases;
  for (const auto& [key, value] : object->items()) {
    int32_t token = 0;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), token);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() || token < 0)
      refuse("logit_bias", "invalid_value", "Invalid value for 'logit_bias': \"{}\" is not a token id.", key);
    biases[token] = static_cast<float>(inner.number(key.c_str(), -100, 100).value_or(0));
  }
  return {biases.begin(), biases.end()};
}

void read_sampling(const Fields& fields, CommonFields& request) {
  if (const auto temperature = fields.number("temperature", 0, 2))
    request.temperature = static_cast<float>(*temperature);
  request.top_p = static_cast<float>(fields.number("top_p", 0, 1).value_or(1));
  request.top_k = static_cast<int>(std::max<int64_t>(0, fields.integer("top_k", -1, kMaxInt).value_or(0)));
  request.min_p = static_cast<float>(fields.number("min_p", 0, 1).value_or(0));
  request.presence_penalty = static_cast<float>(fields.number("presence_penalty", -2, 2).value_or(0));
  request.frequency_penalty = static_cast<float>(fields.number("frequency_penalty", -2, 2).value_or(0));
  request.repetition_penalty = static_cast<float>(fields.number("repetition_penalty", 0.01, 100).value_or(1));
  request.logit_bias = read_logit_bias(fields);
  request.seed = read_seed(fields);
}

void read_deadline(const Fields& fields, CommonFields& request) {
  if (const auto ms = fields.integer("deadline_ms", 1, kMaxDeadlineMs))
    request.deadline_ms = static_cast<int>(*ms);
  request.answer_reserve = static_cast<int>(fields.integer("answer_reserve_tokens", 1, kMaxInt).value_or(0));
  const std::string late = fields.string("late").value_or("refuse");
  constexpr std::pair<std::string_view, LatePolicy> kPolicies[] = {{"refuse", LatePolicy::refuse},
                                                                   {"no_think", LatePolicy::no_think},
                                                                   {"best_effort", LatePolicy::best_effort}};
  const auto policy = std::find_if(std::begin(kPolicies), std::end(kPolicies),
                                   [&](const auto& one) { return one.first == late; });
  if (policy == std::end(kPolicies)) {
    refuse("late", "invalid_value",
           "Invalid value for 'late': expected refuse, no_think or best_effort, but got \"{}\".", late);
  }
  request.late = policy->second;
}

void read_common(const Fields& fields, CommonFields& request) {
  refuse_known_unsupported(fields);
  request.model = fields.string("model");
  request.n = static_cast<int>(fields.integer("n", 1, kMaxN).value_or(1));
  // The newer name stands last and wins; the older one stays for the clients that know no other.
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    if (const auto most = fields.integer(name, 1, kMaxInt)) request.max_tokens = static_cast<int>(*most);
  }
  request.stop = read_stop(fields);
  request.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  read_stream(fields, request);
  request.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  if (request.return_token_ids && request.stream) {
    refuse("return_token_ids", "unsupported_value", "'return_token_ids' is not supported in streams.");
  }
  read_sampling(fields, request);
  read_deadline(fields, request);
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

std::optional<Thinking> read_thinking(const Fields& fields) {
  std::optional<Thinking> thinking;
  if (const auto effort = fields.string("reasoning_effort")) {
    constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
    if (std::find(std::begin(kEfforts), std::end(kEfforts), *effort) == std::end(kEfforts)) {
      refuse("reasoning_effort", "invalid_value",
             "Invalid value for 'reasoning_effort': expected none, minimal, low, medium, high or xhigh, but "
             "got \"{}\".",
             *effort);
    }
    thinking = *effort == "none" ? Thinking::off : Thinking::on;
  }
  if (const RequestJson* object = fields.object("chat_template_kwargs")) {
    const Fields inner(*object, "chat_template_kwargs.");
    // vLLM's Qwen and DeepSeek templates call the same switch differently.
    for (const char* key : {"thinking", "enable_thinking"}) {
      if (const auto on = inner.boolean(key)) thinking = *on ? Thinking::on : Thinking::off;
    }
  }
  return thinking;
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

std::vector<int32_t> read_ids(const RequestJson& list, const std::string& name) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const RequestJson& item : list) {
    // Compared as unsigned and signed: a number beyond int64 must not wrap into range.
    const bool small = item.is_number_unsigned() ? item.get<uint64_t>() <= kMaxInt : item.get<int64_t>() >= 0;
    if (!small)
      refuse(name, "invalid_value", "Invalid value for '{}': {} is not a token id.", name, item.dump());
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

PromptInput read_prompt(const RequestJson& value, const std::string& name) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array() || value.empty() || !all_integers(value)) {
    refuse_type(name, "a string or an array of token ids", value);
  }
  return read_ids(value, name);
}

/// A string, an array of token ids, or an array of either.
std::vector<PromptInput> read_prompts(const Fields& fields) {
  const RequestJson* value = fields.find("prompt");
  if (!value) refuse("prompt", "missing_required_parameter", "'prompt' is required.");
  if (value->is_string()) return {read_prompt(*value, "prompt")};
  if (!value->is_array())
    refuse_type("prompt", "a string, an array of token ids or an array of those", *value);
  if (value->empty()) refuse("prompt", "invalid_value", "'prompt' must not be empty.");
  if (all_integers(*value)) return {read_ids(*value, "prompt")};
  if (value->size() > kMaxPrompts) {
    refuse("prompt", "invalid_value", "Invalid value for 'prompt': expected at most {} prompts, but got {}.",
           kMaxPrompts, value->size());
  }
  std::vector<PromptInput> prompts;
  for (size_t i = 0; i < value->size(); ++i)
    prompts.push_back(read_prompt((*value)[i], fmt::format("prompt[{}]", i)));
  return prompts;
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
  request.thinking = read_thinking(fields);
  const auto budget = fields.integer("thinking_budget_tokens", 0, kMaxInt);
  if (budget) request.thinking_budget = static_cast<int>(*budget);
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
  request.top_logprobs = static_cast<int>(fields.integer("logprobs", 0, kMaxTopLogprobs).value_or(-1));
  return request;
}

}  // namespace tern
