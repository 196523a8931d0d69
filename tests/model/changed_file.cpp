#include "tests/model/changed_file.h"

#include <memory>

#include "base/error.h"
#include "tests/model/tiny_checkpoint.h"

namespace tern {

void FileParts::set(const std::string& key, std::optional<GgufValue> value) {
  std::erase_if(keys, [&](const auto& entry) { return entry.first == key; });
  if (value) keys.emplace_back(key, std::move(*value));
}

GgufTensor& FileParts::tensor(const std::string& name) {
  for (GgufTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  fail(ErrorKind::internal, "test: no tensor {}", name);
}

void FileParts::erase_tensor(const std::string& name) {
  tensors.erase(tensors.begin() + (&tensor(name) - tensors.data()));
}

GgufFile changed(const GgufFile& file, const std::function<void(FileParts&)>& change) {
  FileParts parts{file.metadata(), file.tensors()};
  change(parts);
  return GgufFile::assemble("changed", std::move(parts.keys), std::move(parts.tensors),
                            std::make_shared<GgufFile>(file));
}

void set_values(GgufTensor& tensor, DType type, std::function<void(std::span<float>)> change) {
  tensor.make = [own = tensor, type, change = std::move(change)](std::span<std::byte> to) {
    std::vector<float> values = floats_of(own);
    change(values);
    encode(type, values.data(), values.size(), to.data());
  };
  tensor.ggml_type = static_cast<uint32_t>(type);
}

}  // namespace tern
