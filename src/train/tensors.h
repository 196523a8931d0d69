#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

namespace tern::train {

/// The values as F32 on the CPU, row-major, as files store them.
std::vector<std::byte> tensor_bytes(const at::Tensor& tensor);
std::vector<float> tensor_floats(const at::Tensor& tensor);

}  // namespace tern::train
