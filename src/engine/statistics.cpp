#include "engine/statistics.h"

namespace tern {

void StepStatistics::add(double predicted, double actual) {
  ++count;
  predicted_s += predicted;
  actual_s += actual;
  seconds.add(seconds_buckets(), actual);
  if (predicted > 0) ratio.add(ratio_buckets(), actual / predicted);
}

void EngineStatistics::ended(const FinishEvent& event) {
  switch (event.closed_by) {
    case ClosedBy::none:
      break;
    case ClosedBy::model:
      ++closed_by_model;
      break;
    case ClosedBy::budget:
      ++closed_by_budget;
      break;
    case ClosedBy::deadline:
      ++closed_by_deadline;
      break;
  }
  if (!event.on_time) return;
  DeadlineOutcomes& outcomes = event.promised ? kept : unpromised;
  if (*event.on_time) {
    ++outcomes.on_time;
  } else if (event.reason == FinishReason::cancelled) {
    ++outcomes.abandoned;
  } else {
    ++outcomes.late;
  }
}

}  // namespace tern
