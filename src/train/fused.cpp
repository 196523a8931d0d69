#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "train/kernels.h"
#include "train/ops.h"

namespace tern::train::fused {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t grain = 64;  // rows worth a thread

float* floats(const at::Tensor& x) {
  return x.data_ptr<float>();
}

/// Runs body(first, last, thread) over rows; sums that each thread keeps apart go to a row of `partial`.
template <typename Body>
void over_rows(int64_t rows, Body&& body) {
  at::parallel_for(0, rows, grain,
                   [&](int64_t first, int64_t last) { body(first, last, at::get_thread_num()); });
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const int64_t rows = x.size(0), width = x.size(1), stride = x.stride(0);
    const at::Tensor y = at::empty({rows, width}, x.options());
    const at::Tensor inverse = at::empty({rows}, x.options());
    over_rows(rows, [&](int64_t first, int64_t last, int) {
      kernels::rms_norm(floats(x) + first * stride, stride, floats(weight), static_cast<float>(eps),
                        last - first, width, floats(y) + first * width, floats(inverse) + first);
    });
    context->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t rows = x.size(0), width = x.size(1), stride = x.stride(0);
    const at::Tensor dx = at::empty({rows, width}, x.options());
    const at::Tensor partial = at::zeros({at::get_num_threads(), width}, x.options());
    over_rows(rows, [&](int64_t first, int64_t last, int thread) {
      kernels::rms_norm_backward(floats(x) + first * stride, stride, floats(weight), floats(inverse) + first,
                                 floats(dy) + first * width, last - first, width, floats(dx) + first * width,
                                 floats(partial) + thread * width);
    });
    return {dx, partial.sum(0), at::Tensor()};
  }
};

void swiglu_into(const at::Tensor& gate_up, const at::Tensor& y) {
  const int64_t ff = y.size(1);
  over_rows(y.size(0), [&](int64_t first, int64_t last, int) {
    kernels::swiglu(floats(gate_up) + first * 2 * ff, last - first, ff, floats(y) + first * ff);
  });
}

at::Tensor swiglu_gradient(const at::Tensor& gate_up, const at::Tensor& dy) {
  const int64_t ff = dy.size(1);
  const at::Tensor result = at::empty_like(gate_up);
  over_rows(dy.size(0), [&](int64_t first, int64_t last, int) {
    kernels::swiglu_backward(floats(gate_up) + first * 2 * ff, floats(dy) + first * ff, last - first, ff,
                             floats(result) + first * 2 * ff);
  });
  return result;
}

struct Swiglu : Function<Swiglu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_up) {
    const at::Tensor y = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
    swiglu_into(gate_up, y);
    context->save_for_backward({gate_up});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {swiglu_gradient(context->get_saved_variables()[0], gradients[0].contiguous())};
  }
};

kernels::AttentionShape attention_shape(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& k_rope) {
  kernels::AttentionShape shape;
  shape.heads = q.size(1);
  shape.kv_heads = kv.size(1);
  shape.rope_heads = k_rope.size(1);
  shape.rope = k_rope.size(2);
  shape.nope = q.size(2) - shape.rope;
  shape.value = kv.size(2) - shape.nope;
  shape.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(q.size(2))));
  return shape;
}

