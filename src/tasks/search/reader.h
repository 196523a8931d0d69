// Clean words to answers, by the grammar's own templates. Part of the oracle.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tasks/search/channel.h"
#include "tasks/search/oracle.h"

namespace tern::search {

class Reader {
 public:
  Reader(const World& world, const WordModel& model);

  /// Appends what the words may mean; each reading's cost is `cost` and what does not fit the grammar.
  void read(const std::vector<HeardWord>& words, double cost, std::vector<Reading>& out) const;

 private:
  struct Segment {
    Kind kind = Kind::filler;
    int word = -1;                        ///< of a filler
    const LexiconEntry* entry = nullptr;  ///< of something named
    bool excluded = false;                ///< ... that is not wanted
    std::optional<int64_t> low, high;     ///< of a price, in cents
    std::string text;                     ///< of a number without meaning
  };
  struct PriceWording {
    std::vector<std::string> words;
    std::vector<char> slots;  ///< beside words: 'a' lower, 'b' upper bound, 'c' about, 0 a word
  };
  /// Words around something named: an exclusion ('e'), or a correction ('w' withdrawn, 'k' kept).
  struct Pattern {
    std::vector<std::string> words;
    std::vector<char> slots;  ///< beside words; 0 a word
  };
  struct Template {
    std::vector<int> words;  ///< sorted
    char slot = 'x';         ///< 'x' product, 'n' order number
  };
  struct Topic {
    std::vector<Template> templates;
    std::unordered_set<std::string> objects;
    bool products = false;
  };

  std::vector<HeardWord> with_digits(const std::vector<HeardWord>& words) const;
  std::vector<Segment> segment(const std::vector<HeardWord>& words) const;
  const LexiconEntry* match_phrase(const std::vector<HeardWord>& words, size_t at, size_t& size) const;
  bool match_pattern(const std::vector<HeardWord>& words, size_t at, size_t& size, Segment& segment) const;
  const PriceWording* match_price(const std::vector<HeardWord>& words, size_t at, size_t& size,
                                  Segment& segment) const;
  Reading read_find(const std::vector<Segment>& segments) const;
  Reading read_compare(const std::vector<Segment>& segments) const;
  Reading read_support(const std::vector<Segment>& segments) const;
  Reading read_off_topic(const std::vector<HeardWord>& words) const;
  double resolve(const std::vector<const LexiconEntry*>& brands,
                 const std::vector<const LexiconEntry*>& types, Answer& answer) const;
  std::string text_of(const HeardWord& word) const;
  Template make_template(std::string_view text) const;
  double template_cost(const std::vector<Template>& templates, std::vector<int> words, char slot) const;

  const World& world_;
  const WordModel& model_;
  std::unordered_map<std::string, std::vector<const LexiconEntry*>> phrases_;
  std::vector<LexiconEntry> descriptions_;
  std::vector<PriceWording> prices_;
  std::vector<Pattern> patterns_;
  std::vector<std::pair<std::vector<std::string>, std::string>>
      numbers_;  ///< words and digits, longest first
  std::vector<bool> find_words_, free_words_;
  std::vector<Template> compare_, support_;
  std::vector<Topic> topics_;
};

}  // namespace tern::search
