// What the server answers, without sockets: routes, and who may ask.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <variant>

#include "engine/engine.h"
#include "serve/api_error.h"
#include "serve/background.h"
#include "serve/guard.h"
#include "serve/http.h"
#include "serve/live_answer.h"
#include "serve/mailbox.h"
#include "serve/options.h"
#include "serve/planner.h"
#include "serve/prepared_answer.h"
#include "serve/stats.h"
#include "serve/telemetry.h"

namespace tern {

HttpReply error_reply(const ApiError& error);

class Service {
 public:
  Service(Engine& engine, const ServeOptions& options, std::shared_ptr<Mailbox> mailbox, Guard& guard);

  /// Replies through `outlet` before it returns, or returns the answer that will.
  std::shared_ptr<Answer> answer(HttpRequest request, const std::shared_ptr<Outlet>& outlet);
  /// Whether answer() needs no body, for the head alone tells that it will refuse: a foreign host, no such
  /// path, no key.
  bool refuses(const HttpRequest& request) const { return by_head(request).has_value(); }
  /// Who asks where `peer` may be a trusted proxy.
  Address client_of(const Address& peer, std::string_view forwarded_for) const;
  /// Header lines that go with any answer to this request.
  std::string cors_headers(const HttpRequest& request) const { return guard_.sources().cors(request.origin); }
  /// From now on new work is refused with 503.
  void drain() { draining_ = true; }
  /// What all doors measure into.
  const std::shared_ptr<Telemetry>& telemetry() const { return telemetry_; }
  /// Remembers how things stand, for what /stats tells of the last seconds; once a second.
  void sample() { window_.sample(*telemetry_, engine_); }
  /// Choices that the engine has, which all doors count together.
  const std::shared_ptr<std::atomic<int>>& active() const { return active_; }

 private:
  using LookUp = HttpReply (Service::*)(const HttpRequest&) const;
  using Generate = std::shared_ptr<Answer> (Service::*)(const HttpRequest&, const std::shared_ptr<Outlet>&);
  struct Route {
    std::string_view path;  ///< one that ends in '/' stands for all below it, "/" for itself alone
    const char* methods;    ///< as in an Allow header
    std::variant<LookUp, Generate> handler;
    bool open = false;  ///< asks for no API key and has no rate limit
  };
  static std::span<const Route> routes();

  static const Route* find_route(const HttpRequest& request);
  /// What is answered to the head alone; nothing where the request may go on.
  std::optional<HttpReply> by_head(const HttpRequest& request) const;
  std::shared_ptr<Answer> route(HttpRequest& request, const std::shared_ptr<Outlet>& outlet);

  std::shared_ptr<Answer> chat(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  std::shared_ptr<Answer> completion(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  std::shared_ptr<Answer> tokenize(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  std::shared_ptr<Answer> detokenize(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  /// Works a request out, here where it is short, else in the background; then answers.
  using WorkOut = std::function<PreparedAnswer::Begin(const HttpRequest&)>;
  std::shared_ptr<Answer> prepare(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet,
                                  const WorkOut& work_out);
  PreparedAnswer::Begin generating(Plan plan, const HttpRequest& request);
  std::shared_ptr<Answer> generate(Plan plan, const std::shared_ptr<Outlet>& outlet);
  HttpReply models(const HttpRequest& request) const;
  HttpReply model_by_id(const HttpRequest& request) const;
  HttpReply health(const HttpRequest& request) const;
  HttpReply version(const HttpRequest& request) const;
  HttpReply page(const HttpRequest& request) const;
  HttpReply ready(const HttpRequest& request) const;
  HttpReply metrics(const HttpRequest& request) const;
  HttpReply stats(const HttpRequest& request) const;

  Engine& engine_;
  const ServeOptions& options_;
  const Planner planner_;
  std::shared_ptr<Mailbox> mailbox_;
  const std::shared_ptr<Telemetry> telemetry_;
  StatsWindow window_;
  std::shared_ptr<std::atomic<int>> active_ =
      std::make_shared<std::atomic<int>>(0);  ///< choices the engine has
  Guard& guard_;
  bool draining_ = false;
  int64_t created_;  ///< Unix seconds of the start
  Background background_;
};

}  // namespace tern
