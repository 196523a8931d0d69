// How SentencePiece's vocabularies spell tokens in files, and what merges and scores say of each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace tern {

/// "▁a" is " a", and "<0x0A>" of type byte a newline; added tokens are their text. Throws Error{bad_input}
/// for a byte token that isn't spelled so and for a learned one with a space in it, which "▁" spells.
std::string spm_bytes(std::string_view written, TokenType type);

/// The way back.
std::string spm_spelling(std::string_view bytes, TokenType type);

/// The scores, {n_vocab}, of an spm vocabulary; where it has merges, scores that merge the same. Throws
/// Error{unsupported} where no scores do.
std::vector<float> spm_scores(const Vocabulary& vocabulary);

/// The merges, best first, of an spm vocabulary; where it has scores, merges that do the same (tokens of one
/// score apart, which merges can't leave open).
std::vector<std::pair<std::string, std::string>> spm_merges(const Vocabulary& vocabulary);

}  // namespace tern
