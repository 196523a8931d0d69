// The committed dumps of make_dumps.py and make_family_dumps.py: a tiny model and what its logits must be.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "files/gguf.h"
#include "files/safetensors.h"

namespace tern {

struct Oracle {
  std::string name;
  std::vector<int32_t> tokens;  ///< one sequence
  std::vector<float> logits;    ///< {tokens, vocab}
  /// Of the same weights rounded to BF16: the logits, and the experts chosen {moe layers, tokens, used}, each
  /// token's ascending; empty for dense models.
  std::vector<float> bf16_logits;
  std::vector<int32_t> bf16_experts;
  GgufFile file;
};

/// A file or folder of oracles/dumps/.
std::string dump_path(const std::string& name);
/// The values of one tensor of a dump.
template <typename T>
std::vector<T> dumped(const SafetensorsFile& dump, const std::string& tensor) {
  const auto bytes = dump.tensor(tensor).data;
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<std::string> oracle_names();
Oracle read_oracle(const std::string& name);

}  // namespace tern
