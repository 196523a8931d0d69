#include "tasks/search/oracle.h"

#include <algorithm>

#include "tasks/search/channel.h"
#include "tasks/search/reader.h"
#include "tasks/search/word_model.h"

namespace tern::search {
namespace {

constexpr size_t beam = 48;        ///< word sequences kept at each place
constexpr size_t parsed = 24;      ///< best whole sequences that are parsed
constexpr size_t most_ways = 14;   ///< explanations of one typed word
constexpr size_t most_words = 40;  ///< longer queries are cut: the grammar says nothing near as long
constexpr double widest = 12;      ///< readings dearer than the best by more are dropped
constexpr double ambiguity = 1.5;  ///< a second reading this near makes the query ambiguous

struct Hypothesis {
  double cost = 0;
  int last = WordModel::border;
  int parent = -1;  ///< index into all hypotheses
  const Explanation* way = nullptr;
};

}  // namespace

struct Oracle::Impl {
  explicit Impl(const World& world) : model(world), channel(world, model), reader(world, model) {}

  WordModel model;
  Channel channel;
  Reader reader;
};

Oracle::Oracle(const World& world) : impl_(new Impl(world)) {}
Oracle::~Oracle() = default;
Oracle::Oracle(Oracle&&) noexcept = default;

std::vector<Reading> Oracle::read(std::string_view query) const {
  auto typed = split_words(query);
  if (typed.size() > most_words) typed.resize(most_words);
  std::vector<std::vector<Explanation>> ways(typed.size());
  for (size_t at = 0; at < typed.size(); ++at) ways[at] = impl_->channel.explain(typed, at, most_ways);
  std::vector<Hypothesis> all{{}};
  std::vector<std::vector<int>> frontier(typed.size() + 1);
  frontier[0] = {0};
  const auto cheaper = [&](int a, int b) {
    return all[a].cost < all[b].cost || (all[a].cost == all[b].cost && a < b);
  };
  const auto prune = [&](std::vector<int>& some) {
    std::sort(some.begin(), some.end(), cheaper);
    if (some.size() > beam) some.resize(beam);
  };
  for (size_t at = 0; at < typed.size(); ++at) {
    prune(frontier[at]);
    for (const int from : frontier[at]) {
      for (const auto& way : ways[at]) {
        Hypothesis next{all[from].cost + way.cost, all[from].last, from, &way};
        for (const auto& word : way.words) {
          next.cost += impl_->model.cost(next.last, word.id);
          next.last = word.id;
        }
        frontier[at + static_cast<size_t>(way.typed)].push_back(static_cast<int>(all.size()));
        all.push_back(next);
      }
    }
  }
  auto& last = frontier[typed.size()];
  for (const int end : last) all[end].cost += impl_->model.cost(all[end].last, WordModel::border);
  prune(last);
  if (last.size() > parsed) last.resize(parsed);
  std::vector<Reading> readings;
  for (const int end : last) {
    std::vector<const Explanation*> path;
    for (int at = end; all[at].way; at = all[at].parent) path.push_back(all[at].way);
    std::vector<HeardWord> words;
    for (auto way = path.rbegin(); way != path.rend(); ++way) {
      words.insert(words.end(), (*way)->words.begin(), (*way)->words.end());
    }
    impl_->reader.read(words, all[end].cost, readings);
  }
  std::stable_sort(readings.begin(), readings.end(),
                   [](const auto& a, const auto& b) { return a.cost < b.cost; });
  std::vector<Reading> distinct;
  for (auto& reading : readings) {
    if (reading.cost > readings.front().cost + widest) break;
    const auto same = [&](const Reading& other) { return other.answer == reading.answer; };
    if (std::none_of(distinct.begin(), distinct.end(), same)) distinct.push_back(reading);
  }
  return distinct;
}

bool Oracle::is_ambiguous(const std::vector<Reading>& readings) {
  return readings.size() > 1 && readings[1].cost < readings[0].cost + ambiguity;
}

Support Oracle::support(const std::vector<Reading>& readings) {
  Support support;
  for (const auto& reading : readings) add_support(support, reading.answer);
  return support;
}

}  // namespace tern::search
