#include "measure/load/sweep.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "measure/load/report.h"

namespace tern::load {
namespace {

constexpr double kWorthwhile = 1.02;  // of the best so far; less is noise
constexpr int kMostVainSteps = 2;

}  // namespace

Capacity find_capacity(LoadOptions options, int most, const std::function<void(int)>& step,
                       const OnProgress& progress) {
  options.rate = 0;
  options.trace.clear();
  options.request.deadline_ms.reset();
  Capacity capacity;
  int vain = 0;
  for (int concurrency = 1; concurrency <= most && vain < kMostVainSteps; concurrency *= 2) {
    options.concurrency = concurrency;
    step(concurrency);
    capacity.steps.push_back({concurrency, run_load(options, progress)});
    const double answers_s = capacity.steps.back().report.complete_per_s();
    vain = answers_s > capacity.answers_s * kWorthwhile ? 0 : vain + 1;
    if (answers_s <= capacity.answers_s) continue;
    capacity.answers_s = answers_s;
    capacity.concurrency = concurrency;
  }
  return capacity;
}

std::vector<SweepCell> sweep(LoadOptions options, double answers_s, const std::vector<double>& multiples,
                             const std::vector<double>& burstiness,
                             const std::function<void(const SweepCell&)>& step, const OnProgress& progress) {
  if (!(answers_s > 0)) fail(ErrorKind::bad_input, "a sweep needs a capacity above 0, found {}", answers_s);
  options.trace.clear();
  std::vector<SweepCell> cells;
  for (const double multiple : multiples) {
    for (const double shape : burstiness) {
      SweepCell cell{multiple, shape, multiple * answers_s, {}};
      options.rate = cell.rate;
      options.burstiness = shape;
      step(cell);
      cell.report = run_load(options, progress);
      ++options.seed;
      cells.push_back(std::move(cell));
    }
  }
  return cells;
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

nlohmann::ordered_json to_json(const std::vector<SweepCell>& cells) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const SweepCell& cell : cells) {
    nlohmann::ordered_json one = {
        {"load", cell.multiple}, {"burstiness", cell.burstiness}, {"rate", cell.rate}};
    one.update(to_json(cell.report));
    json.push_back(std::move(one));
  }
  return json;
}

std::string to_text(const std::vector<SweepCell>& cells) {
  std::string out = fmt::format("{:>5}{:>7}{:>9}{:>7}{:>10}{:>9}{:>7}{:>9}{:>8}{:>14}{:>12}{:>12}\n", "load",
                                "burst", "rate", "sent", "accepted", "on time", "late", "refused", "failed",
                                "refusal p99", "complete/s", "e2e p95");
  for (const auto& [multiple, shape, rate, r] : cells) {
    const auto percent = [](double share) { return fmt::format("{:.2f}%", share * 100); };
    out +=
        fmt::format("{:>5}{:>7}{:>9.2f}{:>7}{:>10}{:>9}{:>7}{:>9}{:>8}{:>11.2f} ms{:>12.2f}{:>9.0f} ms\n",
                    multiple, shape, rate, r.sent, r.accepted(),
                    r.with_deadline ? percent(r.on_time_share()) : "-", r.late, percent(r.refused_share()),
                    r.failed, r.refusal.quantile(0.99) * 1e3, r.complete_per_s(), r.e2e.quantile(0.95) * 1e3);
  }
  return out;
}

}  // namespace tern::load
