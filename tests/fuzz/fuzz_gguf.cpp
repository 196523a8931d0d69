// Any bytes as a GGUF file: refused by an Error, or read into tensors that lie inside the bytes and can be
// decoded.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "files/gguf.h"
#include "tests/fuzz/require.h"

namespace tern {
namespace {

void read_tensor(const GgufTensor& tensor, std::span<const std::byte> bytes) {
  const auto known = find_dtype(tensor.ggml_type);
  if (!known) return require(tensor.data.empty(), "data of an unknown type");
  require(tensor.data.size() == row_bytes(known->type, tensor.elements()), "size of a tensor");
  require(tensor.data.data() >= bytes.data() &&
              tensor.data.data() + tensor.data.size() <= bytes.data() + bytes.size(),
          "tensor inside the file");
  constexpr size_t most_blocks = 4;
  constexpr size_t widest_block = 256;
  float weights[most_blocks * widest_block];
  const size_t blocks = std::min<size_t>(most_blocks, tensor.elements() / known->block_size);
  decode(known->type, tensor.data.data() + tensor.data.size() - blocks * known->block_bytes,
         blocks * known->block_size, weights);
}

void read_key(const GgufFile& file, const std::string& key) {
  const GgufValue* value = file.find(key);
  require(value != nullptr, "a key that is listed is found");
  try {
    (void)file.get_uint(key);
  } catch (const Error&) {
  }
  try {
    (void)file.get_float(key);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const auto file = tern::GgufFile::parse(bytes, "input");
    for (const auto& [key, value] : file.metadata()) tern::read_key(file, key);
    for (const auto& tensor : file.tensors()) tern::read_tensor(tensor, bytes);
  } catch (const tern::Error& error) {
    tern::require(error.kind() != tern::ErrorKind::internal, error.what());
  }
  return 0;
}
