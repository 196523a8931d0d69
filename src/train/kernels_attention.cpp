// Attention of one short sequence at a time: all scores of a head stay in the cache, so no passes over
// memory. The backward pass computes them again from the log-sum-exp (Dao et al., FlashAttention, arXiv
// 2205.14135).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "train/fast_exp.h"
#include "train/kernels.h"

namespace tern::train::kernels {

namespace {

using Vec = float __attribute__((vector_size(32), aligned(4)));

constexpr int64_t tile_columns = 16;
constexpr int64_t tile_rows = 6;  // 6 x 2 accumulators, 2 columns and 1 broadcast: 15 of AVX2's 16 registers

/// Which part of a product the causal mask leaves.
enum class Part {
  full,
  lower_out,  ///< C[i][j] is needed for j <= i only
  lower_in,   ///< A[i][k] is zero for k > i
  upper_in,   ///< A[i][k] is zero for k < i
};

inline Vec load(const float* p) {
  return *reinterpret_cast<const Vec*>(p);
}
inline void store(float* p, Vec v) {
  *reinterpret_cast<Vec*>(p) = v;
}

/// C {R, 16} = A {R, K} B {K, 16}; A's elements lie `row` and `step` floats apart.
template <int R>
inline void tile(int64_t K, const float* a, int64_t row, int64_t step, const float* b, int64_t ldb, float* c,
                 int64_t ldc) {
  Vec acc[R][2] = {};
  for (int64_t k = 0; k < K; ++k) {
    const Vec b0 = load(b + k * ldb), b1 = load(b + k * ldb + 8);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const float s = a[r * row + k * step];
      acc[r][0] += s * b0;
      acc[r][1] += s * b1;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    store(c + r * ldc, acc[r][0]);
    store(c + r * ldc + 8, acc[r][1]);
  }
}

/// C {M, N} = A {M, K} B {K, N}, N a multiple of 16.
void multiply(Part part, int64_t M, int64_t N, int64_t K, const float* a, int64_t row, int64_t step,
              const float* b, int64_t ldb, float* c, int64_t ldc) {
  for (int64_t m = 0; m < M; m += tile_rows) {
    const int64_t R = std::min(tile_rows, M - m);
    const int64_t columns = part == Part::lower_out ? std::min(N, m + R) : N;
    const int64_t from = part == Part::upper_in ? m : 0;
    const int64_t to = part == Part::lower_in ? std::min(K, m + R) : K;
    const float* am = a + m * row + from * step;
    const float* bm = b + from * ldb;
    for (int64_t n = 0; n < columns; n += tile_columns) {
      float* cm = c + m * ldc + n;
      switch (R) {
        case 1:
          tile<1>(to - from, am, row, step, bm + n, ldb, cm, ldc);
          break;
        case 2:
          tile<2>(to - from, am, row, step, bm + n, ldb, cm, ldc);
          break;
        case 3:
          tile<3>(to - from, am, row, step, bm + n, ldb, cm, ldc);
          break;
        case 4:
          tile<4>(to - from, am, row, step, bm + n, ldb, cm, ldc);
          break;
        case 5:
          tile<5>(to - from, am, row, step, bm + n, ldb, cm, ldc);
          break;
        default:
          tile<6>(to - from, am, row, step, bm + n, ldb, cm, ldc);
          break;
      }
    }
  }
}

inline int64_t padded(int64_t n) {
  return (n + tile_columns - 1) / tile_columns * tile_columns;
}

float* room(std::vector<float>& buffer, int64_t n) {
  if (static_cast<int64_t>(buffer.size()) < n) buffer.assign(static_cast<size_t>(n), 0.0f);
  return buffer.data();
}

/// Rotates the pairs (x[0], x[1]), (x[2], x[3]), … by the position's angles; `sign` -1 rotates back.
inline void rotate(const float* x, const float* cos, const float* sin, int64_t rope, float sign, float* y) {
  for (int64_t i = 0; i < rope / 2; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1], s = sign * sin[i];
    y[2 * i] = a * cos[i] - b * s;
    y[2 * i + 1] = a * s + b * cos[i];
  }
}

/// One head's rows, rotated, scaled and padded, as the products want them.
struct Head {
  const AttentionShape& shape;
  int64_t T, Tp, D, Dp, V, Vp;
  const float *cos, *sin;

  Head(const AttentionShape& s, int64_t length, const float* c, const float* n)
      : shape(s),
        T(length),
        Tp(padded(length)),
        D(s.nope + s.rope),
        Dp(padded(D)),
        V(s.value),
        Vp(padded(V)),
        cos(c),
        sin(n) {}

