// The regular expressions of tokenizer.json, which are Oniguruma's, run by PCRE2.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

/// Immutable, safe to share between threads.
class Regex {
 public:
  /// `pattern` may use what both libraries mean alike, once white space is listed (PCRE2's \s has U+180E) and
  /// scripts are taken without their extensions: literals, classes with && for intersection, \s \S \d \D \r
  /// \n \t, \p of general categories and Han, groups, (?i:, look-around, alternatives, quantifiers. Throws
  /// Error{unsupported} naming anything else, Error{bad_input} for what is no pattern, Error{limit} for one
  /// that is too long.
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;

  /// Appends the matches and the gaps between them, in order; an empty match cuts nothing. `text` is
  /// well-formed UTF-8. Throws Error{limit} where a match takes too many steps, or all of them too long.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

/// The pattern with literal characters beyond ASCII and control characters escaped as \x{...}, \r, \n or \t:
/// two spellings of one pattern become the same.
std::string canonical_pattern(std::string_view pattern);

/// `pattern` in PCRE2's words. Throws as Regex.
std::string pcre2_pattern(std::string_view pattern);

}  // namespace tern
