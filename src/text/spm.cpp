#include "text/spm.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "text/special_tokens.h"
#include "text/token_index.h"

namespace tern {
namespace {

constexpr std::string_view kLowerBlock = "\u2581";

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(from, at), text.size());
    out.append(text.substr(at, found - at));
    if (found < text.size()) out.append(to);
    at = found + from.size();
  }
  return out;
}

std::string byte_of(std::string_view written) {
  uint8_t byte = 0;
  if (written.size() == 6 && written.starts_with("<0x") && written.ends_with('>')) {
    const char* end = written.data() + 5;
    const auto [last, error] = std::from_chars(written.data() + 3, end, byte, 16);
    if (error == std::errc{} && last == end) return std::string(1, static_cast<char>(byte));
  }
  fail(ErrorKind::bad_input, "vocabulary: byte token \"{}\", expected one such as \"<0x0A>\"", written);
}

// What each token that merges make scores: minus the place, among such tokens, of its first merge.
std::vector<float> scores_of_merges(const Vocabulary& vocabulary, const TokenIndex& index) {
  std::vector<float> scores(vocabulary.tokens.size(), 0);
  std::vector<bool> made(vocabulary.tokens.size(), false);
  float next = 0;
  int32_t last = -1;
  for (const auto& [left, right] : vocabulary.merges) {
    const int32_t id = index.learned.find(left + right);
    if (id == last) continue;
    if (made[id]) {
      fail(ErrorKind::unsupported,
           "vocabulary: the merges to token {} (\"{}\") stand apart, no scores say that", id, left + right);
    }
    made[id] = true;
    scores[id] = next--;
    last = id;
  }
  // What no merge makes comes last, as SentencePiece has its characters.
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!made[id] && !is_added(vocabulary.types[id])) scores[id] = next--;
  }
  return scores;
}

}  // namespace

std::string spm_bytes(std::string_view written, TokenType type) {
  if (type == TokenType::byte) return byte_of(written);
  if (is_added(type)) return std::string(written);
  if (written.find(' ') != std::string_view::npos) {
    fail(ErrorKind::bad_input, "vocabulary: token \"{}\" has a space, expected \"▁\" for it", written);
  }
  return replace_all(written, kLowerBlock, " ");
}

std::string spm_spelling(std::string_view bytes, TokenType type) {
  if (type == TokenType::byte) return fmt::format("<0x{:02X}>", static_cast<uint8_t>(bytes.at(0)));
  if (is_added(type)) return std::string(bytes);
  return replace_all(bytes, " ", kLowerBlock);
}

std::vector<float> spm_scores(const Vocabulary& vocabulary) {
  if (vocabulary.merges.empty()) return vocabulary.scores;
  const TokenIndex index = index_tokens(vocabulary);
  const MergeRules rules = merge_rules(vocabulary, index);
  Vocabulary scored = vocabulary;
  scored.merges.clear();
  scored.scores = scores_of_merges(vocabulary, index);
  // Scores merge any two tokens that together are one.
  for (const ScoredMerge& merge : merges_by_score(scored, index)) {
    if (rules.table.find(merge.left, merge.right)) continue;
    fail(ErrorKind::unsupported,
         "vocabulary: tokens {} and {} together are token {} but don't merge, no scores say that", merge.left,
         merge.right, merge.id);
  }
  if (vocabulary.split_spaces) {
    index.learned.each([](std::string_view token, int32_t id) {
      if (token.find(' ', 1) == std::string_view::npos) return;
      fail(ErrorKind::unsupported, "vocabulary: token {} is cut at its spaces, GGUF has no key for that", id);
    });
  }
  return scored.scores;
}

std::vector<std::pair<std::string, std::string>> spm_merges(const Vocabulary& vocabulary) {
  if (!vocabulary.merges.empty()) return vocabulary.merges;
  std::vector<std::pair<std::string, std::string>> merges;
  for (const ScoredMerge& merge : merges_by_score(vocabulary, index_tokens(vocabulary))) {
    merges.emplace_back(vocabulary.tokens[merge.left], vocabulary.tokens[merge.right]);
  }
  return merges;
}

}  // namespace tern