  const float* cos_at(int64_t t) const { return cos + t * (shape.rope / 2); }
  const float* sin_at(int64_t t) const { return sin + t * (shape.rope / 2); }

  /// q {T, Dp}, scaled.
  void load_q(const float* from, int64_t h, float* q) const {
    for (int64_t t = 0; t < T; ++t) {
      const float* row = from + (t * shape.heads + h) * D;
      float* to = q + t * Dp;
      std::memcpy(to, row, static_cast<size_t>(shape.nope) * sizeof(float));
      rotate(row + shape.nope, cos_at(t), sin_at(t), shape.rope, 1, to + shape.nope);
      for (int64_t d = 0; d < D; ++d) to[d] *= shape.scale;
      std::fill(to + D, to + Dp, 0.0f);
    }
  }

  /// k {T, Dp} and its transpose {D, Tp}.
  void load_k(const float* kv, const float* k_rope, int64_t stride, int64_t h, float* k, float* kt) const {
    const int64_t width = shape.nope + shape.value;
    const int64_t g = h / (shape.heads / shape.kv_heads), r = h / (shape.heads / shape.rope_heads);
    for (int64_t t = 0; t < T; ++t) {
      float* to = k + t * Dp;
      std::memcpy(to, kv + (t * shape.kv_heads + g) * width, static_cast<size_t>(shape.nope) * sizeof(float));
      rotate(k_rope + t * stride + r * shape.rope, cos_at(t), sin_at(t), shape.rope, 1, to + shape.nope);
      std::fill(to + D, to + Dp, 0.0f);
    }
    transpose(k, Dp, D, kt);
  }

  /// v {T, Vp} and, where wanted, its transpose {V, Tp}.
  void load_v(const float* kv, int64_t h, float* v, float* vt) const {
    const int64_t width = shape.nope + shape.value, g = h / (shape.heads / shape.kv_heads);
    for (int64_t t = 0; t < T; ++t) {
      const float* row = kv + (t * shape.kv_heads + g) * width + shape.nope;
      std::memcpy(v + t * Vp, row, static_cast<size_t>(V) * sizeof(float));
      std::fill(v + t * Vp + V, v + (t + 1) * Vp, 0.0f);
    }
    if (vt) transpose(v, Vp, V, vt);
  }

  void transpose(const float* x, int64_t ld, int64_t columns, float* xt) const {
    for (int64_t d = 0; d < columns; ++d) {
      float* to = xt + d * Tp;
      for (int64_t t = 0; t < T; ++t) to[t] = x[t * ld + d];
      std::fill(to + T, to + Tp, 0.0f);
    }
  }
};

}  // namespace

void attention(const AttentionShape& shape, int64_t T, const float* q, const float* kv, const float* k_rope,
               int64_t k_rope_stride, const float* cos, const float* sin, float* out, float* lse,
               AttentionScratch& scratch) {
  const Head head(shape, T, cos, sin);
  float* qh = room(scratch.q, T * head.Dp);
  float* kh = room(scratch.k, T * head.Dp);
  float* kt = room(scratch.kt, head.D * head.Tp);
  float* vh = room(scratch.v, T * head.Vp);
  float* p = room(scratch.p, T * head.Tp);
  float* oh = room(scratch.out, T * head.Vp);
  for (int64_t h = 0; h < shape.heads; ++h) {
    head.load_q(q, h, qh);
    head.load_k(kv, k_rope, k_rope_stride, h, kh, kt);
    head.load_v(kv, h, vh, nullptr);
    multiply(Part::lower_out, T, head.Tp, head.D, qh, head.Dp, 1, kt, head.Tp, p, head.Tp);
    for (int64_t t = 0; t < T; ++t) {
      float* row = p + t * head.Tp;
      float most = row[0], sum = 0;
#pragma omp simd reduction(max : most)
      for (int64_t j = 0; j <= t; ++j) most = row[j] > most ? row[j] : most;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j <= t; ++j) {
        row[j] = fast_exp(row[j] - most);
        sum += row[j];
      }
      const float factor = 1.0f / sum;
#pragma omp simd
      for (int64_t j = 0; j <= t; ++j) row[j] *= factor;
      std::fill(row + t + 1, row + head.Tp, 0.0f);
      lse[t * shape.heads + h] = most + std::log(sum);
    }
    multiply(Part::lower_in, T, head.Vp, T, p, head.Tp, 1, vh, head.Vp, oh, head.Vp);
    for (int64_t t = 0; t < T; ++t) {
      std::memcpy(out + (t * shape.heads + h) * head.V, oh + t * head.Vp,
                  static_cast<size_t>(head.V) * sizeof(float));
    }
  }
}

