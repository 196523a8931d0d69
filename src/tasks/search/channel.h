// What clean words a typed word may have been, through the noise channel. Part of the oracle.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tasks/search/word_model.h"
#include "tasks/search/world.h"

namespace tern::search {

/// A clean word; `text` where it is a number or unknown.
struct HeardWord {
  int id = 0;
  std::string text;
};

/// Clean words that may have become the typed words at some place.
struct Explanation {
  std::vector<HeardWord> words;
  int typed = 1;    ///< how many typed words it explains
  double cost = 0;  ///< -log P(typed | clean), in nats
};

class Channel {
 public:
  Channel(const World& world, const WordModel& model);

  /// Explanations of the typed words from `at` on, cheapest first, at most `most`. Never empty: a word may be
  /// unknown.
  std::vector<Explanation> explain(const std::vector<std::string>& typed, size_t at, size_t most) const;

 private:
  struct Entry {
    std::string surface;     ///< lower case
    std::vector<int> words;  ///< what it says
    double cost = 0;         ///< of the translation or abbreviation
    uint32_t letters = 0;    ///< letter_set() of the surface
  };

  void add_entry(const std::string& surface, std::string_view clean, double cost);
  std::vector<const Entry*> exact(std::string_view text) const;
  void one_word(std::string_view text, double extra, std::vector<Explanation>& out) const;
  void joined_words(std::string_view text, double extra, int depth, std::vector<Explanation>& out) const;
  double unknown_cost(std::string_view text) const;
  bool number_with_unit(std::string_view text, std::vector<Explanation>& out) const;

  const WordModel& model_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::vector<int>> by_surface_;   ///< indices into entries_
  std::unordered_map<std::string, std::vector<int>> by_skeleton_;  ///< of words without their vowels
  std::vector<std::pair<std::string, Entry>> phrases_;             ///< foreign ones of two words
};

/// Cost of `clean` becoming `typed` by one operator; infinite where none does that.
double one_operator_cost(std::string_view clean, std::string_view typed);

}  // namespace tern::search
