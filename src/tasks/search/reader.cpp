#include "tasks/search/reader.h"

#include <algorithm>

#include "tasks/search/grammar_data.h"

namespace tern::search {
namespace {

constexpr double stray_word = 3.5;   ///< a word that the template does not have, or lacks
constexpr double wrong_count = 8;    ///< two brands in a request, one in a comparison
constexpr double contradiction = 3;  ///< rarer than agreement by as much
constexpr size_t longest_phrase = 7;

bool is_unit(std::string_view word) {
  return word == "euros" || word == "dollars" || word == "eur" || word == "bucks" || word == "usd";
}

std::optional<int64_t> cents_of(const std::string& number) {
  if (number.empty() || number.size() > 9) return std::nullopt;
  const size_t dot = number.find('.');
  const std::string whole = number.substr(0, dot),
                    part = dot == std::string::npos ? "" : number.substr(dot + 1);
  const auto digits = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (whole.empty() || !digits(whole) || !digits(part) || (part.size() != 2 && !part.empty()))
    return std::nullopt;
  return std::stoll(whole) * 100 + (part.empty() ? 0 : std::stoll(part));
}

/// Words in one sorted list and not in the other.
size_t difference(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> only;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
  return only.size();
}

}  // namespace

Reader::Template Reader::make_template(std::string_view text) const {
  Template made;
  for (auto& word : split_words(text)) {
    if (word[0] == '*') word.erase(0, 1);
    if (word[0] == '{') {
      made.slot = word[1] == 'n' ? 'n' : 'x';
      continue;
    }
    const int id = model_.find(word);
    if (id >= 0) made.words.push_back(id);
  }
  std::sort(made.words.begin(), made.words.end());
  return made;
}

Reader::Reader(const World& world, const WordModel& model)
    : world_(world), model_(model), find_words_(model.size(), false), free_words_(model.size(), false) {
  for (const auto& entry : world.lexicon()) {
    if (!entry.foreign) phrases_[entry.text].push_back(&entry);
  }
  for (const auto& row : data::descriptions()) {
    for (auto& phrase : split_bars(row.phrases))
      descriptions_.push_back({std::move(phrase), Kind::type, {row.type}, false});
  }
  for (const auto& entry : descriptions_) phrases_[entry.text].push_back(&entry);
  for (const auto& row : data::number_words())
    numbers_.emplace_back(split_words(row.text), std::to_string(row.value));
  std::stable_sort(numbers_.begin(), numbers_.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  for (const auto rows : {data::exclusions(), data::corrections()}) {
    for (const char* text : rows) {
      Pattern pattern;
      for (auto& word : split_words(text)) {
        pattern.slots.push_back(word[0] == '{' ? word[1] : '\0');
        pattern.words.push_back(std::move(word));
      }
      patterns_.push_back(std::move(pattern));
    }
  }
  const auto mark = [&](std::vector<bool>& set, std::string_view text) {
    for (const auto& word : split_words(text)) {
      const int id = model.find(word);
      if (id >= 0) set[id] = true;
    }
  };
  for (const char* text : data::openers()) mark(find_words_, text);
  for (const char* text : data::closers()) mark(find_words_, text);
  mark(find_words_, "something anything stuff products items things from by made the brand in of for or and");
  mark(find_words_, "euros dollars eur bucks usd thing");
  for (const char* text : data::description_heads()) mark(find_words_, text);
  mark(free_words_, "hi hello hey please thanks thing");
  for (const char* text : data::description_heads()) mark(free_words_, text);
  const auto add_price = [&](const char* text, char only) {
    PriceWording wording;
    for (auto& word : split_words(text)) {
      const char slot = word[0] == '{' ? word[1] : '\0';
      wording.slots.push_back(slot == 'p' ? only : slot);
      wording.words.push_back(std::move(word));
    }
    prices_.push_back(std::move(wording));
  };
  for (const char* text : data::max_wordings()) add_price(text, 'b');
  for (const char* text : data::min_wordings()) add_price(text, 'a');
  for (const char* text : data::range_wordings()) add_price(text, 0);
  for (const char* text : data::impossible_wordings()) add_price(text, 0);
  for (const char* text : data::about_wordings()) add_price(text, 0);
  for (const char* text : data::compare_templates()) {
    for (const char* tail : {"", " for", " when buying", " from", " by"})
      compare_.push_back(make_template(text + std::string(tail)));
  }
  for (const char* text : data::support_templates()) support_.push_back(make_template(text));
  for (const auto& row : data::off_topics()) {
    Topic topic;
    for (const auto& text : split_bars(row.templates)) topic.templates.push_back(make_template(text));
    for (auto& object : split_bars(row.objects)) topic.objects.insert(std::move(object));
    topic.products = row.products;
    topics_.push_back(std::move(topic));
  }
}

std::string Reader::text_of(const HeardWord& word) const {
  return word.text.empty() ? model_.text(word.id) : word.text;
}

/// The longest price wording at `at`, a unit after its last number included.
const Reader::PriceWording* Reader::match_price(const std::vector<HeardWord>& words, size_t at, size_t& size,
                                                Segment& segment) const {
  const PriceWording* best = nullptr;
  for (const auto& wording : prices_) {
    size_t place = at;
    std::optional<int64_t> low, high;
    bool fits = true;
    for (size_t i = 0; i < wording.words.size() && fits; ++i) {
      // A currency may stand on either side of any number.
      if (wording.slots[i] && place < words.size() && is_unit(text_of(words[place]))) ++place;
      fits = place < words.size();
      if (!fits) break;
      const auto& word = words[place++];
      if (!wording.slots[i]) {
        fits = word.id != WordModel::number && text_of(word) == wording.words[i];
        continue;
      }
      const auto cents = word.id == WordModel::number ? cents_of(word.text) : std::nullopt;
      fits = cents.has_value();
      if (!fits) break;
      if (wording.slots[i] == 'a') low = cents;
      if (wording.slots[i] == 'b') high = cents;
      if (wording.slots[i] == 'c') {
        low = *cents * 4 / 5;
        high = *cents * 6 / 5;
      }
      if (place < words.size() && is_unit(text_of(words[place]))) ++place;
    }
    if (!fits || (best && place - at <= size)) continue;
    best = &wording;
    size = place - at;
    segment.low = low;
    segment.high = high;
  }
  return best;
}

/// Prices said in words as the digits they mean.
std::vector<HeardWord> Reader::with_digits(const std::vector<HeardWord>& words) const {
  std::vector<HeardWord> result;
  for (size_t at = 0; at < words.size();) {
    const auto starts_here = [&](const std::vector<std::string>& number) {
      if (at + number.size() > words.size()) return false;
      for (size_t i = 0; i < number.size(); ++i) {
        if (words[at + i].id <= WordModel::border || model_.text(words[at + i].id) != number[i]) return false;
      }
      return true;
    };
    const auto found =
        std::find_if(numbers_.begin(), numbers_.end(), [&](const auto& n) { return starts_here(n.first); });
    if (found == numbers_.end()) {
      result.push_back(words[at++]);
    } else {
      result.push_back({WordModel::number, found->second});
      at += found->first.size();
    }
  }
  return result;
}

/// The longest name or description that starts at `at`.
const LexiconEntry* Reader::match_phrase(const std::vector<HeardWord>& words, size_t at, size_t& size) const {
  const LexiconEntry* best = nullptr;
  std::string phrase;
  for (size_t i = at; i < words.size() && i < at + longest_phrase; ++i) {
    if (words[i].id == WordModel::unknown) break;
    if (!phrase.empty()) phrase += ' ';
    phrase += text_of(words[i]);
    const auto found = phrases_.find(phrase);
    if (found == phrases_.end()) continue;
    best = found->second.front();
    size = i + 1 - at;
  }
  return best;
}

/// The longest exclusion or correction at `at`: what it names, excluded or kept.
bool Reader::match_pattern(const std::vector<HeardWord>& words, size_t at, size_t& size,
                           Segment& segment) const {
  const LexiconEntry* best = nullptr;
  size_t longest = 0;
  for (const auto& pattern : patterns_) {
    size_t place = at;
    const LexiconEntry *excluded = nullptr, *withdrawn = nullptr, *kept = nullptr;
    bool fits = true;
    for (size_t i = 0; i < pattern.words.size() && fits; ++i) {
      fits = place < words.size();
      if (!fits) break;
      if (!pattern.slots[i]) {
        fits = words[place].id > WordModel::border && text_of(words[place]) == pattern.words[i];
        ++place;
        continue;
      }
      size_t taken = 1;
      const auto* entry = match_phrase(words, place, taken);
      fits = entry != nullptr;
      (pattern.slots[i] == 'e' ? excluded : pattern.slots[i] == 'w' ? withdrawn : kept) = entry;
      place += taken;
    }
    fits = fits && place - at > longest && (excluded || (withdrawn && kept && withdrawn->kind == kept->kind));
    if (excluded && fits)
      fits =
          excluded->kind == Kind::colour || excluded->kind == Kind::material || excluded->kind == Kind::brand;
    if (!fits) continue;
    longest = place - at;
    best = excluded ? excluded : kept;
    segment.excluded = excluded != nullptr;
  }
  if (!best) return false;
  segment.entry = best;
  size = longest;
  return true;
}

std::vector<Reader::Segment> Reader::segment(const std::vector<HeardWord>& words) const {
  std::vector<Segment> segments;
  size_t at = 0;
  while (at < words.size()) {
    Segment segment;
    size_t size = 1;
    if (match_price(words, at, size, segment)) {
      segment.kind = Kind::price;
      segments.push_back(segment);
      at += size;
      continue;
    }
    if (!match_pattern(words, at, size, segment)) segment.entry = match_phrase(words, at, size);
    if (segment.entry) {
      segment.kind = segment.entry->kind;
    } else {
      segment.word = words[at].id;
      segment.text = words[at].text;
      if (words[at].id == WordModel::unknown) segment.kind = Kind::unknown;
    }
    segments.push_back(segment);
    at += size;
  }
  return segments;
}

/// Types and brands of a request, with shared words told apart where the world allows it.
double Reader::resolve(const std::vector<const LexiconEntry*>& brands,
                       const std::vector<const LexiconEntry*>& types, Answer& answer) const {
  if (brands.size() > 1 || types.size() > 1) return wrong_count;
  if (!types.empty()) answer.types = types[0]->ids;
  if (!brands.empty()) answer.brands = brands[0]->ids;
  const auto sort_all = [&] {
    std::sort(answer.types.begin(), answer.types.end());
    std::sort(answer.brands.begin(), answer.brands.end());
  };
  sort_all();
  if (brands.empty()) {
    if (answer.types.size() > 1) answer.note = "ambiguous:type";
    return 0;
  }
  if (types.empty()) {
    if (answer.brands.size() > 1) answer.note = "ambiguous:brand";
    return 0;
  }
  std::vector<std::pair<std::string, std::string>> sold;
  for (const auto& brand : answer.brands) {
    for (const auto& type : answer.types) {
      if (world_.sells(world_.find_brand(brand), world_.types()[world_.find_type(type)].department)) {
        sold.emplace_back(brand, type);
      }
    }
  }
  if (sold.size() == 1) {
    answer.brands = {sold[0].first};
    answer.types = {sold[0].second};
    return 0;
  }
  if (!sold.empty()) return contradiction;  // both shared, and several pairs fit: the grammar never says that
  if (answer.brands.size() == 1 && answer.types.size() == 1) {
    answer.note = "contradiction:brand";
    return contradiction;
  }
  return wrong_count;
}

Reading Reader::read_find(const std::vector<Segment>& segments) const {
  Reading reading;
  Answer& answer = reading.answer;
  std::vector<const LexiconEntry*> brands, types;
  int unknown = 0, repeated = 0;
  const auto put = [&](std::string& slot, const std::string& id) {
    repeated += !slot.empty();
    slot = id;
  };
  for (const auto& segment : segments) {
    if (segment.excluded) {
      answer.excluded.push_back(segment.entry->ids[0]);
      continue;
    }
    switch (segment.kind) {
      case Kind::type:
        types.push_back(segment.entry);
        break;
      case Kind::brand:
        brands.push_back(segment.entry);
        break;
      case Kind::unknown:
        ++unknown;
        break;
      case Kind::colour:
        answer.colours.push_back(segment.entry->ids[0]);
        break;
      case Kind::material:
        repeated += !answer.materials.empty();
        answer.materials.push_back(segment.entry->ids[0]);
        break;
      case Kind::size:
        repeated += !answer.sizes.empty();
        answer.sizes.push_back(segment.entry->ids[0]);
        break;
      case Kind::audience:
        put(answer.audience, segment.entry->ids[0]);
        break;
      case Kind::sort:
        put(answer.sort, segment.entry->ids[0]);
        break;
      case Kind::price:
        repeated += answer.min_price.has_value() || answer.max_price.has_value();
        answer.min_price = segment.low;
        answer.max_price = segment.high;
        break;
      default:
        if (segment.word < 0 || !find_words_[segment.word]) reading.cost += stray_word;
    }
  }
  for (auto* set : {&answer.colours, &answer.materials, &answer.sizes, &answer.excluded}) {
    std::sort(set->begin(), set->end());
    set->erase(std::unique(set->begin(), set->end()), set->end());
  }
  reading.cost += repeated * wrong_count;
  reading.cost += resolve(brands, types, answer);
  if (unknown > 0) {
    reading.cost += (unknown - 1) * wrong_count + static_cast<double>(brands.size()) * wrong_count;
    answer.note = "unknown:brand";
    answer.brands.clear();
  }
  if (answer.min_price && answer.max_price && *answer.min_price > *answer.max_price) {
    reading.cost += answer.note.empty() ? 0 : wrong_count;
    answer.note = "contradiction:price";
  }
  if (types.empty() && brands.empty() && unknown == 0) reading.cost += wrong_count;
  return reading;
}

/// The cheapest template for these words, order aside.
double Reader::template_cost(const std::vector<Template>& templates, std::vector<int> words,
                             char slot) const {
  std::sort(words.begin(), words.end());
  double best = 1e9;
  for (const auto& candidate : templates) {
    const double wrong_slot = candidate.slot == slot ? 0 : wrong_count;
    best = std::min(best, wrong_slot + stray_word * static_cast<double>(difference(candidate.words, words)));
  }
  return best;
}

Reading Reader::read_compare(const std::vector<Segment>& segments) const {
  Reading reading;
  Answer& answer = reading.answer;
  answer.intent = Intent::compare;
  std::vector<int> words;
  for (const auto& segment : segments) {
    if (!segment.excluded && (segment.kind == Kind::type || segment.kind == Kind::brand)) {
      auto& set = segment.kind == Kind::type ? answer.types : answer.brands;
      set.insert(set.end(), segment.entry->ids.begin(), segment.entry->ids.end());
      if (segment.entry->ids.size() > 1) reading.cost += wrong_count;
    } else if (segment.kind == Kind::filler) {
      if (segment.word >= 0 && !free_words_[segment.word]) words.push_back(segment.word);
    } else {
      reading.cost += wrong_count;
    }
  }
  for (auto* set : {&answer.types, &answer.brands}) {
    std::sort(set->begin(), set->end());
    set->erase(std::unique(set->begin(), set->end()), set->end());
  }
  const size_t types = answer.types.size(), brands = answer.brands.size();
  if (!((brands == 2 && types <= 1) || (types == 2 && brands <= 1))) reading.cost += wrong_count;
  reading.cost += template_cost(compare_, std::move(words), 'x');
  return reading;
}

Reading Reader::read_support(const std::vector<Segment>& segments) const {
  Reading reading;
  Answer& answer = reading.answer;
  answer.intent = Intent::support;
  std::vector<int> words;
  bool order = false;
  for (const auto& segment : segments) {
    if (!segment.excluded && (segment.kind == Kind::type || segment.kind == Kind::brand)) {
      auto& set = segment.kind == Kind::type ? answer.types : answer.brands;
      set = segment.entry->ids;
      std::sort(set.begin(), set.end());
      if (set.size() > 1) reading.cost += wrong_count;
    } else if (segment.kind != Kind::filler) {
      reading.cost += wrong_count;
    } else if (segment.word == WordModel::number && segment.text.size() == 5) {
      order = true;
    } else if (segment.word >= 0 && !free_words_[segment.word]) {
      words.push_back(segment.word);
    }
  }
  if (!order && answer.types.empty() && answer.brands.empty()) reading.cost += wrong_count;
  reading.cost += template_cost(support_, std::move(words), order ? 'n' : 'x');
  return reading;
}

Reading Reader::read_off_topic(const std::vector<HeardWord>& words) const {
  Reading reading;
  reading.answer.intent = Intent::off_topic;
  reading.cost = 1e9;
  for (const auto& topic : topics_) {
    for (const auto& candidate : topic.templates) {
      std::vector<int> missing = candidate.words;
      std::string object;
      size_t strays = 0;
      for (const auto& word : words) {
        const auto found =
            word.text.empty() ? std::find(missing.begin(), missing.end(), word.id) : missing.end();
        if (found != missing.end()) {
          missing.erase(found);
        } else if (word.id > WordModel::border && free_words_[word.id]) {
          continue;
        } else {
          if (!object.empty()) object += ' ';
          object += text_of(word);
          ++strays;
        }
      }
      if (strays + missing.size() > 8) continue;
      const auto phrase = phrases_.find(object);
      const bool product =
          topic.products && phrase != phrases_.end() && phrase->second.front()->kind == Kind::type;
      const double object_cost =
          topic.objects.contains(object) || product ? 0 : 2 + stray_word * static_cast<double>(strays);
      reading.cost = std::min(reading.cost, object_cost + stray_word * static_cast<double>(missing.size()));
    }
  }
  return reading;
}

void Reader::read(const std::vector<HeardWord>& heard, double cost, std::vector<Reading>& out) const {
  const auto words = with_digits(heard);
  const auto segments = segment(words);
  for (auto reading :
       {read_find(segments), read_compare(segments), read_support(segments), read_off_topic(words)}) {
    reading.cost += cost;
    out.push_back(std::move(reading));
  }
}

}  // namespace tern::search