void attention_backward(const AttentionShape& shape, int64_t T, const float* q, const float* kv,
                        const float* k_rope, int64_t k_rope_stride, const float* cos, const float* sin,
                        const float* out, const float* lse, const float* dout, float* dq, float* dkv,
                        float* dk_rope, AttentionScratch& scratch) {
  const Head head(shape, T, cos, sin);
  const int64_t D = head.D, Dp = head.Dp, V = head.V, Vp = head.Vp, Tp = head.Tp, width = shape.nope + V;
  float* qh = room(scratch.q, T * Dp);
  float* kh = room(scratch.k, T * Dp);
  float* kt = room(scratch.kt, D * Tp);
  float* vh = room(scratch.v, T * Vp);
  float* vt = room(scratch.vt, V * Tp);
  float* p = room(scratch.p, T * Tp);
  float* ds = room(scratch.ds, T * Tp);
  float* doh = room(scratch.out, T * Vp);
  float* dqh = room(scratch.dq, T * Dp);
  float* dkh = room(scratch.dk, T * Dp);
  float* dvh = room(scratch.dv, T * Vp);
  std::memset(dkv, 0, static_cast<size_t>(T * shape.kv_heads * width) * sizeof(float));
  std::memset(dk_rope, 0, static_cast<size_t>(T * shape.rope_heads * shape.rope) * sizeof(float));
  for (int64_t h = 0; h < shape.heads; ++h) {
    head.load_q(q, h, qh);
    head.load_k(kv, k_rope, k_rope_stride, h, kh, kt);
    head.load_v(kv, h, vh, vt);
    for (int64_t t = 0; t < T; ++t) {
      std::memcpy(doh + t * Vp, dout + (t * shape.heads + h) * V, static_cast<size_t>(V) * sizeof(float));
      std::fill(doh + t * Vp + V, doh + (t + 1) * Vp, 0.0f);
    }
    multiply(Part::lower_out, T, Tp, D, qh, Dp, 1, kt, Tp, p, Tp);
    multiply(Part::lower_out, T, Tp, V, doh, Vp, 1, vt, Tp, ds, Tp);
    for (int64_t t = 0; t < T; ++t) {
      const float* o = out + (t * shape.heads + h) * V;
      float* row = p + t * Tp;
      float* dp = ds + t * Tp;
      const float norm = lse[t * shape.heads + h];
      float delta = 0;
      for (int64_t d = 0; d < V; ++d) delta += o[d] * doh[t * Vp + d];
#pragma omp simd
      for (int64_t j = 0; j <= t; ++j) {
        row[j] = fast_exp(row[j] - norm);
        dp[j] = row[j] * (dp[j] - delta);
      }
      std::fill(row + t + 1, row + Tp, 0.0f);
      std::fill(dp + t + 1, dp + Tp, 0.0f);
    }
    multiply(Part::upper_in, T, Vp, T, p, 1, Tp, doh, Vp, dvh, Vp);
    multiply(Part::lower_in, T, Dp, T, ds, Tp, 1, kh, Dp, dqh, Dp);
    multiply(Part::upper_in, T, Dp, T, ds, 1, Tp, qh, Dp, dkh, Dp);
    const int64_t g = h / (shape.heads / shape.kv_heads), r = h / (shape.heads / shape.rope_heads);
    for (int64_t t = 0; t < T; ++t) {
      float* to = dq + (t * shape.heads + h) * D;
      for (int64_t d = 0; d < D; ++d) dqh[t * Dp + d] *= shape.scale;
      std::memcpy(to, dqh + t * Dp, static_cast<size_t>(shape.nope) * sizeof(float));
      rotate(dqh + t * Dp + shape.nope, head.cos_at(t), head.sin_at(t), shape.rope, -1, to + shape.nope);

      float* kv_row = dkv + (t * shape.kv_heads + g) * width;
      for (int64_t d = 0; d < shape.nope; ++d) kv_row[d] += dkh[t * Dp + d];
      for (int64_t d = 0; d < V; ++d) kv_row[shape.nope + d] += dvh[t * Vp + d];
      float* rope_row = dk_rope + (t * shape.rope_heads + r) * shape.rope;
      float* back = dkh + t * Dp + shape.nope;
      rotate(back, head.cos_at(t), head.sin_at(t), shape.rope, -1, back);
      for (int64_t d = 0; d < shape.rope; ++d) rope_row[d] += back[d];
    }
  }
}

}  // namespace tern::train::kernels
