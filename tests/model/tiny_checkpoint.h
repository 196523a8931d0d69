// Small random Hugging Face checkpoints, in memory or written as a folder.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/rng.h"
#include "files/gguf.h"

namespace tern {

struct CheckpointTensor {
  std::string dtype;  ///< as in safetensors
  std::vector<uint64_t> shape;
  std::vector<std::byte> data;
};

struct TinyCheckpoint {
  nlohmann::json config;
  std::map<std::string, CheckpointTensor> tensors;
  Rng rng{1};

  /// Adds random values of a type, or these.
  void add(const std::string& name, std::vector<uint64_t> shape, const std::string& dtype = "F32");
  void add(const std::string& name, std::vector<uint64_t> shape, const std::vector<float>& values);
  void add_bytes(const std::string& name, std::vector<uint64_t> shape, const std::string& dtype,
                 std::vector<std::byte> data);
  /// The values of an F32, F16 or BF16 tensor.
  std::vector<float> values(const std::string& name) const;

  /// Through assemble_hf.
  GgufFile assemble() const;
  /// config.json and model.safetensors, or an index and `shards` files.
  void write(const std::string& folder, int shards = 1) const;
};

/// A tensor's values, whatever its type.
std::vector<float> floats_of(const GgufTensor& tensor);

TinyCheckpoint tiny_llama();
TinyCheckpoint tiny_mistral();
TinyCheckpoint tiny_qwen2();
TinyCheckpoint tiny_qwen3();
TinyCheckpoint tiny_qwen3moe();
/// Experts in MXFP4 blocks, or BF16.
TinyCheckpoint tiny_gpt_oss(bool blocks);
/// A query rank, a dense and an expert layer, and one that predicts a further token.
TinyCheckpoint tiny_deepseek_v3();
TinyCheckpoint tiny_deepseek_v2();

}  // namespace tern
