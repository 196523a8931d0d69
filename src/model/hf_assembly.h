// A Hugging Face checkpoint told in GGUF's terms: what the family files build with.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "files/gguf.h"
#include "model/hf_config.h"
#include "model/hf_tensors.h"

namespace tern {

/// Reads one element after another of a checkpoint's tensor, in any order.
class HfElements {
 public:
  explicit HfElements(const HfRows& from);
  /// Element `at` in the source's own type, or as F32.
  void copy(uint64_t at, std::byte* to) const { std::memcpy(to, bytes_ + at * size_, size_); }
  void copy_f32(uint64_t at, std::byte* to) const;

 private:
  std::vector<std::byte> decoded_;  // of FP8 blocks
  const std::byte* bytes_;
  DType type_;
  size_t size_;
};

/// Collects keys and tensors under llama.cpp's names. Tensors are read when they are loaded.
class HfAssembly {
 public:
  using Dims = std::vector<uint64_t>;  ///< the contiguous one first, as GGUF has them
  /// Which source and which of its rows becomes row `row`.
  using PickRow = std::function<std::pair<size_t, uint64_t>(uint64_t row)>;

  /// All must outlive the building, what the tensors read from also the result. `name` is for errors.
  HfAssembly(std::string architecture, const HfConfig& config, HfTensors& tensors);

  const std::string& architecture() const { return architecture_; }
  const HfConfig& config() const { return config_; }
  HfTensors& tensors() { return tensors_; }

  /// Adds `general.NAME`.
  void general(const std::string& name, GgufValue value);
  /// Adds `ARCH.NAME`.
  void key(const std::string& name, GgufValue value);
  /// A matrix as the checkpoint has it: {cols, rows}.
  void matrix(const std::string& to, const std::string& from, uint64_t rows, uint64_t cols);
  /// A tensor that becomes F32 whatever it was: norms, biases, gates.
  void exact(const std::string& to, const std::string& from, const HfTensors::Shape& shape);
  /// Rows chosen out of one or more sources of one type.
  void gather(const std::string& to, Dims dims, std::vector<HfRows> sources, PickRow pick);
  /// Elements chosen out of one source: element i is the source's element pick(i), in its type or F32.
  template <typename Pick>
  void elements(const std::string& to, Dims dims, DType type, HfRows from, Pick pick);
  /// A tensor whose bytes `make` writes.
  void made(std::string to, Dims dims, uint32_t ggml_type, std::function<void(std::span<std::byte>)> make);

  /// Every tensor of the checkpoint must have been asked for; `keep` is what they lie in.
  GgufFile finish(std::string name, std::shared_ptr<const void> keep);

 private:
  std::string architecture_;
  const HfConfig& config_;
  HfTensors& tensors_;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> made_;
};

/// The keys that every family has: block_count (of `blocks`), context_length, embedding_length,
/// feed_forward_length, attention.head_count and head_count_kv, layer_norm_rms_epsilon, vocab_size. Refuses
/// activations but SiLU.
void add_common_keys(HfAssembly& to, uint64_t blocks, uint64_t kv_heads);
/// token_embd, output_norm and, where the head is not tied to the embedding, output.
void add_embedding(HfAssembly& to);
void add_output(HfAssembly& to);
/// {gate, up, down}_proj of one feed-forward net under PREFIX{gate,up,down}SUFFIX.
void add_gated(HfAssembly& to, const std::string& prefix, const std::string& suffix, const std::string& from,
               uint64_t ff);
/// The same of `experts` nets stacked, from one tensor an expert or from transformers' fused gate_up_proj
/// {experts, 2 ff, hidden} and down_proj {experts, hidden, ff}.
void add_experts(HfAssembly& to, const std::string& prefix, const std::string& from, uint64_t experts,
                 uint64_t ff);
/// An attention's head width: head_dim, or hidden_size / num_attention_heads.
uint64_t head_dim(const HfConfig& config);

/// What a family's RoPE may ask for beside a base frequency and linear scaling.
struct HfRopeRules {
  bool llama3 = false;            ///< rope_freqs.weight as for Llama 3.x
  bool mscale = false;            ///< DeepSeek's YaRN with mscale = mscale_all_dim
  bool yarn_untruncated = false;  ///< gpt-oss: the ramp's ends are not rounded to whole pairs
};

/// `rope.freq_base` and `rope.scaling.*` out of rope_parameters (transformers 5) or rope_theta and
/// rope_scaling, for heads that rotate `dimension` floats. Throws Error{unsupported} naming a kind or switch
/// that the keys can't say.
void add_rope(HfAssembly& to, const HfRopeRules& rules, uint64_t dimension);

template <typename Pick>
void HfAssembly::elements(const std::string& to, Dims dims, DType type, HfRows from, Pick pick) {
  const size_t size = traits(type).block_bytes;
  made(to, std::move(dims), static_cast<uint32_t>(type),
       [type, size, pick, from = std::move(from)](std::span<std::byte> out) {
         const HfElements in(from);
         for (uint64_t i = 0; i < out.size() / size; ++i) {
           std::byte* at = out.data() + i * size;
           type == from.type ? in.copy(pick(i), at) : in.copy_f32(pick(i), at);
         }
         from.release();
       });
}

}  // namespace tern
