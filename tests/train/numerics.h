// Gradients of scalar functions of tensors, by autograd and by finite differences.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

namespace tern::train {

using ScalarFunction = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// d f / d inputs by autograd.
inline std::vector<at::Tensor> gradients(const ScalarFunction& f, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().clone().set_requires_grad(true));
  f(leaves).backward();
  std::vector<at::Tensor> result;
  for (const at::Tensor& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

/// The same by central differences, element by element; inputs in double.
inline std::vector<at::Tensor> finite_differences(const ScalarFunction& f,
                                                  const std::vector<at::Tensor>& inputs) {
  constexpr double step = 1e-5;
  std::vector<at::Tensor> points, result;
  for (const at::Tensor& input : inputs) points.push_back(input.detach().clone().contiguous());
  for (const at::Tensor& point : points) {
    at::Tensor gradient = at::zeros_like(point);
    for (int64_t i = 0; i < point.numel(); ++i) {
      double& x = point.data_ptr<double>()[i];
      const double at = x;
      x = at + step;
      const double above = f(points).item<double>();
      x = at - step;
      const double below = f(points).item<double>();
      x = at;
      gradient.data_ptr<double>()[i] = (above - below) / (2 * step);
    }
    result.push_back(gradient);
  }
  return result;
}

/// |a - b| / |b|, Euclidean norms.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).norm() / (wide.norm() + 1e-30)).item<double>();
}

}  // namespace tern::train
