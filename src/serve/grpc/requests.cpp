#include "serve/grpc/requests.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "serve/json_fields.h"

namespace tern {
namespace {

/// A request's JSON, of the fields that it sets.
class Body {
 public:
  void set(const char* name, RequestJson value) { json_[name] = std::move(value); }
  template <typename Value>
  void set_if(bool set_there, const char* name, Value value) {
    if (set_there) set(name, value);
  }
  /// JSON has neither infinities nor NaN.
  void set_number_if(bool set_there, const char* name, double value) {
    if (!set_there) return;
    if (!std::isfinite(value))
      refuse(name, "invalid_value", "Invalid value for '{}': expected a number, but got {}.", name, value);
    set(name, value);
  }
  std::string text() const { return json_.dump(); }

 private:
  RequestJson json_ = RequestJson::object();
};

/// Before they are written as JSON, which takes many times their bytes.
void check_count(const char* name, int count) {
  constexpr int kMost = kMaxJsonValues / 2;
  if (count > kMost)
    refuse(name, "invalid_value", "Invalid value for '{}': expected at most {} items, but got {}.", name,
           kMost, count);
}

[[noreturn]] void refuse_enum(const char* name, int value) {
  refuse(name, "invalid_value", "Invalid value for '{}': {} is none of its values.", name, value);
}

RequestJson messages_of(const v1::Chat& chat) {
  check_count("messages", chat.messages_size());
  RequestJson list = RequestJson::array();
  for (const v1::ChatMessage& message : chat.messages())
    list.push_back({{"role", message.role()}, {"content", message.content()}});
  return list;
}

RequestJson ids_of(const v1::TokenIds& ids) {
  check_count("prompt_token_ids", ids.ids_size());
  if (ids.ids().empty()) refuse("prompt_token_ids", "invalid_value", "'prompt_token_ids' must not be empty.");
  return std::vector<uint32_t>(ids.ids().begin(), ids.ids().end());
}

void set_effort(Body& body, v1::ReasoningEffort effort) {
  constexpr const char* kNames[] = {"", "none", "minimal", "low", "medium", "high", "xhigh"};
  if (!v1::ReasoningEffort_IsValid(effort)) refuse_enum("reasoning_effort", effort);
  body.set_if(effort != v1::REASONING_EFFORT_UNSPECIFIED, "reasoning_effort", kNames[effort]);
}

void set_deadline_fields(Body& body, const v1::GenerateRequest& request) {
  constexpr const char* kPolicies[] = {"refuse", "refuse", "no_think", "best_effort"};
  if (!v1::LatePolicy_IsValid(request.late())) refuse_enum("late", request.late());
  body.set("late", kPolicies[request.late()]);
  body.set_if(request.has_answer_reserve_tokens(), "answer_reserve_tokens", request.answer_reserve_tokens());
}

void set_sampling(Body& body, const v1::GenerateRequest& request) {
  body.set_number_if(request.has_temperature(), "temperature", request.temperature());
  body.set_number_if(request.has_top_p(), "top_p", request.top_p());
  body.set_if(request.has_top_k(), "top_k", request.top_k());
  body.set_number_if(request.has_min_p(), "min_p", request.min_p());
  body.set_number_if(request.has_presence_penalty(), "presence_penalty", request.presence_penalty());
  body.set_number_if(request.has_frequency_penalty(), "frequency_penalty", request.frequency_penalty());
  body.set_number_if(request.has_repetition_penalty(), "repetition_penalty", request.repetition_penalty());
  body.set_if(request.has_seed(), "seed", request.seed());
  check_count("logit_bias", static_cast<int>(request.logit_bias().size()));
  RequestJson biases = RequestJson::object();
  for (const auto& [id, bias] : request.logit_bias()) {
    if (!std::isfinite(bias))
      refuse("logit_bias", "invalid_value", "Invalid value for 'logit_bias': token {} has {}.", id, bias);
    biases[std::to_string(id)] = bias;
  }
  body.set("logit_bias", std::move(biases));
}

void set_end(Body& body, const v1::GenerateRequest& request) {
  body.set_if(request.has_max_tokens(), "max_tokens", request.max_tokens());
  check_count("stop", request.stop_size());
  body.set("stop", std::vector<std::string>(request.stop().begin(), request.stop().end()));
  body.set("ignore_eos", request.ignore_eos());
}

/// Thinking's own fields reach the checks of raw prompts, too, which refuse them.
void set_thinking(Body& body, const v1::GenerateRequest& request) {
  set_effort(body, request.reasoning_effort());
  body.set_if(request.has_thinking_budget_tokens(), "thinking_budget_tokens",
              request.thinking_budget_tokens());
  const bool raw = !request.has_chat();
  if (raw && request.reasoning_effort() != v1::REASONING_EFFORT_UNSPECIFIED)
    refuse("reasoning_effort", "unsupported_parameter", "'reasoning_effort' goes only with 'chat'.");
}

}  // namespace

std::variant<ChatRequest, CompletionRequest> read_request(const v1::GenerateRequest& request) {
  Body body;
  body.set_if(request.has_model(), "model", request.model());
  set_deadline_fields(body, request);
  set_sampling(body, request);
  set_end(body, request);
  set_thinking(body, request);
  switch (request.input_case()) {
    case v1::GenerateRequest::kChat:
      body.set("messages", messages_of(request.chat()));
      body.set("logprobs", request.has_top_logprobs());
      body.set_if(request.has_top_logprobs(), "top_logprobs", request.top_logprobs());
      return parse_chat_request(body.text());
    case v1::GenerateRequest::kPrompt:
      body.set("prompt", request.prompt());
      break;
    case v1::GenerateRequest::kPromptTokenIds:
      body.set("prompt", ids_of(request.prompt_token_ids()));
      break;
    case v1::GenerateRequest::INPUT_NOT_SET:
      refuse("input", "missing_required_parameter",
             "One of 'chat', 'prompt' and 'prompt_token_ids' is required.");
  }
  body.set_if(request.has_top_logprobs(), "logprobs", request.top_logprobs());
  return parse_completion_request(body.text());
}

std::variant<ChatRequest, CompletionRequest> read_request(const v1::TokenizeRequest& request) {
  v1::GenerateRequest same;
  if (request.has_model()) same.set_model(request.model());
  same.set_reasoning_effort(request.reasoning_effort());
  if (request.has_chat()) *same.mutable_chat() = request.chat();
  if (request.has_prompt()) same.set_prompt(request.prompt());
  return read_request(same);
}

int deadline_ms_of(std::chrono::nanoseconds left) {
  // The way to the client and its wake-up: mostly well under a millisecond, some on a busy machine.
  constexpr std::chrono::nanoseconds kDelivery = std::chrono::milliseconds(5);
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(left - std::min(kDelivery, left / 10));
  return static_cast<int>(std::clamp<int64_t>(ms.count(), 1, kMaxDeadlineMs));
}

}  // namespace tern
