// Finds the tokens that are recognised in a text as they stand there, before anything is cut or merged.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace tern {

/// Control, unknown and user-defined tokens: those that are no product of merges.
bool is_added(TokenType type);

/// User-defined tokens of one character or of white space: text, not markers.
bool is_plain_added(TokenType type, std::string_view token);

/// Keeps views of the vocabulary's tokens.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  /// The longest added token that stands in `text` at `at`; -1 if none. Markers count only where they end no
  /// later than `trusted_end`.
  int32_t longest_at(std::string_view text, size_t at, size_t trusted_end) const;

  /// Whether some are recognised in text that isn't trusted.
  bool has_plain() const { return has_plain_; }

 private:
  struct Entry {
    std::string_view token;
    int32_t id;
    bool plain;
  };
  std::vector<Entry> entries_;         // sorted by token
  std::array<uint32_t, 257> first_{};  // entries that begin with byte b: first_[b] to first_[b + 1]
  bool has_plain_ = false;
};

}  // namespace tern
