#include "serve/service.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <ctime>
#include <utility>

#include "serve/metrics.h"
#include "serve/page.h"
#include "serve/submit.h"

namespace tern {
namespace {

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

/// Whether "GET, HEAD" and the like name the method.
bool takes(std::string_view methods, std::string_view method) {
  const size_t at = methods.find(method);
  return !method.empty() && at != std::string_view::npos &&
         (at + method.size() == methods.size() || methods[at + method.size()] == ',') &&
         (at == 0 || methods[at - 1] == ' ');
}

ApiError nothing_at(const HttpRequest& request) {
  return ApiError(404, fmt::format("There is nothing at {}.", request.path));
}

HttpReply not_allowed(const HttpRequest& request, const char* methods) {
  HttpReply reply = error_reply(
      ApiError(405, fmt::format("{} {} is not allowed; use {}.", request.method, request.path, methods)));
  reply.headers.emplace_back("Allow", methods);
  return reply;
}

/// What a browser asks before it lets a page of an allowed origin send more than a form could.
HttpReply preflight_reply(const char* methods) {
  HttpReply reply{204, "", {}};
  reply.headers = {
      {"Access-Control-Allow-Methods", methods},
      {"Access-Control-Allow-Headers", "Authorization, Content-Type, X-Tern-Deadline-Ms, traceparent"},
      {"Access-Control-Max-Age", "600"}};
  return reply;
}

// Bodies up to this long are worked out on the I/O thread: at some MB/s of tokenizing a few milliseconds. The
// others wait for a thread of their own, so that no stream waits for them.
constexpr size_t kShortBody = 16 << 10;
constexpr size_t kMostLongBodies = 64 << 20;

PreparedAnswer::Begin replying(HttpReply reply) {
  return [reply = std::move(reply)](const std::shared_ptr<Outlet>& outlet) -> std::shared_ptr<Answer> {
    outlet->reply(reply);
    return nullptr;
  };
}

PreparedAnswer::Begin replying(std::string body) {
  return replying(HttpReply{200, std::move(body), {}});
}

/// The deadline of X-Tern-Deadline-Ms, where the body names none.
template <typename Fields>
Fields with_header(Fields fields, const HttpRequest& request) {
  if (!request.deadline_ms.empty() && !fields.deadline_ms)
    fields.deadline_ms = parse_deadline_ms(request.deadline_ms);
  return fields;
}

}  // namespace

HttpReply error_reply(const ApiError& error) {
  HttpReply reply{error.status(), error.json(), {}};
  if (const auto retry = error.retry_s()) {
    const auto ms = static_cast<int64_t>(std::ceil(*retry * 1000));
    reply.headers.emplace_back("Retry-After", std::to_string((ms + 999) / 1000));
    reply.headers.emplace_back("retry-after-ms", std::to_string(ms));
  }
  if (error.status() == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"tern\"");
  return reply;
}

Service::Service(Engine& engine, const ServeOptions& options, std::shared_ptr<Mailbox> mailbox, Guard& guard)
    : engine_(engine),
      options_(options),
      planner_(engine, options),
      mailbox_(std::move(mailbox)),
      telemetry_(std::make_shared<Telemetry>(options.log, options.log_prompts, options.log_fd)),
      guard_(guard),
      created_(std::time(nullptr)),
      background_(kMostLongBodies) {}

std::shared_ptr<Answer> Service::answer(HttpRequest request, const std::shared_ptr<Outlet>& outlet) {
  try {
    if (const auto reply = by_head(request)) {
      outlet->reply(*reply);
      return nullptr;
    }
    return route(request, outlet);
  } catch (const std::exception& error) {
    outlet->reply(error_reply(api_error_of(error)));
    return nullptr;
  }
}

std::span<const Service::Route> Service::routes() {
  static const Route kRoutes[] = {
      {"/v1/chat/completions", "POST", &Service::chat},   {"/v1/completions", "POST", &Service::completion},
      {"/v1/models", "GET, HEAD", &Service::models},      {"/v1/models/", "GET, HEAD", &Service::model_by_id},
      {"/tokenize", "POST", &Service::tokenize},          {"/detokenize", "POST", &Service::detokenize},
      {"/version", "GET, HEAD", &Service::version, true}, {"/health", "GET, HEAD", &Service::health, true},
      {"/ready", "GET, HEAD", &Service::ready, true},     {"/metrics", "GET, HEAD", &Service::metrics, true},
      {"/stats", "GET, HEAD", &Service::stats},           {"/", "GET, HEAD", &Service::page, true},
      {"/web/", "GET, HEAD", &Service::page, true},
  };
  return kRoutes;
}

Address Service::client_of(const Address& peer, std::string_view forwarded_for) const {
  return client_address(peer, forwarded_for, guard_.proxies());
}

const Service::Route* Service::find_route(const HttpRequest& request) {
  const auto leads_here = [&](const Route& route) {
    const std::string_view path = request.path;
    const bool all_below = route.path.size() > 1 && route.path.ends_with('/');
    return path == route.path || (all_below && path.starts_with(route.path));
  };
  const auto route = std::find_if(routes().begin(), routes().end(), leads_here);
  return route == routes().end() ? nullptr : &*route;
}

std::optional<HttpReply> Service::by_head(const HttpRequest& request) const try {
  guard_.sources().check(request.host, request.origin);
  const Route* route = find_route(request);
  if (!route) throw nothing_at(request);
  if (request.meter) request.meter->set_route(route->path);
  const bool preflight = request.method == "OPTIONS" && !request.preflight.empty();
  if (preflight && guard_.sources().allows(request.origin)) return preflight_reply(route->methods);
  if (!takes(route->methods, request.method)) return not_allowed(request, route->methods);
  if (!route->open) guard_.admit(request.authorization, request.client);
  return std::nullopt;
} catch (const std::exception& error) {
  return error_reply(api_error_of(error));
}

std::shared_ptr<Answer> Service::route(HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  const Route& route = *find_route(request);
  if (!route.open) {
    request.caller = guard_.admit(request.authorization, request.client);
    if (request.method == "POST") Guard::count(request.caller);  // looking something up is free
  }
  if (const auto* generate = std::get_if<Generate>(&route.handler))
    return (this->**generate)(request, outlet);
  outlet->reply((this->*std::get<LookUp>(route.handler))(request));
  return nullptr;
}

std::shared_ptr<Answer> Service::chat(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  return prepare(request, outlet, [this](const HttpRequest& asked) {
    return generating(planner_.chat(with_header(parse_chat_request(asked.body), asked), asked.arrived),
                      asked);
  });
}

std::shared_ptr<Answer> Service::completion(const HttpRequest& request,
                                            const std::shared_ptr<Outlet>& outlet) {
  return prepare(request, outlet, [this](const HttpRequest& asked) {
    return generating(
        planner_.completion(with_header(parse_completion_request(asked.body), asked), asked.arrived), asked);
  });
}

std::shared_ptr<Answer> Service::tokenize(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  return prepare(request, outlet, [this](const HttpRequest& asked) {
    const TokenizeRequest tokenize = parse_tokenize_request(asked.body);
    return replying(tokenize_reply(engine_.tokenizer(), planner_.tokenize(tokenize),
                                   tokenize.return_token_strs, engine_.context()));
  });
}

std::shared_ptr<Answer> Service::detokenize(const HttpRequest& request,
                                            const std::shared_ptr<Outlet>& outlet) {
  return prepare(request, outlet, [this](const HttpRequest& asked) {
    return replying(detokenize_reply(planner_.detokenize(parse_detokenize_request(asked.body))));
  });
}

std::shared_ptr<Answer> Service::prepare(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet,
                                         const WorkOut& work_out) {
  if (request.body.size() <= kShortBody) return work_out(request)(outlet);
  const auto answer = std::make_shared<PreparedAnswer>(outlet);
  auto job = [request, work_out, to = std::weak_ptr(answer), mailbox = mailbox_] {
    if (to.expired()) return;
    PreparedAnswer::Begin begin;
    try {
      begin = work_out(request);
    } catch (const std::exception& error) {
      begin = replying(error_reply(api_error_of(error)));
    }
    mailbox->post([to, begin] {
      if (const auto prepared = to.lock()) prepared->begin(begin);
    });
  };
  if (!background_.run(request.body.size(), std::move(job)))
    throw ApiError(429, "Too many long requests are waiting; try again soon.", "", "queue_full")
        .retry_after(1);
  return answer;
}

PreparedAnswer::Begin Service::generating(Plan plan, const HttpRequest& request) {
  plan.account = request.caller.account;
  plan.meter = request.meter;
  return [this, plan = std::make_shared<Plan>(std::move(plan))](
             const std::shared_ptr<Outlet>& outlet) -> std::shared_ptr<Answer> {
    try {
      return generate(std::move(*plan), outlet);
    } catch (const std::exception& error) {
      outlet->reply(error_reply(api_error_of(error)));
      return nullptr;
    }
  };
}

/// Alive: idle, or the engine stepped recently. Load and long prompts change nothing.
HttpReply Service::health(const HttpRequest&) const {
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

HttpReply Service::version(const HttpRequest&) const {
  return {200, ReplyJson{{"version", options_.version}}.dump(), {}};
}

/// Whether new requests are welcome. How many there are changes nothing: a server that is busy refuses what
/// it can't do in time, and says when to come again.
HttpReply Service::ready(const HttpRequest&) const {
  const ReplyJson json = {{"status", draining_ ? "draining" : "ready"}, {"model", options_.alias}};
  return {draining_ ? 503 : 200, json.dump(), {}};
}

HttpReply Service::metrics(const HttpRequest&) const {
  return {200, metrics_text(engine_, *telemetry_, options_.alias), {}, kMetricsType};
}

HttpReply Service::stats(const HttpRequest&) const {
  return {200, window_.json(*telemetry_, engine_, options_.alias), {}};
}

HttpReply Service::models(const HttpRequest&) const {
  return {200, models_reply(options_.alias, created_, engine_.context()), {}};
}

HttpReply Service::model_by_id(const HttpRequest& request) const {
  constexpr std::string_view kBefore = "/v1/models/";
  planner_.check_model(percent_decoded(std::string_view(request.path).substr(kBefore.size())));
  return {200, model_reply(options_.alias, created_, engine_.context()), {}};
}

HttpReply Service::page(const HttpRequest& request) const {
  if (auto reply = page_reply(request)) return *std::move(reply);
  throw nothing_at(request);
}

std::shared_ptr<Answer> Service::generate(Plan plan, const std::shared_ptr<Outlet>& outlet) {
  if (draining_) throw ApiError(503, "The server is shutting down.");
  check_room(active_->load(), plan.requests.size(), options_.max_choices);
  const int prompt_tokens = plan.prompt_tokens;
  const auto account = plan.account;
  auto answer = LiveAnswer::start(engine_, mailbox_, active_, std::move(plan), outlet);
  if (account) account->spend(prompt_tokens, Clock::now());
  return answer;
}

}  // namespace tern