struct Attention : Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& kv,
                            const at::Tensor& k_rope, const at::Tensor& cos, const at::Tensor& sin,
                            const std::vector<int64_t>& starts) {
    const auto shape = attention_shape(q, kv, k_rope);
    const int64_t n = q.size(0);
    const at::Tensor out = at::empty({n, shape.heads, shape.value}, q.options());
    const at::Tensor lse = at::empty({n, shape.heads}, q.options());
    at::parallel_for(0, static_cast<int64_t>(starts.size()) - 1, 1, [&](int64_t first, int64_t last) {
      kernels::AttentionScratch scratch;
      for (int64_t b = first; b < last; ++b) {
        const int64_t at = starts[b];
        kernels::attention(shape, starts[b + 1] - at, floats(q) + at * q.stride(0),
                           floats(kv) + at * kv.stride(0), floats(k_rope) + at * k_rope.stride(0),
                           k_rope.stride(0), floats(cos), floats(sin), floats(out) + at * out.stride(0),
                           floats(lse) + at * shape.heads, scratch);
      }
    });
    context->save_for_backward({q, kv, k_rope, cos, sin, out, lse});
    context->saved_data["starts"] = starts;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &kv = saved[1], &k_rope = saved[2], &cos = saved[3], &sin = saved[4];
    const at::Tensor &out = saved[5], &lse = saved[6];
    const at::Tensor dout = gradients[0].contiguous();
    const auto starts = context->saved_data["starts"].toIntVector();
    const auto shape = attention_shape(q, kv, k_rope);
    const at::Tensor dq = at::empty_like(q), dkv = at::empty_like(kv);
    const at::Tensor dk_rope = at::empty(k_rope.sizes(), k_rope.options());
    at::parallel_for(0, static_cast<int64_t>(starts.size()) - 1, 1, [&](int64_t first, int64_t last) {
      kernels::AttentionScratch scratch;
      for (int64_t b = first; b < last; ++b) {
        const int64_t at = starts[b];
        kernels::attention_backward(
            shape, starts[b + 1] - at, floats(q) + at * q.stride(0), floats(kv) + at * kv.stride(0),
            floats(k_rope) + at * k_rope.stride(0), k_rope.stride(0), floats(cos), floats(sin),
            floats(out) + at * out.stride(0), floats(lse) + at * shape.heads,
            floats(dout) + at * out.stride(0), floats(dq) + at * q.stride(0), floats(dkv) + at * kv.stride(0),
            floats(dk_rope) + at * dk_rope.stride(0), scratch);
      }
    });
    return {dq, dkv, dk_rope, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

/// (token, choice) pairs sorted by expert.
struct Routing {
  at::Tensor token;            ///< {pairs} the token of each sorted pair
  at::Tensor place;            ///< {tokens, k} where each pair went
  std::vector<int64_t> first;  ///< {experts + 1} offsets of the experts' pairs
};

Routing sort_by_expert(const at::Tensor& chosen, int64_t experts) {
  const int64_t n = chosen.size(0), k = chosen.size(1);
  const int64_t* expert = chosen.data_ptr<int64_t>();
  Routing routing{at::empty({n * k}, chosen.options()), at::empty({n, k}, chosen.options()), {}};
  routing.first.assign(static_cast<size_t>(experts) + 1, 0);
  for (int64_t pair = 0; pair < n * k; ++pair) ++routing.first[static_cast<size_t>(expert[pair]) + 1];
  for (int64_t e = 0; e < experts; ++e) routing.first[e + 1] += routing.first[e];
  std::vector<int64_t> next(routing.first.begin(), routing.first.end() - 1);
  int64_t* token = routing.token.data_ptr<int64_t>();
  int64_t* place = routing.place.data_ptr<int64_t>();
  for (int64_t pair = 0; pair < n * k; ++pair) {
    place[pair] = next[expert[pair]]++;
    token[place[pair]] = pair / k;
  }
  return routing;
}

at::Tensor gathered(const at::Tensor& x, const at::Tensor& index) {
  const int64_t rows = index.size(0), width = x.size(1);
  const at::Tensor result = at::empty({rows, width}, x.options());
  over_rows(rows, [&](int64_t first, int64_t last, int) {
    kernels::gather(floats(x), index.data_ptr<int64_t>() + first, last - first, width,
                    floats(result) + first * width);
  });
  return result;
}

at::Tensor combined(const at::Tensor& rows, const at::Tensor& place, const float* weights) {
  const int64_t n = place.size(0), k = place.size(1), width = rows.size(1);
  const at::Tensor result = at::empty({n, width}, rows.options());
  over_rows(n, [&](int64_t first, int64_t last, int) {
    kernels::combine(floats(rows), place.data_ptr<int64_t>() + first * k,
                     weights ? weights + first * k : nullptr, last - first, k, width,
                     floats(result) + first * width);
  });
  return result;
}

struct Experts : Function<Experts> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& chosen,
                            const at::Tensor& weights, const at::Tensor& gate_up, const at::Tensor& down) {
    const int64_t count = gate_up.size(0), ff = down.size(2), hidden = x.size(1);
    Routing routing = sort_by_expert(chosen, count);
    const at::Tensor rows = gathered(x, routing.token);
    const int64_t pairs = rows.size(0);
    const at::Tensor inner = at::empty({pairs, 2 * ff}, x.options());
    const at::Tensor active = at::empty({pairs, ff}, x.options());
    const at::Tensor output = at::empty({pairs, hidden}, x.options());
    for (int64_t e = 0; e < count; ++e) {
      const int64_t from = routing.first[e], n = routing.first[e + 1] - from;
      if (n == 0) continue;
      at::Tensor inner_e = inner.narrow(0, from, n), output_e = output.narrow(0, from, n);
      const at::Tensor active_e = active.narrow(0, from, n);
      at::mm_out(inner_e, rows.narrow(0, from, n), gate_up.select(0, e).t());
      swiglu_into(inner_e, active_e);
      at::mm_out(output_e, active_e, down.select(0, e).t());
    }
    context->save_for_backward({weights, gate_up, down, routing.place, rows, inner, active, output});
    context->saved_data["first"] = routing.first;
    return combined(output, routing.place, floats(weights));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &weights = saved[0], &gate_up = saved[1], &down = saved[2], &place = saved[3];
    const at::Tensor &rows = saved[4], &inner = saved[5], &active = saved[6], &output = saved[7];
    const auto first = context->saved_data["first"].toIntVector();
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t count = gate_up.size(0), hidden = rows.size(1), k = weights.size(1),
                  n_tokens = weights.size(0);

    // Gradient of each sorted pair's output, and of its weight.
    const at::Tensor d_output = at::empty_like(output);
    const at::Tensor d_weights = at::empty_like(weights);
    over_rows(n_tokens, [&](int64_t from, int64_t to, int) {
      for (int64_t pair = from * k; pair < to * k; ++pair) {
        const float* gradient = floats(dy) + pair / k * hidden;
        const int64_t at = place.data_ptr<int64_t>()[pair];
        const float* out = floats(output) + at * hidden;
        float* to_row = floats(d_output) + at * hidden;
        const float weight = floats(weights)[pair];
        float dot = 0;
        for (int64_t c = 0; c < hidden; ++c) {
          dot += gradient[c] * out[c];
          to_row[c] = weight * gradient[c];
        }
        floats(d_weights)[pair] = dot;
      }
    });

    const at::Tensor d_gate_up = at::empty_like(gate_up), d_down = at::empty_like(down);
    const at::Tensor d_rows = at::empty_like(rows);
    for (int64_t e = 0; e < count; ++e) {
      const int64_t from = first[e], n = first[e + 1] - from;
      at::Tensor d_gate_up_e = d_gate_up.select(0, e), d_down_e = d_down.select(0, e);
      if (n == 0) {
        d_gate_up_e.zero_();
        d_down_e.zero_();
        continue;
      }
      const at::Tensor d_output_e = d_output.narrow(0, from, n);
      at::mm_out(d_down_e, d_output_e.t(), active.narrow(0, from, n));
      const at::Tensor d_inner =
          swiglu_gradient(inner.narrow(0, from, n), at::mm(d_output_e, down.select(0, e)));
      at::mm_out(d_gate_up_e, d_inner.t(), rows.narrow(0, from, n));
      at::Tensor d_rows_e = d_rows.narrow(0, from, n);
      at::mm_out(d_rows_e, d_inner, gate_up.select(0, e));
    }
    return {combined(d_rows, place, nullptr), at::Tensor(), d_weights, d_gate_up, d_down};
  }
};

