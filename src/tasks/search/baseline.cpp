#include "tasks/search/baseline.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"

namespace tern::search {
namespace {

using WordSet = std::unordered_set<std::string>;

// Words that anybody would list for a shop, in the order of the rules below.
const WordSet below_words = {"under", "below",   "less", "max",    "maximum",
                             "most",  "cheaper", "up",   "within", "until"};
const WordSet above_words = {"over", "above", "more", "min", "minimum", "least", "starting", "beyond"};
const WordSet negations = {"no", "not"};
const WordSet exclusion_words = {"no",    "not",  "without", "except", "never",
                                 "avoid", "skip", "hate",    "dont",   "but"};
const WordSet correction_words = {"sorry",  "mean", "meant",   "actually", "wait",
                                  "rather", "oops", "scratch", "instead"};
const WordSet about_words = {"around", "about", "roughly", "approximately"};
const std::unordered_map<std::string, int> unit_numbers = {
    {"one", 1},      {"two", 2},     {"three", 3},   {"four", 4},   {"five", 5},    {"six", 6},
    {"seven", 7},    {"eight", 8},   {"nine", 9},    {"ten", 10},   {"eleven", 11}, {"twelve", 12},
    {"fifteen", 15}, {"twenty", 20}, {"thirty", 30}, {"forty", 40}, {"fifty", 50},  {"sixty", 60},
    {"seventy", 70}, {"eighty", 80}, {"ninety", 90}};
const WordSet compare_words = {"compare", "compared",   "comparing", "comparison", "vs",     "versus",
                               "better",  "difference", "differ",    "choose",     "prefer", "against"};
const WordSet support_words = {"return",    "refund",   "order",     "track",    "tracking", "arrive",
                               "arrived",   "late",     "broken",    "damaged",  "cancel",   "exchange",
                               "replace",   "wrong",    "faulty",    "warranty", "invoice",  "delivery",
                               "delivered", "shipping", "complaint", "missing",  "repair",   "service",
                               "support",   "charged",  "working",   "address"};
const WordSet off_topic_words = {
    "weather",     "rain",   "snow",   "news",    "capital",   "joke",   "poem",    "song",
    "story",       "write",  "python", "code",    "program",   "recipe", "cook",    "translate",
    "language",    "who",    "why",    "explain", "essay",     "hotel",  "flights", "trip",
    "restaurants", "doctor", "born",   "won",     "president", "math",   "movie",   "history"};
const WordSet plain_words = {
    "i",        "me",       "my",     "we",     "our",      "you",      "your",      "it",       "its",
    "this",     "that",     "these",  "those",  "is",       "are",      "was",       "were",     "be",
    "been",     "has",      "have",   "had",    "do",       "does",     "did",       "can",      "could",
    "would",    "should",   "will",   "what",   "which",    "where",    "when",      "how",      "whats",
    "there",    "here",     "a",      "an",     "the",      "and",      "or",        "but",      "not",
    "no",       "of",       "for",    "from",   "with",     "by",       "in",        "on",       "at",
    "to",       "into",     "than",   "about",  "around",   "between",  "some",      "any",      "all",
    "like",     "looking",  "look",   "want",   "need",     "show",     "find",      "search",   "searching",
    "shop",     "shopping", "buy",    "buying", "bought",   "get",      "got",       "give",     "sell",
    "help",     "see",      "list",   "browse", "after",    "trying",   "hi",        "hello",    "hey",
    "good",     "morning",  "please", "thanks", "thank",    "possible", "stock",     "birthday", "gift",
    "today",    "tomorrow", "online", "sale",   "right",    "now",      "something", "anything", "stuff",
    "products", "items",    "things", "made",   "make",     "brand",    "price",     "euros",    "euro",
    "dollars",  "bucks",    "size",   "first",  "sorted",   "sort",     "only",      "just",     "still",
    "never",    "take",     "took",   "came",   "happened", "people",   "customer",  "talk",     "change",
    "status",   "last",     "year",   "long",   "much"};

bool is_number(const std::string& word) {
  return !word.empty() && std::isdigit(static_cast<unsigned char>(word[0]));
}

bool is_unit(const std::string& word) {
  return word == "eur" || word == "usd" || word == "euros" || word == "euro" || word == "dollars" ||
         word == "bucks" || word == "e";
}

std::optional<int64_t> cents_of(const std::string& number) {
  const size_t dot = number.find('.');
  const std::string whole = number.substr(0, dot);
  if (whole.empty() || whole.size() > 9) return std::nullopt;
  int64_t cents = std::stoll(whole) * 100;
  if (dot != std::string::npos && number.size() == dot + 3) cents += std::stoll(number.substr(dot + 1));
  return cents;
}

/// "two hundred fifty" is 250.
std::vector<std::string> with_digits(const std::vector<std::string>& words) {
  std::vector<std::string> result;
  for (size_t at = 0; at < words.size();) {
    int value = 0;
    size_t end = at;
    if (words[end] == "a" && end + 1 < words.size() &&
        (words[end + 1] == "hundred" || words[end + 1] == "thousand")) {
      value = 1;
      ++end;
    }
    for (; end < words.size(); ++end) {
      const auto found = unit_numbers.find(words[end]);
      if (found != unit_numbers.end()) {
        value += found->second;
      } else if (words[end] == "hundred" && value > 0) {
        value *= 100;
      } else if (words[end] == "thousand" && value > 0) {
        value *= 1000;
      } else {
        break;
      }
    }
    if (value > 0 && !(end == at + 1 && value < 10)) {
      result.push_back(std::to_string(value));
      at = end;
    } else {
      result.push_back(words[at++]);
    }
  }
  return result;
}

/// Lower case; numbers stand alone, currency signs become "eur".
std::vector<std::string> tokenize(std::string_view query) {
  std::string text;
  char previous = ' ';
  for (size_t i = 0; i < query.size(); ++i) {
    const auto byte = static_cast<unsigned char>(query[i]);
    if (query.substr(i).starts_with("€") || byte == '$') {
      text += " eur ";
      i += byte == '$' ? 0 : 2;
      previous = ' ';
      continue;
    }
    const char c = static_cast<char>(std::tolower(byte));
    const bool digit = std::isdigit(byte) || (c == '.' && std::isdigit(static_cast<unsigned char>(previous)));
    const bool was_digit = std::isdigit(static_cast<unsigned char>(previous)) || previous == '.';
    if (c != ' ' && previous != ' ' && digit != was_digit) text += ' ';
    text += c;
    previous = c;
  }
  return with_digits(split_words(text));
}

}  // namespace

struct Baseline::Impl {
  struct Found {
    const LexiconEntry* entry = nullptr;
    size_t words = 1;
    int edits = 0;
  };
  struct Named {
    const LexiconEntry* entry = nullptr;
    size_t at = 0, end = 0;  ///< words
  };
  struct Slots {
    std::vector<const LexiconEntry*> types, brands;
    std::vector<std::string> strangers;
    Answer answer;
    std::vector<Named> named;
    bool mine = false;  ///< "my" stands before a brand or type
  };

