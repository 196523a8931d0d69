// The differentiable operations the models are made of. Each runs as plain tensor arithmetic on any device
// and number type (reference), or, on float CPU tensors, in one pass of the trainer's own loops (fused). The
// tests hold both together and the reference against finite differences.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace tern::train {

/// Where sequences begin in a row of packed tokens, with what attention needs of it on the device.
struct Sequences {
  std::vector<int64_t> starts;  ///< {n_sequences + 1}
  int64_t longest = 0;
  at::Tensor positions;  ///< {n_tokens} int64, from 0 in each sequence
  at::Tensor padded;     ///< {n_sequences * longest} int64: the token at each place of the padded rectangle
  at::Tensor places;     ///< {n_tokens} int64: the place of each token in that rectangle

  Sequences(std::vector<int64_t> starts, at::Device device);
  int64_t count() const { return static_cast<int64_t>(starts.size()) - 1; }
  int64_t tokens() const { return starts.back(); }
};

/// Angles of rotary embedding, {positions, rope / 2} each.
struct RopeTable {
  at::Tensor cos, sin;

  RopeTable() = default;
  RopeTable(int64_t positions, int64_t rope, double theta, at::TensorOptions options);
};

namespace reference {
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor swiglu(const at::Tensor& gate_up);
at::Tensor attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& k_rope,
                     const Sequences& sequences, const RopeTable& rope);
at::Tensor experts(const at::Tensor& x, const at::Tensor& chosen, const at::Tensor& weights,
                   const at::Tensor& gate_up, const at::Tensor& down);
at::Tensor head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, int64_t count);
}  // namespace reference

namespace fused {
/// Whether x is a float CPU tensor on a processor with the instructions.
bool usable(const at::Tensor& x);
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor swiglu(const at::Tensor& gate_up);
at::Tensor attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& k_rope,
                     const Sequences& sequences, const RopeTable& rope);
at::Tensor experts(const at::Tensor& x, const at::Tensor& chosen, const at::Tensor& weights,
                   const at::Tensor& gate_up, const at::Tensor& down);
at::Tensor head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, int64_t count);
}  // namespace fused

/// x {n, width} * weight / rms(x).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// silu(gate) * up of gate_up {n, 2 ff}, the gate first; {n, ff}.
at::Tensor swiglu(const at::Tensor& gate_up);

/// Causal softmax attention of each sequence with interleaved RoPE on the last part of the queries and on
/// k_rope: q {n, heads, nope + rope}, kv {n, kv_heads, nope + value}, k_rope {n, rope_heads, rope} → {n,
/// heads, value}. Scores are scaled by (nope + rope)^-1/2.
at::Tensor attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& k_rope,
                     const Sequences& sequences, const RopeTable& rope);

/// Routed experts: for each token the sum over its chosen {n, k} experts of weights {n, k} * SwiGLU
/// expert(x); gate_up {experts, 2 ff, hidden}, down {experts, hidden, ff}. Tokens are sorted by expert, each
/// expert is one matrix product.
at::Tensor experts(const at::Tensor& x, const at::Tensor& chosen, const at::Tensor& weights,
                   const at::Tensor& gate_up, const at::Tensor& down);

/// Cross-entropy of x weight^T against targets, summed and divided by `count` (the targets of the whole step,
/// of which these may be a part): x {n, hidden}, weight {vocab, hidden}, targets {n}.
at::Tensor head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, int64_t count);

}  // namespace tern::train
