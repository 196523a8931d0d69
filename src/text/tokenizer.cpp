#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_unicode.h"
#include "text/merge_table.h"
#include "text/pretokenizer.h"

namespace tern {
namespace {

// Tokens that end a reply by their name, in whatever vocabulary they are (as in llama.cpp).
constexpr std::array<std::string_view, 20> kEndNames = {"</s>",
                                                        "<eos>",
                                                        "<EOT>",
                                                        "_<EOT>",
                                                        "<|eot_id|>",
                                                        "<|im_end|>",
                                                        "<|end|>",
                                                        "<end_of_turn>",
                                                        "<|endoftext|>",
                                                        "<|end_of_text|>",
                                                        "<|eom_id|>",
                                                        "<|end_of_turn|>",
                                                        "<|return|>",
                                                        "<|call|>",
                                                        "<|calls|>",
                                                        "<|endofprompt|>",
                                                        "<｜end▁of▁sentence｜>",
                                                        "<end_of_utterance>",
                                                        "<|eos|>",
                                                        "[EOS]"};

bool special_type(TokenType type) {
  return type == TokenType::control || type == TokenType::user_defined;
}

// One link of the list of tokens that a piece is at the moment.
struct Link {
  int32_t id;
  int32_t previous, next;  // -1 at the ends; id is -1 once merged into its left neighbour
};

// A merge that may still be possible: `left` and its next link were a known pair when it was noted.
struct Candidate {
  int32_t rank;
  int32_t left;
  uint64_t pair;
  int32_t id;

  // The lowest rank first, then the leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

// Merges one piece; its buffers live on between pieces.
class PieceEncoder {
 public:
  PieceEncoder(const MergeTable& merges, const std::array<int32_t, 256>& byte_ids)
      : merges_(merges), byte_ids_(byte_ids) {}

  void encode(std::string_view piece, std::vector<int32_t>& ids) {
    if (piece.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
      fail(ErrorKind::limit, "tokenizer: a piece of {} bytes", piece.size());
    }
    const auto n = static_cast<int32_t>(piece.size());
    links_.resize(piece.size());
    for (int32_t i = 0; i < n; ++i) {
      links_[i] = {byte_ids_[static_cast<uint8_t>(piece[i])], i - 1, i + 1 < n ? i + 1 : -1};
    }
    for (int32_t i = 0; i + 1 < n; ++i) consider(i);
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end());
      const Candidate best = candidates_.back();
      candidates_.pop_back();
      if (still_there(best)) merge(best);
    }
    for (int32_t i = 0; i >= 0; i = links_[i].next) ids.push_back(links_[i].id);
  }

 private:
  void consider(int32_t left) {
    const int32_t right = links_[left].next;
    if (right < 0) return;
    const Merge* merge = merges_.find(links_[left].id, links_[right].id);
    if (!merge) return;
    candidates_.push_back({merge->rank, left, merge->pair, merge->id});
    std::push_heap(candidates_.begin(), candidates_.end());
  }

  bool still_there(const Candidate& candidate) const {
    const Link& left = links_[candidate.left];
    return left.id >= 0 && left.next >= 0 && token_pair(left.id, links_[left.next].id) == candidate.pair;
  }

  void merge(const Candidate& best) {
    Link& left = links_[best.left];
    Link& right = links_[left.next];
    left.id = best.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) links_[left.next].previous = best.left;
    if (left.previous >= 0) consider(left.previous);
    consider(best.left);
  }