struct HeadLoss : Function<HeadLoss> {
  /// The gradients are computed here, piece by piece while the logits are in the cache; backward scales them.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& targets, int64_t count) {
    constexpr int64_t piece = 512;
    const int64_t n = x.size(0), vocab = weight.size(0);
    const at::Tensor dx = at::empty_like(x), dw = at::zeros_like(weight);
    const at::Tensor logits = at::empty({std::min(n, piece), vocab}, x.options());
    double loss = 0;
    for (int64_t from = 0; from < n; from += piece) {
      const int64_t rows = std::min(piece, n - from);
      const at::Tensor x_piece = x.narrow(0, from, rows);
      at::Tensor out = logits.narrow(0, 0, rows);
      at::mm_out(out, x_piece, weight.t());
      std::vector<double> sums(static_cast<size_t>(at::get_num_threads()), 0.0);
      over_rows(rows, [&](int64_t first, int64_t last, int thread) {
        sums[static_cast<size_t>(thread)] +=
            kernels::cross_entropy(floats(out) + first * vocab, targets.data_ptr<int64_t>() + from + first,
                                   last - first, vocab, 1.0f / static_cast<float>(count));
      });
      for (double sum : sums) loss += sum;
      at::Tensor dx_piece = dx.narrow(0, from, rows);
      at::mm_out(dx_piece, out, weight);
      dw.addmm_(out.t(), x_piece);
    }
    context->save_for_backward({dx, dw});
    return at::full({}, loss / static_cast<double>(count), x.options());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {saved[0] * gradients[0], saved[1] * gradients[0], at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool usable(const at::Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && kernels::available();
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNorm::apply(x, weight, eps);
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  return Swiglu::apply(gate_up.contiguous());
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& k_rope,
                     const Sequences& sequences, const RopeTable& rope) {
  return Attention::apply(q.contiguous(), kv.contiguous(), k_rope, rope.cos, rope.sin, sequences.starts);
}

at::Tensor experts(const at::Tensor& x, const at::Tensor& chosen, const at::Tensor& weights,
                   const at::Tensor& gate_up, const at::Tensor& down) {
  return Experts::apply(x.contiguous(), chosen.contiguous(), weights.contiguous(), gate_up, down);
}

at::Tensor head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                     int64_t count) {
  return HeadLoss::apply(x.contiguous(), weight, targets, count);
}

}  // namespace tern::train::fused
