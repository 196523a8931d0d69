// Pictures of a load: one SVG file without anything outside of it, for light and dark pages.
#pragma once

#include <string>
#include <vector>

#include "measure/load/find_rate.h"
#include "measure/load/record.h"
#include "measure/load/sweep.h"

namespace tern::load {

/// Above, every request at the time it was due, its latency (logarithmic) and what became of it; below, the
/// share of answers that came within a time, for first byte, first token and end to end. `title` is shown as
/// it is.
std::string plot_svg(const LoadReport& report, const std::string& title);

/// For each cell of a sweep the shares of its requests that were on time, done, late, refused, failed.
std::string plot_svg(const std::vector<SweepCell>& cells, const std::string& title);

/// The complete answers a second of each concurrency.
std::string plot_svg(const Capacity& capacity, const std::string& title);

/// What half, 95 and 99 of 100 whole answers took at each rate, beside the time they may take.
std::string plot_svg(const SustainedRate& found, const std::string& title);

}  // namespace tern::load
