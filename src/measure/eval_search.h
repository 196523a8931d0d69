// How well a model answers noisy shop queries, beside a baseline and the oracle's ceiling.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "tasks/search/score.h"
#include "tasks/search/search.h"
#include "text/chat.h"

namespace tern {

struct SearchEvalOptions {
  search::Split split = search::Split::dev;
  int count = 500;  ///< queries with operators seen in training, spread evenly over `noise`
  std::vector<int> noise = {0, 1, 2, 3};
  Thinking thinking = Thinking::on;
  int parallel = 16;  ///< requests in the engine at once
};

/// Examples whose noise training has seen, then a quarter as many with the operators it has not.
struct SearchExamples {
  std::vector<search::Example> seen, unseen;
};
SearchExamples make_search_examples(const search::World& world, const SearchEvalOptions& options);
/// Those of a file, told apart by their steps.
SearchExamples split_search_examples(std::vector<search::Example> examples);

/// One example with what the model said, for export.
struct SearchAnswer {
  search::Example example;
  search::Reply reply;
  search::ItemScore score;
};

struct SearchScores {
  search::ScoreTable model, baseline, ceiling;
};

struct SearchReport {
  SearchScores seen, unseen;
  int became_ambiguous = 0;  ///< queries of `seen` that noise left with two readings about as good
  double oracle_ms = 0;      ///< mean time of the oracle for a query
  double seconds = 0;        ///< the model's time for all queries
  std::vector<SearchAnswer> answers;
};

/// How far an evaluation is: the model answers all queries, then all answers are judged.
struct SearchProgress {
  int answered = 0, judged = 0;
  int all = 0;  ///< queries

  double share() const { return all ? (answered + judged) / (2.0 * all) : 1; }
};

/// Asks the engine greedily.
/// Throws Error where the model can't be asked (its chat format is not tern's).
SearchReport evaluate_search(Engine& engine, const search::World& world, const SearchExamples& examples,
                             const SearchEvalOptions& options,
                             const std::function<void(const SearchProgress&)>& progress);

/// The keys of the model's overall scores, and `by_noise`, `unseen_noise`, `baseline`, `ceiling`.
nlohmann::ordered_json to_json(const SearchReport& report);
/// The table that a person reads.
std::string to_text(const SearchReport& report);

}  // namespace tern
