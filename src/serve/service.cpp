#include "serve/service.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <ctime>
#include <new>
#include <random>

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

HttpReply error_of(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error)) return error_reply(*api);
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    const bool internal = ours->kind() == ErrorKind::internal || ours->kind() == ErrorKind::io;
    return error_reply(ApiError(internal ? 500 : 400, ours->what()));
  }
  if (dynamic_cast<const std::bad_alloc*>(&error))
    return error_reply(ApiError(503, "Not enough memory right now."));
  return error_reply(ApiError(500, "The server failed on this request."));
}

/// "HOST:9 " in lower case without its port: "host". A bracketed IPv6 address keeps its brackets.
std::string host_name(std::string_view host) {
  const size_t end = host.starts_with('[') ? host.find(']') + 1 : host.find(':');
  std::string name(host.substr(0, end));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

/// %2F and the like; anything that is no valid escape stays as it is.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    const size_t at = std::string_view("0123456789abcdef").find(static_cast<char>(std::tolower(c)));
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    out += escape ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return out;
}

HttpReply not_allowed(const HttpRequest& request, const char* methods) {
  HttpReply reply = error_reply(
      ApiError(405, fmt::format("{} {} is not allowed; use {}.", request.method, request.path, methods)));
  reply.headers.emplace_back("Allow", methods);
  return reply;
}

uint64_t random_seed() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  return random();
}

/// The deadline of X-Tern-Deadline-Ms, where the body names none.
template <typename Fields>
Fields with_header(Fields fields, const HttpRequest& request) {
  if (!request.deadline_ms.empty() && !fields.deadline_ms)
    fields.deadline_ms = parse_deadline_ms(request.deadline_ms);
  return fields;
}

/// A list that the template must ask for, or its tools would be forgotten without a word.
void check_asked_for(const ChatFormat& format, const ChatRequest& request, const char* field) {
  const jinja::Value* value = request.variables.get(field);
  if (!value || value->is_none() || format.asks_for(field)) return;
  refuse(field, "unsupported_parameter",
         "'{}' is not supported: this model's chat template has no place for it.", field);
}

}  // namespace

HttpReply error_reply(const ApiError& error) {
  HttpReply reply{error.status(), error.json(), {}};
  if (const auto retry = error.retry_s()) {
    const auto ms = static_cast<int64_t>(std::ceil(*retry * 1000));
    reply.headers.emplace_back("Retry-After", std::to_string((ms + 999) / 1000));
    reply.headers.emplace_back("retry-after-ms", std::to_string(ms));
  }
  return reply;
}

Service::Service(Engine& engine, const ServeOptions& options, std::shared_ptr<Mailbox> mailbox, bool loopback)
    : engine_(engine),
      options_(options),
      mailbox_(std::move(mailbox)),
      loopback_(loopback),
      created_(std::time(nullptr)) {
  const bool own_format = engine.tokenizer().vocabulary().chat_template == kTernChatTemplate;
  default_temperature_ = options.default_temperature.value_or(own_format ? 0.0f : 1.0f);
  for (int32_t id = 0; id < engine.tokenizer().size(); ++id) {
    longest_token_ = std::max(longest_token_, engine.tokenizer().bytes(id).size());
  }
}

std::shared_ptr<Answer> Service::answer(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  try {
    check_source(request);
    return route(request, outlet);
  } catch (const std::exception& error) {
    outlet->reply(error_of(error));
    return nullptr;
  }
}

std::shared_ptr<Answer> Service::route(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  const bool chat = request.path == "/v1/chat/completions";
  if (chat || request.path == "/v1/completions") {
    if (request.method != "POST") {
      outlet->reply(not_allowed(request, "POST"));
      return nullptr;
    }
    return generate(
        chat ? plan_chat(with_header(parse_chat_request(request.body), request), request.arrived)
             : plan_completion(with_header(parse_completion_request(request.body), request), request.arrived),
        outlet);
  }
  outlet->reply(look_up(request));
  return nullptr;
}

