#include "measure/eval_deadline.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "measure/search_request.h"

namespace tern {
namespace {

using search::Example;

/// One query asked in one way.
struct Asked {
  bool right = false;  ///< a complete and exact answer, whenever it came
  double ms = 0;
  FinishEvent finish;

  bool in_time(double deadline_ms) const { return right && ms <= deadline_ms; }
};

Asked ask(Engine& engine, const Example& example, GenerateRequest request) {
  ReplySink::Gate gate;
  search::Reply reply;
  Asked asked;
  engine.submit(std::move(request), std::make_shared<ReplySink>(gate, reply, asked.finish));
  std::unique_lock lock(gate.mutex);
  gate.changed.wait(lock, [&] { return gate.done > 0; });
  if (!asked.finish.error.empty())
    fail(ErrorKind::internal, "query \"{}\": {}", example.query, asked.finish.error);
  asked.ms = asked.finish.timings.total_s * 1e3;
  asked.right = asked.finish.reason == FinishReason::stop && search::score_item(example, reply, {}).exact;
  return asked;
}

Asked ask_freely(Engine& engine, const Example& example, Thinking thinking,
                 std::optional<int> budget = std::nullopt) {
  GenerateRequest request = search_request(engine, example.query, thinking);
  request.thinking_budget = budget;
  return ask(engine, example, std::move(request));
}

Asked ask_by(Engine& engine, const Example& example, double deadline_ms) {
  GenerateRequest request = search_request(engine, example.query, Thinking::on);
  const std::chrono::duration<double, std::milli> left(deadline_ms);
  request.deadline =
      Deadline{request.arrived + std::chrono::duration_cast<Clock::duration>(left), LatePolicy::no_think};
  return ask(engine, example, std::move(request));
}

double share_in_time(const std::vector<Asked>& answers, double deadline_ms) {
  const auto right = [&](const Asked& asked) { return asked.in_time(deadline_ms); };
  const auto count = std::count_if(answers.begin(), answers.end(), right);
  return answers.empty() ? 0 : static_cast<double>(count) / static_cast<double>(answers.size());
}

double median_ms(const std::vector<Asked>& answers) {
  std::vector<double> ms;
  for (const Asked& asked : answers) ms.push_back(asked.ms);
  if (ms.empty()) return 0;
  std::nth_element(ms.begin(), ms.begin() + static_cast<ptrdiff_t>(ms.size() / 2), ms.end());
  return ms[ms.size() / 2];
}

/// The seen noise of a split; the unseen has a table of its own in the other evaluation.
std::vector<Example> examples_of(const search::World& world, SearchEvalOptions options) {
  return make_search_examples(world, options).seen;
}

/// For each deadline the budget whose answers to dev queries were right in time most often.
std::vector<int> tune(Engine& engine, const search::World& world, const DeadlineEvalOptions& options,
                      const std::function<void()>& asked_one) {
  SearchEvalOptions dev = options.queries;
  dev.split = search::Split::dev;
  dev.count = options.tuning_queries;
  std::vector<std::vector<Asked>> answers(options.budgets.size());
  for (const Example& example : examples_of(world, dev)) {
    for (size_t b = 0; b < options.budgets.size(); ++b) {
      answers[b].push_back(ask_freely(engine, example, Thinking::on, options.budgets[b]));
      asked_one();
    }
  }
  std::vector<int> best;
  for (const double deadline_ms : options.deadlines_ms) {
    size_t most = 0;
    for (size_t b = 1; b < answers.size(); ++b) {
      if (share_in_time(answers[b], deadline_ms) > share_in_time(answers[most], deadline_ms)) most = b;
    }
    best.push_back(options.budgets[most]);
  }
  return best;
}

/// What one deadline's requests came to.
DeadlineRow row_of(double deadline_ms, const std::vector<Asked>& answers) {
  DeadlineRow row;
  row.deadline_ms = deadline_ms;
  row.closed_in_time = share_in_time(answers, deadline_ms);
  const auto all = static_cast<double>(std::max<size_t>(1, answers.size()));
  for (const Asked& asked : answers) {
    row.on_time += asked.finish.on_time.value_or(false) / all;
    row.promised += asked.finish.promised / all;
    row.thinking_tokens += asked.finish.usage.reasoning_tokens / all;
  }
  return row;
}

}  // namespace

DeadlineReport evaluate_deadlines(Engine& engine, const search::World& world,
                                  const DeadlineEvalOptions& options,
                                  const std::function<void(double share)>& progress) {
  if (options.deadlines_ms.empty() || options.budgets.empty())
    fail(ErrorKind::bad_input, "deadlines: expected at least one deadline and one budget");
  const std::vector<Example> examples = examples_of(world, options.queries);
  const size_t deadlines = options.deadlines_ms.size(), ways = 2 + 2 * deadlines;
  const double requests = static_cast<double>(options.budgets.size()) * options.tuning_queries +
                          static_cast<double>(examples.size() * ways);
  double done = 0;
  const auto asked_one = [&] { progress(std::min(1.0, ++done / requests)); };

  const std::vector<int> budgets = tune(engine, world, options, asked_one);
  std::vector<Asked> without, freely;
  std::vector<std::vector<Asked>> closed(deadlines), budgeted(deadlines);
  for (const Example& example : examples) {
    without.push_back(ask_freely(engine, example, Thinking::off));
    asked_one();
    freely.push_back(ask_freely(engine, example, Thinking::on));
    asked_one();
    for (size_t d = 0; d < deadlines; ++d) {
      closed[d].push_back(ask_by(engine, example, options.deadlines_ms[d]));
      asked_one();
      budgeted[d].push_back(ask_freely(engine, example, Thinking::on, budgets[d]));
      asked_one();
    }
  }

  DeadlineReport report;
  report.queries = static_cast<int>(examples.size());
  report.no_thinking_ms = median_ms(without);
  report.free_ms = median_ms(freely);
  for (size_t d = 0; d < deadlines; ++d) {
    const double deadline_ms = options.deadlines_ms[d];
    DeadlineRow row = row_of(deadline_ms, closed[d]);
    row.no_thinking = share_in_time(without, deadline_ms);
    row.best_budget = share_in_time(budgeted[d], deadline_ms);
    row.budget = budgets[d];
    row.truncated = share_in_time(freely, deadline_ms);
    report.rows.push_back(row);
  }
  return report;
}

nlohmann::ordered_json to_json(const DeadlineReport& report) {
  nlohmann::ordered_json out;
  out["queries"] = report.queries;
  out["no_thinking_ms"] = report.no_thinking_ms;
  out["free_ms"] = report.free_ms;
  for (const DeadlineRow& row : report.rows) {
    nlohmann::ordered_json json;
    json["deadline_ms"] = row.deadline_ms;
    json["closed_in_time"] = row.closed_in_time;
    json["no_thinking"] = row.no_thinking;
    json["best_budget"] = row.best_budget;
    json["budget"] = row.budget;
    json["truncated"] = row.truncated;
    json["on_time"] = row.on_time;
    json["promised"] = row.promised;
    json["thinking_tokens"] = row.thinking_tokens;
    out["deadlines"].push_back(std::move(json));
  }
  return out;
}

std::string to_text(const DeadlineReport& report) {
  const auto percent = [](double share) { return fmt::format("{:.1f}%", share * 100); };
  std::string out = fmt::format("{:>8} {:>12} {:>12} {:>20} {:>11} {:>9} {:>9} {:>7}\n", "", "closed in",
                                "no", "best fixed", "", "", "", "");
  out += fmt::format("{:>8} {:>12} {:>12} {:>20} {:>11} {:>9} {:>9} {:>7}\n", "deadline", "time", "thinking",
                     "budget of dev", "truncated", "on time", "promised", "think");
  for (const DeadlineRow& row : report.rows) {
    out += fmt::format("{:>5} ms {:>12} {:>12} {:>20} {:>11} {:>9} {:>9} {:>7.1f}\n", row.deadline_ms,
                       percent(row.closed_in_time), percent(row.no_thinking),
                       fmt::format("{} ({})", percent(row.best_budget), row.budget), percent(row.truncated),
                       percent(row.on_time), percent(row.promised), row.thinking_tokens);
  }
  return out +
         fmt::format(
             "\nOf {} queries, asked one at a time: right and complete by the deadline. Without thinking an "
             "answer takes\n{:.1f} ms (median), with all of it {:.1f} ms. on time, promised, think (mean "
             "tokens): of what is closed in time.\n",
             report.queries, report.no_thinking_ms, report.free_ms);
}

}  // namespace tern
