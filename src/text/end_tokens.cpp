#include "text/end_tokens.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_map>

#include "text/special_tokens.h"

namespace tern {
namespace {

// Ends of turns and texts, of Llama, Qwen, DeepSeek, gpt-oss, Kimi and others; the last lines are what fills
// a training batch or parts the files of a repository, which no reply has inside.
constexpr std::string_view kEndNames[] = {
    "</s>",
    "<eos>",
    "<EOT>",
    "_<EOT>",
    "[EOS]",
    "[EOT]",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
    "<|eos|>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
};

}  // namespace

std::vector<bool> named_ends(const Vocabulary& vocabulary) {
  std::vector<bool> ends(vocabulary.tokens.size(), false);
  std::unordered_map<std::string_view, int32_t> found;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!is_added(vocabulary.types[id])) continue;
    const auto* name = std::find(std::begin(kEndNames), std::end(kEndNames), vocabulary.tokens[id]);
    if (name != std::end(kEndNames)) found.emplace(*name, id);
  }
  for (const auto& [name, id] : found) ends[id] = true;
  // Where a reply is made of channels (gpt-oss), <|end|> ends one of them and the reply goes on.
  const bool channels = found.contains("<|return|>") && found.contains("<|call|>");
  const bool flushes = found.contains("<|flush|>") && found.contains("<|calls|>");
  if ((channels || flushes) && found.contains("<|end|>")) ends[found["<|end|>"]] = false;
  return ends;
}

std::vector<bool> end_tokens(const Vocabulary& vocabulary) {
  std::vector<bool> ends = named_ends(vocabulary);
  for (const auto& id : {vocabulary.eos, vocabulary.eot, vocabulary.eom}) {
    if (id) ends[*id] = true;
  }
  for (const int32_t id : vocabulary.ends) ends[id] = true;
  return ends;
}

}  // namespace tern
