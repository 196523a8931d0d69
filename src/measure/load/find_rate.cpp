#include "measure/load/find_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "measure/load/report.h"

namespace tern::load {
namespace {

constexpr double kFactor = 1.5;      // between two rates, until one is too many
constexpr double kPrecision = 1.02;  // between the highest sustained and the lowest that isn't
constexpr int kMostSteps = 30;
constexpr double kLowest = 1.0 / 16;  // of what one client alone gets: less would take long to measure

/// What one client after another gets: a rate that is neither far too low nor far too high.
double first_rate(const LoadOptions& options, const OnProgress& progress) {
  const LoadReport alone = run_closed_loop(options, 1, progress);
  return alone.e2e.count() > 0 ? 1 / std::max(1e-6, alone.e2e.mean()) : 0;
}

bool is_sustained(const LoadReport& report, double within_s) {
  return report.sent > 0 && report.complete == report.sent && report.e2e.quantile(0.95) <= within_s;
}

}  // namespace

SustainedRate find_rate(LoadOptions options, double within_s, const std::function<void(double)>& step,
                        const OnProgress& progress) {
  options.trace.clear();
  options.request.deadline_ms.reset();
  SustainedRate found;
  found.within_s = within_s;
  double too_many = 0;  // 0: not met yet
  step(0);
  double rate = first_rate(options, progress);
  const double lowest = rate * kLowest;
  while (rate > lowest && static_cast<int>(found.steps.size()) < kMostSteps) {
    options.rate = rate;
    step(rate);
    RateStep one{rate, false, run_load(options, progress)};
    one.sustained = is_sustained(one.report, within_s);
    found.steps.push_back(std::move(one));
    (found.steps.back().sustained ? found.rate : too_many) = rate;
    if (too_many == 0) {
      rate = found.rate * kFactor;
    } else if (found.rate == 0) {
      rate = too_many / kFactor;
    } else {
      rate = std::sqrt(found.rate * too_many);
      if (too_many <= found.rate * kPrecision) break;
    }
  }
  return found;
}

nlohmann::ordered_json to_json(const SustainedRate& found) {
  nlohmann::ordered_json json = {{"within_ms", found.within_s * 1e3}, {"rate", found.rate}};
  json["steps"] = nlohmann::ordered_json::array();
  for (const RateStep& step : found.steps) {
    nlohmann::ordered_json one = {{"rate", step.rate}, {"sustained", step.sustained}};
    one.update(to_json(step.report));
    json["steps"].push_back(std::move(one));
  }
  return json;
}

std::string to_text(const SustainedRate& found) {
  std::string out =
      fmt::format("{:>10}{:>8}{:>10}{:>14}{:>12}{:>12}{:>12}{:>9}{:>8}\n", "requests/s", "sent", "complete",
                  "complete/s", "e2e p50 ms", "e2e p95 ms", "e2e p99 ms", "refused", "failed");
  for (const auto& [rate, sustained, r] : found.steps) {
    out += fmt::format("{:>10.2f}{:>8}{:>10}{:>14.2f}{:>12.1f}{:>12.1f}{:>12.1f}{:>9}{:>8}{}\n", rate, r.sent,
                       r.complete, r.complete_per_s(), r.e2e.quantile(0.5) * 1e3, r.e2e.quantile(0.95) * 1e3,
                       r.e2e.quantile(0.99) * 1e3, r.refused, r.failed, sustained ? "  sustained" : "");
  }
  return out + fmt::format("sustained: {:.2f} whole answers a second with 95% of them within {:.0f} ms\n",
                           found.rate, found.within_s * 1e3);
}

}  // namespace tern::load
