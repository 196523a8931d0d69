#include "tasks/search/word_model.h"

#include <cmath>

#include "tasks/search/search.h"

namespace tern::search {
namespace {

constexpr uint64_t sample_seed = 0x6f7261636c65;  // no split's examples use it
constexpr int samples = 30000;
constexpr double pair_share = 0.75;  ///< of the bigram; the rest is the unigram's, for sentences out of order
constexpr double unknown_letters = 12.5;

bool is_number(std::string_view word) {
  return word[0] >= '0' && word[0] <= '9';
}

uint64_t pair_key(int first, int second) {
  return static_cast<uint64_t>(first) << 32 | static_cast<uint32_t>(second);
}

}  // namespace

WordModel::WordModel(const World& world) {
  for (const char* name : {"<number>", "<unknown>", "<border>"}) add(name, static_cast<int>(words_.size()));
  const int brand_group = static_cast<int>(words_.size());
  for (const auto& entry : world.lexicon()) {
    if (entry.kind == Kind::brand) add(entry.text, brand_group);
  }
  const int type_group = static_cast<int>(words_.size());
  for (const auto& entry : world.lexicon()) {
    const bool one_word = entry.text.find(' ') == std::string::npos;
    if (entry.kind == Kind::type && one_word && !entry.foreign) add(entry.text, type_group);
  }
  count(world);
}

int WordModel::add(const std::string& word, int group) {
  const auto [at, is_new] = by_text_.try_emplace(word, static_cast<int>(words_.size()));
  if (!is_new) return at->second;
  words_.push_back(word);
  group_.push_back(group);
  return at->second;
}

void WordModel::count(const World& world) {
  std::vector<double> word_count(words_.size(), 0.5);
  const auto heard = [&](int previous, int word) {
    word_count.resize(words_.size(), 0.5);
    ++word_count[word];
    ++pairs_[pair_key(group_[previous], group_[word])];
    return word;
  };
  const Split splits[] = {Split::train, Split::train, Split::train, Split::train, Split::dev, Split::test};
  uint64_t index = 0;
  for (const auto split : splits) {
    const Generator generator(world, {split, sample_seed, false});
    for (size_t i = 0; i < samples / std::size(splits); ++i) {
      int previous = border;
      for (const auto& word : split_words(generator.at(index++, 0).clean)) {
        int id = number;
        if (!is_number(word)) {
          const auto found = by_text_.find(word);
          id = found != by_text_.end() ? found->second
               : world.is_word(word)   ? add(word, static_cast<int>(words_.size()))
                                       : static_cast<int>(unknown);
        }
        previous = heard(previous, id);
      }
      heard(previous, border);
    }
  }
  group_count_.assign(words_.size(), 0);
  for (size_t i = 0; i < words_.size(); ++i) group_count_[group_[i]] += word_count[i];
  for (const double group : group_count_) total_ += group;
  for (size_t i = 0; i < words_.size(); ++i)
    within_cost_.push_back(-std::log(word_count[i] / group_count_[group_[i]]));
  within_cost_[unknown] += unknown_letters;
}

int WordModel::find(std::string_view word) const {
  const auto found = by_text_.find(std::string(word));
  return found == by_text_.end() ? -1 : found->second;
}

double WordModel::cost(int previous, int word) const {
  const int first = group_[previous], second = group_[word];
  const auto found = pairs_.find(pair_key(first, second));
  const double pair = found == pairs_.end() ? 0 : found->second / group_count_[first];
  const double alone = group_count_[second] / total_;
  return within_cost_[word] - std::log(pair_share * pair + (1 - pair_share) * alone);
}

}  // namespace tern::search
