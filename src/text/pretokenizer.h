// Cuts a text into the pieces inside which byte-level BPE merges: one or more regular expressions, by name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

/// What a name in `tokenizer.ggml.pre` stands for.
struct PreTokenizerRule {
  std::string_view name;
  /// Applied one after the other, each to the pieces that the former left: matches and the gaps between them
  /// become pieces. Spelled as in tokenizer.json.
  std::vector<std::string_view> patterns;
  bool ignore_merges = false;  ///< a piece that is a token is that token, whatever the merges say
  bool add_bos = false;        ///< where the file doesn't say
};

/// Throws Error{unsupported} naming an unknown `name` and the known ones.
const PreTokenizerRule& pre_tokenizer_rule(std::string_view name);

/// Immutable, safe to share between threads.
class PreTokenizer {
 public:
  /// Compiles the patterns of pre_tokenizer_rule(name).
  explicit PreTokenizer(std::string_view name);
  ~PreTokenizer();

  const PreTokenizerRule& rule() const { return rule_; }

  /// The pieces of `text` in order; together they are `text`. A byte that is not part of well-formed UTF-8 is
  /// a piece of its own. Time is linear in the text for the patterns of the table.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  class Pattern;
  const PreTokenizerRule& rule_;
  std::vector<std::unique_ptr<Pattern>> patterns_;
};

}  // namespace tern