  Impl(const World& the_world, BaselineOptions the_options) : world(the_world), options(the_options) {
    for (const auto& entry : world.lexicon()) {
      exact.try_emplace(entry.text, &entry);
      letters.push_back(letter_set(entry.text));
    }
    for (const auto& translation : world.translations()) {
      for (const auto& foreign : {translation.spanish, translation.german}) {
        for (auto& word : split_words(foreign)) small_words.insert(std::move(word));
      }
    }
  }

  const World& world;
  BaselineOptions options;
  std::unordered_map<std::string, const LexiconEntry*> exact;
  std::vector<uint32_t> letters;  ///< of each lexicon entry
  WordSet small_words;            ///< Spanish and German ones, "para" and the like among them

  int limit(size_t size) const {
    return size >= options.two_edits_from ? 2 : size >= options.one_edit_from ? 1 : 0;
  }

  bool is_known(const std::string& word) const {
    for (const auto* set : {&below_words, &above_words, &compare_words, &support_words, &off_topic_words,
                            &plain_words, &exclusion_words, &correction_words, &about_words}) {
      if (set->contains(word)) return true;
    }
    return exact.contains(word) || small_words.contains(word);
  }

  /// The word itself, or a misspelt one within one edit of a word in the list.
  bool is_among(const std::string& word, const WordSet& set) const {
    if (set.contains(word)) return true;
    if (word.size() < 5 || word.size() > 32 || is_known(word)) return false;
    const EditPattern pattern(word);
    return std::any_of(set.begin(), set.end(), [&](const std::string& other) {
      return other.size() >= 5 && pattern.distance(other) <= 1;
    });
  }

