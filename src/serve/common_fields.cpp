#include "serve/common_fields.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

namespace tern {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

/// Known fields of OpenAI's and vLLM's APIs that would change the answer and that tern does not have.
void refuse_known_unsupported(const Fields& fields) {
  refuse_unless_empty(fields, {"prompt_logprobs", "min_tokens", "bad_words", "truncate_prompt_tokens",
                               "include_stop_str_in_output", "return_tokens_as_token_ids",
                               "allowed_token_ids", "use_beam_search", "structured_outputs", "guided_json",
                               "guided_regex", "guided_choice", "guided_grammar", "logits_processors"});
  refuse_unless_empty(fields, {"functions", "audio", "prediction", "web_search_options"});
  refuse_unless_word(fields, "function_call", "none");
  if (!fields.boolean("skip_special_tokens").value_or(true)) refuse_unsupported("skip_special_tokens");
  const RequestJson* modalities = fields.find("modalities");
  if (modalities && *modalities != RequestJson::array({"text"})) refuse_unsupported("modalities");
  const RequestJson* best_of = fields.find("best_of");
  if (best_of && *best_of != RequestJson(1)) refuse_unsupported("best_of");
  if (const RequestJson* format = fields.object("response_format")) {
    const Fields inner(*format, "response_format.");
    if (inner.string("type").value_or("") != "text") refuse_unsupported("response_format");
  }
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

std::vector<int32_t> read_stop_tokens(const Fields& fields) {
  const RequestJson* list = fields.array("stop_token_ids");
  if (!list) return {};
  if (list->size() > kMaxStopTokens) {
    refuse("stop_token_ids", "invalid_value",
           "Invalid value for 'stop_token_ids': expected at most {} ids, but got {}.", kMaxStopTokens,
           list->size());
  }
  return read_token_ids(*list, "stop_token_ids");
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

}  // namespace

void refuse_unsupported(const std::string& field) {
  refuse(field, "unsupported_parameter", "'{}' is not supported by this server yet.", field);
}

bool asks_nothing(const RequestJson& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0;
  return value.is_null() || ((value.is_array() || value.is_object()) && value.empty());
}

std::vector<int32_t> read_token_ids(const RequestJson& list, const std::string& name) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const RequestJson& item : list) {
    if (!item.is_number_integer()) refuse_type(name, "an array of token ids", item);
    // Compared as unsigned and signed: a number beyond int64 must not wrap into range.
    const bool small = item.is_number_unsigned() ? item.get<uint64_t>() <= kMaxInt : item.get<int64_t>() >= 0;
    if (!small)
      refuse(name, "invalid_value", "Invalid value for '{}': {} is not a token id.", name, item.dump());
    ids.push_back(item.get<int32_t>());
  }
  return ids;
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

void read_common(const Fields& fields, CommonFields& request) {
  refuse_known_unsupported(fields);
  request.model = fields.string("model");
  request.n = static_cast<int>(fields.integer("n", 1, kMaxN).value_or(1));
  // The newer name stands last and wins; the older one stays for the clients that know no other.
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    if (const auto most = fields.integer(name, 1, kMaxInt)) request.max_tokens = static_cast<int>(*most);
  }
  request.stop = read_stop(fields);
  request.stop_tokens = read_stop_tokens(fields);
  request.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  read_stream(fields, request);
  request.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  if (request.return_token_ids && request.stream) {
    refuse("return_token_ids", "unsupported_value", "'return_token_ids' is not supported in streams.");
  }
  // vLLM knows the same wish by another name.
  for (const char* name : {"include_reasoning", "include_thinking"})
    request.include_thinking = fields.boolean(name).value_or(request.include_thinking);
  request.stream_interval_ms =
      static_cast<int>(fields.integer("stream_interval_ms", 0, kMaxIntervalMs).value_or(0));
  read_sampling(fields, request);
  read_deadline(fields, request);
}

}  // namespace tern
