// What /metrics says.
#pragma once

#include <string>

#include "engine/engine.h"
#include "serve/exposition.h"
#include "serve/telemetry.h"

namespace tern {

inline constexpr const char* kMetricsType = kExpositionType;

/// Everything the engine and the doors count, in Prometheus' text format: under tern: names and, where vLLM
/// has the same, under its names too, which dashboards and gateways know. docs/serving.md has the table.
std::string metrics_text(const Engine& engine, const Telemetry& telemetry, const std::string& model);

}  // namespace tern
