// What must hold for any text and any tokenizer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tests/fuzz/require.h"
#include "text/stream.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace tern {

/// Whether decoding must give the text back: not where it is brought to NFC, where spaces are put in or stand
/// for "▁", or where a user-defined token may stand for a byte.
inline bool is_reversible(const Vocabulary& vocabulary, std::string_view text, bool special) {
  if (std::count(vocabulary.types.begin(), vocabulary.types.end(), TokenType::user_defined) > 0) return false;
  if (vocabulary.model == TokenizerModel::bpe) return !vocabulary.nfc;
  const bool spaces =
      vocabulary.space_prefix == SpacePrefix::none || vocabulary.space_prefix == SpacePrefix::always;
  return spaces && !special && text.find("\u2581") == std::string_view::npos;
}

/// The text a reader sees when the tokens arrive one by one.
inline std::string streamed(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  Utf8Stream stream;
  std::string shown;
  for (const int32_t id : ids) {
    const std::string piece = stream.push(tokenizer.bytes(id));
    require(utf8_valid_prefix(piece) == piece.size(), "a streamed piece is whole characters");
    shown += piece;
  }
  return shown + stream.finish();
}

inline void check_text(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, special);
    if (is_reversible(tokenizer.vocabulary(), text, special)) {
      require(tokenizer.decode(ids, true) == text, "decode(encode(text)) is text");
    }
    for (const int32_t id : ids) require(special || !tokenizer.is_special(id), "text has no special tokens");
    const std::string shown = streamed(tokenizer, ids);
    require(utf8_valid_prefix(shown) == shown.size(), "a streamed text is UTF-8");
    Utf8Stream whole;
    std::string at_once = whole.push(text);
    at_once += whole.finish();
    require(shown == at_once || !is_reversible(tokenizer.vocabulary(), text, true),
            "streaming in tokens and at once are the same");
  }
}

}  // namespace tern
