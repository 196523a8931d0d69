// The search for Q3_K and Q6_K blocks: w = scale * (q - half), of either sign.
#pragma once

#include "quant/kquants_rounding.h"

namespace tern::codecs {

template <size_t N>
float fit_symmetric(const float* x, float half) {
  float extreme = 0;
  for (size_t i = 0; i < N; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  if (std::fabs(extreme) < flat) return 0;
  constexpr int steps = 9;
  float best = 0, best_gain = 0;
  for (int step = -steps; step <= steps; ++step) {
    const float inverse = -(half + 0.1f * static_cast<float>(step)) / extreme;
    float qq = 0, qx = 0;
    for (size_t i = 0; i < N; ++i) {
      const float q = nearest(x[i] * inverse + half, 2 * half - 1) - half;
      qq += q * q;
      qx += q * x[i];
    }
    if (qq > 0 && qx * qx > best_gain * qq) {
      best_gain = qx * qx / qq;
      best = qx / qq;
    }
  }
  return best;
}

template <size_t N>
float symmetric_error(const float* x, float scale, float half) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  float error = 0;
  for (size_t i = 0; i < N; ++i) {
    const float difference = x[i] - (nearest(x[i] * inverse + half, 2 * half - 1) - half) * scale;
    error += difference * difference;
  }
  return error;
}

template <size_t Subs>
struct SymmetricChoice {
  float d = 0;
  int scales[Subs] = {};  // -limit .. limit - 1
  float error = 0;
};

template <size_t N, size_t Subs>
SymmetricChoice<Subs> choose_symmetric(const float* x, const float (&fits)[Subs], float d, int limit,
                                       float half) {
  SymmetricChoice<Subs> choice = {d};
  for (size_t sub = 0; sub < Subs; ++sub) {
    const float wanted = d != 0 ? fits[sub] / d : 0.0f;
    const float in_reach =
        std::min(std::max(wanted, static_cast<float>(-limit)), static_cast<float>(limit - 1));
    const int scale = static_cast<int>(std::floor(in_reach + 0.5f));
    float best = -1;
    for (int s = std::max(scale - 1, -limit); s <= std::min(scale + 1, limit - 1); ++s) {
      const float error = symmetric_error<N>(x + sub * N, d * static_cast<float>(s), half);
      if (best >= 0 && error >= best) continue;
      best = error;
      choice.scales[sub] = s;
    }
    choice.error += best;
  }
  return choice;
}

template <size_t N>
void symmetric_quants(const float* x, float scale, float half, uint8_t* q) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (size_t i = 0; i < N; ++i) q[i] = static_cast<uint8_t>(nearest(x[i] * inverse + half, 2 * half - 1));
}

template <size_t N, size_t Subs>
float refit(const float* x, const SymmetricChoice<Subs>& choice, float half) {
  double aa = 0, ax = 0;
  for (size_t sub = 0; sub < Subs; ++sub) {
    const float scale = static_cast<float>(choice.scales[sub]);
    uint8_t q[N];
    symmetric_quants<N>(x + sub * N, choice.d * scale, half, q);
    for (size_t i = 0; i < N; ++i) {
      const float a = scale * (static_cast<float>(q[i]) - half);
      aa += static_cast<double>(a * a);
      ax += static_cast<double>(a * x[sub * N + i]);
    }
  }
  return aa > 0 ? static_cast<float>(ax / aa) : choice.d;
}

template <size_t N, size_t Subs>
SymmetricChoice<Subs> search_symmetric(DType type, const float* x, int limit, float half) {
  float fits[Subs];
  float greatest = 0;
  for (size_t sub = 0; sub < Subs; ++sub) {
    fits[sub] = fit_symmetric<N>(x + sub * N, half);
    if (std::fabs(fits[sub]) > std::fabs(greatest)) greatest = fits[sub];
  }
  // The greatest becomes -limit, which has no positive counterpart.
  const float d = reaching_half(type, "scale", greatest / static_cast<float>(-limit));
  const SymmetricChoice<Subs> best = choose_symmetric<N>(x, fits, d, limit, half);
  const float fitted = rounded_half(refit<N>(x, best, half));
  const SymmetricChoice<Subs> again = choose_symmetric<N>(x, fits, fitted, limit, half);
  return again.error < best.error ? again : best;
}

// The quants of a whole block, by columns.
template <size_t N, size_t Subs>
void all_quants(const float* from, const SymmetricChoice<Subs>& choice, float half, uint8_t* q) {
  for (size_t sub = 0; sub < Subs; ++sub) {
    symmetric_quants<N>(from + sub * N, choice.d * static_cast<float>(choice.scales[sub]), half, q + sub * N);
  }
}

}  // namespace tern::codecs
