#include "tasks/search/channel.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tasks/search/noise.h"

namespace tern::search {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();
// -log of how often an operator of weight 3 (of 23.5) hits a given word of a sentence with two operators on
// seven.
constexpr double base_cost = 3.4;
constexpr double double_cost = base_cost + 0.4, sound_cost = base_cost + 0.8,
                 truncation_cost = base_cost + 0.9;
constexpr double case_cost = base_cost + 0.4, join_cost = base_cost + 0.4, translation_cost = base_cost;
constexpr double abbreviation_cost = base_cost - 0.4, unseen_cost = base_cost + 1, unit_cost = base_cost - 1;
constexpr double second_operator = 1.5;  ///< a word is rarely hit twice
constexpr double strange_name = 5;       ///< a name that is not made like the invented brands
constexpr double good_enough = 8;        ///< a word explained this well was not two joined ones

bool is_vowel(char c) {
  return std::string_view("aeiou").find(c) != std::string_view::npos;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string skeleton(std::string_view word) {
  std::string bones(word.substr(0, 1));
  for (const char c : word.substr(std::min<size_t>(1, word.size()))) {
    if (!is_vowel(c)) bones += c;
  }
  return bones;
}

double sound_alike_cost(std::string_view clean, std::string_view typed) {
  for (const auto& pair : sound_pairs()) {
    if (clean.size() + pair.to.size() != typed.size() + pair.from.size()) continue;
    for (size_t at = clean.find(pair.from); at != std::string_view::npos;
         at = clean.find(pair.from, at + 1)) {
      if (typed.compare(0, at, clean, 0, at) == 0 && typed.compare(at, pair.to.size(), pair.to) == 0 &&
          typed.substr(at + pair.to.size()) == clean.substr(at + pair.from.size())) {
        return sound_cost + 1;
      }
    }
  }
  return never;
}

/// Replaced, swapped, dropped or doubled letters.
double letter_cost(std::string_view clean, std::string_view typed) {
  const double place = std::log(static_cast<double>(clean.size()));
  size_t at = 0;
  while (at < clean.size() && at < typed.size() && clean[at] == typed[at]) ++at;
  const auto tail = [](std::string_view text, size_t from) {
    return text.substr(std::min(from, text.size()));
  };
  if (clean.size() == typed.size()) {
    if (at + 1 < clean.size() && clean[at] == typed[at + 1] && clean[at + 1] == typed[at] &&
        tail(clean, at + 2) == tail(typed, at + 2)) {
      return base_cost + place;
    }
    const auto keys = at < clean.size() ? neighbour_keys(clean[at]) : "";
    if (tail(clean, at + 1) != tail(typed, at + 1) || keys.find(typed[at]) == std::string_view::npos)
      return never;
    return base_cost + place + std::log(static_cast<double>(keys.size()));
  }
  if (clean.size() == typed.size() + 1)
    return tail(clean, at + 1) == tail(typed, at) ? base_cost + place : never;
  if (clean.size() + 1 != typed.size() || tail(clean, at) != tail(typed, at + 1)) return never;
  const bool doubled = at > 0 && typed[at] == typed[at - 1];
  return doubled ? double_cost + place : never;
}

}  // namespace

double one_operator_cost(std::string_view clean, std::string_view typed) {
  double cost = std::min(letter_cost(clean, typed), sound_alike_cost(clean, typed));
  const bool cut = typed.size() >= 4 && clean.starts_with(typed) && clean.size() <= typed.size() + 2;
  if (cut) cost = std::min(cost, truncation_cost + (clean.size() > 6 ? 0.7 : 0));
  if (typed.size() >= 3 && typed != clean && skeleton(clean) == typed) cost = std::min(cost, unseen_cost);
  return cost;
}

Channel::Channel(const World& world, const WordModel& model) : model_(model) {
  for (size_t i = WordModel::border + 1; i < model.size(); ++i) {
    add_entry(model.text(static_cast<int>(i)), model.text(static_cast<int>(i)), 0);
  }
  for (const auto& translation : world.translations()) {
    for (const auto& foreign : {translation.spanish, translation.german}) {
      if (!foreign.empty()) add_entry(foreign, translation.english, translation_cost);
    }
  }
  for (const auto& abbreviation : world.abbreviations())
    add_entry(abbreviation.shorter, abbreviation.word, abbreviation_cost);
  for (const char* unit : {"eur", "euro", "usd", "€", "e", "$"}) add_entry(unit, "euros", unit_cost);
}

void Channel::add_entry(const std::string& surface, std::string_view clean, double cost) {
  Entry entry{surface, {}, cost, letter_set(surface)};
  for (const auto& word : split_words(clean)) {
    const int id = model_.find(word);
    if (id < 0) return;  // a word that the grammar never says
    entry.words.push_back(id);
  }
  if (surface.find(' ') != std::string::npos) {
    phrases_.emplace_back(surface, std::move(entry));
    return;
  }
  const int index = static_cast<int>(entries_.size());
  by_surface_[surface].push_back(index);
  const std::string bones = skeleton(surface);
  if (bones != surface && bones.size() >= 3) by_skeleton_[bones].push_back(index);
  entries_.push_back(std::move(entry));
}

std::vector<const Channel::Entry*> Channel::exact(std::string_view text) const {
  std::vector<const Entry*> found;
  const auto at = by_surface_.find(std::string(text));
  if (at == by_surface_.end()) return found;
  for (const int index : at->second) found.push_back(&entries_[index]);
  return found;
}

/// A brand that does not exist has 5 to 9 letters and at least three edits to every word, before the noise.
double Channel::unknown_cost(std::string_view text) const {
  if (text.size() < 4 || text.size() > 32) return 2 * strange_name;
  double cost = text.size() > 10 ? strange_name * 0.5 * static_cast<double>(text.size() - 9) : 0;
  const EditPattern pattern(text);
  const uint32_t letters = letter_set(text);
  int nearest = 3;
  for (const auto& entry : entries_) {
    if (!may_be_within(letters, entry.letters, 2)) continue;
    const auto size = entry.surface.size();
    if (size + 2 < text.size() || size > text.size() + 2) continue;
    nearest = std::min(nearest, pattern.distance(entry.surface));
  }
  if (nearest < 3) cost += (3 - nearest) * strange_name;
  return cost;
}

/// Entries that `text` may be with at most two operators.
void Channel::one_word(std::string_view text, double extra, std::vector<Explanation>& out) const {
  const auto add = [&](const Entry& entry, double cost) {
    Explanation explanation{{}, 1, entry.cost + extra + cost};
    for (const int id : entry.words) explanation.words.push_back({id, ""});
    out.push_back(std::move(explanation));
  };
  for (const auto* entry : exact(text)) add(*entry, 0);
  if (text.size() < 3 || text.size() > 32) return;
  const auto bones = by_skeleton_.find(std::string(text));
  if (bones != by_skeleton_.end()) {
    for (const int index : bones->second) add(entries_[index], unseen_cost);
  }
  const EditPattern pattern(text);
  const uint32_t letters = letter_set(text);
  for (const auto& entry : entries_) {
    if (!may_be_within(letters, entry.letters, 2)) continue;
    const auto size = entry.surface.size();
    if (size < 4 || size > text.size() + 2 || text.size() > size + 2) continue;
    const int distance = pattern.distance(entry.surface);
    if (distance == 0 || distance > 2) continue;
    double cost = one_operator_cost(entry.surface, text);
    if (cost == never && size >= 5) {
      const double place = std::log(static_cast<double>(size));
      cost = distance * (base_cost + place) + second_operator + (distance == 1 ? base_cost : 0.7);
    }
    if (cost != never) add(entry, cost);
  }
}

/// Two or three words written as one, at most one of them misspelt.
void Channel::joined_words(std::string_view text, double extra, int depth,
                           std::vector<Explanation>& out) const {
  const auto combine = [&](const std::vector<Explanation>& firsts, const std::vector<Explanation>& seconds) {
    for (const auto& first : firsts) {
      for (const auto& second : seconds) {
        Explanation both = first;
        both.words.insert(both.words.end(), second.words.begin(), second.words.end());
        both.cost += second.cost + join_cost + extra;
        out.push_back(std::move(both));
      }
    }
  };
  for (size_t at = 2; at + 2 <= text.size(); ++at) {
    const auto left = text.substr(0, at), right = text.substr(at);
    const bool left_known = !exact(left).empty(), right_known = !exact(right).empty();
    if (!left_known && !right_known) continue;
    std::vector<Explanation> firsts, seconds;
    one_word(left, 0, firsts);
    one_word(right, 0, seconds);
    if (left_known && !right_known && depth > 0 && right.size() >= 5)
      joined_words(right, 0, depth - 1, seconds);
    const auto unknown = [&](std::string_view word) {
      return Explanation{{{WordModel::unknown, std::string(word)}}, 1, unknown_cost(word)};
    };
    if (left_known && right.size() >= 5) seconds.push_back(unknown(right));
    if (right_known && left.size() >= 5) firsts.push_back(unknown(left));
    combine(firsts, seconds);
  }
}

/// "60", "60eur", "$60", "19.99€".
bool Channel::number_with_unit(std::string_view text, std::vector<Explanation>& out) const {
  const size_t begin = static_cast<size_t>(std::find_if(text.begin(), text.end(), is_digit) - text.begin());
  if (begin == text.size()) return false;
  size_t end = begin;
  while (end < text.size() && (is_digit(text[end]) || (text[end] == '.' && end + 1 < text.size()))) ++end;
  const auto is_unit = [](std::string_view part) {
    for (const auto unit : {"", "€", "$", "eur", "euro", "euros", "usd", "e"}) {
      if (part == unit) return true;
    }
    return false;
  };
  if (!is_unit(text.substr(0, begin)) || !is_unit(text.substr(end))) return false;
  const bool bare = begin == 0 && end == text.size();
  out.push_back(
      {{{WordModel::number, std::string(text.substr(begin, end - begin))}}, 1, bare ? 0 : unit_cost});
  return true;
}

std::vector<Explanation> Channel::explain(const std::vector<std::string>& typed, size_t at,
                                          size_t most) const {
  const auto lower = [](std::string text) {
    for (char& c : text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
  };
  std::vector<Explanation> out;
  const std::string text = lower(typed[at]);
  const double extra = text == typed[at] ? 0 : case_cost;
  if (number_with_unit(text, out)) {
    for (const auto* entry : exact(text))
      out.push_back({{{entry->words[0], ""}}, 1, entry->cost});  // "4" is "for"
    return out;
  }
  one_word(text, extra, out);
  double best = never;
  for (const auto& explanation : out) best = std::min(best, explanation.cost);
  if (best > good_enough && text.size() <= 32) joined_words(text, extra, 1, out);
  const bool known = !exact(text).empty();
  if (at + 1 < typed.size()) {
    const std::string next = lower(typed[at + 1]);
    for (const auto& [phrase, entry] : phrases_) {
      if (phrase != text + " " + next) continue;
      Explanation explanation{{}, 2, entry.cost};
      for (const int id : entry.words) explanation.words.push_back({id, ""});
      out.push_back(std::move(explanation));
    }
    const bool next_known = !exact(next).empty();
    if ((!known || !next_known) && text.size() + next.size() <= 20 && !is_digit(next[0])) {
      std::vector<Explanation> closed;
      one_word(text + next, extra + unseen_cost + 1.5, closed);
      for (auto& explanation : closed) {
        explanation.typed = 2;
        out.push_back(std::move(explanation));
      }
    }
  }
  if (!known) out.push_back({{{WordModel::unknown, text}}, 1, extra + unknown_cost(text)});
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.cost < b.cost; });
  // The unknown word stays, whatever its rank: its cost is in the word model.
  if (out.size() > most) {
    const auto is_unknown = [](const Explanation& e) {
      return e.words[0].id == WordModel::unknown && e.typed == 1;
    };
    const auto kept = std::find_if(out.begin() + static_cast<long>(most), out.end(), is_unknown);
    if (kept != out.end()) std::swap(out[most - 1], *kept);
    out.resize(most);
  }
  return out;
}

}  // namespace tern::search
