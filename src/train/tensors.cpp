#include "train/tensors.h"

#include <ATen/ATen.h>

#include <cstring>

namespace tern::train {

namespace {

template <typename T>
std::vector<T> copied(const at::Tensor& tensor, size_t size) {
  const at::Tensor plain = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  std::vector<T> result(size);
  if (size > 0) std::memcpy(result.data(), plain.data_ptr(), size * sizeof(T));
  return result;
}

}  // namespace

std::vector<std::byte> tensor_bytes(const at::Tensor& tensor) {
  return copied<std::byte>(tensor, static_cast<size_t>(tensor.numel()) * sizeof(float));
}

std::vector<float> tensor_floats(const at::Tensor& tensor) {
  return copied<float>(tensor, static_cast<size_t>(tensor.numel()));
}

}  // namespace tern::train
