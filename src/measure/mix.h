// The mixtures of types that users know by name (Q4_K_M and so on): which tensor gets which type. The rules
// are those of llama.cpp's quantizer, so that a name means the same in both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "files/gguf.h"

namespace tern {

struct Mix {
  std::string_view name;  ///< "Q4_K_M"
  DType base;             ///< of every matrix that no rule names
  uint32_t file_type;     ///< `general.file_type`
};

/// By name, in either case; also Q3_K, Q4_K and Q5_K for the middle ones. Throws Error{bad_input} listing
/// them.
const Mix& find_mix(std::string_view name);
/// "F32, F16, …": for help and errors.
std::string mix_names();

/// What the rules tell tensors apart by.
enum class TensorPart { other, embedding, output, value, key, attention_output, down };

/// In which layers a rule holds.
enum class RuleLayers {
  all,
  first_two,
  first_four,
  first_eighth,
  first_sixteenth,
  more_bits,  ///< the first and last eighth, and every third between
  grouped,    ///< all, where four or more heads share a key and value head
};

/// Chooses types for one model's tensors.
class MixRules {
 public:
  MixRules(const GgufFile& file, const Mix& mix);

  /// The type that the tensor is to have. Norms, biases, gates and everything of one dimension keep theirs.
  /// Rows that don't fall into whole blocks get the nearest type whose blocks fit, at last F16.
  DType type_of(const GgufTensor& tensor) const;

 private:
  TensorPart part_of(std::string_view name) const;
  bool holds(RuleLayers layers, TensorPart part, std::string_view name) const;
  DType by_rules(TensorPart part, std::string_view name) const;
  DType wanted(const GgufTensor& tensor) const;

  const Mix& mix_;
  bool tied_;
  uint64_t blocks_, experts_, heads_per_kv_;
  bool is_70b_;
  std::vector<uint64_t> value_layers_;  ///< layers that have an attn_v, ascending
};

/// Whether a quantizer may touch the tensor at all.
bool is_quantizable(const GgufTensor& tensor);

}  // namespace tern
