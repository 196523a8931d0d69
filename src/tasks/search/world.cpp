#include "tasks/search/world.h"

#include <algorithm>

#include "base/error.h"
#include "tasks/search/grammar_data.h"
#include "tasks/search/world_data.h"

namespace tern::search {
namespace {

constexpr int brand_count = 240;
constexpr int shared_nickname_count = 24;
constexpr int brand_distance = 4;     ///< edits between two brands' names
constexpr int nickname_distance = 3;  ///< edits between any brand word and any other word

std::string plural(const std::string& noun) {
  const auto ends = [&](std::string_view tail) { return noun.ends_with(tail); };
  if (ends("knife")) return noun.substr(0, noun.size() - 2) + "ves";
  if (ends("scarf") || ends("leaf")) return noun.substr(0, noun.size() - 1) + "ves";
  if (ends("man")) return noun.substr(0, noun.size() - 2) + "en";
  if (ends("s") || ends("x") || ends("ch") || ends("sh")) return noun + "es";
  if (ends("y") && !ends("ay") && !ends("oy") && !ends("ey")) return noun.substr(0, noun.size() - 1) + "ies";
  return noun + "s";
}

std::vector<Value> make_values(std::span<const data::ValueRow> rows) {
  std::vector<Value> values;
  for (const auto& row : rows) values.push_back({row.id, split_bars(row.before), split_bars(row.after)});
  return values;
}

/// An invented word of two or three open syllables, pronounceable, `syllables` long.
std::string invent_word(Rng& rng, int syllables) {
  static constexpr std::string_view onsets[] = {"b",  "d",  "f",  "g",  "k",  "l", "m",  "n",
                                                "p",  "r",  "s",  "t",  "v",  "z", "br", "dr",
                                                "gr", "kl", "pr", "tr", "st", "fl"};
  static constexpr std::string_view vowels[] = {"a", "e", "i", "o", "u"};
  static constexpr std::string_view codas[] = {"n", "r", "l", "s", "x", "k", "m", "t"};
  std::string word;
  for (int i = 0; i < syllables; ++i) {
    word += onsets[rng.below(i == 0 ? std::size(onsets) : 14)];
    word += vowels[rng.below(std::size(vowels))];
    const bool last = i + 1 == syllables;
    if (rng.chance(last ? 0.4 : 0.2)) word += codas[rng.below(std::size(codas))];
  }
  return word;
}

}  // namespace

std::vector<std::string> split_bars(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t bar = std::min(text.find('|'), text.size());
    parts.emplace_back(text.substr(0, bar));
    text.remove_prefix(std::min(bar + 1, text.size()));
  }
  return parts;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

World::World(uint64_t seed) {
  for (const auto& row : data::departments())
    departments_.push_back({row.id, row.sizes, row.materials, row.audience});
  for (const auto& row : data::types()) {
    ProductType type{row.id, 0, {}};
    const auto is_its = [&](const Department& d) { return d.id == row.department; };
    const auto found = std::find_if(departments_.begin(), departments_.end(), is_its);
    if (found == departments_.end())
      fail(ErrorKind::internal, "type {}: no department {}", row.id, row.department);
    type.department = static_cast<int>(found - departments_.begin());
    const auto nouns = split_bars(row.words);
    for (const auto& noun : nouns) {
      if (noun[0] == '!') {
        type.words.push_back(noun.substr(1));
      } else {
        type.words.push_back(noun);
        type.words.push_back(plural(noun));
      }
    }
    const std::string english = nouns[0][0] == '!' ? nouns[0].substr(1) : plural(nouns[0]);
    if (*row.spanish || *row.german) translations_.push_back({english, row.spanish, row.german});
    type_by_id_[type.id] = static_cast<int>(types_.size());
    types_.push_back(std::move(type));
  }
  for (const auto& row : data::shared_types()) {
    std::vector<int> both{find_type(row.first), find_type(row.second)};
    if (both[0] < 0 || both[1] < 0) fail(ErrorKind::internal, "shared word {}: unknown type", row.word);
    std::sort(both.begin(), both.end());
    shared_type_words_.push_back({row.word, both});
    shared_type_words_.push_back({plural(row.word), both});
  }
  colours_ = make_values(data::colours());
  materials_ = make_values(data::materials());
  letter_sizes_ = make_values(data::letter_sizes());
  shoe_sizes_ = make_values(data::shoe_sizes());
  audiences_ = make_values(data::audiences());
  sorts_ = make_values(data::sorts());
  for (const auto rows : {data::colours(), data::materials(), data::audiences(), data::sorts()}) {
    for (const auto& row : rows) {
      if (!*row.spanish && !*row.german) continue;
      translations_.push_back({split_bars(row.before)[0], row.spanish, row.german});
    }
  }
  for (const auto& row : data::small_words()) translations_.push_back({row.english, row.spanish, row.german});
  for (const auto& row : data::abbreviations()) abbreviations_.push_back({row.word, row.shorter});
  Rng rng(seed);
  make_lexicon();  // every word that the brands must keep away from
  make_brands(rng);
}

void World::add_words(std::string_view phrase) {
  for (auto& word : split_words(phrase)) {
    if (!words_.insert(word).second) continue;
    word_letters_.push_back(letter_set(word));
    word_list_.push_back(word);
  }
}

void World::make_lexicon() {
  const auto add = [&](const std::string& text, Kind kind, std::vector<std::string> ids,
                       bool foreign = false) {
    for (const auto& entry : lexicon_) {
      if (entry.text == text && entry.kind == kind && entry.ids == ids) return;
    }
    lexicon_.push_back({text, kind, std::move(ids), foreign});
    add_words(text);
  };
  for (const auto& type : types_) {
    for (const auto& text : type.words) add(text, Kind::type, {type.id});
  }
  for (const auto& shared : shared_type_words_) {
    std::vector<std::string> ids;
    for (const int type : shared.types) ids.push_back(types_[type].id);
    std::sort(ids.begin(), ids.end());
    add(shared.text, Kind::type, ids);
  }
  const std::pair<Kind, const std::vector<Value>*> value_lists[] = {
      {Kind::colour, &colours_},  {Kind::material, &materials_}, {Kind::size, &letter_sizes_},
      {Kind::size, &shoe_sizes_}, {Kind::audience, &audiences_}, {Kind::sort, &sorts_}};
  for (const auto& [kind, values] : value_lists) {
    for (const auto& value : *values) {
      for (const auto& text : value.before) add(text, kind, {value.id});
      for (const auto& text : value.after) add(text, kind, {value.id});
    }
  }
  const size_t english = lexicon_.size();
  for (const auto& translation : translations_) {
    for (size_t i = 0; i < english; ++i) {
      const LexiconEntry entry = lexicon_[i];
      if (entry.text != translation.english) continue;
      if (!translation.spanish.empty()) add(translation.spanish, entry.kind, entry.ids, true);
      if (!translation.german.empty()) add(translation.german, entry.kind, entry.ids, true);
      break;
    }
    add_words(translation.spanish);
    add_words(translation.german);
  }
  for (const auto& abbreviation : abbreviations_) add_words(abbreviation.shorter);
  const auto add_template = [&](std::string_view text) {
    std::string plain(text);
    for (char& c : plain) {
      if (c == '*' || c == '|') c = ' ';
    }
    for (auto& word : split_words(plain)) {
      if (word[0] != '{') add_words(word);
    }
  };
  for (const auto rows :
       {data::openers(), data::closers(), data::compare_templates(), data::support_templates(),
        data::max_wordings(), data::min_wordings(), data::range_wordings(), data::impossible_wordings(),
        data::about_wordings(), data::exclusions(), data::corrections(), data::description_heads()}) {
    for (const char* row : rows) add_template(row);
  }
  for (const auto& topic : data::off_topics()) {
    add_template(topic.templates);
    add_template(topic.objects);
  }
  for (const auto& row : data::descriptions()) add_template(row.phrases);
  for (const auto& row : data::number_words()) add_template(row.text);
  for (const char* word : {"thing", "something", "anything", "stuff", "products", "items", "things", "made",
                           "brand", "by", "euros", "dollars", "bucks", "eur", "usd"}) {
    add_words(word);
  }
}

void World::make_brands(Rng& rng) {
  const auto new_word = [&](int low, int high, size_t shortest, size_t longest) {
    for (;;) {
      std::string word = invent_word(rng, static_cast<int>(rng.between(low, high)));
      if (word.size() < shortest || word.size() > longest) continue;
      if (!is_far(word, nickname_distance)) continue;
      bool far = true;
      for (const auto& brand : brands_) far = far && edit_distance(word, brand.id) >= brand_distance;
      if (far) return word;
    }
  };
  for (int i = 0; i < brand_count; ++i) {
    Brand brand;
    brand.id = new_word(2, 3, 6, 8);
    const int departments = static_cast<int>(departments_.size());
    brand.departments.push_back(i % departments);
    if (rng.chance(0.35))
      brand.departments.push_back((i + 1 + static_cast<int>(rng.below(departments - 1))) % departments);
    std::sort(brand.departments.begin(), brand.departments.end());
    brand_by_id_[brand.id] = i;
    add_words(brand.id);
    lexicon_.push_back({brand.id, Kind::brand, {brand.id}, false});
    brands_.push_back(std::move(brand));
  }
  for (auto& brand : brands_) {
    const double draw = rng.uniform();
    const int count = draw < 0.6 ? 1 : draw < 0.9 ? 2 : 3;
    for (int i = 0; i < count; ++i) {
      brand.nicknames.push_back(new_word(2, 2, 5, 6));
      add_words(brand.nicknames.back());
      lexicon_.push_back({brand.nicknames.back(), Kind::brand, {brand.id}, false});
    }
  }
  const auto share_department = [&](const Brand& a, const Brand& b) {
    return std::any_of(a.departments.begin(), a.departments.end(), [&](int d) {
      return std::find(b.departments.begin(), b.departments.end(), d) != b.departments.end();
    });
  };
  std::vector<bool> taken(brands_.size(), false);
  while (shared_nicknames_.size() < shared_nickname_count) {
    int a = static_cast<int>(rng.below(brands_.size()));
    int b = static_cast<int>(rng.below(brands_.size()));
    if (a > b) std::swap(a, b);
    // A brand has at most three nicknames, shared ones included.
    if (a == b || taken[a] || taken[b] || share_department(brands_[a], brands_[b])) continue;
    if (brands_[a].nicknames.size() > 2 || brands_[b].nicknames.size() > 2) continue;
    taken[a] = taken[b] = true;
    shared_nicknames_.push_back({new_word(2, 2, 5, 6), {a, b}});
    std::vector<std::string> ids{brands_[a].id, brands_[b].id};
    std::sort(ids.begin(), ids.end());
    add_words(shared_nicknames_.back().text);
    lexicon_.push_back({shared_nicknames_.back().text, Kind::brand, ids, false});
  }
}

bool World::sells(int brand, int department) const {
  const auto& of = brands_[brand].departments;
  return std::find(of.begin(), of.end(), department) != of.end();
}

int World::find_brand(std::string_view id) const {
  const auto found = brand_by_id_.find(std::string(id));
  return found == brand_by_id_.end() ? -1 : found->second;
}

int World::find_type(std::string_view id) const {
  const auto found = type_by_id_.find(std::string(id));
  return found == type_by_id_.end() ? -1 : found->second;
}

bool World::is_far(std::string_view word, int distance) const {
  const int length = static_cast<int>(word.size());
  const EditPattern pattern(word);
  const uint32_t letters = letter_set(word);
  // The newest words first: those are the brands, which an invented name most often resembles.
  for (size_t i = word_list_.size(); i-- > 0;) {
    if (!may_be_within(letters, word_letters_[i], distance - 1)) continue;
    if (std::abs(static_cast<int>(word_list_[i].size()) - length) >= distance) continue;
    if (pattern.distance(word_list_[i]) < distance) return false;
  }
  return true;
}

std::string World::invent_brand(Rng& rng, int distance) const {
  for (int attempt = 0;; ++attempt) {
    std::string word;
    if (attempt < 8 && rng.chance(0.5)) {
      word = rng.pick(brands_).id;
      for (int i = 0; i < distance; ++i) {
        static constexpr std::string_view vowels = "aeiou", consonants = "bdfgklmnprstvz";
        char& letter = word[rng.below(word.size())];
        const bool vowel = vowels.find(letter) != std::string_view::npos;
        letter = vowel ? vowels[rng.below(vowels.size())] : consonants[rng.below(consonants.size())];
      }
    } else {
      word = invent_word(rng, attempt < 20 ? static_cast<int>(rng.between(2, 3)) : 3);
      if (word.size() < 5 || word.size() > 9) continue;
    }
    if (is_far(word, distance)) return word;
  }
}

}  // namespace tern::search
