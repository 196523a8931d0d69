// How much a server can, and what it does when more is asked.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "measure/load/options.h"
#include "measure/load/record.h"
#include "measure/load/run.h"

namespace tern::load {

struct CapacityStep {
  int concurrency = 0;
  LoadReport report;
};
struct Capacity {
  std::vector<CapacityStep> steps;  ///< in the order they were run
  int concurrency = 0;              ///< the best one
  double answers_s = 0;             ///< complete answers a second at it
};

/// Closed loops of 1, 2, 4, … places up to `most`, each of the options' warm-up and duration, until two in a
/// row bring no more than 2% over the best before. Deadlines are not sent: capacity is what the server
/// answers when it may take its time. `step` is told before each.
Capacity find_capacity(LoadOptions options, int most, const std::function<void(int concurrency)>& step,
                       const OnProgress& progress = {});

struct SweepCell {
  double multiple = 0, burstiness = 0, rate = 0;
  LoadReport report;
};
/// An open loop for every multiple of the capacity and every burstiness, each of the options' warm-up and
/// duration and a seed of its own.
std::vector<SweepCell> sweep(LoadOptions options, double answers_s, const std::vector<double>& multiples,
                             const std::vector<double>& burstiness,
                             const std::function<void(const SweepCell&)>& step,
                             const OnProgress& progress = {});

nlohmann::ordered_json to_json(const Capacity& capacity);
std::string to_text(const Capacity& capacity);
nlohmann::ordered_json to_json(const std::vector<SweepCell>& cells);
std::string to_text(const std::vector<SweepCell>& cells);

}  // namespace tern::load
