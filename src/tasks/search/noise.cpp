#include "tasks/search/noise.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace tern::search {
namespace {

constexpr size_t op_count = 14;
constexpr size_t seen_count = 12;

constexpr std::array<std::string_view, op_count> op_names = {
    "neighbour_key",  "swap", "drop",       "double",     "missing_space", "sound_alike", "abbreviation",
    "mixed_language", "case", "truncation", "word_order", "units",         "extra_space", "vowel_drop"};

constexpr std::array<double, seen_count> op_weights = {3, 3, 3, 2, 2, 2, 1.5, 1.5, 1.5, 1.5, 1, 1};

constexpr SoundPair sound_rows[] = {
    {"ph", "f"},  {"f", "ph"},     {"ck", "k"},  {"k", "c"},    {"c", "k"},   {"s", "z"},
    {"z", "s"},   {"ee", "ea"},    {"ea", "ee"}, {"i", "y"},    {"y", "i"},   {"x", "ks"},
    {"ks", "x"},  {"oo", "u"},     {"ou", "ow"}, {"ow", "ou"},  {"ai", "ay"}, {"ay", "ai"},
    {"er", "ur"}, {"or", "er"},    {"ie", "ei"}, {"ei", "ie"},  {"tt", "t"},  {"ss", "s"},
    {"ll", "l"},  {"ight", "ite"}, {"qu", "kw"}, {"dge", "ge"}, {"v", "w"},   {"w", "v"},
};

constexpr std::array<std::string_view, 26> key_rows = {
    "qwsz",   "vghn",  "xdfv", "ersfcx", "wsdr", "rtgvcd", "tyhbvf", "yujnbg", "ujko",
    "uikmnh", "iolmj", "opk",  "njk",    "bhjm", "iklp",   "ol",     "wa",     "etdf",
    "wedxza", "rfgy",  "yhji", "cfgb",   "qase", "zsdc",   "tghu",   "asx"};

bool is_vowel(char c) {
  return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}
bool is_letter(char c) {
  return c >= 'a' && c <= 'z';
}
bool all_letters(std::string_view word) {
  return std::all_of(word.begin(), word.end(), is_letter);
}

size_t offset_of(const std::vector<Token>& tokens, size_t index) {
  size_t offset = 0;
  for (size_t i = 0; i < index; ++i)
    offset += tokens[i].text.size() + (i + 1 < tokens.size() && !tokens[i + 1].joined);
  return offset;
}

std::string text_between(const std::vector<Token>& tokens, size_t begin, size_t end) {
  std::string text;
  for (size_t i = begin; i < end; ++i) {
    if (i > begin && !tokens[i].joined) text += ' ';
    text += tokens[i].text;
  }
  return text;
}

std::string neighbour(std::string word, Rng& rng) {
  char& letter = word[rng.below(word.size())];
  const auto keys = neighbour_keys(letter);
  letter = keys[rng.below(keys.size())];
  return word;
}

std::string swapped(std::string word, Rng& rng) {
  const size_t at = rng.below(word.size() - 1);
  std::swap(word[at], word[at + 1]);
  return word;
}

std::string sounding_alike(const std::string& word, Rng& rng) {
  std::vector<std::pair<size_t, const SoundPair*>> sites;
  for (const auto& pair : sound_rows) {
    for (size_t at = word.find(pair.from); at != std::string::npos; at = word.find(pair.from, at + 1)) {
      if (pair.from == "c" && at + 1 < word.size() && word[at + 1] == 'h') continue;
      sites.emplace_back(at, &pair);
    }
  }
  if (sites.empty()) return word;
  const auto& [at, pair] = rng.pick(sites);
  std::string changed = word;
  return changed.replace(at, pair->from.size(), pair->to);
}

std::string in_capitals(std::string word, Rng& rng) {
  const double draw = rng.uniform();
  const auto raise = [](char& c) {
    if (is_letter(c)) c = static_cast<char>(c - 'a' + 'A');
  };
  if (draw < 0.4) {
    raise(word[0]);
  } else if (draw < 0.9) {
    std::for_each(word.begin(), word.end(), raise);
  } else {
    raise(word[rng.below(word.size())]);
  }
  return word;
}

std::string without_vowels(const std::string& word) {
  std::string bones(1, word[0]);
  for (size_t i = 1; i < word.size(); ++i) {
    if (!is_vowel(word[i])) bones += word[i];
  }
  return bones;
}

}  // namespace

