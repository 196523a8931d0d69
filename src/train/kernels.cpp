#include "train/kernels.h"
#include "train/fast_exp.h"

#include <cmath>
#include <cstring>

namespace tern::train::kernels {

namespace {

inline float sigmoid(float x) {
  return 1.0f / (1.0f + fast_exp(-x));
}

}  // namespace

bool available() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

void rms_norm(const float* x, int64_t stride, const float* w, float eps, int64_t rows, int64_t width,
              float* y, float* inverse) {
  for (int64_t i = 0; i < rows; ++i, x += stride, y += width) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < width; ++j) sum += x[j] * x[j];
    const float r = 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
    inverse[i] = r;
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) y[j] = x[j] * r * w[j];
  }
}

void rms_norm_backward(const float* x, int64_t stride, const float* w, const float* inverse, const float* dy,
                       int64_t rows, int64_t width, float* dx, float* dw) {
  for (int64_t i = 0; i < rows; ++i, x += stride, dy += width, dx += width) {
    const float r = inverse[i];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < width; ++j) dot += dy[j] * w[j] * x[j];
    const float pull = dot * r * r / static_cast<float>(width);
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) {
      dw[j] += dy[j] * x[j] * r;
      dx[j] = r * (dy[j] * w[j] - x[j] * pull);
    }
  }
}

void swiglu(const float* gate_up, int64_t rows, int64_t ff, float* y) {
  for (int64_t i = 0; i < rows; ++i, gate_up += 2 * ff, y += ff) {
    const float* up = gate_up + ff;
#pragma omp simd
    for (int64_t j = 0; j < ff; ++j) y[j] = gate_up[j] * sigmoid(gate_up[j]) * up[j];
  }
}

void swiglu_backward(const float* gate_up, const float* dy, int64_t rows, int64_t ff, float* d_gate_up) {
  for (int64_t i = 0; i < rows; ++i, gate_up += 2 * ff, dy += ff, d_gate_up += 2 * ff) {
    const float* up = gate_up + ff;
    float* d_up = d_gate_up + ff;
#pragma omp simd
    for (int64_t j = 0; j < ff; ++j) {
      const float g = gate_up[j];
      const float s = sigmoid(g);
      d_up[j] = dy[j] * g * s;
      d_gate_up[j] = dy[j] * up[j] * s * (1.0f + g * (1.0f - s));
    }
  }
}

double cross_entropy(float* logits, const int64_t* targets, int64_t rows, int64_t vocab, float scale) {
  double loss = 0;
  for (int64_t i = 0; i < rows; ++i, logits += vocab) {
    float most = logits[0];
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < vocab; ++j) most = logits[j] > most ? logits[j] : most;
    const float wanted = logits[targets[i]] - most;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < vocab; ++j) {
      logits[j] = fast_exp(logits[j] - most);
      sum += logits[j];
    }
    loss += std::log(static_cast<double>(sum)) - wanted;
    const float factor = scale / sum;
#pragma omp simd
    for (int64_t j = 0; j < vocab; ++j) logits[j] *= factor;
    logits[targets[i]] -= scale;
  }
  return loss;
}

void gather(const float* from, const int64_t* index, int64_t rows, int64_t width, float* to) {
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(to + i * width, from + index[i] * width, static_cast<size_t>(width) * sizeof(float));
  }
}

void combine(const float* from, const int64_t* place, const float* weight, int64_t rows, int64_t k,
             int64_t width, float* to) {
  for (int64_t i = 0; i < rows; ++i, to += width) {
    for (int64_t j = 0; j < k; ++j) {
      const float* row = from + place[i * k + j] * width;
      const float factor = weight ? weight[i * k + j] : 1.0f;
      if (j == 0) {
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) to[c] = factor * row[c];
      } else {
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) to[c] += factor * row[c];
      }
    }
  }
}

}  // namespace tern::train::kernels
