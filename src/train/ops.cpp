#include "train/ops.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace tern::train {

namespace {

at::Tensor to_device(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

/// Pairs of neighbours of the last dimension rotated; x {n, heads, rope}, angles by row.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const at::Tensor pairs = x.unflatten(-1, {x.size(-1) / 2, 2});
  const at::Tensor a = pairs.select(-1, 0), b = pairs.select(-1, 1);
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  return at::stack({a * c - b * s, a * s + b * c}, -1).flatten(-2);
}

}  // namespace

Sequences::Sequences(std::vector<int64_t> from, at::Device device) : starts(std::move(from)) {
  for (int64_t b = 0; b < count(); ++b) longest = std::max(longest, starts[b + 1] - starts[b]);
  std::vector<int64_t> position, place, filled(static_cast<size_t>(count() * longest), 0);
  position.reserve(static_cast<size_t>(tokens()));
  place.reserve(static_cast<size_t>(tokens()));
  for (int64_t b = 0; b < count(); ++b) {
    for (int64_t t = 0; t < starts[b + 1] - starts[b]; ++t) {
      position.push_back(t);
      place.push_back(b * longest + t);
      filled[static_cast<size_t>(b * longest + t)] = starts[b] + t;
    }
  }
  positions = to_device(position, device);
  padded = to_device(filled, device);
  places = to_device(place, device);
}

RopeTable::RopeTable(int64_t positions, int64_t rope, double theta, at::TensorOptions options) {
  const auto wide = options.dtype(at::kDouble);
  const at::Tensor exponents = at::arange(0, rope, 2, wide) / static_cast<double>(rope);
  const at::Tensor angles = at::outer(at::arange(positions, wide), at::pow(theta, exponents).reciprocal());
  cos = angles.cos().to(options).contiguous();
  sin = angles.sin().to(options).contiguous();
}

namespace reference {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * (x.pow(2).mean(-1, true) + eps).rsqrt() * weight;
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  const auto parts = gate_up.chunk(2, -1);
  return at::silu(parts[0]) * parts[1];
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& k_rope,
                     const Sequences& sequences, const RopeTable& rope) {
  const int64_t heads = q.size(1), rope_dim = k_rope.size(2), nope = q.size(2) - rope_dim;
  const at::Tensor cos = rope.cos.index_select(0, sequences.positions);
  const at::Tensor sin = rope.sin.index_select(0, sequences.positions);
  const auto widen = [&](const at::Tensor& x) { return x.repeat_interleave(heads / x.size(1), 1); };
  const auto pad = [&](const at::Tensor& x) {  // {n, heads, d} → {sequences, heads, longest, d}
    return x.index_select(0, sequences.padded)
        .unflatten(0, {sequences.count(), sequences.longest})
        .transpose(1, 2);
  };
  const at::Tensor queries =
      at::cat({q.narrow(2, 0, nope), rotate(q.narrow(2, nope, rope_dim), cos, sin)}, 2);
  const at::Tensor keys = at::cat({widen(kv.narrow(2, 0, nope)), widen(rotate(k_rope, cos, sin))}, 2);
  const at::Tensor values = widen(kv.narrow(2, nope, kv.size(2) - nope));
  // Padding lies behind each sequence, where the causal mask hides it.
  const at::Tensor hidden =
      at::ones({sequences.longest, sequences.longest}, q.options().dtype(at::kBool)).triu(1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2)));
  const at::Tensor scores = at::matmul(pad(queries), pad(keys).transpose(-1, -2)) * scale;
  const at::Tensor shares = at::softmax(scores.masked_fill(hidden, -INFINITY), -1);
  return at::matmul(shares, pad(values)).transpose(1, 2).flatten(0, 1).index_select(0, sequences.places);
}

at::Tensor experts(const at::Tensor& x, const at::Tensor& chosen, const at::Tensor& weights,
                   const at::Tensor& gate_up, const at::Tensor& down) {
  const int64_t k = chosen.size(1), count = gate_up.size(0);
  const at::Tensor flat = chosen.flatten();
  const at::Tensor order = at::argsort(flat, /*stable=*/true, 0, false);
  const at::Tensor place = at::argsort(order, /*stable=*/true, 0, false);
  const at::Tensor load = at::bincount(flat, {}, count).to(at::kCPU);
  const at::Tensor rows = x.index_select(0, at::floor_divide(order, k));
  std::vector<at::Tensor> outputs;
  int64_t from = 0;
  for (int64_t e = 0; e < count; ++e) {
    const int64_t n = load.data_ptr<int64_t>()[e];
    if (n == 0) continue;
    const at::Tensor inner = swiglu(at::mm(rows.narrow(0, from, n), gate_up.select(0, e).t()));
    outputs.push_back(at::mm(inner, down.select(0, e).t()));
    from += n;
  }
  const at::Tensor unsorted = at::cat(outputs).index_select(0, place).unflatten(0, {x.size(0), k});
  return (unsorted * weights.unsqueeze(-1)).sum(1);
}

at::Tensor head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                     int64_t count) {
  const at::Tensor shares = at::log_softmax(at::mm(x, weight.t()), -1);
  return shares.gather(1, targets.unsqueeze(1)).sum() / -static_cast<double>(count);
}

}  // namespace reference

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return fused::usable(x) ? fused::rms_norm(x, weight, eps) : reference::rms_norm(x, weight, eps);
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  return fused::usable(gate_up) ? fused::swiglu(gate_up) : reference::swiglu(gate_up);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& k_rope,
                     const Sequences& sequences, const RopeTable& rope) {
  if (sequences.longest > rope.cos.size(0)) {
    fail(ErrorKind::limit, "a sequence of {} tokens: the model's context is {}", sequences.longest,
         rope.cos.size(0));
  }
  return fused::usable(q) ? fused::attention(q, kv, k_rope, sequences, rope)
                          : reference::attention(q, kv, k_rope, sequences, rope);
}

at::Tensor experts(const at::Tensor& x, const at::Tensor& chosen, const at::Tensor& weights,
                   const at::Tensor& gate_up, const at::Tensor& down) {
  return fused::usable(x) ? fused::experts(x, chosen, weights, gate_up, down)
                          : reference::experts(x, chosen, weights, gate_up, down);
}

at::Tensor head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                     int64_t count) {
  return fused::usable(x) ? fused::head_loss(x, weight, targets, count)
                          : reference::head_loss(x, weight, targets, count);
}

}  // namespace tern::train
