// All weights of a model in two flat buffers, one that decays and one that doesn't, so that the optimizer,
// clipping and checkpoints are a handful of operations whatever the model is.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tern::train {

struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  double deviation = 0;  ///< of the normal distribution it starts from; 0: it starts as ones
  at::Tensor value;      ///< a leaf of autograd that shares its buffer's memory
};

class Parameters {
 public:
  /// Declares a matrix (it decays) and gives its number. Only before allocate().
  size_t add_matrix(std::string name, std::vector<int64_t> shape, double deviation);
  /// Declares a norm's weight: ones, no decay.
  size_t add_norm(std::string name, int64_t width);

  /// Allocates and draws the values; the same seed gives the same values on every device.
  void allocate(at::TensorOptions options, uint64_t seed);

  /// Instead of allocate(): the values of `other`, declared alike, with gradients of its own. What changes
  /// one changes both.
  void share(const Parameters& other);

  const at::Tensor& operator[](size_t number) const { return items_[number].value; }
  const std::vector<Parameter>& items() const { return items_; }
  int64_t count() const;  ///< weights in all

  /// The flat buffers: [0] decays, [1] doesn't.
  std::vector<at::Tensor>& values() { return values_; }
  std::vector<at::Tensor>& gradients() { return gradients_; }

 private:
  void make_leaves();

  std::vector<Parameter> items_;
  std::vector<at::Tensor> values_, gradients_;
};

}  // namespace tern::train