  /// The nearest lexicon phrase within the limit for its length.
  Found nearest(const std::string& text, size_t words) const {
    Found best{nullptr, words, 3};
    if (text.size() > 40 || text.size() < options.one_edit_from) return best;
    const EditPattern pattern(text);
    const uint32_t set = letter_set(text);
    const auto lexicon = world.lexicon();
    for (size_t i = 0; i < lexicon.size(); ++i) {
      if (!may_be_within(set, letters[i], 2)) continue;
      const auto& entry = lexicon[i];
      const int edits = pattern.distance(entry.text);
      if (edits > limit(std::min(entry.text.size(), text.size())) || edits >= best.edits) continue;
      best.entry = &entry;
      best.edits = edits;
    }
    return best;
  }

  /// The phrase that starts at `at`: longest exact match, else nearest, else two words written as one.
  std::vector<Found> match(const std::vector<std::string>& words, size_t at) const {
    std::string phrase;
    std::vector<std::string> phrases;
    for (size_t i = at; i < words.size() && i < at + 4; ++i) {
      phrase += (i > at ? " " : "") + words[i];
      phrases.push_back(phrase);
    }
    for (size_t length = phrases.size(); length > 0; --length) {
      const auto found = exact.find(phrases[length - 1]);
      if (found != exact.end()) return {{found->second, length, 0}};
    }
    if (is_number(words[at]) || is_known(words[at])) return {};
    Found best{nullptr, 1, 3};
    for (size_t length = std::min<size_t>(phrases.size(), 3); length > 0; --length) {
      const Found found = nearest(phrases[length - 1], length);
      if (found.entry && found.edits < best.edits) best = found;
    }
    if (best.entry) return {best};
    const auto& word = words[at];
    for (size_t cut = 3; cut + 3 <= word.size(); ++cut) {
      const auto left = exact.find(word.substr(0, cut)), right = exact.find(word.substr(cut));
      if (left != exact.end() && right != exact.end()) return {{left->second, 0, 0}, {right->second, 1, 0}};
      if (left != exact.end() && plain_words.contains(word.substr(cut))) return {{left->second, 1, 0}};
      if (right != exact.end() && plain_words.contains(word.substr(0, cut))) return {{right->second, 1, 0}};
    }
    return {};
  }

  void put(const LexiconEntry& entry, Slots& slots) const {
    Answer& answer = slots.answer;
    switch (entry.kind) {
      case Kind::type:
        slots.types.push_back(&entry);
        break;
      case Kind::brand:
        slots.brands.push_back(&entry);
        break;
      case Kind::colour:
        answer.colours.push_back(entry.ids[0]);
        break;
      case Kind::material:
        answer.materials.push_back(entry.ids[0]);
        break;
      case Kind::size:
        answer.sizes.push_back(entry.ids[0]);
        break;
      case Kind::audience:
        answer.audience = entry.ids[0];
        break;
      case Kind::sort:
        answer.sort = entry.ids[0];
        break;
      default:
        fail(ErrorKind::internal, "baseline: the lexicon has no kind {}", static_cast<int>(entry.kind));
    }
  }

