#include "measure/search_request.h"

#include <array>

namespace tern {

GenerateRequest search_request(const Engine& engine, const std::string& query, Thinking thinking) {
  GenerateRequest request;
  request.prompt = render_chat(engine.tokenizer(), std::array<ChatMessage, 1>{{{"user", query}}}, thinking);
  request.starts_thinking = thinking == Thinking::on;
  return request;
}

void ReplySink::on_token(const TokenEvent& event) {
  take(event.text, event.thinking);
}

void ReplySink::on_finish(const FinishEvent& event) {
  take(event.text, event.thinking);
  reply_.thinking_tokens = event.usage.reasoning_tokens;
  reply_.answer_tokens = event.usage.completion_tokens - event.usage.reasoning_tokens;
  finish_ = event;
  const std::lock_guard lock(gate_.mutex);
  --gate_.open;
  ++gate_.done;
  gate_.changed.notify_one();
}

void ReplySink::take(const std::string& text, bool thinking) {
  (thinking ? reply_.thinking : reply_.answer) += text;
}

}  // namespace tern
