// The most requests a second that a server answers in the time that users bear.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "measure/load/options.h"
#include "measure/load/record.h"
#include "measure/load/run.h"

namespace tern::load {

struct RateStep {
  double rate = 0;
  bool sustained = false;
  LoadReport report;
};
struct SustainedRate {
  double within_s = 0;
  double rate = 0;              ///< the highest that was sustained; 0 where none was
  std::vector<RateStep> steps;  ///< in the order they were run
};

/// Open loops of the options' burstiness, warm-up and duration at rates found by bisection, to within 2%. A
/// rate is sustained where 95 of 100 whole answers came within `within_s` of when they were due, and none was
/// refused, cut or failed. Deadlines are not sent. `step` is told before each.
SustainedRate find_rate(LoadOptions options, double within_s, const std::function<void(double rate)>& step,
                        const OnProgress& progress = {});

nlohmann::ordered_json to_json(const SustainedRate& found);
std::string to_text(const SustainedRate& found);

}  // namespace tern::load
