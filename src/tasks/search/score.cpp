#include "tasks/search/score.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tasks/search/thinking.h"

namespace tern::search {
namespace {

/// Every key and value of an answer, the intent aside: "brands:velora", "max:6000".
std::vector<std::string> slots_of(const Answer& answer, bool identifiers_only) {
  std::vector<std::string> slots;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) slots.push_back(std::string(key) + ":" + value);
  };
  for (const auto& id : answer.types) add("types", id);
  for (const auto& id : answer.brands) add("brands", id);
  for (const auto& id : answer.colours) add("colours", id);
  for (const auto& id : answer.materials) add("materials", id);
  for (const auto& id : answer.sizes) add("sizes", id);
  add("audience", answer.audience);
  for (const auto& id : answer.excluded) add("not", id);
  add("sort", answer.sort);
  if (!identifiers_only) {
    if (answer.min_price) add("min", std::to_string(*answer.min_price));
    if (answer.max_price) add("max", std::to_string(*answer.max_price));
    add("note", answer.note);
  }
  std::sort(slots.begin(), slots.end());
  return slots;
}

bool is_structure(std::string_view word) {
  static constexpr std::string_view known[] = {"intent",
                                               "types",
                                               "brands",
                                               "colours",
                                               "materials",
                                               "sizes",
                                               "audience",
                                               "not",
                                               "min",
                                               "max",
                                               "sort",
                                               "note",
                                               "find",
                                               "compare",
                                               "support",
                                               "off_topic",
                                               "unknown:brand",
                                               "ambiguous:brand",
                                               "ambiguous:type",
                                               "contradiction:brand",
                                               "contradiction:price"};
  return std::find(std::begin(known), std::end(known), word) != std::end(known);
}

/// The texts between double quotes; the last may be cut off.
std::vector<std::string> quoted_words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = text.find('"'); at != std::string_view::npos; at = text.find('"', at)) {
    const size_t end = text.find('"', at + 1);
    if (end == std::string_view::npos) break;  // cut off: not yet an identifier
    words.emplace_back(text.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return words;
}

bool supported_somewhere(const Support& support, std::string_view id) {
  return std::any_of(support.begin(), support.end(), [&](const std::string& slot) {
    return slot.size() > id.size() && slot[slot.size() - id.size() - 1] == ':' && slot.ends_with(id);
  });
}

}  // namespace

void add_support(Support& support, const Answer& answer) {
  for (auto& slot : slots_of(answer, true)) support.insert(std::move(slot));
}

ItemScore score_item(const Example& example, const Reply& reply, const Support& support) {
  ItemScore score;
  score.thinking_tokens = reply.thinking_tokens;
  score.answer_tokens = reply.answer_tokens;
  if (!reply.thinking.empty() && !example.thinking.empty()) {
    score.process = check_thinking(example, reply.thinking).accuracy();
  }
  const Answer& truth = example.answer;
  const bool unknown = truth.note == "unknown:brand";
  score.out_of_scope = truth.intent == Intent::off_topic || unknown;
  Support all = support;
  add_support(all, truth);
  const auto wanted = slots_of(truth, false);
  const auto answer = parse_answer(reply.answer);
  if (!answer) {
    score.slots_missed = static_cast<int>(wanted.size());
    for (auto& word : quoted_words(reply.answer)) {
      if (!is_structure(word) && !supported_somewhere(all, word)) score.invented.push_back(std::move(word));
    }
    return score;
  }
  score.exact = *answer == truth;
  score.intent_right = answer->intent == truth.intent;
  score.recognised =
      score.out_of_scope && (unknown ? answer->note == truth.note : answer->intent == truth.intent);
  const auto given = slots_of(*answer, false);
  std::vector<std::string> common;
  std::set_intersection(wanted.begin(), wanted.end(), given.begin(), given.end(), std::back_inserter(common));
  score.slots_right = static_cast<int>(common.size());
  score.slots_wrong = static_cast<int>(given.size() - common.size());
  score.slots_missed = static_cast<int>(wanted.size() - common.size());
  for (auto& slot : slots_of(*answer, true)) {
    if (!all.contains(slot)) score.invented.push_back(std::move(slot));
  }
  return score;
}

void ScoreSum::add(const ItemScore& item) {
  ++count_;
  exact_ += item.exact;
  intent_ += item.intent_right;
  out_of_scope_ += item.out_of_scope;
  recognised_ += item.recognised;
  invented_ += !item.invented.empty();
  right_ += item.slots_right;
  wrong_ += item.slots_wrong;
  missed_ += item.slots_missed;
  thinking_tokens_ += item.thinking_tokens;
  answer_tokens_ += item.answer_tokens;
  if (item.process) {
    ++thought_;
    process_ += *item.process;
  }
}

Scores ScoreSum::scores() const {
  const auto rate = [](double part, double whole, double otherwise) {
    return whole > 0 ? part / whole : otherwise;
  };
  const double count = count_;
  Scores scores;
  scores.count = count_;
  scores.exact_match = rate(exact_, count, 0);
  scores.intent_accuracy = rate(intent_, count, 0);
  scores.slot_f1 =
      rate(2.0 * static_cast<double>(right_), static_cast<double>(2 * right_ + wrong_ + missed_), count_ > 0);
  scores.oos_recall = rate(recognised_, out_of_scope_, 1);
  scores.invented_rate = rate(invented_, count, 0);
  scores.thinking_tokens = rate(static_cast<double>(thinking_tokens_), count, 0);
  scores.answer_tokens = rate(static_cast<double>(answer_tokens_), count, 0);
  scores.process_accuracy = rate(process_, thought_, 0);
  return scores;
}

void ScoreTable::add(int noise, const ItemScore& item) {
  overall_.add(item);
  by_noise_.at(noise).add(item);
}

nlohmann::ordered_json to_json(const Scores& scores) {
  return {{"count", scores.count},
          {"exact_match", scores.exact_match},
          {"slot_f1", scores.slot_f1},
          {"intent_accuracy", scores.intent_accuracy},
          {"oos_recall", scores.oos_recall},
          {"invented_rate", scores.invented_rate},
          {"thinking_tokens", scores.thinking_tokens},
          {"answer_tokens", scores.answer_tokens},
          {"process_accuracy", scores.process_accuracy}};
}

nlohmann::ordered_json to_json(const ScoreTable& table) {
  auto json = to_json(table.overall());
  auto by_noise = nlohmann::ordered_json::object();
  for (int noise = 0; noise <= 4; ++noise) {
    const Scores scores = table.at_noise(noise);
    if (scores.count > 0) by_noise[std::to_string(noise)] = to_json(scores);
  }
  json["by_noise"] = std::move(by_noise);
  return json;
}

}  // namespace tern::search
