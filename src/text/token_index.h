// Tokens by their bytes, and what they merge to: the vocabulary's tables, checked.
#pragma once

#include <cstdint>
#include <vector>

#include "text/piece_encoder.h"
#include "text/token_table.h"
#include "text/vocabulary.h"

namespace tern {

/// A learned token may have the bytes of an added one's name: only the added
/// one is ever found by name.
struct TokenIndex {
  TokenTable learned;  ///< what merges may make
  TokenTable added;    ///< control, unknown, user-defined
};

/// Throws Error{bad_input}: no tokens, as many types as tokens there are not, special ids out of range, two
/// tokens that are the same.
TokenIndex index_tokens(const Vocabulary& vocabulary);

/// Two tokens that merge, by id.
struct ScoredMerge {
  int32_t left, right;
  int32_t rank;  ///< merges to tokens of one score share it
  int32_t id;    ///< of the token that results
};

/// What the scores of an spm vocabulary say: every two tokens that together are a third, the highest score
/// first.
std::vector<ScoredMerge> merges_by_score(const Vocabulary& vocabulary, const TokenIndex& index);

/// Throws Error{bad_input | limit}: no token for a byte, merges of unknown tokens or twice the same, scores
/// that are no numbers.
MergeRules merge_rules(const Vocabulary& vocabulary, const TokenIndex& index);

}  // namespace tern
