#include "measure/load/arrivals.h"

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace tern::load {
namespace {

constexpr uint64_t kStream = 1;  // of the seed: requests draw from others

/// Uniform in (0, 1].
double positive_uniform(Rng& rng) {
  return 1.0 - rng.uniform();
}

double normal_variate(Rng& rng) {
  const double radius = std::sqrt(-2 * std::log(positive_uniform(rng)));
  return radius * std::cos(2 * std::numbers::pi * rng.uniform());
}

}  // namespace

double gamma_variate(Rng& rng, double shape) {
  if (shape < 1) return gamma_variate(rng, shape + 1) * std::pow(positive_uniform(rng), 1 / shape);
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal_variate(rng);
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(positive_uniform(rng)) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

Arrivals::Arrivals(double rate, double burstiness, uint64_t seed)
    : shape_(burstiness), scale_(1 / (rate * burstiness)), rng_(Rng::for_item(seed, kStream, 0)) {
  if (!(rate > 0 && rate <= 1e6))
    fail(ErrorKind::bad_input, "rate: expected above 0 to 1,000,000 requests a second, found {}", rate);
  if (!(burstiness >= 0.01 && burstiness <= 1e6))
    fail(ErrorKind::bad_input, "burstiness: expected 0.01 to 1,000,000, found {}", burstiness);
}

double Arrivals::next_gap() {
  return gamma_variate(rng_, shape_) * scale_;
}

}  // namespace tern::load
