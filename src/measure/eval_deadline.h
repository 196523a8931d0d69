// What a deadline costs in accuracy: thinking that is closed in time, beside ways that know no time.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "measure/eval_search.h"

namespace tern {

struct DeadlineEvalOptions {
  SearchEvalOptions queries;  ///< those that are judged
  std::vector<double> deadlines_ms = {10, 20, 40, 80, 160};
  std::vector<int> budgets = {4, 8, 16, 24, 32, 48, 64};  ///< of thinking, tuned on dev
  int tuning_queries = 200;                               ///< of dev
};

/// Shares of the queries that were answered right by the deadline; a late answer is a wrong one.
struct DeadlineRow {
  double deadline_ms = 0;
  double closed_in_time = 0;  ///< the deadline is the engine's: it thinks as long as there is time
  double no_thinking = 0;
  double best_budget = 0;  ///< with the budget that was best on dev for this deadline
  int budget = 0;
  double truncated = 0;        ///< thinks as long as it likes and is cut off
  double on_time = 0;          ///< complete answers of closed_in_time, right or wrong
  double promised = 0;         ///< of its requests
  double thinking_tokens = 0;  ///< mean, of closed_in_time
};

struct DeadlineReport {
  std::vector<DeadlineRow> rows;
  int queries = 0;
  double no_thinking_ms = 0, free_ms = 0;  ///< median times of an answer without thinking, and with all of it
};

/// Asks one query at a time, in every way in turn, so that a busy neighbour disturbs all alike; the engine
/// has been calibrated. `progress` is told the share done. Throws as evaluate_search.
DeadlineReport evaluate_deadlines(Engine& engine, const search::World& world,
                                  const DeadlineEvalOptions& options,
                                  const std::function<void(double share)>& progress);

nlohmann::ordered_json to_json(const DeadlineReport& report);
std::string to_text(const DeadlineReport& report);

}  // namespace tern
