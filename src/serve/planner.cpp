#include "serve/planner.h"

#include <algorithm>
#include <ctime>
#include <random>

#include "serve/api_error.h"

namespace tern {
namespace {

constexpr int kCompletionTokens = 16;  ///< OpenAI's default max_tokens of completions
// A template runs on the thread that serves everybody: some thousands of steps are usual, a fraction of a
// second is the most.
constexpr uint64_t kTemplateSteps = 2'000'000;
constexpr uint64_t kTemplateBytes = 128 << 20;

[[noreturn]] void refuse_length(int context, size_t tokens, const char* bound) {
  refuse("", "context_length_exceeded",
         "This model's context is {} tokens; the prompt has {}{} and there must be room for one more.",
         context, bound, tokens);
}

uint64_t random_seed() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  return random();
}

/// A list that the template must ask for, or its tools would be forgotten without a word.
void check_asked_for(const ChatFormat& format, const ChatRequest& request, const char* field) {
  const jinja::Value* value = request.variables.get(field);
  if (!value || value->is_none() || format.asks_for(field)) return;
  refuse(field, "unsupported_parameter",
         "'{}' is not supported: this model's chat template has no place for it.", field);
}

}  // namespace

Planner::Planner(const Engine& engine, const ServeOptions& options) : engine_(engine), alias_(options.alias) {
  const bool own_format = engine.tokenizer().vocabulary().chat_template == kTernChatTemplate;
  default_temperature_ = options.default_temperature.value_or(own_format ? 0.0f : 1.0f);
  for (int32_t id = 0; id < engine.tokenizer().size(); ++id) {
    longest_token_ = std::max(longest_token_, engine.tokenizer().bytes(id).size());
  }
}

void Planner::check_model(const std::optional<std::string>& model) const {
  if (!model || *model == alias_) return;
  throw ApiError(404,
                 fmt::format("The model '{}' does not exist here; this server has '{}'.", *model, alias_),
                 "model", "model_not_found");
}

/// Text that can't fit in the context is refused before time is spent on its tokens.
void Planner::check_bytes(size_t bytes) const {
  const size_t least_tokens = bytes / longest_token_;
  if (least_tokens >= static_cast<size_t>(engine_.context()))
    refuse_length(engine_.context(), least_tokens, "at least ");
}

Plan Planner::new_plan(const CommonFields& fields, bool chat) const {
  check_model(fields.model);
  Plan plan;
  plan.head = {chat, new_reply_id(chat), std::time(nullptr), alias_};
  plan.stream = fields.stream;
  plan.include_usage = fields.include_usage;
  plan.return_token_ids = fields.return_token_ids;
  plan.continuous_usage = fields.continuous_usage;
  return plan;
}

GenerateRequest Planner::base_request(const CommonFields& fields, std::vector<int32_t> prompt,
                                      TimePoint arrived) const {
  const int context = engine_.context();
  if (prompt.size() >= static_cast<size_t>(context)) refuse_length(context, prompt.size(), "");
  GenerateRequest request;
  // More than the context holds is no error: the answer then ends with finish_reason "length".
  request.max_tokens =
      std::min(fields.max_tokens.value_or(context), context - static_cast<int>(prompt.size()));
  request.prompt = std::move(prompt);
  request.sampling.temperature = fields.temperature.value_or(default_temperature_);
  request.sampling.top_k = fields.top_k;
  request.sampling.top_p = fields.top_p;
  request.sampling.min_p = fields.min_p;
  request.sampling.presence_penalty = fields.presence_penalty;
  request.sampling.frequency_penalty = fields.frequency_penalty;
  request.sampling.repetition_penalty = fields.repetition_penalty;
  request.sampling.logit_bias = fields.logit_bias;
  request.sampling.seed = fields.seed ? *fields.seed : random_seed();
  request.stop = fields.stop;
  request.ignore_eos = fields.ignore_eos;
  request.top_logprobs = fields.top_logprobs;
  request.arrived = arrived;
  if (fields.deadline_ms) {
    request.deadline = Deadline{arrived + std::chrono::milliseconds(*fields.deadline_ms), fields.late,
                                fields.answer_reserve};
  }
  return request;
}

/// Choice i of a prompt has the request's seed plus i.
void Planner::add_choices(Plan& plan, const GenerateRequest& base, int n) const {
  plan.prompt_tokens += static_cast<int>(base.prompt.size());
  for (int i = 0; i < n; ++i) {
    plan.requests.push_back(base);
    plan.requests.back().sampling.seed += static_cast<uint64_t>(i);
  }
}

Plan Planner::chat(const ChatRequest& request, TimePoint arrived) const {
  Plan plan = new_plan(request, true);
  size_t bytes = 0;
  for (const ChatMessage& message : request.messages) bytes += message.content.size();
  check_bytes(bytes);
  const ChatFormat& format = engine_.chat();
  if (!format.refused().empty()) throw ApiError(400, format.refused());
  check_asked_for(format, request, "tools");
  check_asked_for(format, request, "documents");
  jinja::RenderOptions bounded;
  bounded.limits.steps = kTemplateSteps;
  bounded.limits.bytes = kTemplateBytes;
  const jinja::Rendered prompt = format.render(request.variables, bounded);
  check_bytes(prompt.text.size());
  GenerateRequest base = base_request(request, format.encode(prompt), arrived);
  base.starts_thinking = format.opens_thinking(base.prompt);
  base.thinking_budget = request.thinking_budget;
  add_choices(plan, base, request.n);
  return plan;
}

std::vector<int32_t> Planner::encode_prompt(const PromptInput& prompt) const {
  const Tokenizer& tokenizer = engine_.tokenizer();
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
    for (const int32_t id : *ids) {
      if (id < tokenizer.size()) continue;
      refuse("prompt", "invalid_value", "Token id {} is not below the vocabulary's {}.", id,
             tokenizer.size());
    }
    return *ids;
  }
  const auto& text = std::get<std::string>(prompt);
  check_bytes(text.size());
  std::vector<int32_t> ids = tokenizer.encode(text, true);
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const bool begin = vocabulary.bos && (vocabulary.add_bos || ids.empty());
  if (begin && (ids.empty() || ids.front() != *vocabulary.bos)) ids.insert(ids.begin(), *vocabulary.bos);
  if (ids.empty()) refuse("prompt", "invalid_value", "'prompt' must not be empty.");
  return ids;
}

Plan Planner::completion(const CompletionRequest& request, TimePoint arrived) const {
  Plan plan = new_plan(request, false);
  CommonFields fields = request;
  if (!fields.max_tokens) fields.max_tokens = kCompletionTokens;
  for (const PromptInput& prompt : request.prompts) {
    GenerateRequest base = base_request(fields, encode_prompt(prompt), arrived);
    base.starts_thinking = engine_.chat().opens_thinking(base.prompt);
    add_choices(plan, base, request.n);
  }
  return plan;
}

Plan Planner::plan(const std::variant<ChatRequest, CompletionRequest>& request, TimePoint arrived) const {
  if (const auto* asked = std::get_if<ChatRequest>(&request)) return chat(*asked, arrived);
  return completion(std::get<CompletionRequest>(request), arrived);
}

}  // namespace tern
