// What the server answers, without sockets: routes, checks, and plans for the engine.
#pragma once

#include <atomic>
#include <memory>

#include "engine/engine.h"
#include "serve/api_error.h"
#include "serve/http.h"
#include "serve/live_answer.h"
#include "serve/mailbox.h"
#include "serve/openai.h"
#include "serve/options.h"

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

 private:
  std::shared_ptr<Answer> route(const HttpRequest& request, const std::shared_ptr<Outlet>& outlet);
  HttpReply look_up(const HttpRequest& request) const;
  void check_source(const HttpRequest& request) const;
  bool is_ours(std::string_view host) const;
  HttpReply health() const;
  HttpReply model_by_id(std::string_view id) const;

  std::shared_ptr<Answer> generate(Plan plan, const std::shared_ptr<Outlet>& outlet);
  Plan plan_chat(const ChatRequest& request, TimePoint arrived) const;
  Plan plan_completion(const CompletionRequest& request, TimePoint arrived) const;
  Plan new_plan(const CommonFields& fields, bool chat) const;
  /// The engine's request for a prompt, all but what only chats have.
  GenerateRequest base_request(const CommonFields& fields, std::vector<int32_t> prompt,
                               TimePoint arrived) const;
  void add_choices(Plan& plan, const GenerateRequest& base, int n) const;
  std::vector<int32_t> encode_prompt(const PromptInput& prompt) const;
  void check_model(const std::optional<std::string>& model) const;
  void check_bytes(size_t bytes) const;

  Engine& engine_;
  const ServeOptions& options_;
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<std::atomic<int>> active_ =
      std::make_shared<std::atomic<int>>(0);  ///< choices the engine has
  bool loopback_;
  bool draining_ = false;
  int64_t created_;  ///< Unix seconds of the start
  float default_temperature_;
  size_t longest_token_ = 1;  ///< bytes
};

}  // namespace tern