  const MergeTable& merges_;
  const std::array<int32_t, 256>& byte_ids_;
  std::vector<Link> links_;
  std::vector<Candidate> candidates_;  // a heap
};

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(Vocabulary v)
      : vocabulary(std::move(v)), pre_tokenizer(vocabulary.pre), merges(vocabulary.merges.size()) {
    check_shape();
    index_tokens();
    index_bytes();
    index_merges();
    index_ends();
  }

  void check_shape() const {
    const size_t n = vocabulary.tokens.size();
    if (n == 0 || n > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
      fail(ErrorKind::bad_input, "vocabulary: {} tokens", n);
    }
    if (vocabulary.types.size() != n) {
      fail(ErrorKind::bad_input, "vocabulary: {} token types for {} tokens", vocabulary.types.size(), n);
    }
    for (const auto& id : {vocabulary.bos, vocabulary.eos}) {
      if (id && (*id < 0 || *id >= vocabulary.size())) {
        fail(ErrorKind::bad_input, "vocabulary: begin or end token {}, expected 0 to {}", *id, n - 1);
      }
    }
  }

  void index_tokens() {
    ids.reserve(vocabulary.tokens.size());
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      const std::string& token = vocabulary.tokens[id];
      const bool special = special_type(vocabulary.types[id]);
      if (special && token.empty()) fail(ErrorKind::bad_input, "vocabulary: special token {} is empty", id);
      // A learned token may have the bytes of a special one's name: only the special one is ever found by
      // name.
      const auto [at, fresh] = (special ? special_ids : ids).emplace(token, id);
      if (!fresh) {
        fail(ErrorKind::bad_input, "vocabulary: tokens {} and {} are the same, \"{}\"", at->second, id,
             token);
      }
      if (special) specials_by_byte[static_cast<uint8_t>(token[0])].push_back(id);
    }
    for (auto& list : specials_by_byte) {
      std::stable_sort(list.begin(), list.end(), [&](int32_t a, int32_t b) {
        return vocabulary.tokens[a].size() > vocabulary.tokens[b].size();
      });
    }
  }

  void index_bytes() {
    for (int byte = 0; byte < 256; ++byte) {
      const std::string name(1, static_cast<char>(byte));
      byte_ids[byte] = byte_token(name);
      if (byte_ids[byte] < 0) fail(ErrorKind::bad_input, "vocabulary: no token for byte 0x{:02X}", byte);
    }
  }

  // DeepSeek's vocabularies learned no token for bytes that UTF-8 never has; they come as user-defined ones
  // with the byte's spelling for a name. -1 if there is none.
  int32_t byte_token(const std::string& byte) const {
    if (const auto at = ids.find(byte); at != ids.end()) return at->second;
    const auto spelled = special_ids.find(spell_bytes(byte));
    return spelled != special_ids.end() ? spelled->second : -1;
  }

  void index_merges() {
    std::string whole;
    for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
      const auto& [left, right] = vocabulary.merges[rank];
      whole = left + right;
      const auto l = ids.find(left), r = ids.find(right), w = ids.find(whole);
      if (l == ids.end() || r == ids.end() || w == ids.end()) {
        fail(ErrorKind::bad_input, "vocabulary: merge {} (\"{}\" and \"{}\") is not of tokens that are there",
             rank, left, right);
      }
      const Merge merge = {token_pair(l->second, r->second), static_cast<int32_t>(rank), w->second};
      if (!merges.insert(merge)) {
        fail(ErrorKind::bad_input, "vocabulary: merge {} (\"{}\" and \"{}\") is there twice", rank, left,
             right);
      }
    }
  }

  void index_ends() {
    ends.assign(vocabulary.tokens.size(), false);
    if (vocabulary.eos) ends[*vocabulary.eos] = true;
    for (const std::string_view name : kEndNames) {
      if (const auto at = special_ids.find(name); at != special_ids.end()) ends[at->second] = true;
    }
  }

  // The longest special token that `text` starts with; -1 if none.
  int32_t special_at(std::string_view text) const {
    for (const int32_t id : specials_by_byte[static_cast<uint8_t>(text[0])]) {
      if (text.starts_with(vocabulary.tokens[id])) return id;
    }
    return -1;
  }

  void encode_plain(std::string_view text, PieceEncoder& encoder, std::vector<int32_t>& out) const {
    for (const std::string_view piece : pre_tokenizer.split(text)) {
      if (pre_tokenizer.rule().ignore_merges) {
        if (const auto at = ids.find(piece); at != ids.end()) {
          out.push_back(at->second);
          continue;
        }
      }
      encoder.encode(piece, out);
    }
  }

  const Vocabulary vocabulary;
  PreTokenizer pre_tokenizer;
  MergeTable merges;
  std::unordered_map<std::string_view, int32_t> ids, special_ids;  // keys point into the vocabulary
  std::array<std::vector<int32_t>, 256> specials_by_byte;          // by first byte, the longest first
  std::array<int32_t, 256> byte_ids{};
  std::vector<bool> ends;
};

Tokenizer::Tokenizer(Vocabulary vocabulary) : impl_(std::make_unique<Impl>(std::move(vocabulary))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  const TextSpan all{0, text.size()};
  return encode(text, std::span(&all, parse_special ? 1 : 0));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, std::span<const TextSpan> trusted) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 1);
  PieceEncoder encoder(impl_->merges, impl_->byte_ids);
  size_t begin = 0;
  for (const TextSpan& span : trusted) {
    for (size_t at = std::max(begin, span.begin); at < span.end;) {
      const int32_t special = impl_->special_at(text.substr(at, span.end - at));
      if (special < 0) {
        ++at;
        continue;
      }
      impl_->encode_plain(text.substr(begin, at - begin), encoder, ids);
      ids.push_back(special);
      at += bytes(special).size();
      begin = at;
    }
  }
  impl_->encode_plain(text.substr(begin), encoder, ids);
  return ids;
}

std::string_view Tokenizer::bytes(int32_t id) const {
  if (id < 0 || id >= size()) fail(ErrorKind::bad_input, "token {}, expected 0 to {}", id, size() - 1);
  return impl_->vocabulary.tokens[id];
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool with_special) const {
  std::string text;
  for (const int32_t id : ids) {
    const std::string_view token = bytes(id);
    if (with_special || impl_->vocabulary.types[id] != TokenType::control) text += token;
  }
  return text;
}

std::optional<int32_t> Tokenizer::special(std::string_view name) const {
  const auto at = impl_->special_ids.find(name);
  if (at == impl_->special_ids.end()) return std::nullopt;
  return at->second;
}

bool Tokenizer::is_special(int32_t id) const {
  bytes(id);  // checks the range
  return special_type(impl_->vocabulary.types[id]);
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  bytes(id);  // checks the range
  return impl_->ends[id];
}

const Vocabulary& Tokenizer::vocabulary() const {
  return impl_->vocabulary;
}

}  // namespace tern