  /// A number's bound is told by the nearest price word before it; two bare numbers are a range.
  void prices(const std::vector<std::string>& words, const std::vector<bool>& used, Answer& answer) const {
    std::vector<int64_t> bare;
    for (size_t i = 0; i < words.size(); ++i) {
      if (!is_number(words[i]) || used[i] || words[i] == "4") continue;
      const auto cents = cents_of(words[i]);
      if (!cents) continue;
      char bound = 0;
      for (size_t back = i; back-- > 0 && i - back <= 3 && !bound;) {
        if (is_number(words[back])) break;
        if (is_unit(words[back])) continue;
        const bool negated = back > 0 && negations.contains(words[back - 1]);
        const bool than = words[back] == "than";
        if (!than && is_among(words[back], below_words)) bound = negated ? 'a' : 'b';
        if (!bound && is_among(words[back], above_words)) bound = negated ? 'b' : 'a';
      }
      const bool about = !bound && ((i > 0 && is_among(words[i - 1], about_words)) ||
                                    (i + 2 < words.size() && words[i + 1] == "or" && words[i + 2] == "so"));
      const bool range = i + 1 < words.size() && words[i + 1] == "to";
      if (about && !range) {
        answer.min_price = *cents * 4 / 5;
        answer.max_price = *cents * 6 / 5;
      } else if (bound == 'a') {
        answer.min_price = cents;
      } else if (bound == 'b') {
        answer.max_price = cents;
      } else {
        bare.push_back(*cents);
      }
    }
    if (bare.size() == 2) {
      answer.min_price = std::min(bare[0], bare[1]);
      answer.max_price = std::max(bare[0], bare[1]);
    } else if (bare.size() == 1) {
      (answer.max_price ? answer.min_price : answer.max_price) = bare[0];
    }
  }

  static void add_ids(const std::vector<const LexiconEntry*>& entries, std::vector<std::string>& ids) {
    for (const auto* entry : entries) ids.insert(ids.end(), entry->ids.begin(), entry->ids.end());
  }

  /// Shared words are told apart by what the brands sell; what cannot be right is noted.
  void resolve(Slots& slots) const {
    Answer& answer = slots.answer;
    add_ids(slots.types, answer.types);
    add_ids(slots.brands, answer.brands);
    const bool open_type = slots.types.size() == 1 && answer.types.size() > 1;
    const bool open_brand = slots.brands.size() == 1 && answer.brands.size() > 1;
    if (slots.types.size() == 1 && slots.brands.size() == 1) {
      std::vector<std::string> types, brands;
      for (const auto& brand : answer.brands) {
        for (const auto& type : answer.types) {
          if (!world.sells(world.find_brand(brand), world.types()[world.find_type(type)].department))
            continue;
          types.push_back(type);
          brands.push_back(brand);
        }
      }
      if (types.empty()) {
        answer.note = "contradiction:brand";
      } else {
        answer.types = types;
        answer.brands = brands;
      }
    } else if (open_type && answer.brands.empty()) {
      answer.note = "ambiguous:type";
    } else if (open_brand && answer.types.empty()) {
      answer.note = "ambiguous:brand";
    }
  }

  static void tidy(Answer& answer) {
    for (auto* set : {&answer.types, &answer.brands, &answer.colours, &answer.materials, &answer.sizes,
                      &answer.excluded}) {
      std::sort(set->begin(), set->end());
      set->erase(std::unique(set->begin(), set->end()), set->end());
    }
  }

