#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"

namespace tern::train {

namespace {

/// For the message: where a gradient went wrong, nothing where only the norm is too large for a float.
std::string first_not_finite(const Parameters& parameters) {
  for (const Parameter& item : parameters.items()) {
    if (!item.value.grad().isfinite().all().item<bool>()) return ", that of " + item.name + " is not finite";
  }
  return "";
}

}  // namespace

AdamW::AdamW(Parameters& parameters, const OptimizerConfig& config)
    : parameters_(parameters), config_(config) {
  for (const at::Tensor& values : parameters.values()) {
    first_.push_back(at::zeros_like(values));
    second_.push_back(at::zeros_like(values));
  }
}

double AdamW::step(double learning_rate) {
  const c10::NoGradGuard no_grad;
  double squares = 0;
  for (const at::Tensor& gradient : parameters_.gradients()) squares += gradient.dot(gradient).item<double>();
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) {
    fail(ErrorKind::internal, "step {}: the gradient's norm is {}{}; the weights are left as they were",
         steps_ + 1, norm, first_not_finite(parameters_));
  }
  const double shrink = std::min(1.0, config_.clip / (norm + 1e-12));

  ++steps_;
  for (size_t i = 0; i < first_.size(); ++i) {
    at::Tensor& gradient = parameters_.gradients()[i];
    if (shrink < 1) gradient.mul_(shrink);
    const double decay = i == 0 ? config_.weight_decay : 0;
    const at::Tensor steps = at::full({}, static_cast<double>(steps_), gradient.options().dtype(at::kFloat));
    at::_fused_adamw_(parameters_.values()[i], gradient, first_[i], second_[i], {}, {steps}, learning_rate,
                      config_.beta1, config_.beta2, decay, config_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
    gradient.zero_();
  }
  return norm;
}

}  // namespace tern::train
