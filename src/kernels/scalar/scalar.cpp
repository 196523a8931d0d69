// The oracle: the contract of kernels.h in plain C++, one value at a time. std::fma is correctly rounded with
// or without an instruction for it.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "kernels/exp_constants.h"
#include "kernels/layout.h"
#include "kernels/scalar/blocks.h"
#include "kernels/tables.h"

namespace tern {
namespace {

using layout::half_part;
using layout::panel_rows;
using layout::part_cols;

constexpr size_t lanes = 16;

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// W[r][k] of a packed panel of floats or halves.
float panel_weight(DType type, const std::byte* panel, size_t r, size_t k) {
  switch (type) {
    case DType::f32:
      return load<float>(panel + (k * panel_rows + r) * 4);
    case DType::f16:
      return f16_to_f32(load<uint16_t>(panel + (k * panel_rows + r) * 2));
    default:
      return bf16_to_f32(load<uint16_t>(panel + ((k / 2 * panel_rows + r) * 2 + k % 2) * 2));
  }
}

float dot_floats(const PackedMatrix& w, const std::byte* panel, size_t r, const float* x, float sum) {
  for (size_t k = 0; k < w.cols; ++k) sum = std::fma(x[k], panel_weight(w.type, panel, r, k), sum);
  return sum;
}

void matmul(const PackedMatrix& w, const ActivationRows& x, float* y, size_t ldy, size_t panel_begin,
            size_t panel_end, bool accumulate) {
  const size_t panel_bytes = packed_panel_bytes(w.type, w.cols);
  for (size_t p = panel_begin; p < panel_end; ++p) {
    const std::byte* panel = w.data + p * panel_bytes;
    const size_t rows = std::min(panel_rows, w.rows - p * panel_rows);
    for (size_t t = 0; t < x.tokens; ++t) {
      for (size_t r = 0; r < rows; ++r) {
        float& sum = y[t * ldy + p * panel_rows + r];
        if (!accumulate) sum = 0;
        sum = needs_quantized(w.type) ? scalar_block_dot(w, panel, r, x.q(t), x.scales(t), x.sums(t), sum)
                                      : dot_floats(w, panel, r, x.x + t * x.ld, sum);
      }
    }
  }
}

void quantize_block(const float* x, int8_t* q, float* scale, int32_t* sums) {
  // As integers, magnitudes order like the floats they are, and every NaN lies above infinity.
  uint32_t most = 0;
  for (size_t i = 0; i < part_cols; ++i) most = std::max(most, std::bit_cast<uint32_t>(x[i]) & 0x7fffffff);
  const bool finite = most < 0x7f800000;
  const float wanted = std::bit_cast<float>(most) / 127.0f;
  std::fill_n(sums, part_cols / half_part, 0);
  if (!finite || wanted < std::numeric_limits<float>::min()) {
    *scale = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
    std::memset(q, 0, part_cols);
    return;
  }
  *scale = wanted;
  for (size_t i = 0; i < part_cols; ++i) {
    q[i] = static_cast<int8_t>(std::nearbyint(x[i] / wanted));
    sums[i / half_part] += q[i];
  }
}

void quantize_q8(const float* x, size_t n, int8_t* q, float* scales, int32_t* sums) {
  for (size_t b = 0; b < n / part_cols; ++b)
    quantize_block(x + b * part_cols, q + b * part_cols, scales + b, sums + 2 * b);
}

float add_lanes(float* lane) {
  for (size_t width = lanes / 2; width > 0; width /= 2) {
    for (size_t l = 0; l < width; ++l) lane[l] += lane[l + width];
  }
  return lane[0];
}

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* y) {
  float lane[lanes] = {};
  for (size_t i = 0; i < n; ++i) lane[i % lanes] = std::fma(x[i], x[i], lane[i % lanes]);
  const float inverse = 1.0f / std::sqrt(add_lanes(lane) / static_cast<float>(n) + eps);
  for (size_t i = 0; i < n; ++i) y[i] = x[i] * inverse * weight[i];
}

float power_of_two(int n) {
  return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
}

float exp_one(float x) {
  namespace c = exp_constants;
  if (std::isnan(x)) return x;
  if (x < c::lowest) return 0;
  if (x > c::highest) return std::numeric_limits<float>::infinity();
  const float n = std::nearbyint(x * c::log2_e);
  const float r = std::fma(n, c::minus_ln2_low, std::fma(n, c::minus_ln2_high, x));
  float p = c::polynomial[0];
  for (size_t i = 1; i < std::size(c::polynomial); ++i) p = std::fma(p, r, c::polynomial[i]);
  const float e = std::fma(p, r * r, r) + 1.0f;
  const int whole = static_cast<int>(n);
  const int half = whole >> 1;
  return e * power_of_two(half) * power_of_two(whole - half);
}

void silu_mul(const float* gate, const float* up, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + exp_one(-gate[i])) * up[i];
}

float exp_shifted(float* x, float shift, size_t n) {
  float lane[lanes] = {};
  for (size_t i = 0; i < n; ++i) {
    x[i] = exp_one(x[i] - shift);
    lane[i % lanes] += x[i];
  }
  return add_lanes(lane);
}

float max(const float* x, size_t n) {
  float lane[lanes];
  std::fill_n(lane, lanes, -std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < n; ++i) {
    if (x[i] > lane[i % lanes]) lane[i % lanes] = x[i];
  }
  for (size_t width = lanes / 2; width > 0; width /= 2) {
    for (size_t l = 0; l < width; ++l) lane[l] = lane[l + width] > lane[l] ? lane[l + width] : lane[l];
  }
  return lane[0];
}

void axpy(float a, const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = std::fma(a, x[i], y[i]);
}

void scale(float a, size_t n, float* x) {
  for (size_t i = 0; i < n; ++i) x[i] *= a;
}

uint64_t spin_products(size_t rounds) {
  constexpr size_t products = 32;  // of a round
  int32_t sum = 0;
  for (size_t round = 0; round < rounds; ++round) {
    int8_t one = 1;
    asm volatile("" : "+r"(one));
    for (size_t i = 0; i < products; ++i) sum += one * static_cast<int8_t>(i);
  }
  asm volatile("" : "+r"(sum));
  return rounds * products;
}

}  // namespace

const Kernels scalar_kernels = {Isa::scalar, matmul, quantize_q8, rms_norm, silu_mul,
                                exp_shifted, max,    axpy,        scale,    spin_products};

}  // namespace tern
