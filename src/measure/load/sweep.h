// How much a server can, and what it does when more is asked.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
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

/// `run` is asked for closed loops (run_closed_loop: capacity is what the server answers when it may take its
/// time) of 1, 2, 4, … places up to `most`, until two in a row bring no more than 2% over the best before.
Capacity find_capacity(int most, const std::function<LoadReport(int concurrency)>& run);

struct SweepPlan {
  std::vector<double> multiples;       ///< of the capacity; at least one
  std::vector<double> burstiness{1};   ///< at least one
  int rounds = 1;                      ///< how often all cells are run
  std::optional<Capacity> capacity{};  ///< as it was found just before; else answers_s is taken as it is
  double answers_s = 0;                ///< complete answers a second
};
struct SweepCell {
  double multiple = 0, burstiness = 0;
  double rate = 0;    ///< the mean of the rounds
  LoadReport report;  ///< of all rounds
};
struct Sweep {
  std::vector<SweepCell> cells;
  std::vector<double> answers_s;       ///< of each round, the capacity that its rates are multiples of
  std::vector<LoadReport> remeasured;  ///< the closed loops that told it for the rounds behind the first
};
/// An open loop for every multiple of the capacity and every burstiness, each of the options' warm-up and
/// duration and a seed of its own; all of them in turn, as many rounds as the plan has. A capacity that was
/// found is measured again before each further round, by one closed loop at its best concurrency: machines
/// change their speed, and the rates follow. `step` is told before each load what it is.
/// Throws Error{bad_input} for a capacity that isn't above 0, and what run_load throws.
Sweep sweep(LoadOptions options, const SweepPlan& plan, const std::function<void(const std::string&)>& step,
            const OnProgress& progress = {});

nlohmann::ordered_json to_json(const Capacity& capacity);
std::string to_text(const Capacity& capacity);
/// The cells: a list of reports, each with load, burstiness, rate.
nlohmann::ordered_json to_json(const Sweep& sweep);
/// A table of the cells; where there were rounds, each one's capacity; for every burstiness how much of the
/// peak of complete answers a second is left at the highest load.
std::string to_text(const Sweep& sweep);

}  // namespace tern::load
