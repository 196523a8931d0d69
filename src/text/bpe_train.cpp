// Byte-level BPE training (Sennrich et al. 2016) with pair counts that follow each merge, over distinct
// pieces.
#include <algorithm>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_unicode.h"
#include "text/merge_table.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"

namespace tern {
namespace {

// A distinct piece of the text, as tokens so far, and how often it stands there.
struct Word {
  std::vector<int32_t> ids;
  int64_t count;
};

// A pair with its count when it was noted.
struct Best {
  int64_t count;
  uint64_t pair;

  // The most frequent first, then the smaller ids: a total order, so the result doesn't depend on hashing.
  bool operator<(const Best& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class BpeTrainer {
 public:
  BpeTrainer(std::span<const std::string> lines, const BpeTraining& options) {
    vocabulary_.pre = options.pre;
    for (const uint8_t byte : bytes_in_spelling_order()) {
      byte_ids_[byte] = vocabulary_.size();
      add_token(std::string(1, static_cast<char>(byte)));
    }
    count_words(lines);
    count_pairs();
  }

  // Merges the most frequent pair until there are `size` tokens or no pair is left.
  Vocabulary train(int32_t size) {
    while (vocabulary_.size() < size && !heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      const Best best = heap_.back();
      heap_.pop_back();
      const int64_t count = pairs_[best.pair].count;
      if (count == best.count) {
        merge(best.pair);
      } else if (count > 0) {
        push(best.pair, count);
      }
    }
    return std::move(vocabulary_);
  }

 private:
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> words;  // every word that holds the pair is here, perhaps some that no longer do
  };

  void add_token(std::string bytes) {
    ids_.emplace(bytes, vocabulary_.size());
    vocabulary_.tokens.push_back(std::move(bytes));
    vocabulary_.types.push_back(TokenType::normal);
  }

  void count_words(std::span<const std::string> lines) {
    const PreTokenizer pre_tokenizer(vocabulary_.pre);
    std::unordered_map<std::string, uint32_t> index;
    for (const std::string& line : lines) {
      for (const std::string_view piece : pre_tokenizer.split(line)) {
        const auto [at, fresh] = index.emplace(piece, static_cast<uint32_t>(words_.size()));
        if (fresh) {
          Word word{{}, 0};
          for (const char c : piece) word.ids.push_back(byte_ids_[static_cast<uint8_t>(c)]);
          words_.push_back(std::move(word));
        }
        ++words_[at->second].count;
      }
    }
  }

  void count_pairs() {
    for (uint32_t w = 0; w < words_.size(); ++w) {
      add_pairs(w, words_[w].count);
      const std::vector<int32_t>& ids = words_[w].ids;
      for (size_t i = 0; i + 1 < ids.size(); ++i) note_word(token_pair(ids[i], ids[i + 1]), w);
    }
    apply_changes();
  }

  // Counts that all neighbours in a word came or, with a negative `count`, went.
  void add_pairs(uint32_t w, int64_t count) {
    const std::vector<int32_t>& ids = words_[w].ids;
    for (size_t i = 0; i + 1 < ids.size(); ++i) changes_[token_pair(ids[i], ids[i + 1])] += count;
  }

  void note_word(uint64_t pair, uint32_t w) {
    std::vector<uint32_t>& words = pairs_[pair].words;
    if (words.empty() || words.back() != w) words.push_back(w);
  }

  // The pairs that a merge into `id` made new in a word.
  void note_new_pairs(uint32_t w, int32_t id) {
    const std::vector<int32_t>& ids = words_[w].ids;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      if (ids[i] == id || ids[i + 1] == id) note_word(token_pair(ids[i], ids[i + 1]), w);
    }
  }

  void apply_changes() {
    for (const auto& [pair, change] : changes_) {
      const int64_t count = pairs_[pair].count += change;
      // A lower count is noticed when the pair comes up; a higher one would come up too late.
      if (change > 0) push(pair, count);
    }
    changes_.clear();
  }

  void push(uint64_t pair, int64_t count) {
    heap_.push_back({count, pair});
    std::push_heap(heap_.begin(), heap_.end());
  }

  void merge(uint64_t pair) {
    const auto left = static_cast<int32_t>(pair >> 32);
    const auto right = static_cast<int32_t>(pair & 0xFFFFFFFF);
    std::string whole = vocabulary_.tokens[left] + vocabulary_.tokens[right];
    vocabulary_.merges.emplace_back(vocabulary_.tokens[left], vocabulary_.tokens[right]);
    // The same bytes may have been put together from another pair before.
    if (!ids_.contains(whole)) add_token(whole);
    const int32_t id = ids_.at(whole);
    std::vector<uint32_t> words = std::move(pairs_[pair].words);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    for (const uint32_t w : words) {
      if (!holds(words_[w].ids, left, right)) continue;
      add_pairs(w, -words_[w].count);
      replace(words_[w].ids, left, right, id);
      add_pairs(w, words_[w].count);
      note_new_pairs(w, id);
    }
    apply_changes();
  }

  static bool holds(const std::vector<int32_t>& ids, int32_t left, int32_t right) {
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      if (ids[i] == left && ids[i + 1] == right) return true;
    }
    return false;
  }

  static void replace(std::vector<int32_t>& ids, int32_t left, int32_t right, int32_t id) {
    size_t kept = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool found = i + 1 < ids.size() && ids[i] == left && ids[i + 1] == right;
      ids[kept++] = found ? id : ids[i];
      if (found) ++i;
    }
    ids.resize(kept);
  }

  Vocabulary vocabulary_;
  int32_t byte_ids_[256] = {};
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::unordered_map<uint64_t, int64_t> changes_;  // of one merge
  std::vector<Best> heap_;
};

}  // namespace

Vocabulary train_bpe(std::span<const std::string> lines, const BpeTraining& options) {
  const auto specials = static_cast<int64_t>(options.specials.size());
  if (options.size < 256 + specials) {
    fail(ErrorKind::bad_input, "a vocabulary of {} tokens: expected at least 256 bytes and {} specials",
         options.size, specials);
  }
  Vocabulary vocabulary = BpeTrainer(lines, options).train(static_cast<int32_t>(options.size - specials));
  for (const std::string& special : options.specials) {
    vocabulary.tokens.push_back(special);
    vocabulary.types.push_back(TokenType::control);
  }
  return vocabulary;
}

}  // namespace tern
