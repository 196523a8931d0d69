// From a checked request to what the engine gets: the model's name, the template, tokens, defaults, bounds.
#pragma once

#include <optional>
#include <span>
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
  /// The tokens of a text or a conversation, none checked against the context. Throws ApiError.
  std::vector<int32_t> tokenize(const TokenizeRequest& request) const;
  /// Their text, special tokens included.
  std::string detokenize(const DetokenizeRequest& request) const;
  Plan plan(const std::variant<ChatRequest, CompletionRequest>& request, TimePoint arrived) const;
  /// Throws ApiError 404 for another model's name.
  void check_model(const std::optional<std::string>& model) const;

 private:
  Plan new_plan(const CommonFields& fields, bool chat) const;
  /// The engine's request for a prompt, all but what only chats have.
  GenerateRequest base_request(const CommonFields& fields, std::vector<int32_t> prompt,
                               TimePoint arrived) const;
  void add_choices(Plan& plan, const GenerateRequest& base, int n) const;
  std::optional<int> thinking_budget(const ChatRequest& request, int max_tokens) const;
  std::optional<int> under_ceiling(std::optional<int> budget) const;
  jinja::Rendered render(const ChatRequest& request) const;
  std::vector<int32_t> encode_text(const std::string& text, bool add_special) const;
  std::vector<int32_t> encode_prompt(const PromptInput& prompt, bool add_special) const;
  void check_ids(std::span<const int32_t> ids, const char* field) const;
  void check_bytes(size_t bytes) const;

  const Engine& engine_;
  std::string alias_;
  int max_n_, max_tokens_;  ///< the operator's ceilings
  float default_temperature_;
  EffortBudgets efforts_;
  std::optional<int> max_thinking_;
  size_t longest_token_ = 1;  ///< bytes
};

}  // namespace tern
