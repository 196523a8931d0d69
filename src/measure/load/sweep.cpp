#include "measure/load/sweep.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "measure/load/report.h"

namespace tern::load {
namespace {

constexpr double kWorthwhile = 1.02;  // of the best so far; less is noise
constexpr int kMostVainSteps = 2;

/// The capacity for a round, measured again where it may be.
double capacity_for(Sweep& sweep, const LoadOptions& options, const SweepPlan& plan,
                    const OnProgress& progress) {
  if (!plan.capacity) return plan.answers_s;
  if (sweep.answers_s.empty()) return plan.capacity->answers_s;
  sweep.remeasured.push_back(run_closed_loop(options, plan.capacity->concurrency, progress));
  return sweep.remeasured.back().complete_per_s();
}

/// For each burstiness, in the cells' order.
std::string overload_text(const std::vector<SweepCell>& cells) {
  std::string out;
  std::vector<double> told;
  for (const SweepCell& one : cells) {
    if (std::find(told.begin(), told.end(), one.burstiness) != told.end()) continue;
    told.push_back(one.burstiness);
    const SweepCell* highest = &one;
    double peak = 0;
    for (const SweepCell& cell : cells) {
      if (cell.burstiness != one.burstiness) continue;
      if (cell.multiple > highest->multiple) highest = &cell;
      peak = std::max(peak, cell.report.complete_per_s());
    }
    out += fmt::format("burstiness {}: complete answers/s at the highest load: {:.1f}% of the peak\n",
                       one.burstiness, peak > 0 ? highest->report.complete_per_s() / peak * 100 : 0);
  }
  return out;
}

}  // namespace

Capacity find_capacity(int most, const std::function<LoadReport(int)>& run) {
  Capacity capacity;
  int vain = 0;
  for (int concurrency = 1; concurrency <= most && vain < kMostVainSteps; concurrency *= 2) {
    capacity.steps.push_back({concurrency, run(concurrency)});
    const double answers_s = capacity.steps.back().report.complete_per_s();
    vain = answers_s > capacity.answers_s * kWorthwhile ? 0 : vain + 1;
    if (answers_s <= capacity.answers_s) continue;
    capacity.answers_s = answers_s;
    capacity.concurrency = concurrency;
  }
  return capacity;
}

Sweep sweep(LoadOptions options, const SweepPlan& plan, const std::function<void(const std::string&)>& step,
            const OnProgress& progress) {
  options.trace.clear();
  Sweep result;
  for (const double multiple : plan.multiples) {
    for (const double shape : plan.burstiness) result.cells.push_back({multiple, shape, 0, {}});
  }
  for (int round = 1; round <= plan.rounds; ++round) {
    const std::string prefix = plan.rounds > 1 ? fmt::format("round {} of {}, ", round, plan.rounds) : "";
    if (round > 1 && plan.capacity) step(prefix + "capacity");
    const double answers_s = capacity_for(result, options, plan, progress);
    if (!(answers_s > 0)) fail(ErrorKind::bad_input, "a sweep needs a capacity above 0, found {}", answers_s);
    result.answers_s.push_back(answers_s);
    for (SweepCell& cell : result.cells) {
      options.rate = cell.multiple * answers_s;
      options.burstiness = cell.burstiness;
      step(fmt::format("{}load {}, burstiness {}", prefix, cell.multiple, cell.burstiness));
      cell.report.add(run_load(options, progress));
      cell.rate += options.rate / plan.rounds;
      ++options.seed;
    }
  }
  return result;
}

nlohmann::ordered_json to_json(const Capacity& capacity) {
  nlohmann::ordered_json json;
  json["concurrency"] = capacity.concurrency;
  json["answers_s"] = capacity.answers_s;
  json["steps"] = nlohmann::ordered_json::array();
  for (const CapacityStep& step : capacity.steps) {
    nlohmann::ordered_json one = to_json(step.report);
    one["concurrency"] = step.concurrency;
    json["steps"].push_back(std::move(one));
  }
  return json;
}

std::string to_text(const Capacity& capacity) {
  std::string out =
      fmt::format("{:>11}{:>14}{:>10}{:>12}{:>12}{:>12}{:>9}{:>8}\n", "concurrency", "complete/s", "tok/s",
                  "e2e p50 ms", "e2e p95 ms", "e2e p99 ms", "refused", "failed");
  for (const auto& [concurrency, r] : capacity.steps) {
    out += fmt::format("{:>11}{:>14.2f}{:>10.0f}{:>12.1f}{:>12.1f}{:>12.1f}{:>9}{:>8}\n", concurrency,
                       r.complete_per_s(), r.tokens_per_s(), r.e2e.quantile(0.5) * 1e3,
                       r.e2e.quantile(0.95) * 1e3, r.e2e.quantile(0.99) * 1e3, r.refused, r.failed);
  }
  return out + fmt::format("capacity: {:.2f} complete answers a second, with {} requests under way\n",
                           capacity.answers_s, capacity.concurrency);
}

nlohmann::ordered_json to_json(const Sweep& sweep) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const SweepCell& cell : sweep.cells) {
    nlohmann::ordered_json one = {
        {"load", cell.multiple}, {"burstiness", cell.burstiness}, {"rate", cell.rate}};
    one.update(to_json(cell.report));
    json.push_back(std::move(one));
  }
  return json;
}

std::string to_text(const Sweep& sweep) {
  std::string out = fmt::format("{:>5}{:>7}{:>9}{:>7}{:>10}{:>9}{:>7}{:>9}{:>8}{:>14}{:>12}{:>12}\n", "load",
                                "burst", "rate", "sent", "accepted", "on time", "late", "refused", "failed",
                                "refusal p99", "complete/s", "e2e p95");
  for (const auto& [multiple, shape, rate, r] : sweep.cells) {
    const auto percent = [](double share) { return fmt::format("{:.2f}%", share * 100); };
    out +=
        fmt::format("{:>5}{:>7}{:>9.2f}{:>7}{:>10}{:>9}{:>7}{:>9}{:>8}{:>11.2f} ms{:>12.2f}{:>9.0f} ms\n",
                    multiple, shape, rate, r.sent, r.accepted(),
                    r.with_deadline ? percent(r.on_time_share()) : "-", r.late, percent(r.refused_share()),
                    r.failed, r.refusal.quantile(0.99) * 1e3, r.complete_per_s(), r.e2e.quantile(0.95) * 1e3);
  }
  if (sweep.answers_s.size() > 1)
    out += fmt::format("{} rounds, capacities in answers/s: {:.1f}\n", sweep.answers_s.size(),
                       fmt::join(sweep.answers_s, ", "));
  return out + overload_text(sweep.cells);
}

}  // namespace tern::load
