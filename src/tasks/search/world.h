// The shop: departments, product types, invented brands, and the words people use for them.
// Fixed by a seed. Identifiers are plain lower-case words; a shoe size is its number.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/rng.h"

namespace tern::search {

/// What a word or phrase of a query stands for.
enum class Kind : uint8_t {
  filler,
  type,
  brand,
  colour,
  material,
  size,
  audience,
  price,
  sort,
  cue,
  unknown
};

enum class SizeSystem : uint8_t { none, letters, shoes };

struct Department {
  std::string id;
  SizeSystem sizes = SizeSystem::none;
  bool materials = false;  ///< people ask for its products by material
  bool audience = false;   ///< ... and by who will use them
};

struct ProductType {
  std::string id;
  int department = 0;
  std::vector<std::string> words;  ///< singulars, plurals and synonyms that mean this type alone
};

struct Brand {
  std::string id;                      ///< also its name
  std::vector<int> departments;        ///< one or two; it sells every type in them
  std::vector<std::string> nicknames;  ///< its own; shared ones are in World::shared_nicknames()
};

/// A nickname of two brands that share no department, so that a type tells them apart.
struct SharedNickname {
  std::string text;
  std::vector<int> brands;  ///< two, ascending
};

/// A word for two types of different departments ("keyboard"), so that a brand tells them apart.
struct SharedTypeWord {
  std::string text;
  std::vector<int> types;  ///< two, ascending
};

/// A colour, material, size, audience or sort order, with the words that mean it.
struct Value {
  std::string id;
  std::vector<std::string> before;  ///< said before the noun: "leather", "mens", "cheap"
  std::vector<std::string>
      after;  ///< said after it: "leather" (made of ...), "men" (for ...), "cheapest first"
};

/// An English word or phrase and what a Spanish or German speaker may type instead; either may be empty.
struct Translation {
  std::string english;
  std::string spanish;
  std::string german;
};

struct Abbreviation {
  std::string word;
  std::string shorter;
};

/// A phrase of the lexicon and what it may stand for: identifiers of one kind, more than one where it is
/// shared.
struct LexiconEntry {
  std::string text;
  Kind kind = Kind::filler;
  std::vector<std::string> ids;
  bool foreign = false;  ///< Spanish or German
};

class World {
 public:
  explicit World(uint64_t seed = 7);

  std::span<const Department> departments() const { return departments_; }
  std::span<const ProductType> types() const { return types_; }
  std::span<const Brand> brands() const { return brands_; }
  std::span<const SharedNickname> shared_nicknames() const { return shared_nicknames_; }
  std::span<const SharedTypeWord> shared_type_words() const { return shared_type_words_; }
  std::span<const Value> colours() const { return colours_; }
  std::span<const Value> materials() const { return materials_; }
  std::span<const Value> letter_sizes() const { return letter_sizes_; }
  std::span<const Value> shoe_sizes() const { return shoe_sizes_; }
  std::span<const Value> audiences() const { return audiences_; }
  std::span<const Value> sorts() const { return sorts_; }
  std::span<const Translation> translations() const { return translations_; }
  std::span<const Abbreviation> abbreviations() const { return abbreviations_; }

  bool sells(int brand, int department) const;
  /// Index of the brand or type with this id; -1 where there is none.
  int find_brand(std::string_view id) const;
  int find_type(std::string_view id) const;

  /// Every phrase that names something, English and foreign, in a fixed order: what a search engineer would
  /// load into a table. Prices, cues and fillers are not in it.
  std::span<const LexiconEntry> lexicon() const { return lexicon_; }
  /// Every single word of the lexicon, the translations and the grammar.
  bool is_word(std::string_view word) const { return words_.contains(std::string(word)); }
  std::span<const std::string> words() const { return word_list_; }

  /// Whether every word of the world is at least `distance` edits (insert, delete, replace, swap of
  /// neighbours) away.
  bool is_far(std::string_view word, int distance) const;
  /// A brand that does not exist, at least `distance` edits from every word of the world. Half of them are
  /// real names changed just enough.
  std::string invent_brand(Rng& rng, int distance) const;

 private:
  void make_brands(Rng& rng);
  void make_lexicon();
  void add_words(std::string_view phrase);

  std::vector<Department> departments_;
  std::vector<ProductType> types_;
  std::vector<Brand> brands_;
  std::vector<SharedNickname> shared_nicknames_;
  std::vector<SharedTypeWord> shared_type_words_;
  std::vector<Value> colours_, materials_, letter_sizes_, shoe_sizes_, audiences_, sorts_;
  std::vector<Translation> translations_;
  std::vector<Abbreviation> abbreviations_;
  std::vector<LexiconEntry> lexicon_;
  std::vector<std::string> word_list_;
  std::vector<uint32_t> word_letters_;     ///< letter_set() of each
  std::unordered_set<std::string> words_;  // membership only: its order never matters
  std::unordered_map<std::string, int> brand_by_id_, type_by_id_;
};

/// A word prepared for many comparisons. The distance is optimal string alignment: insert, delete, replace,
/// swap of neighbours. Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances",
/// 2003.
class EditPattern {
 public:
  /// At most 64 bytes; throws Error{limit}.
  explicit EditPattern(std::string_view word);
  int distance(std::string_view other) const;

 private:
  std::array<uint64_t, 256> match_{};
  int size_;
};

int edit_distance(std::string_view a, std::string_view b);

/// The letters of a word as bits. An edit changes at most two of them: a quick test before a distance.
uint32_t letter_set(std::string_view word);
inline bool may_be_within(uint32_t a, uint32_t b, int distance) {
  return std::popcount(a ^ b) <= 2 * distance;
}

/// The words of `text` between spaces.
std::vector<std::string> split_words(std::string_view text);

/// The parts between bars: "a|b" is a and b. Empty text has none.
std::vector<std::string> split_bars(std::string_view text);

}  // namespace tern::search
