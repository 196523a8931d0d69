// A model that says what it was told to say to each query, with a vocabulary of bytes.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "tasks/search/search.h"
#include "tests/engine/fakes.h"
#include "text/chat.h"

namespace tern {

/// 256 bytes and the six special tokens.
inline Tokenizer small_tokenizer() {
  return Tokenizer(tern_vocabulary({}, 262));
}

/// Says what it was told to say after each prompt, whoever shares the batch.
class Parrot {
 public:
  explicit Parrot(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void teach(const search::Example& example, const std::string& thinking, const std::string& answer,
             Thinking mode) {
    const std::array<ChatMessage, 1> messages{{{"user", example.query}}};
    std::vector<int32_t> reply;
    if (mode == Thinking::on) {
      reply = tokenizer_.encode(thinking);
      reply.push_back(*thinking_tokens(tokenizer_).close);
    }
    for (const int32_t id : tokenizer_.encode(answer)) reply.push_back(id);
    reply.push_back(*tokenizer_.vocabulary().eos);
    replies_[render_chat(tokenizer_, messages, mode)] = reply;
  }

  fake::Script script() const {
    return [replies = replies_](std::span<const int32_t> prefix, std::span<float> logits) {
      std::fill(logits.begin(), logits.end(), -50.0f);
      const std::vector<int32_t>* longest = nullptr;  // one prompt may begin as another
      for (const auto& [prompt, reply] : replies) {
        if (prefix.size() < prompt.size() || (longest && prompt.size() < longest->size())) continue;
        if (std::equal(prompt.begin(), prompt.end(), prefix.begin())) longest = &prompt;
      }
      if (!longest) return;
      const std::vector<int32_t>& reply = replies.at(*longest);
      const size_t said = prefix.size() - longest->size();
      if (said < reply.size()) logits[reply[said]] = 0;
    };
  }

 private:
  const Tokenizer& tokenizer_;
  std::map<std::vector<int32_t>, std::vector<int32_t>> replies_;
};

}  // namespace tern
