// Random deepseek2 files made in memory, which tests may spoil before they are loaded.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "files/gguf.h"

namespace tern {

struct TinyTensor {
  std::string name;
  std::vector<uint64_t> dims;  ///< the contiguous one first
  std::vector<float> values;
  DType type = DType::f32;
  std::vector<std::byte> blocks;  ///< the encoded values where `type` has blocks
};

using TinyValue = std::variant<uint32_t, float, bool, std::string>;

struct TinyFile {
  std::vector<std::pair<std::string, TinyValue>> keys;
  std::vector<TinyTensor> tensors;

  void set(const std::string& key,
           TinyValue value);  ///< adds or replaces `deepseek2.KEY` (or a full general.* key)
  void erase(const std::string& key);
  TinyTensor& tensor(const std::string& name);
  void erase_tensor(const std::string& name);

  std::vector<std::byte> bytes() const;
};

struct TinyConfig {
  uint32_t vocab = 48, hidden = 32, layers = 2, heads = 3, q_rank = 32, kv_rank = 32, nope = 32, rope = 8,
           v = 32;
  uint32_t dense_layers = 1, dense_ff = 64, experts = 8, used = 3, groups = 4, groups_used = 2,
           expert_ff = 32, shared = 1;
  bool sigmoid = true, bias = true, normalise = true, tied = false, split = true;
  float scale = 1.5f;
  uint32_t context = 512;
  uint64_t seed = 1;
};

TinyFile tiny_file(const TinyConfig& config);

/// Gives every tensor whose rows allow it the type that `choose` names (norms, gate and bias stay F32), and
/// rounds the values to what that type can hold, so that bytes() loses nothing more.
void convert(TinyFile& file, const std::function<DType(size_t index)>& choose);
/// The same values as F32.
TinyFile dequantised(const TinyFile& file);

}  // namespace tern
