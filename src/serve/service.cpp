#include "serve/service.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <ctime>

#include "serve/submit.h"

namespace tern {
namespace {

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

/// Whether "GET, HEAD" and the like name the method.
bool takes(std::string_view methods, std::string_view method) {
  const size_t at = methods.find(method);
  return !method.empty() && at != std::string_view::npos &&
         (at + method.size() == methods.size() || methods[at + method.size()] == ',') &&
         (at == 0 || methods[at - 1] == ' ');
}

HttpReply not_allowed(const HttpRequest& request, const char* methods) {
  HttpReply reply = error_reply(
      ApiError(405, fmt::format("{} {} is not allowed; use {}.", request.method, request.path, methods)));
  reply.headers.emplace_back("Allow", methods);
  return reply;
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
  return reply;
}

Service::Service(Engine& engine, const ServeOptions& options, std::shared_ptr<Mailbox> mailbox, bool loopback)
    : engine_(engine),
      options_(options),
      planner_(engine, options),
      mailbox_(std::move(mailbox)),
      loopback_(loopback),
      created_(std::time(nullptr)) {}

std::shared_ptr<Answer> Service::answer(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  try {
    check_source(request);
    return route(request, outlet);
  } catch (const std::exception& error) {
    outlet->reply(error_reply(api_error_of(error)));
    return nullptr;
  }
}

std::span<const Service::Route> Service::routes() {
  static const Route kRoutes[] = {
      {"/v1/chat/completions", "POST", &Service::chat}, {"/v1/completions", "POST", &Service::completion},
      {"/v1/models", "GET, HEAD", &Service::models},    {"/v1/models/", "GET, HEAD", &Service::model_by_id},
      {"/health", "GET, HEAD", &Service::health},
  };
  return kRoutes;
}

std::shared_ptr<Answer> Service::route(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  const auto leads_here = [&](const Route& route) {
    const std::string_view path = request.path;
    return path == route.path || (route.path.ends_with('/') && path.starts_with(route.path));
  };
  const auto route = std::find_if(routes().begin(), routes().end(), leads_here);
  if (route == routes().end()) throw ApiError(404, fmt::format("There is nothing at {}.", request.path));
  if (!takes(route->methods, request.method)) {
    outlet->reply(not_allowed(request, route->methods));
    return nullptr;
  }
  if (const auto* generate = std::get_if<Generate>(&route->handler))
    return (this->**generate)(request, outlet);
  outlet->reply((this->*std::get<LookUp>(route->handler))(request));
  return nullptr;
}

std::shared_ptr<Answer> Service::chat(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet) {
  return generate(planner_.chat(with_header(parse_chat_request(request.body), request), request.arrived),
                  outlet);
}

std::shared_ptr<Answer> Service::completion(const HttpRequest& request,
                                            const std::shared_ptr<Outlet>& outlet) {
  return generate(
      planner_.completion(with_header(parse_completion_request(request.body), request), request.arrived),
      outlet);
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

HttpReply Service::models(const HttpRequest&) const {
  return {200, models_reply(options_.alias, created_, engine_.context()), {}};
}

HttpReply Service::model_by_id(const HttpRequest& request) const {
  constexpr std::string_view kBefore = "/v1/models/";
  planner_.check_model(percent_decoded(std::string_view(request.path).substr(kBefore.size())));
  return {200, model_reply(options_.alias, created_, engine_.context()), {}};
}

std::shared_ptr<Answer> Service::generate(Plan plan, const std::shared_ptr<Outlet>& outlet) {
  if (draining_) throw ApiError(503, "The server is shutting down.");
  check_room(active_->load(), plan.requests.size(), options_.max_choices);
  return LiveAnswer::start(engine_, mailbox_, active_, std::move(plan), outlet);
}

}  // namespace tern