std::string_view noise_op_name(NoiseOp op) {
  return op_names[static_cast<size_t>(op)];
}
std::span<const double> noise_op_weights() {
  return op_weights;
}
std::span<const SoundPair> sound_pairs() {
  return sound_rows;
}
std::string_view neighbour_keys(char letter) {
  return is_letter(letter) ? key_rows[letter - 'a'] : "";
}

NoiseChannel::NoiseChannel(const World& world) : world_(world) {
  for (const auto& translation : world.translations())
    translation_by_word_[translation.english] = &translation;
  for (const auto& abbreviation : world.abbreviations())
    abbreviation_by_word_[abbreviation.word] = abbreviation.shorter;
}

/// One word changed in place; false where the operator does not fit it or would make another word of it.
bool NoiseChannel::change_word(NoiseOp op, Token& token, bool unknown, Rng& rng) const {
  const std::string& word = token.text;
  std::string changed;
  if (op == NoiseOp::letter_case) {
    if (!std::any_of(word.begin(), word.end(), is_letter)) return false;
    changed = in_capitals(word, rng);
    if (changed == word) return false;
    token.text = std::move(changed);
    return true;
  }
  if (op == NoiseOp::abbreviation) {
    const auto found = abbreviation_by_word_.find(word);
    if (found == abbreviation_by_word_.end()) return false;
    token.text = found->second;
    return true;
  }
  const size_t size = word.size();
  if (size < (op == NoiseOp::extra_space ? 3 : 4) || !all_letters(word)) return false;
  switch (op) {
    case NoiseOp::neighbour_key:
      changed = neighbour(word, rng);
      break;
    case NoiseOp::swap:
      changed = swapped(word, rng);
      break;
    case NoiseOp::drop:
      changed = word;
      changed.erase(rng.below(size), 1);
      break;
    case NoiseOp::double_letter: {
      const size_t at = rng.below(size);
      changed = word;
      changed.insert(at, 1, word[at]);
      break;
    }
    case NoiseOp::sound_alike:
      if (unknown) return false;
      changed = sounding_alike(word, rng);
      break;
    case NoiseOp::truncation:
      if (unknown || size < 5) return false;
      changed = word.substr(0, size - (size > 6 ? 1 + rng.below(2) : 1));
      break;
    case NoiseOp::extra_space: {
      const size_t at = 1 + rng.below(size - 1);
      changed = word.substr(0, at) + " " + word.substr(at);
      break;
    }
    case NoiseOp::vowel_drop:
      if (unknown) return false;
      changed = without_vowels(word);
      if (changed.size() < 3) return false;
      break;
    default:
      fail(ErrorKind::internal, "noise: {} does not change one word", noise_op_name(op));
  }
  if (changed == word || world_.is_word(changed)) return false;
  token.text = std::move(changed);
  return true;
}

/// Replaces the mention's or filler's words at `at` by their translation.
bool NoiseChannel::translate(std::vector<Token>& tokens, size_t at, NoiseStep& step, Rng& rng) const {
  size_t begin = at, end = at + 1;
  if (tokens[at].mention >= 0 && !tokens[at].number) {
    const auto in_mention = [&](size_t i) { return tokens[i].mention == tokens[at].mention; };
    while (begin > 0 && in_mention(begin - 1)) --begin;
    while (end < tokens.size() && in_mention(end)) ++end;
  }
  auto found = translation_by_word_.find(text_between(tokens, begin, end));
  if (found == translation_by_word_.end()) {  // "under 60": the word alone
    begin = at;
    end = at + 1;
    found = translation_by_word_.find(tokens[at].text);
    // A word within a longer name ("dog bed") is not translated alone.
    if (found == translation_by_word_.end()) return false;
    const bool alone = tokens[at].mention < 0 || (at + 1 < tokens.size() && tokens[at + 1].number);
    if (!alone) return false;
  }
  const Translation& translation = *found->second;
  const bool spanish = translation.german.empty() || (!translation.spanish.empty() && rng.chance(0.5));
  step.at = offset_of(tokens, begin);
  step.before = text_between(tokens, begin, end);
  step.after = spanish ? translation.spanish : translation.german;
  if (step.after == step.before) return false;
  const Token first = tokens[begin];
  tokens.erase(tokens.begin() + static_cast<long>(begin), tokens.begin() + static_cast<long>(end));
  size_t place = begin;
  for (auto& word : split_words(step.after)) {
    Token token = first;
    token.text = std::move(word);
    token.joined = place == begin && first.joined;
    ++token.hits;
    tokens.insert(tokens.begin() + static_cast<long>(place++), std::move(token));
  }
  return true;
}

