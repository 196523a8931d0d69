#include "train/parameters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

namespace tern::train {

namespace {

constexpr int64_t alignment = 16;  // floats; every parameter starts on a cache line

int64_t elements(const Parameter& parameter) {
  int64_t n = 1;
  for (int64_t size : parameter.shape) n *= size;
  return n;
}

int64_t group(const Parameter& parameter) {
  return parameter.deviation > 0 ? 0 : 1;
}

int64_t aligned(int64_t n) {
  return (n + alignment - 1) / alignment * alignment;
}

}  // namespace

size_t Parameters::add_matrix(std::string name, std::vector<int64_t> shape, double deviation) {
  items_.push_back({std::move(name), std::move(shape), deviation, {}});
  return items_.size() - 1;
}

size_t Parameters::add_norm(std::string name, int64_t width) {
  items_.push_back({std::move(name), {width}, 0, {}});
  return items_.size() - 1;
}

void Parameters::allocate(at::TensorOptions options, uint64_t seed) {
  int64_t sizes[2] = {0, 0};
  for (const Parameter& item : items_) sizes[group(item)] += aligned(elements(item));
  for (int64_t size : sizes) values_.push_back(at::zeros({size}, options));
  make_leaves();
  const c10::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (Parameter& item : items_) {
    if (item.deviation > 0) {
      item.value.copy_(at::empty(item.shape, at::kFloat).normal_(0, item.deviation, generator));
    } else {
      item.value.fill_(1);
    }
  }
}

void Parameters::share(const Parameters& other) {
  values_ = other.values_;
  make_leaves();
}

void Parameters::make_leaves() {
  for (const at::Tensor& values : values_) gradients_.push_back(at::zeros_like(values));
  int64_t offsets[2] = {0, 0};
  for (Parameter& item : items_) {
    const int64_t g = group(item), n = elements(item);
    const auto view = [&](const at::Tensor& flat) {
      return flat.narrow(0, offsets[g], n).view(item.shape).detach();
    };
    item.value = view(values_[g]);
    item.value.set_requires_grad(true);
    item.value.mutable_grad() = view(gradients_[g]);
    offsets[g] += aligned(n);
  }
}

int64_t Parameters::count() const {
  int64_t sum = 0;
  for (const Parameter& item : items_) sum += elements(item);
  return sum;
}

}  // namespace tern::train
