#include "text/special_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

// A text of nothing but these would take this times its length to look through.
constexpr size_t kLongest = 1024;

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

bool is_added(TokenType type) {
  return type == TokenType::control || type == TokenType::unknown || type == TokenType::user_defined;
}

bool is_plain_added(TokenType type, std::string_view token) {
  if (type != TokenType::user_defined || token.empty()) return false;
  return utf8_step(token).bytes == token.size() || std::all_of(token.begin(), token.end(), is_ascii_space);
}

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (!is_added(vocabulary.types[id])) continue;
    if (token.empty()) fail(ErrorKind::bad_input, "vocabulary: special token {} is empty", id);
    if (token.size() > kLongest) {
      fail(ErrorKind::limit, "vocabulary: special token {} has {} bytes, tern takes {}", id, token.size(),
           kLongest);
    }
    const bool plain = is_plain_added(vocabulary.types[id], token);
    has_plain_ |= plain;
    entries_.push_back({token, id, plain});
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.token < b.token; });
  for (const Entry& entry : entries_) ++first_[static_cast<uint8_t>(entry.token[0]) + 1];
  for (size_t byte = 0; byte < 256; ++byte) first_[byte + 1] += first_[byte];
}

int32_t SpecialTokens::longest_at(std::string_view text, size_t at, size_t trusted_end) const {
  const auto byte = static_cast<uint8_t>(text[at]);
  auto low = entries_.begin() + first_[byte], high = entries_.begin() + first_[byte + 1];
  int32_t longest = -1;
  // The entries in [low, high) share their first `length` bytes with the text.
  for (size_t length = 1; low != high; ++length) {
    if (low->token.size() == length) {
      if (low->plain || at + length <= trusted_end) longest = low->id;
      if (++low == high) break;
    }
    if (at + length == text.size()) break;
    const char next = text[at + length];
    const auto less = [length](const Entry& entry, char c) {
      return static_cast<uint8_t>(entry.token[length]) < static_cast<uint8_t>(c);
    };
    const auto greater = [length](char c, const Entry& entry) {
      return static_cast<uint8_t>(c) < static_cast<uint8_t>(entry.token[length]);
    };
    low = std::lower_bound(low, high, next, less);
    high = std::upper_bound(low, high, next, greater);
  }
  return longest;
}

}  // namespace tern
