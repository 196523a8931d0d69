// One question and its answer on the terminal, and the chat loop over it.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/chat.h"

namespace tern::app {

struct RunOptions {
  SamplingParams sampling;
  int max_tokens = 0;
  Thinking thinking = Thinking::on;
  std::optional<int> thinking_budget;
  bool show_prompt = false;
  bool json = false;
};

struct Reply {
  std::string thinking, answer;
  FinishEvent finish;
};

/// Asks and prints: thinking dimmed, answer plain, a line with tokens and times on standard error (or one
/// JSON object). Setting `stop` ends the answer early. Throws Error where the request can't run.
Reply ask(Engine& engine, const std::vector<ChatMessage>& messages, const RunOptions& options,
          const std::atomic<bool>* stop = nullptr);

/// Reads lines with editing and history until end of input; Ctrl-C stops an answer and keeps the chat.
void chat(Engine& engine, const RunOptions& options, const std::string& name);

}  // namespace tern::app
