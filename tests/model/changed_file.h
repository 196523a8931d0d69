// Copies of model files with something about them changed, for tests.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "files/gguf.h"

namespace tern {

/// The keys and tensors of a file.
struct FileParts {
  std::vector<std::pair<std::string, GgufValue>> keys;
  std::vector<GgufTensor> tensors;

  /// Adds or replaces a key; with nullopt it is taken away.
  void set(const std::string& key, std::optional<GgufValue> value);
  GgufTensor& tensor(const std::string& name);
  void erase_tensor(const std::string& name);
};

/// The file as `change` leaves its parts, under the name "changed".
GgufFile changed(const GgufFile& file, const std::function<void(FileParts&)>& change);

/// Gives a tensor the values that `change` makes of its own, whenever it is loaded, encoded as `type`.
void set_values(GgufTensor& tensor, DType type, std::function<void(std::span<float>)> change);

}  // namespace tern
