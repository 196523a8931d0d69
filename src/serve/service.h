// What the server answers, without sockets: routes, and who may ask.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <variant>

#include "engine/engine.h"
#include "serve/api_error.h"
#include "serve/http.h"
#include "serve/live_answer.h"
#include "serve/mailbox.h"
#include "serve/options.h"
#include "serve/planner.h"

namespace tern {

HttpReply error_reply(const ApiError& error);

class Service {
 public:
  /// `loopback`: requests must name this machine in Host and, where there is one, in Origin, so that no web
  /// page can reach the server through a name of its own (DNS rebinding).
  Service(Engine& engine, const ServeOptions& options, std::shared_ptr<Mailbox> mailbox, bool loopback);

  /// Replies through `outlet` before it returns, or returns the answer that will.
  std::shared_ptr<Answer> answer(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  /// From now on new work is refused with 503.
  void drain() { draining_ = true; }
  /// Choices that the engine has, which all doors count together.
  const std::shared_ptr<std::atomic<int>>& active() const { return active_; }

 private:
  using LookUp = HttpReply (Service::*)(const HttpRequest&) const;
  using Generate = std::shared_ptr<Answer> (Service::*)(const HttpRequest&, const std::shared_ptr<Outlet>&);
  struct Route {
    std::string_view path;  ///< one that ends in '/' stands for all below it
    const char* methods;    ///< as in an Allow header
    std::variant<LookUp, Generate> handler;
  };
  static std::span<const Route> routes();

  std::shared_ptr<Answer> route(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  void check_source(const HttpRequest& request) const;
  bool is_ours(std::string_view host) const;

  std::shared_ptr<Answer> chat(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  std::shared_ptr<Answer> completion(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  std::shared_ptr<Answer> generate(Plan plan, const std::shared_ptr<Outlet>& outlet);
  HttpReply models(const HttpRequest& request) const;
  HttpReply model_by_id(const HttpRequest& request) const;
  HttpReply health(const HttpRequest& request) const;

  Engine& engine_;
  const ServeOptions& options_;
  const Planner planner_;
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<std::atomic<int>> active_ =
      std::make_shared<std::atomic<int>>(0);  ///< choices the engine has
  bool loopback_;
  bool draining_ = false;
  int64_t created_;  ///< Unix seconds of the start
};

}  // namespace tern
