// From a checked request to what the engine gets: the model's name, the template, tokens, defaults, bounds.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "serve/live_answer.h"
#include "serve/openai.h"
#include "serve/options.h"

namespace tern {

/// Holds nothing that changes, so any thread may ask it.
class Planner {
 public:
  /// `engine` must outlive it.
  Planner(const Engine& engine, const ServeOptions& options);

  /// Throw ApiError for what this model can't answer; `arrived` is where deadlines count from.
  Plan chat(const ChatRequest& request, TimePoint arrived) const;
  Plan completion(const CompletionRequest& request, TimePoint arrived) const;
  Plan plan(const std::variant<ChatRequest, CompletionRequest>& request, TimePoint arrived) const;
  /// Throws ApiError 404 for another model's name.
  void check_model(const std::optional<std::string>& model) const;

 private:
  Plan new_plan(const CommonFields& fields, bool chat) const;
  /// The engine's request for a prompt, all but what only chats have.
  GenerateRequest base_request(const CommonFields& fields, std::vector<int32_t> prompt,
                               TimePoint arrived) const;
  void add_choices(Plan& plan, const GenerateRequest& base, int n) const;
  std::vector<int32_t> encode_prompt(const PromptInput& prompt) const;
  void check_bytes(size_t bytes) const;

  const Engine& engine_;
  std::string alias_;
  float default_temperature_;
  size_t longest_token_ = 1;  ///< bytes
};

}  // namespace tern
