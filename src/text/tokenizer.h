// Text to token ids and back: byte-level BPE and SentencePiece's BPE.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace tern {

/// Bytes [begin, end) of a text.
struct TextSpan {
  size_t begin, end;
};

/// Immutable after construction, safe to share between threads.
class Tokenizer {
 public:
  /// Throws Error{bad_input | unsupported}: duplicate tokens, missing byte tokens, merges of unknown tokens,
  /// ids out of range, an unknown pre-tokenizer or a pattern that tern does not run.
  explicit Tokenizer(Vocabulary vocabulary);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  /// Ids of `text` (any bytes, valid UTF-8 or not), no begin token added. Special tokens are recognised in
  /// the text only with `parse_special`; without it they are text as any other, and none comes out. A byte
  /// that is not part of well-formed UTF-8 is encoded alone.
  std::vector<int32_t> encode(std::string_view text, bool parse_special = false) const;
  /// The same for text that is trusted in parts: a special token is recognised only where all of it lies in
  /// one of the spans (ascending, disjoint; adjacent ones count as one). What stands between the recognised
  /// ones is one plain text, across the borders of spans. Throws Error{internal} for spans that are out of
  /// order.
  std::vector<int32_t> encode(std::string_view text, std::span<const TextSpan> trusted) const;

  /// The raw bytes of a token; special tokens give their name.
  std::string_view bytes(int32_t id) const;
  /// All tokens' bytes; control tokens are left out unless `with_special`. Where encode() puts a space before
  /// the text, the first token loses it.
  std::string decode(std::span<const int32_t> ids, bool with_special = false) const;

  /// The special token of exactly this name.
  std::optional<int32_t> special(std::string_view name) const;
  /// Control, unknown or user-defined: what text that isn't trusted can't contain. User-defined tokens that
  /// are one character or white space (DeepSeek's "ö", runs of spaces) are no special tokens but text that is
  /// recognised everywhere.
  bool is_special(int32_t id) const;
  /// The tokens that the vocabulary says end a reply, and those that do by their name ("<|im_end|>",
  /// "<|eot_id|>", ... as in llama.cpp).
  bool is_end_of_generation(int32_t id) const;
  const Vocabulary& vocabulary() const;
  int32_t size() const { return vocabulary().size(); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct BpeTraining {
  int32_t size = 1024;  ///< tokens in all, the 256 bytes and the specials included
  std::string pre = "gpt-2";
  std::vector<std::string> specials;  ///< appended after the learned tokens as control tokens
};

/// Learns merges from `lines` by pair frequency (Sennrich et al. 2016 over bytes); ties go to the smaller
/// pair of ids, so the result is the same everywhere. Ids: the 256 bytes in the order of GPT-2's spelling,
/// the learned tokens, the specials. Fewer than `size` tokens where the text has no more pairs. Throws
/// Error{bad_input} where `size` has no room for the bytes and specials.
Vocabulary train_bpe(std::span<const std::string> lines, const BpeTraining& options);

}  // namespace tern
