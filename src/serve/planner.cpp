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

Planner::Planner(const Engine& engine, const ServeOptions& options)
    : engine_(engine),
      alias_(options.alias),
      max_n_(options.max_n),
      efforts_(options.efforts),
      max_thinking_(options.max_thinking) {
  max_tokens_ = options.max_tokens_limit > 0 ? options.max_tokens_limit : engine.context();
  const bool own_format = engine.tokenizer().vocabulary().chat_template == kTernChatTemplate;
  default_temperature_ = options.default_temperature.value_or(own_format ? 0.0f : 1.0f);
  efforts_.merge(own_format ? short_thinkers() : long_thinkers());
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
  plan.include_thinking = fields.include_thinking;
  plan.interval = std::chrono::milliseconds(fields.stream_interval_ms);
  return plan;
}

GenerateRequest Planner::base_request(const CommonFields& fields, std::vector<int32_t> prompt,
                                      TimePoint arrived) const {
  const int context = engine_.context();
  if (prompt.size() >= static_cast<size_t>(context)) refuse_length(context, prompt.size(), "");
  GenerateRequest request;
  // More than the context holds or the operator allows is no error: the answer then ends with finish_reason
  // "length".
  request.max_tokens =
      std::min({fields.max_tokens.value_or(context), context - static_cast<int>(prompt.size()), max_tokens_});
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
  request.stop_tokens = fields.stop_tokens;
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
  if (n > max_n_) refuse("n", "invalid_value", "'n' is {}; this server makes {} choices at most.", n, max_n_);
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
  const jinja::Rendered prompt = render(request);
  check_bytes(prompt.text.size());
  GenerateRequest base = base_request(request, format.encode(prompt), arrived);
  base.starts_thinking = format.opens_thinking(base.prompt);
  base.thinking_budget = thinking_budget(request, base.max_tokens);
  base.closing_line = request.closing_line;
  add_choices(plan, base, request.n);
  return plan;
}

jinja::Rendered Planner::render(const ChatRequest& request) const {
  const ChatFormat& format = engine_.chat();
  if (!format.refused().empty()) throw ApiError(400, format.refused());
  check_asked_for(format, request, "tools");
  check_asked_for(format, request, "documents");
  jinja::RenderOptions bounded;
  bounded.limits.steps = kTemplateSteps;
  bounded.limits.bytes = kTemplateBytes;
  return format.render(request.variables, bounded);
}

/// What the request says in tokens, else what its effort is worth: of that no more than half of the reply, so
/// that an answer has its place.
std::optional<int> Planner::thinking_budget(const ChatRequest& request, int max_tokens) const {
  if (request.thinking_budget) return under_ceiling(request.thinking_budget);
  if (engine_.chat().reasoning().closing.empty()) return std::nullopt;  // nothing that could be closed
  if (request.thinking == Thinking::off) return 0;
  const auto found = request.effort ? efforts_.find(*request.effort) : efforts_.end();
  if (found == efforts_.end() || !found->second) return under_ceiling(std::nullopt);
  return under_ceiling(std::min(*found->second, std::max(1, max_tokens / 2)));
}

std::optional<int> Planner::under_ceiling(std::optional<int> budget) const {
  if (!max_thinking_ || engine_.chat().reasoning().closing.empty()) return budget;
  return std::min(budget.value_or(*max_thinking_), *max_thinking_);
}

void Planner::check_ids(std::span<const int32_t> ids, const char* field) const {
  const int32_t size = engine_.tokenizer().size();
  const auto beyond = std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id >= size; });
  if (beyond != ids.end())
    refuse(field, "invalid_value", "Token id {} is not below the vocabulary's {}.", *beyond, size);
}

/// A begin token is added where the vocabulary wants one and the text hasn't it.
std::vector<int32_t> Planner::encode_text(const std::string& text, bool add_special) const {
  const Tokenizer& tokenizer = engine_.tokenizer();
  std::vector<int32_t> ids = tokenizer.encode(text, true);
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const bool begin = add_special && vocabulary.bos && vocabulary.add_bos;
  if (begin && (ids.empty() || ids.front() != *vocabulary.bos)) ids.insert(ids.begin(), *vocabulary.bos);
  return ids;
}

std::vector<int32_t> Planner::encode_prompt(const PromptInput& prompt, bool add_special) const {
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
    check_ids(*ids, "prompt");
    return *ids;
  }
  const auto& text = std::get<std::string>(prompt);
  check_bytes(text.size());
  std::vector<int32_t> ids = encode_text(text, add_special);
  const auto begin = engine_.tokenizer().vocabulary().bos;
  if (ids.empty() && begin && add_special) ids = {*begin};
  if (ids.empty()) refuse("prompt", "invalid_value", "'prompt' must not be empty.");
  return ids;
}

std::vector<int32_t> Planner::tokenize(const TokenizeRequest& request) const {
  check_model(request.model);
  if (!request.chat) return encode_text(request.prompt, request.add_special_tokens);
  std::vector<int32_t> ids = engine_.chat().encode(render(*request.chat));
  const auto begin = engine_.tokenizer().vocabulary().bos;
  const bool missing = begin && (ids.empty() || ids.front() != *begin);
  if (request.add_special_tokens && missing) ids.insert(ids.begin(), *begin);
  return ids;
}

std::string Planner::detokenize(const DetokenizeRequest& request) const {
  check_model(request.model);
  check_ids(request.tokens, "tokens");
  return engine_.tokenizer().decode(request.tokens, true);
}

Plan Planner::completion(const CompletionRequest& request, TimePoint arrived) const {
  Plan plan = new_plan(request, false);
  CommonFields fields = request;
  if (!fields.max_tokens) fields.max_tokens = kCompletionTokens;
  for (const PromptInput& prompt : request.prompts) {
    GenerateRequest base = base_request(fields, encode_prompt(prompt, request.add_special_tokens), arrived);
    base.starts_thinking = engine_.chat().opens_thinking(base.prompt);
    base.thinking_budget = under_ceiling(std::nullopt);
    add_choices(plan, base, request.n);
  }
  return plan;
}

Plan Planner::plan(const std::variant<ChatRequest, CompletionRequest>& request, TimePoint arrived) const {
  if (const auto* asked = std::get_if<ChatRequest>(&request)) return chat(*asked, arrived);
  return completion(std::get<CompletionRequest>(request), arrived);
}

}  // namespace tern
