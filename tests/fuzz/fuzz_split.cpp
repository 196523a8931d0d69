// Any bytes as the pieces of one GGUF file: refused by an Error, or joined to a whole whose tensors lie in
// them.
//
// The input is the number of pieces (1 to 4), two bytes of length for each, and the pieces.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "files/gguf.h"
#include "tests/fuzz/require.h"

namespace tern {
namespace {

std::vector<std::span<const std::byte>> cut(std::span<const std::byte> input) {
  if (input.empty()) return {};
  const size_t n = std::clamp<size_t>(std::to_integer<size_t>(input[0]), 1, 4);
  if (input.size() < 1 + 2 * n) return {};
  std::vector<std::span<const std::byte>> pieces;
  size_t at = 1 + 2 * n;
  for (size_t i = 0; i < n; ++i) {
    const size_t low = std::to_integer<size_t>(input[1 + 2 * i]),
                 high = std::to_integer<size_t>(input[2 + 2 * i]);
    const size_t length = std::min(input.size() - at, low | high << 8);
    pieces.push_back(input.subspan(at, length));
    at += length;
  }
  return pieces;
}

void check(const GgufFile& whole, std::span<const std::byte> input) {
  for (const GgufTensor& tensor : whole.tensors()) {
    require(whole.find_tensor(tensor.name) == &tensor, "a tensor that is listed is found");
    if (tensor.data.empty()) continue;
    require(tensor.data.data() >= input.data() &&
                tensor.data.data() + tensor.data.size() <= input.data() + input.size(),
            "tensor inside its piece");
  }
  for (const auto& [key, value] : whole.metadata()) {
    require(whole.find(key) == &value, "a key that is listed is found");
    require(whole.stored(key).size() > 4, "a key's bytes");
    require(key != "split.no" && key != "split.count", "keys of the pieces are gone");
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  try {
    std::vector<tern::GgufFile> pieces;
    for (const auto bytes : tern::cut(input))
      pieces.push_back(tern::GgufFile::parse(bytes, "piece " + std::to_string(pieces.size())));
    if (pieces.empty()) return 0;
    tern::check(tern::GgufFile::join(std::move(pieces)), input);
  } catch (const tern::Error& error) {
    tern::require(error.kind() != tern::ErrorKind::internal, error.what());
  }
  return 0;
}
