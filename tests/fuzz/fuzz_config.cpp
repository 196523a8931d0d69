// Any config.json with any list of tensors as a Hugging Face checkpoint: refused by an Error, or told as a
// model whose tensors have the bytes that they promise.
//
// The input is the text of config.json, a zero byte, and lines of "NAME DTYPE DIMENSION...".
#include <algorithm>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/safetensors.h"
#include "model/hf_folder.h"
#include "model/model.h"
#include "tests/fuzz/require.h"

namespace tern {
namespace {

constexpr uint64_t most_bytes = 1 << 16;  // of all tensors, and of one when it is loaded

struct Memory {
  std::vector<std::byte> bytes;
  std::vector<SafetensorsFile> files;
};

uint64_t element_bytes(const std::string& dtype) {
  if (dtype == "F32") return 4;
  return dtype == "F16" || dtype == "BF16" ? 2 : 1;
}

/// The tensors that the lines describe, all zeros; lines that ask for too much are left out.
std::shared_ptr<Memory> read_tensors(std::string_view text) {
  SafetensorsWriter writer;
  uint64_t all = 0;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, dtype;
    std::vector<uint64_t> shape;
    words >> name >> dtype;
    uint64_t bytes = element_bytes(dtype);
    for (uint64_t dim = 0; shape.size() < 5 && words >> dim;) {
      shape.push_back(dim);
      if (__builtin_mul_overflow(bytes, dim, &bytes)) bytes = most_bytes + 1;
    }
    if (bytes > most_bytes - all) continue;
    try {
      writer.add(name, dtype, shape, std::vector<std::byte>(bytes));
      all += bytes;
    } catch (const Error&) {
      continue;  // a name twice, or no such dtype
    }
  }
  auto memory = std::make_shared<Memory>();
  memory->bytes = writer.bytes();
  memory->files.push_back(SafetensorsFile::parse(memory->bytes, "input"));
  return memory;
}

void check(const GgufFile& file) {
  for (const GgufTensor& tensor : file.tensors()) {
    require(!tensor.dims.empty() && tensor.dims.size() <= 4, "dimensions of a tensor");
    if (tensor.bytes() > 8 * most_bytes) continue;
    require(tensor.load().size() == tensor.bytes(), "size of a tensor");
  }
  (void)measure_model(file);
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view config = input.substr(0, input.find('\0'));
  try {
    const auto memory = tern::read_tensors(input.substr(std::min(size, config.size() + 1)));
    const auto parsed = tern::HfConfig::parse(config, "input");
    tern::check(tern::assemble_hf("input", parsed, memory->files, memory));
  } catch (const tern::Error& error) {
    tern::require(error.kind() != tern::ErrorKind::internal, error.what());
  }
  return 0;
}
