#include "measure/load/grpc_request.h"

#include <charconv>
#include <map>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace tern::load {
namespace {

using Json = nlohmann::ordered_json;

/// A value and the name under which a message names it.
struct Field {
  std::string name;
  const Json& value;

  [[noreturn]] void wrong(const char* expected) const {
    fail(ErrorKind::bad_input, "\"{}\": expected {}", name, expected);
  }
  [[noreturn]] void no_place() const {
    fail(ErrorKind::unsupported, "\"{}\": tern's gRPC API has no such field", name);
  }
  template <typename Int>
  Int integer() const {
    if (!value.is_number_integer()) wrong("an integer");
    const bool fits = value.is_number_unsigned() ? std::in_range<Int>(value.get<uint64_t>())
                                                 : std::in_range<Int>(value.get<int64_t>());
    if (!fits) wrong("an integer in its range");
    return value.get<Int>();
  }
  double number() const {
    if (!value.is_number()) wrong("a number");
    return value.get<double>();
  }
  bool boolean() const {
    if (!value.is_boolean()) wrong("a boolean");
    return value.get<bool>();
  }
  std::string text() const {
    if (!value.is_string()) wrong("a string");
    return value.get<std::string>();
  }
  const Json& list() const {
    if (!value.is_array()) wrong("a list");
    return value;
  }
  const Json& object() const {
    if (!value.is_object()) wrong("an object");
    return value;
  }
  Field inner(const std::string& key, const Json& of) const { return {name + "." + key, of}; }
};

using To = v1::GenerateRequest;

void set_messages(const Field& field, To& to) {
  v1::Chat& chat = *to.mutable_chat();
  for (const Json& item : field.list()) {
    v1::ChatMessage& message = *chat.add_messages();
    for (const auto& [key, value] : Field{field.name, item}.object().items()) {
      const Field inner = field.inner(key, value);
      if (key == "role") {
        message.set_role(inner.text());
      } else if (key == "content") {
        message.set_content(inner.text());
      } else {
        inner.no_place();
      }
    }
  }
}

void set_prompt(const Field& field, To& to) {
  if (field.value.is_string()) return to.set_prompt(field.text());
  v1::TokenIds& ids = *to.mutable_prompt_token_ids();
  for (const Json& id : field.list()) ids.add_ids(Field{field.name, id}.integer<uint32_t>());
}

void set_stop(const Field& field, To& to) {
  if (field.value.is_string()) return to.add_stop(field.text());
  for (const Json& stop : field.list()) to.add_stop(Field{field.name, stop}.text());
}

void set_effort(const Field& field, To& to) {
  static const std::map<std::string_view, v1::ReasoningEffort> kEfforts = {
      {"none", v1::REASONING_EFFORT_NONE}, {"minimal", v1::REASONING_EFFORT_MINIMAL},
      {"low", v1::REASONING_EFFORT_LOW},   {"medium", v1::REASONING_EFFORT_MEDIUM},
      {"high", v1::REASONING_EFFORT_HIGH}, {"xhigh", v1::REASONING_EFFORT_XHIGH}};
  const auto found = kEfforts.find(field.text());
  if (found == kEfforts.end()) field.wrong("none, minimal, low, medium, high or xhigh");
  to.set_reasoning_effort(found->second);
}

void set_late(const Field& field, To& to) {
  static const std::map<std::string_view, v1::LatePolicy> kPolicies = {
      {"refuse", v1::LATE_POLICY_REFUSE},
      {"no_think", v1::LATE_POLICY_NO_THINK},
      {"best_effort", v1::LATE_POLICY_BEST_EFFORT}};
  const auto found = kPolicies.find(field.text());
  if (found == kPolicies.end()) field.wrong("refuse, no_think or best_effort");
  to.set_late(found->second);
}

/// As over HTTP, it wins over the effort.
void set_thinking(bool on, To& to) {
  const v1::ReasoningEffort asked = to.reasoning_effort();
  if (!on) return to.set_reasoning_effort(v1::REASONING_EFFORT_NONE);
  if (asked == v1::REASONING_EFFORT_UNSPECIFIED || asked == v1::REASONING_EFFORT_NONE)
    to.set_reasoning_effort(v1::REASONING_EFFORT_XHIGH);
}

void set_template(const Field& field, To& to) {
  for (const auto& [key, value] : field.object().items()) {
    const Field inner = field.inner(key, value);
    if (key == "enable_thinking" || key == "thinking") {
      set_thinking(inner.boolean(), to);
    } else if (key == "thinking_budget") {
      to.set_thinking_budget_tokens(inner.integer<int32_t>());
    } else {
      inner.no_place();
    }
  }
}

void set_bias(const Field& field, To& to) {
  for (const auto& [key, value] : field.object().items()) {
    uint32_t id = 0;
    const char* const end = key.data() + key.size();
    const auto [at, error] = std::from_chars(key.data(), end, id);
    if (error != std::errc{} || at != end) field.wrong("token ids as keys");
    (*to.mutable_logit_bias())[id] = field.inner(key, value).number();
  }
}

/// A boolean for chats, beside top_logprobs; a number for raw prompts.
void set_logprobs(const Field& field, To& to) {
  if (!field.value.is_boolean()) return to.set_top_logprobs(field.integer<int32_t>());
  if (field.boolean() && !to.has_top_logprobs()) to.set_top_logprobs(0);
}

using Setter = void (*)(const Field&, To&);
const std::map<std::string_view, Setter>& setters() {
  static const std::map<std::string_view, Setter> kSetters = {
      {"stream", [](const Field&, To&) {}},
      {"stream_options", [](const Field&, To&) {}},
      {"deadline_ms", [](const Field& field, To&) { field.integer<int32_t>(); }},
      {"messages", set_messages},
      {"prompt", set_prompt},
      {"model", [](const Field& field, To& to) { to.set_model(field.text()); }},
      {"max_tokens", [](const Field& field, To& to) { to.set_max_tokens(field.integer<int32_t>()); }},
      {"max_completion_tokens",
       [](const Field& field, To& to) { to.set_max_tokens(field.integer<int32_t>()); }},
      {"reasoning_effort", set_effort},
      {"chat_template_kwargs", set_template},
      {"thinking_budget_tokens",
       [](const Field& field, To& to) { to.set_thinking_budget_tokens(field.integer<int32_t>()); }},
      {"late", set_late},
      {"answer_reserve_tokens",
       [](const Field& field, To& to) { to.set_answer_reserve_tokens(field.integer<int32_t>()); }},
      {"stop", set_stop},
      {"ignore_eos", [](const Field& field, To& to) { to.set_ignore_eos(field.boolean()); }},
      {"logprobs", set_logprobs},
      {"top_logprobs", [](const Field& field, To& to) { to.set_top_logprobs(field.integer<int32_t>()); }},
      {"temperature", [](const Field& field, To& to) { to.set_temperature(field.number()); }},
      {"top_p", [](const Field& field, To& to) { to.set_top_p(field.number()); }},
      {"top_k", [](const Field& field, To& to) { to.set_top_k(field.integer<int32_t>()); }},
      {"min_p", [](const Field& field, To& to) { to.set_min_p(field.number()); }},
      {"presence_penalty", [](const Field& field, To& to) { to.set_presence_penalty(field.number()); }},
      {"frequency_penalty", [](const Field& field, To& to) { to.set_frequency_penalty(field.number()); }},
      {"repetition_penalty", [](const Field& field, To& to) { to.set_repetition_penalty(field.number()); }},
      {"logit_bias", set_bias},
      {"seed", [](const Field& field, To& to) { to.set_seed(field.integer<int64_t>()); }},
  };
  return kSetters;
}

void set(const std::string& key, const Json& value, To& to) {
  const Field field{key, value};
  const auto setter = setters().find(key);
  if (setter == setters().end()) field.no_place();
  if (!value.is_null()) setter->second(field, to);
}

}  // namespace

v1::GenerateRequest to_generate_request(const LoadRequest& request) {
  v1::GenerateRequest to;
  // What wins over another field comes behind it, wherever it stands in the body.
  const auto wins = [](const std::string& key) {
    return key == "max_completion_tokens" || key == "chat_template_kwargs";
  };
  for (const bool winners : {false, true}) {
    for (const auto& [key, value] : request.body.items()) {
      if (wins(key) == winners) set(key, value, to);
    }
  }
  return to;
}

}  // namespace tern::load
