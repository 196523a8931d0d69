// Runs a load and measures it.
#pragma once

#include <functional>

#include "measure/load/options.h"
#include "measure/load/record.h"

namespace tern::load {

struct LoadProgress {
  double share = 0;  ///< of the duration or of the requests, whichever is nearer to its end
  uint64_t sent = 0, open = 0, done = 0, late = 0, refused = 0, failed = 0;  ///< warm-up included
};
using OnProgress = std::function<void(const LoadProgress&)>;

/// Sends what the options ask for and returns when the last answer came, or timed out. All of it on the
/// calling thread; what gRPC brings is read on another. A refused request of a closed loop is followed by a
/// pause: what the server asks for, at most a second, at least 10 ms; a failed one by 100 ms. Throws
/// Error{bad_input} for options out of range, and what the transport throws.
LoadReport run_load(const LoadOptions& options, const OnProgress& progress = {});

/// So many requests under way whatever else the options say, and without deadlines: what a server answers
/// when it may take its time.
LoadReport run_closed_loop(LoadOptions options, int concurrency, const OnProgress& progress = {});

}  // namespace tern::load
