// The trainer's own CPU loops over float rows, AVX2 and FMA: what PyTorch would do in many passes.
// Plain pointers, row-major, one thread; fused.cpp splits the rows over threads and tells autograd the
// gradients.
#pragma once

#include <cstdint>
#include <vector>

namespace tern::train::kernels {

/// Whether this processor runs them.
bool available();

/// y = x * w / rms(x) for each row; x's rows lie `stride` floats apart. inverse {rows} gets 1 / rms.
void rms_norm(const float* x, int64_t stride, const float* w, float eps, int64_t rows, int64_t width,
              float* y, float* inverse);
/// dx {rows, width} is written, dw {width} is added to.
void rms_norm_backward(const float* x, int64_t stride, const float* w, const float* inverse, const float* dy,
                       int64_t rows, int64_t width, float* dx, float* dw);

/// y {rows, ff} = silu(gate) * up of gate_up {rows, 2 ff}, the gate first.
void swiglu(const float* gate_up, int64_t rows, int64_t ff, float* y);
void swiglu_backward(const float* gate_up, const float* dy, int64_t rows, int64_t ff, float* d_gate_up);

/// Sum over rows of -log softmax(logits)[target]; logits become (softmax - one hot) * scale, the gradient.
double cross_entropy(float* logits, const int64_t* targets, int64_t rows, int64_t vocab, float scale);

/// to[i] = from[index[i]] for `rows` rows.
void gather(const float* from, const int64_t* index, int64_t rows, int64_t width, float* to);
/// to[n] = sum over j < k of weight[n, j] * from[place[n, j]]; `weight` may be null for ones.
void combine(const float* from, const int64_t* place, const float* weight, int64_t rows, int64_t k,
             int64_t width, float* to);

/// Rotary attention of one sequence. Head h reads key-value head h / (heads / kv_heads) and rotated key
/// h / (heads / rope_heads).
struct AttentionShape {
  int64_t heads, kv_heads, rope_heads;
  int64_t nope, rope, value;
  float scale;
};

/// Buffers that grow to the longest sequence seen; one a thread.
struct AttentionScratch {
  std::vector<float> q, k, kt, v, vt, p, ds, out, dq, dk, dv;
};

/// q {T, heads, nope + rope}, kv {T, kv_heads, nope + value}, k_rope {T, rope_heads, rope} with rows
/// `k_rope_stride` apart, cos and sin {positions, rope / 2}: causal softmax(q k) v into out {T, heads,
/// value}, the scores' log-sum-exp into lse {T, heads}. Pairs of neighbours rotate (interleaved RoPE).
void attention(const AttentionShape& shape, int64_t T, const float* q, const float* kv, const float* k_rope,
               int64_t k_rope_stride, const float* cos, const float* sin, float* out, float* lse,
               AttentionScratch& scratch);
/// Gradients; dq is written, dkv and dk_rope {T, rope_heads, rope} are written too.
void attention_backward(const AttentionShape& shape, int64_t T, const float* q, const float* kv,
                        const float* k_rope, int64_t k_rope_stride, const float* cos, const float* sin,
                        const float* out, const float* lse, const float* dout, float* dq, float* dkv,
                        float* dk_rope, AttentionScratch& scratch);

}  // namespace tern::train::kernels