  Answer read(std::string_view query) const {
    const auto words = tokenize(query);
    std::vector<bool> used(words.size(), false);
    Slots slots;
    int compare = 0, support = 0, off_topic = 0;
    for (size_t at = 0; at < words.size();) {
      compare += is_among(words[at], compare_words);
      support += is_among(words[at], support_words);
      off_topic += is_among(words[at], off_topic_words);
      const bool cue = is_among(words[at], compare_words) || is_among(words[at], support_words) ||
                       is_among(words[at], off_topic_words) || is_among(words[at], below_words) ||
                       is_among(words[at], above_words);
      const auto found = match(words, at);
      size_t taken = 1;
      for (const auto& one : found) {
        if (cue && one.edits > 0) continue;
        slots.named.push_back({one.entry, at, at + std::max(one.words, size_t{1})});
        const bool thing = one.entry->kind == Kind::type || one.entry->kind == Kind::brand;
        slots.mine = slots.mine || (thing && at > 0 && words[at - 1] == "my");
        taken = std::max(one.words, size_t{1});
        for (size_t i = at; i < at + taken; ++i) used[i] = true;
      }
      const bool plain = is_number(words[at]) || is_known(words[at]) || is_among(words[at], plain_words);
      if (found.empty() && !cue && !plain && words[at].size() >= options.unknown_from) {
        slots.strangers.push_back(words[at]);
      }
      at += taken;
    }
    sort_out(words, slots);
    return decide(words, used, slots, compare, support, off_topic);
  }

  /// Which of what is named is wanted, excluded ("no red") or taken back ("red no wait blue").
  void sort_out(const std::vector<std::string>& words, Slots& slots) const {
    const auto& named = slots.named;
    std::vector<bool> dropped(named.size(), false);
    for (size_t i = 0; i + 1 < named.size(); ++i) {
      if (named[i].entry->kind != named[i + 1].entry->kind || named[i + 1].at > named[i].end + 3) continue;
      for (size_t at = named[i].end; at < named[i + 1].at; ++at) {
        if (words[at] == "instead") {
          dropped[i + 1] = true;
        } else if (correction_words.contains(words[at])) {
          dropped[i] = true;
        }
      }
    }
    for (size_t i = 0; i < named.size(); ++i) {
      if (dropped[i]) continue;
      const auto& entry = *named[i].entry;
      bool excluded = false;
      for (size_t back = 1; back <= 2 && back <= named[i].at; ++back) {
        const auto& word = words[named[i].at - back];
        excluded = excluded || exclusion_words.contains(word);
        if (!plain_words.contains(word)) break;
      }
      const bool can =
          entry.kind == Kind::colour || entry.kind == Kind::material || entry.kind == Kind::brand;
      if (excluded && can) {
        slots.answer.excluded.push_back(entry.ids[0]);
      } else {
        put(entry, slots);
      }
    }
  }

  Answer decide(const std::vector<std::string>& words, const std::vector<bool>& used, Slots& slots,
                int compare, int support, int off_topic) const {
    Answer& answer = slots.answer;
    const bool order =
        std::any_of(words.begin(), words.end(), [](const auto& w) { return is_number(w) && w.size() == 5; });
    if (off_topic > 0 && slots.brands.empty() && !order && support == 0)
      return Answer{.intent = Intent::off_topic};
    const bool two = slots.brands.size() > 1 || slots.types.size() > 1;
    if (support > 0 || (slots.mine && compare == 0 && !two)) {
      Answer reply{.intent = Intent::support};
      add_ids(slots.types, reply.types);
      add_ids(slots.brands, reply.brands);
      tidy(reply);
      return reply;
    }
    if (two) {
      Answer reply{.intent = Intent::compare};
      add_ids(slots.types, reply.types);
      add_ids(slots.brands, reply.brands);
      tidy(reply);
      return reply;
    }
    const bool nothing = slots.brands.empty() && slots.types.empty() && slots.strangers.size() != 1;
    if (nothing || (slots.types.empty() && slots.strangers.size() > 1))
      return Answer{.intent = Intent::off_topic};
    prices(words, used, answer);
    resolve(slots);
    if (slots.brands.empty() && !slots.strangers.empty()) answer.note = "unknown:brand";
    if (answer.min_price && answer.max_price && *answer.min_price > *answer.max_price)
      answer.note = "contradiction:price";
    tidy(answer);
    return answer;
  }
};

Baseline::Baseline(const World& world, BaselineOptions options) : impl_(new Impl(world, options)) {}
Baseline::~Baseline() = default;
Baseline::Baseline(Baseline&&) noexcept = default;

Answer Baseline::answer(std::string_view query) const {
  return impl_->read(query);
}

}  // namespace tern::search
