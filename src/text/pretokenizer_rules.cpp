// The pre-tokenizers that have names in GGUF files.
#include <algorithm>

#include "base/error.h"
#include "text/patterns.h"
#include "text/pretokenizer.h"
#include "text/regex.h"

namespace tern {
namespace {

const std::vector<PreTokenizerRule>& rules() {
  static const std::vector<PreTokenizerRule> table = {
      {.name = "gpt-2", .aliases = {"gigachat"}, .patterns = {kGpt2}},
      {.name = "llama-bpe",
       .aliases = {"llama3", "llama-v3"},
       .patterns = {kLlama3},
       .ignore_merges = true,
       .add_bos = true},
      {.name = "smaug-bpe", .aliases = {"dbrx", "glm4", "chatglm-bpe"}, .patterns = {kLlama3}},
      {.name = "qwen2", .aliases = {"deepseek-r1-qwen"}, .patterns = {kQwen2}},
      {.name = "qwen35", .patterns = {kQwen35}},
      {.name = "deepseek-llm",
       .patterns = {kNewline, kDeepseekWord, kDeepseekPunctuation, kTrailingSpace, kDeepseekHan, kDigit}},
      {.name = "deepseek-coder",
       .patterns = {kNewline, kSpacedLetters, kSpacedPunctuation, kDeepseekHan, kDigit}},
      {.name = "deepseek-v3", .patterns = {kDigits, kDeepseekV3Han, kDeepseekV3}},
      // These two were made from tiktoken's files: there a piece that is a token is that token.
      {.name = "gpt-4o", .patterns = {kGpt4o}, .ignore_merges = true},
      {.name = "kimi-k2", .patterns = {kKimiK2}, .ignore_merges = true},
      {.name = "tekken", .patterns = {kTekken}, .ignore_merges = true, .add_bos = true},
      {.name = "starcoder", .aliases = {"smollm"}, .patterns = {kDigit, kGpt2}},
  };
  return table;
}

bool same_patterns(const PreTokenizerRule& rule, const std::vector<std::string>& patterns) {
  return std::equal(rule.patterns.begin(), rule.patterns.end(), patterns.begin(), patterns.end(),
                    [](const std::string& a, const std::string& b) {
                      return canonical_pattern(a) == canonical_pattern(b);
                    });
}

}  // namespace

const PreTokenizerRule& pre_tokenizer_rule(std::string_view name) {
  std::string known;
  for (const PreTokenizerRule& rule : rules()) {
    if (rule.name == name) return rule;
    for (const std::string_view alias : rule.aliases) {
      if (alias == name) return rule;
    }
    known += (known.empty() ? "" : ", ") + std::string(rule.name);
  }
  fail(ErrorKind::unsupported, "pre-tokenizer \"{}\" is not one that tern knows ({})", name, known);
}

const PreTokenizerRule* find_pre_tokenizer_rule(const std::vector<std::string>& patterns,
                                                bool ignore_merges) {
  for (const PreTokenizerRule& rule : rules()) {
    if (rule.ignore_merges == ignore_merges && same_patterns(rule, patterns)) return &rule;
  }
  return nullptr;
}

}  // namespace tern