namespace {

/// "60 euros" becomes "60eur", "$60", "60€" and the like; a bare number gets a unit.
bool rewrite_units(std::vector<Token>& tokens, size_t at, NoiseStep& step, Rng& rng) {
  if (!tokens[at].number || tokens[at].hits > 0 || tokens[at].mention < 0) return false;
  const bool has_unit = at + 1 < tokens.size() && tokens[at + 1].unit;
  if (has_unit && tokens[at + 1].hits > 0) return false;
  const size_t end = at + 1 + has_unit;
  const std::string number = tokens[at].text;
  static constexpr std::string_view tails[] = {"€", "eur", "euro", "$", "usd", " €", " eur", "e", " usd"};
  static constexpr std::string_view heads[] = {"€", "$", "eur ", "usd "};
  step.at = offset_of(tokens, at);
  step.before = text_between(tokens, at, end);
  step.after = rng.chance(0.6) ? number + std::string(tails[rng.below(std::size(tails))])
                               : std::string(heads[rng.below(std::size(heads))]) + number;
  if (step.after == step.before) return false;
  Token merged = tokens[at];
  merged.text = step.after;
  ++merged.hits;
  if (has_unit) tokens.erase(tokens.begin() + static_cast<long>(at) + 1);
  tokens[at] = std::move(merged);
  return true;
}

/// Swaps the group of words at `at` with the next one.
bool reorder(std::vector<Token>& tokens, size_t at, NoiseStep& step) {
  const auto start_of = [&](size_t i) {
    while (i > 0 && tokens[i - 1].group == tokens[i].group) --i;
    return i;
  };
  const auto end_of = [&](size_t i) {
    while (i < tokens.size() && tokens[i].group == tokens[at].group) ++i;
    return i;
  };
  const size_t begin = start_of(at), middle = end_of(at);
  if (middle >= tokens.size()) return false;
  size_t end = middle;
  while (end < tokens.size() && tokens[end].group == tokens[middle].group) ++end;
  for (size_t i = begin; i < end; ++i) {
    if (tokens[i].joined || tokens[i].moved) return false;
  }
  if (end < tokens.size() && tokens[end].joined) return false;
  step.at = offset_of(tokens, begin);
  step.before = text_between(tokens, begin, end);
  std::rotate(tokens.begin() + static_cast<long>(begin), tokens.begin() + static_cast<long>(middle),
              tokens.begin() + static_cast<long>(end));
  for (size_t i = begin; i < end; ++i) tokens[i].moved = true;
  step.after = text_between(tokens, begin, end);
  return step.after != step.before;
}

/// For a query so short that nothing else fits: its first small letter in capitals, or its last capital
/// small.
bool flip_case(std::vector<Token>& tokens, NoiseStep& step) {
  for (const bool raise : {true, false}) {
    const auto fits = [raise](char c) { return raise ? is_letter(c) : c >= 'A' && c <= 'Z'; };
    for (size_t at = 0; at < tokens.size(); ++at) {
      std::string& word = tokens[at].text;
      const auto first = std::find_if(word.begin(), word.end(), fits);
      if (first == word.end()) continue;
      const auto letter = raise ? first : std::find_if(word.rbegin(), word.rend(), fits).base() - 1;
      step = {"case", offset_of(tokens, at), word, ""};
      *letter = static_cast<char>(*letter ^ ('a' ^ 'A'));
      step.after = word;
      return true;
    }
  }
  return false;
}

/// Joins the words `at` and `at` + 1.
bool join(std::vector<Token>& tokens, size_t at, NoiseStep& step) {
  if (at + 1 >= tokens.size() || tokens[at + 1].joined) return false;
  if (tokens[at].number || tokens[at + 1].number) return false;
  if (tokens[at].text.size() < 3 || tokens[at + 1].text.size() < 3) return false;
  step.at = offset_of(tokens, at);
  step.before = text_between(tokens, at, at + 2);
  tokens[at + 1].joined = true;
  step.after = text_between(tokens, at, at + 2);
  ++tokens[at].hits;
  ++tokens[at + 1].hits;
  return true;
}

}  // namespace