HttpReply Service::look_up(const HttpRequest& request) const {
  constexpr std::string_view kModels = "/v1/models";
  const std::string_view path = request.path;
  const bool one_model = path.starts_with("/v1/models/");
  if (path != "/health" && path != kModels && !one_model) {
    throw ApiError(404, fmt::format("There is nothing at {}.", path));
  }
  if (request.method != "GET" && request.method != "HEAD") return not_allowed(request, "GET, HEAD");
  if (path == "/health") return health();
  if (one_model) return model_by_id(path.substr(kModels.size() + 1));
  return {200, models_reply(options_.alias, created_, engine_.context()), {}};
}

bool Service::is_ours(std::string_view host) const {
  const std::string name = host_name(host);
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]" || name == host_name(options_.host);
}

void Service::check_source(const HttpRequest& request) const {
  if (!loopback_) return;
  if (!request.host.empty() && !is_ours(request.host)) {
    throw ApiError(403, fmt::format("Host \"{}\" is not this machine; the server listens on {} only.",
                                    request.host, options_.host));
  }
  const size_t scheme = request.origin.find("://");
  const bool ours =
      scheme != std::string::npos && is_ours(std::string_view(request.origin).substr(scheme + 3));
  if (!request.origin.empty() && !ours) {
    throw ApiError(403, fmt::format("Pages of \"{}\" may not use this server.", request.origin));
  }
}

/// Alive: idle, or the engine stepped recently. Load and long prompts change nothing.
HttpReply Service::health() const {
  const EngineStatus status = engine_.status();
  const double patience = std::chrono::duration<double>(options_.stalled_after).count();
  const bool stalled = status.running + status.waiting > 0 && status.seconds_since_step > patience;
  ReplyJson json;
  json["status"] = stalled ? "stalled" : draining_ ? "draining" : "ok";
  json["running"] = status.running;
  json["waiting"] = status.waiting;
  json["step_ms"] = {{"p50", status.step_p50_s * 1e3}, {"p99", status.step_p99_s * 1e3}};
  return {stalled ? 503 : 200, json.dump(), {}};
}

HttpReply Service::model_by_id(std::string_view id) const {
  check_model(percent_decoded(id));
  return {200, model_reply(options_.alias, created_, engine_.context()), {}};
}

void Service::check_model(const std::optional<std::string>& model) const {
  if (!model || *model == options_.alias) return;
  throw ApiError(
      404, fmt::format("The model '{}' does not exist here; this server has '{}'.", *model, options_.alias),
      "model", "model_not_found");
}

/// Text that can't fit in the context is refused before time is spent on its tokens.
void Service::check_bytes(size_t bytes) const {
  const size_t least_tokens = bytes / longest_token_;
  if (least_tokens >= static_cast<size_t>(engine_.context()))
    refuse_length(engine_.context(), least_tokens, "at least ");
}

std::shared_ptr<Answer> Service::generate(Plan plan, const std::shared_ptr<Outlet>& outlet) {
  if (draining_) throw ApiError(503, "The server is shutting down.");
  if (active_->load() + static_cast<int>(plan.requests.size()) > options_.max_choices) {
    throw ApiError(429, "Too many requests are waiting; try again soon.", "", "queue_full").retry_after(1);
  }
  return LiveAnswer::start(engine_, mailbox_, active_, std::move(plan), outlet);
}

Plan Service::new_plan(const CommonFields& fields, bool chat) const {
  check_model(fields.model);
  Plan plan;
  plan.head = {chat, new_reply_id(chat), std::time(nullptr), options_.alias};
  plan.stream = fields.stream;
  plan.include_usage = fields.include_usage;
  plan.return_token_ids = fields.return_token_ids;
  plan.continuous_usage = fields.continuous_usage;
  return plan;
}

GenerateRequest Service::base_request(const CommonFields& fields, std::vector<int32_t> prompt,
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
void Service::add_choices(Plan& plan, const GenerateRequest& base, int n) const {
  plan.prompt_tokens += static_cast<int>(base.prompt.size());
  for (int i = 0; i < n; ++i) {
    plan.requests.push_back(base);
    plan.requests.back().sampling.seed += static_cast<uint64_t>(i);
  }
}

Plan Service::plan_chat(const ChatRequest& request, TimePoint arrived) const {
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

std::vector<int32_t> Service::encode_prompt(const PromptInput& prompt) const {
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

Plan Service::plan_completion(const CompletionRequest& request, TimePoint arrived) const {
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

}  // namespace tern
