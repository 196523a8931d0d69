// When the requests of an open loop are due.
#pragma once

#include <cstdint>

#include "base/rng.h"

namespace tern::load {

/// A gamma variate of the given shape and of scale 1 (Marsaglia and Tsang, "A simple method for generating
/// gamma variables", 2000). shape > 0.
double gamma_variate(Rng& rng, double shape);

/// Gaps between arrivals, gamma distributed with mean 1 / rate. Burstiness is the gamma's shape, as in vLLM's
/// benchmark: 1 is a Poisson process, less comes in bursts, more comes more evenly; the gaps' coefficient of
/// variation is 1 / sqrt(burstiness).
class Arrivals {
 public:
  /// Throws Error{bad_input} unless rate is in (0, 1e6] a second and burstiness in [0.01, 1e6].
  Arrivals(double rate, double burstiness, uint64_t seed);
  /// Seconds from one arrival to the next.
  double next_gap();

 private:
  double shape_, scale_;
  Rng rng_;
};

}  // namespace tern::load
