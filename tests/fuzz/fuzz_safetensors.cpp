// Any bytes as a safetensors file: refused by an Error, or read and written back to a file that says the
// same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "files/safetensors.h"
#include "tests/fuzz/require.h"

namespace tern {
namespace {

void check_round_trip(const SafetensorsFile& file) {
  SafetensorsWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.add_metadata(key, value);
  for (const auto& [name, tensor] : file.tensors()) {
    writer.add(name, tensor.dtype, tensor.shape, {tensor.data.begin(), tensor.data.end()});
  }
  const auto written = writer.bytes();
  const auto again = SafetensorsFile::parse(written, "written");
  require(again.metadata() == file.metadata(), "metadata survives a round trip");
  require(again.tensors().size() == file.tensors().size(), "tensors survive a round trip");
  for (const auto& [name, tensor] : file.tensors()) {
    const SafeTensor& other = again.tensor(name);
    require(other.dtype == tensor.dtype && other.shape == tensor.shape, "types and shapes survive");
    require(std::equal(other.data.begin(), other.data.end(), tensor.data.begin(), tensor.data.end()),
            "data survives");
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    tern::check_round_trip(tern::SafetensorsFile::parse(std::as_bytes(std::span(data, size)), "input"));
  } catch (const tern::Error& error) {
    tern::require(error.kind() != tern::ErrorKind::internal, error.what());
    tern::require(std::string_view(error.what()).starts_with("input: "), error.what());
  }
  return 0;
}
