// Cuts a text into the pieces inside which byte-level BPE merges: one or more regular expressions, by name or
// from a tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/scanners.h"

namespace tern {

struct Vocabulary;

/// What a name in `tokenizer.ggml.pre` stands for.
struct PreTokenizerRule {
  std::string_view name;
  std::vector<std::string_view> aliases;  ///< other names of the same rule
  /// Applied one after the other, each to the pieces that the former left: matches and the gaps between them
  /// become pieces. Spelled as in tokenizer.json.
  std::vector<std::string> patterns;
  bool ignore_merges = false;  ///< a piece that is a token is that token, whatever the merges say
  bool add_bos = false;        ///< where the file doesn't say
};

/// Throws Error{unsupported} naming an unknown `name` and the known ones.
const PreTokenizerRule& pre_tokenizer_rule(std::string_view name);

/// The rule of exactly these patterns in this spelling; null where none has a name.
const PreTokenizerRule* find_pre_tokenizer_rule(const std::vector<std::string>& patterns, bool ignore_merges);

/// Immutable, safe to share between threads.
class PreTokenizer {
 public:
  /// The rule of that name.
  explicit PreTokenizer(std::string_view name);
  /// Throws as Regex.
  PreTokenizer(const std::vector<std::string>& patterns, bool ignore_merges);
  /// What the vocabulary says: the rule named `pre`, or its patterns.
  explicit PreTokenizer(const Vocabulary& vocabulary);

  bool ignore_merges() const { return ignore_merges_; }

  /// The pieces of `text` in order; together they are `text`. A byte that is not part of well-formed UTF-8 is
  /// a piece of its own. Time is linear in the text for the rules that have names; patterns of a file may
  /// take longer, until Error{limit}.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Step {
    Scanner scanner;             // null where the pattern is not one of those
    std::optional<Regex> regex;  // then
  };
  std::vector<Step> steps_;
  bool ignore_merges_;
};

}  // namespace tern
