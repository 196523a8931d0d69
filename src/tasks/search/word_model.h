// How likely a word is after another in the grammar's clean sentences. Part of the oracle.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tasks/search/world.h"

namespace tern::search {

class WordModel {
 public:
  static constexpr int number = 0;   ///< any number
  static constexpr int unknown = 1;  ///< any word that the world lacks
  static constexpr int border = 2;   ///< before the first word and after the last

  explicit WordModel(const World& world);

  /// The word's number; -1 where the grammar never says it.
  int find(std::string_view word) const;
  const std::string& text(int word) const { return words_[word]; }
  size_t size() const { return words_.size(); }

  /// -log P(word | previous), in nats. An unknown word's letters are part of it.
  double cost(int previous, int word) const;

 private:
  int add(const std::string& word, int group);
  void count(const World& world);

  std::vector<std::string> words_;
  std::vector<int> group_;           ///< words that share their statistics: brand words, one-word types
  std::vector<double> within_cost_;  ///< -log P(word | group)
  std::vector<double> group_count_;
  std::unordered_map<std::string, int> by_text_;
  std::unordered_map<uint64_t, int> pairs_;
  double total_ = 0;
};

}  // namespace tern::search
