#include "tasks/search/thinking.h"

#include <algorithm>

#include <fmt/format.h>

namespace tern::search {
namespace {

constexpr std::array<const char*, 4> intent_names = {"find", "compare", "support", "off_topic"};

void add_word(std::string& line, std::string_view word) {
  if (!line.empty()) line += ' ';
  line += word;
}

/// "velora shoes sport has sneaker shoes": the departments of both, and the verdict.
std::string sells_clause(const World& world, const std::string& brand_id, const std::string& type_id) {
  const auto& brand = world.brands()[world.find_brand(brand_id)];
  const auto& type = world.types()[world.find_type(type_id)];
  std::string clause = brand.id;
  for (const int department : brand.departments) add_word(clause, world.departments()[department].id);
  const bool sold = world.sells(world.find_brand(brand_id), type.department);
  add_word(clause, sold ? "has" : "lacks");
  add_word(clause, type.id);
  add_word(clause, world.departments()[type.department].id);
  return clause;
}

std::string check_line(const World& world, const Truth& truth, const std::vector<const Mention*>& mentions) {
  const auto& note = truth.answer.note;
  if (truth.answer.intent == Intent::off_topic) return "not shop";
  if (note == "unknown:brand") return "no such brand";
  if (note == "ambiguous:brand" || note == "ambiguous:type") return "both fit";
  std::string line;
  for (const auto* brand : mentions) {
    if (brand->kind != Kind::brand || brand->role != Role::wanted) continue;
    for (const auto* type : mentions) {
      if (type->kind != Kind::type || type->role != Role::wanted) continue;
      for (const auto& brand_id : brand->ids) {
        for (const auto& type_id : type->ids) {
          if (!line.empty()) line += ", ";
          line += sells_clause(world, brand_id, type_id);
        }
      }
    }
  }
  if (note == "contradiction:price") {
    if (!line.empty()) line += ", ";
    line += "min over max";
  }
  return line.empty() ? "ok" : line;
}

}  // namespace

std::vector<std::string> make_thinking(const World& world, const Truth& truth, const Spoken& spoken) {
  std::vector<const Mention*> mentions;  // in the order typed
  for (const auto& token : spoken.tokens) {
    if (token.mention < 0) continue;
    const auto* mention = &spoken.mentions[token.mention];
    if (std::find(mentions.begin(), mentions.end(), mention) == mentions.end()) mentions.push_back(mention);
  }
  std::string words, candidates;
  for (const auto* mention : mentions) {
    if (mention->role == Role::excluded) add_word(words, "not");
    if (mention->role == Role::withdrawn) add_word(words, "drop");
    add_word(words, mention->norm);
    if (mention->role == Role::withdrawn) continue;
    if (mention->ids.empty() || (mention->ids.size() == 1 && mention->norm.ends_with(mention->ids[0]) &&
                                 (mention->norm == mention->ids[0] || mention->kind == Kind::size))) {
      continue;
    }
    std::string pair = mention->norm + "=";
    for (const auto& id : mention->ids) {
      if (pair.back() != '=') pair += '|';
      pair += id;
    }
    add_word(candidates, pair);
  }
  if (words.empty()) words = "none";
  if (candidates.empty()) candidates = "same";
  std::string decision = intent_names[static_cast<size_t>(truth.answer.intent)];
  if (!truth.answer.note.empty()) add_word(decision, truth.answer.note);
  return {words, candidates, check_line(world, truth, mentions), decision};
}

double ThinkingCheck::accuracy() const {
  return static_cast<double>(std::count(right.begin(), right.end(), true)) /
         static_cast<double>(right.size());
}

ThinkingCheck check_thinking(const Example& example, std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == '\n' || text.front() == ' ')) text.remove_prefix(1);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  ThinkingCheck check;
  for (size_t i = 0; i < check.right.size() && i < lines.size() && i < example.thinking.size(); ++i) {
    check.right[i] = split_words(lines[i]) == split_words(example.thinking[i]);
  }
  if (lines.size() > check.right.size()) check.right.back() = false;
  return check;
}

}  // namespace tern::search