/// Tries the operator at random places whose words were hit at most `most_hits` times.
bool NoiseChannel::apply(NoiseOp op, int most_hits, std::vector<Token>& tokens, const Spoken& spoken,
                         Rng& rng, NoiseStep& step) const {
  step.op = noise_op_name(op);
  const auto free = [&](size_t i) { return tokens[i].hits <= most_hits; };
  const int attempts =
      op == NoiseOp::abbreviation || op == NoiseOp::mixed_language || op == NoiseOp::units ? 3 : 1;
  const size_t tries = static_cast<size_t>(attempts) * 6;
  for (size_t attempt = 0; attempt < tries; ++attempt) {
    size_t at = rng.below(tokens.size());
    // Words that name something are what noise is about: a filler is drawn again, once.
    if (tokens[at].mention < 0) at = rng.below(tokens.size());
    if (!free(at)) continue;
    if (op == NoiseOp::mixed_language) {
      if (translate(tokens, at, step, rng)) return true;
    } else if (op == NoiseOp::units) {
      if (rewrite_units(tokens, at, step, rng)) return true;
    } else if (op == NoiseOp::word_order) {
      if (reorder(tokens, at, step)) return true;
    } else if (op == NoiseOp::missing_space) {
      if (at + 1 < tokens.size() && free(at + 1) && join(tokens, at, step)) return true;
    } else {
      if (tokens[at].number) continue;
      const int mention = tokens[at].mention;
      const bool unknown = mention >= 0 && spoken.mentions[mention].kind == Kind::unknown;
      std::string before = tokens[at].text;
      const size_t offset = offset_of(tokens, at);
      if (!change_word(op, tokens[at], unknown, rng)) continue;
      step.at = offset;
      step.before = std::move(before);
      step.after = tokens[at].text;
      ++tokens[at].hits;
      return true;
    }
  }
  return false;
}

std::vector<NoiseStep> NoiseChannel::corrupt(std::vector<Token>& tokens, int count, bool unseen,
                                             const Spoken& spoken, Rng& rng) const {
  std::vector<NoiseStep> steps;
  double total = 0;
  for (const double weight : op_weights) total += weight;
  const auto draw_op = [&] {
    double draw = rng.uniform() * total;
    size_t op = 0;
    while (op + 1 < seen_count && draw >= op_weights[op]) draw -= op_weights[op++];
    return static_cast<NoiseOp>(op);
  };
  for (int i = 0; i < count; ++i) {
    NoiseStep step;
    bool done = false;
    if (unseen && i == 0) {
      for (int attempt = 0; attempt < 30 && !done; ++attempt) {
        const auto op = rng.chance(0.5) ? NoiseOp::extra_space : NoiseOp::vowel_drop;
        done = apply(op, attempt / 10, tokens, spoken, rng, step);
      }
    }
    for (int attempt = 0; attempt < 60 && !done; ++attempt) {
      done = apply(draw_op(), attempt / 20, tokens, spoken, rng, step);
    }
    if (!done) done = flip_case(tokens, step);
    if (!done) fail(ErrorKind::internal, "noise: no operator fits \"{}\"", join_tokens(tokens));
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace tern::search
