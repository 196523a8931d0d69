#include "text/token_index.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "base/error.h"
#include "text/byte_unicode.h"
#include "text/special_tokens.h"
#include "text/utf8.h"

namespace tern {
namespace {

// A longer one would make looking for all pairs that make it slow; SentencePiece's own limit is 16
// characters.
constexpr size_t kLongestScored = 256;

void check_shape(const Vocabulary& vocabulary) {
  const size_t n = vocabulary.tokens.size();
  if (n == 0 || n > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    fail(ErrorKind::bad_input, "vocabulary: {} tokens", n);
  }
  if (vocabulary.types.size() != n) {
    fail(ErrorKind::bad_input, "vocabulary: {} token types for {} tokens", vocabulary.types.size(), n);
  }
  const auto check = [n](int32_t id) {
    if (id >= 0 && static_cast<size_t>(id) < n) return;
    fail(ErrorKind::bad_input, "vocabulary: begin, end or other special token {}, expected 0 to {}", id,
         n - 1);
  };
  for (const auto& id :
       {vocabulary.bos, vocabulary.eos, vocabulary.eot, vocabulary.eom, vocabulary.unk, vocabulary.pad}) {
    if (id) check(*id);
  }
  for (const int32_t id : vocabulary.ends) check(id);
}

// DeepSeek's vocabularies learned no token for bytes that UTF-8 never has; they come as user-defined ones
// with the byte's spelling for a name. -1 if there is none.
int32_t byte_token(const TokenIndex& index, const std::string& byte) {
  const int32_t id = index.learned.find(byte);
  return id >= 0 ? id : index.added.find(spell_bytes(byte));
}

void index_bytes(const Vocabulary& vocabulary, const TokenIndex& index, MergeRules& rules) {
  std::fill(std::begin(rules.byte_ids), std::end(rules.byte_ids), -1);
  if (vocabulary.model == TokenizerModel::spm) {
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary.types[id] != TokenType::byte) continue;
      rules.byte_ids[static_cast<uint8_t>(vocabulary.tokens[id].at(0))] = id;
    }
  } else {
    for (int byte = 0; byte < 256; ++byte) {
      rules.byte_ids[byte] = byte_token(index, std::string(1, static_cast<char>(byte)));
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (rules.byte_ids[byte] < 0) {
      fail(ErrorKind::bad_input, "vocabulary: no token for byte 0x{:02X}", byte);
    }
  }
}

void index_merges(const Vocabulary& vocabulary, const TokenIndex& index, MergeTable& table) {
  std::string whole;
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const auto& [left, right] = vocabulary.merges[rank];
    whole.assign(left).append(right);
    const int32_t l = index.learned.find(left), r = index.learned.find(right);
    const int32_t w = index.learned.find(whole);
    if (l < 0 || r < 0 || w < 0) {
      fail(ErrorKind::bad_input, "vocabulary: merge {} (\"{}\" and \"{}\") is not of tokens that are there",
           rank, left, right);
    }
    if (!table.insert({token_pair(l, r), static_cast<int32_t>(rank), w})) {
      fail(ErrorKind::bad_input, "vocabulary: merge {} (\"{}\" and \"{}\") is there twice", rank, left,
           right);
    }
  }
}

void index_characters(const Vocabulary& vocabulary, MergeRules& rules) {
  rules.by_character = true;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (is_added(vocabulary.types[id]) || vocabulary.types[id] == TokenType::byte || token.empty()) continue;
    const Utf8Step step = utf8_step(token);
    if (step.kind == Utf8Kind::character && step.bytes == token.size()) rules.characters.emplace(token, id);
  }
}

// The learned tokens of two characters and more, the highest score first.
std::vector<int32_t> by_score(const Vocabulary& vocabulary, const TokenIndex& index) {
  if (vocabulary.scores.size() != vocabulary.tokens.size()) {
    fail(ErrorKind::bad_input, "vocabulary: {} scores for {} tokens", vocabulary.scores.size(),
         vocabulary.tokens.size());
  }
  std::vector<int32_t> ids;
  index.learned.each([&](std::string_view token, int32_t id) {
    if (std::isnan(vocabulary.scores[id])) {
      fail(ErrorKind::bad_input, "vocabulary: the score of token {} is no number", id);
    }
    if (token.empty() || utf8_step(token).bytes == token.size()) return;
    if (token.size() > kLongestScored) {
      fail(ErrorKind::limit, "vocabulary: token {} has {} bytes, tern takes {}", id, token.size(),
           kLongestScored);
    }
    ids.push_back(id);
  });
  std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    const float left = vocabulary.scores[a], right = vocabulary.scores[b];
    return left != right ? left > right : a < b;
  });
  return ids;
}

}  // namespace

std::vector<ScoredMerge> merges_by_score(const Vocabulary& vocabulary, const TokenIndex& index) {
  std::vector<ScoredMerge> merges;
  int32_t rank = -1;
  float score = 0;
  for (const int32_t id : by_score(vocabulary, index)) {
    if (rank < 0 || vocabulary.scores[id] != score) ++rank;
    score = vocabulary.scores[id];
    const std::string_view token = vocabulary.tokens[id];
    for (size_t at = utf8_step(token).bytes; at < token.size(); at += utf8_step(token.substr(at)).bytes) {
      const int32_t left = index.learned.find(token.substr(0, at));
      const int32_t right = index.learned.find(token.substr(at));
      if (left >= 0 && right >= 0) merges.push_back({left, right, rank, id});
    }
  }
  return merges;
}

TokenIndex index_tokens(const Vocabulary& vocabulary) {
  check_shape(vocabulary);
  const auto added =
      static_cast<size_t>(std::count_if(vocabulary.types.begin(), vocabulary.types.end(), is_added));
  TokenIndex index{TokenTable(vocabulary.tokens.size() - added), TokenTable(added)};
  const bool spm = vocabulary.model == TokenizerModel::spm;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.types[id];
    const std::string& token = vocabulary.tokens[id];
    if (spm && type == TokenType::byte) {
      if (token.size() == 1) continue;
      fail(ErrorKind::bad_input, "vocabulary: byte token {} is \"{}\"", id, token);
    }
    const int32_t there = (is_added(type) ? index.added : index.learned).insert(token, id);
    if (there >= 0) {
      fail(ErrorKind::bad_input, "vocabulary: tokens {} and {} are the same, \"{}\"", there, id, token);
    }
  }
  return index;
}

MergeRules merge_rules(const Vocabulary& vocabulary, const TokenIndex& index) {
  const bool scored = vocabulary.model == TokenizerModel::spm && vocabulary.merges.empty();
  std::vector<ScoredMerge> scores;
  if (scored) scores = merges_by_score(vocabulary, index);
  MergeRules rules(scored ? scores.size() : vocabulary.merges.size());
  index_bytes(vocabulary, index, rules);
  if (vocabulary.model == TokenizerModel::spm) index_characters(vocabulary, rules);
  for (const ScoredMerge& merge : scores) {
    rules.table.insert({token_pair(merge.left, merge.right), merge.rank, merge.id});
  }
  if (!scored) index_merges(vocabulary, index, rules.table);
  return rules;
}

}  // namespace tern
