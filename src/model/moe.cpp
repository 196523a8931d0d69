#include "model/moe.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace tern {

namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();

void softmax(float* logits, int n) {
  float most = kOut, sum = 0;
  for (int e = 0; e < n; ++e) most = std::max(most, logits[e]);
  for (int e = 0; e < n; ++e) sum += logits[e] = std::exp(logits[e] - most);
  for (int e = 0; e < n; ++e) logits[e] /= sum;
}

void to_scores(RouterParams::Score score, float* logits, int n) {
  if (score == RouterParams::Score::softmax) softmax(logits, n);
  if (score == RouterParams::Score::sigmoid) {
    for (int e = 0; e < n; ++e) logits[e] = 1.0f / (1.0f + std::exp(-logits[e]));
  }
}

/// The best entry not yet taken, the first among equals; always a valid index while one is left.
int best_left(const float* values, int n, const int32_t* taken, int n_taken) {
  int best = -1;
  for (int i = 0; i < n; ++i) {
    if (best >= 0 && !(values[i] > values[best])) continue;
    if (std::find(taken, taken + n_taken, i) == taken + n_taken) best = i;
  }
  return best;
}

float group_score(const float* choice, int size, bool two_best) {
  float first = kOut, second = kOut;
  for (int e = 0; e < size; ++e) {
    if (choice[e] > first) {
      second = first;
      first = choice[e];
    } else if (choice[e] > second) {
      second = choice[e];
    }
  }
  return two_best ? first + second : first;
}

/// Puts the experts of all but the best groups out of the choice.
void mask_groups(const RouterParams& params, bool two_best, float* choice, float* scores) {
  const int size = params.experts / params.groups;
  for (int g = 0; g < params.groups; ++g) scores[g] = group_score(choice + g * size, size, two_best);
  // NaN marks a group that stays.
  for (int kept = 0; kept < params.groups_used; ++kept) {
    int best = -1;
    for (int g = 0; g < params.groups; ++g) {
      if (!std::isnan(scores[g]) && (best < 0 || scores[g] > scores[best])) best = g;
    }
    if (best >= 0) scores[best] = std::numeric_limits<float>::quiet_NaN();
  }
  for (int g = 0; g < params.groups; ++g) {
    if (!std::isnan(scores[g])) std::fill_n(choice + g * size, size, kOut);
  }
}

}  // namespace

void choose_experts(const RouterParams& params, float* logits, const float* bias, float* scratch,
                    int32_t* chosen, float* weights) {
  const int n = params.experts;
  to_scores(params.score, logits, n);
  float* choice = scratch;
  for (int e = 0; e < n; ++e) {
    const float c = bias ? logits[e] + bias[e] : logits[e];
    choice[e] = std::isnan(c) ? kOut : c;
  }
  if (params.groups > 1) mask_groups(params, bias != nullptr, choice, scratch + n);
  float sum = 0;
  for (int k = 0; k < params.used; ++k) {
    chosen[k] = best_left(choice, n, chosen, k);
    weights[k] = logits[chosen[k]];
    sum += weights[k];
  }
  if (params.score == RouterParams::Score::chosen_softmax) {
    softmax(weights, params.used);
    sum = 1;
  }
  // transformers adds the same 1e-20, which only matters where every chosen score underflowed.
  const float factor = params.normalise ? params.scale / (sum + 1e-20f) : params.scale;
  for (int k = 0; k < params.used; ++k) weights[k] *= factor;
}

namespace {

int bounded(const GgufFile& file, const std::string& key, uint64_t value, uint64_t least, uint64_t most) {
  if (value < least || value > most) {
    fail(ErrorKind::bad_input, "{}: {}: expected {} to {}, found {}", file.name(), key, least, most, value);
  }
  return static_cast<int>(value);
}

void check_groups(const GgufFile& file, const std::string& prefix, const RouterParams& router) {
  if (router.groups == 1) return;
  const int size = router.experts / router.groups;
  if (router.experts % router.groups != 0 || size < 2) {
    fail(ErrorKind::bad_input, "{}: {}group_count: {} experts do not fall into {} groups of two or more",
         file.name(), prefix, router.experts, router.groups);
  }
  if (router.used > size * router.groups_used) {
    fail(ErrorKind::bad_input, "{}: {}used_count: {} experts are not to be had from {} groups of {}",
         file.name(), prefix, router.used, router.groups_used, size);
  }
}

}  // namespace

RouterParams read_router(const GgufFile& file, const std::string& architecture,
                         const RouterParams& defaults) {
  const std::string prefix = architecture + ".expert_";
  RouterParams router;
  router.experts = bounded(file, prefix + "count", file.get_uint(prefix + "count"), 1, 65536);
  router.used = bounded(file, prefix + "used_count", file.get_uint(prefix + "used_count"), 1, router.experts);
  const uint64_t groups = std::max<uint64_t>(1, file.uint_or(prefix + "group_count", 1));
  router.groups = bounded(file, prefix + "group_count", groups, 1, router.experts);
  const uint64_t groups_used = router.groups == 1 ? 1 : file.get_uint(prefix + "group_used_count");
  router.groups_used = bounded(file, prefix + "group_used_count", groups_used, 1, router.groups);
  check_groups(file, prefix, router);
  const uint64_t family = static_cast<uint64_t>(defaults.score) + 1;
  const uint64_t function = file.uint_or(prefix + "gating_func", family);
  if (function != 1 && function != 2 && function != family) {
    fail(ErrorKind::unsupported,
         "{}: {}gating_func = {} is not supported; tern runs 1 (softmax) and 2 (sigmoid)", file.name(),
         prefix, function);
  }
  router.score = static_cast<RouterParams::Score>(function - 1);
  router.normalise = file.bool_or(prefix + "weights_norm", defaults.normalise);
  router.scale = static_cast<float>(file.float_or(prefix + "weights_scale", 1.0));
  if (!std::isfinite(router.scale) || router.scale <= 0) {
    fail(ErrorKind::bad_input, "{}: {}weights_scale: expected a positive number, found {}", file.name(),
         prefix, router.scale);
  }
  return router;
}

MoeLayer::MoeLayer(const RouterParams& params, size_t hidden, size_t expert_ff, size_t shared_ff,
                   size_t max_tokens, int members)
    : params_(params), hidden_(hidden), members_(members) {
  const size_t experts = params.experts, choices = max_tokens * used();
  activations_.reserve(max_tokens, hidden);
  gathered_.reserve(choices, hidden);
  gathered_floats_ = std::make_unique_for_overwrite<float[]>(choices * hidden);
  routed_gated_.reserve(choices, expert_ff, max_tokens, members);
  if (shared_ff > 0) shared_gated_.reserve(max_tokens, shared_ff, max_tokens, members);
  networks_.reserve(experts + 1);
  for (Member& member : members_) {
    member.scores.resize(experts + params.groups);
    member.results.resize((choices + max_tokens) * kPanelsAtOnce * kPanelRows);
  }
  logits_.resize(max_tokens * experts);
  chosen_.resize(choices);
  weights_.resize(choices);
  first_row_.resize(experts + 1);
  next_row_.resize(experts);
  choice_row_.resize(choices);
  distinct_.reserve(experts);
  leases_.reserve(experts);
}

void MoeLayer::forward(const Compute& compute, ExpertStore& store, int layer, const MoeWeights& weights,
                       const float* x, size_t tokens, float* y) {
  route(compute, weights, x, tokens);
  run(compute, store, layer, weights, x, tokens, y);
}

void MoeLayer::route(const Compute& compute, const MoeWeights& weights, const float* x, size_t tokens) {
  choose(compute, weights, x, tokens);
  sort_by_expert(tokens);
}

void MoeLayer::run(const Compute& compute, ExpertStore& store, int layer, const MoeWeights& weights,
                   const float* x, size_t tokens, float* y) {
  if (tokens == 0) return;
  for (int32_t expert : distinct_) leases_.push_back(store.acquire(layer, expert));
  list_networks(weights, x, tokens);
  gather(compute, tokens);
  run_upper_halves(compute);
  run_lower_halves(compute, tokens, y);
  leases_.clear();
}

void MoeLayer::choose(const Compute& compute, const MoeWeights& weights, const float* x, size_t tokens) {
  const size_t experts = params_.experts;
  project(compute, activations_, x, hidden_, tokens,
          {{&weights.gate, logits_.data(), experts,
            weights.gate_bias.empty() ? nullptr : weights.gate_bias.data()}});
  const float* bias = weights.bias.empty() ? nullptr : weights.bias.data();
  const double work = static_cast<double>(tokens) * static_cast<double>(experts * (used() + 16));
  parallel(compute.team, tokens, work, [&](size_t begin, size_t end, int member) {
    for (size_t t = begin; t < end; ++t) {
      choose_experts(params_, logits_.data() + t * experts, bias, members_[member].scores.data(),
                     chosen_.data() + t * used(), weights_.data() + t * used());
    }
  });
}

void MoeLayer::sort_by_expert(size_t tokens) {
  const size_t choices = tokens * used(), experts = params_.experts;
  std::fill(first_row_.begin(), first_row_.end(), 0u);
  for (size_t c = 0; c < choices; ++c) ++first_row_[chosen_[c] + 1];
  distinct_.clear();
  for (size_t e = 0; e < experts; ++e) {
    if (first_row_[e + 1] > 0) distinct_.push_back(static_cast<int32_t>(e));
    first_row_[e + 1] += first_row_[e];
    next_row_[e] = first_row_[e];
  }
  for (size_t c = 0; c < choices; ++c) {
    choice_row_[c] = next_row_[chosen_[c]]++;
  }
}

/// One after the other their gate and up products have rows in `gated`, their results in those of all.
void MoeLayer::list_networks(const MoeWeights& weights, const float* x, size_t tokens) {
  const size_t choices = tokens * used();
  const GatedWeights &expert = *leases_.front(), &shared = weights.shared;
  const bool has_shared = shared.gate.rows > 0;
  activations_.point(x, hidden_, tokens, hidden_,
                     needs_quantized(expert) || (has_shared && needs_quantized(shared)));
  gathered_.point(gathered_floats_.get(), hidden_, choices, hidden_, needs_quantized(expert));
  routed_gated_.start(expert, choices);
  networks_.clear();
  for (size_t d = 0; d < distinct_.size(); ++d) {
    const size_t first = first_row_[distinct_[d]];
    networks_.push_back(
        {&*leases_[d], gathered_.rows(first, tokens_of(distinct_[d])), &routed_gated_, first, first});
  }
  if (!has_shared) return;
  shared_gated_.start(shared, tokens);
  networks_.push_back({&shared, activations_, &shared_gated_, 0, choices});
}

/// Each token is quantized once; its experts get copies, so that their tokens stand together.
void MoeLayer::gather(const Compute& compute, size_t tokens) {
  const GatedWeights& expert = *networks_.front().weights;
  const bool floats = !needs_quantized(expert.gate) || !needs_quantized(expert.up);
  const double work = static_cast<double>(tokens) * static_cast<double>(hidden_ * (used() + 8));
  parallel(compute.team, tokens, work, [&](size_t begin, size_t end, int) {
    if (activations_.quantized) activations_.quantize_tokens(compute.kernels, begin, end);
    for (size_t c = begin * used(); c < end * used(); ++c) {
      const size_t token = c / used(), row = choice_row_[c];
      if (gathered_.quantized) gathered_.copy_quantized(row, activations_, token);
      if (floats) std::copy_n(activations_.x + token * hidden_, hidden_, &gathered_floats_[row * hidden_]);
    }
  });
}

/// The networks' pairs of panels stand in one row, which is cut by what they cost: the tokens, and as many
/// more for reading and unpacking as about eight.
void MoeLayer::run_upper_halves(const Compute& compute) {
  const auto cost_of = [](const Network& network) { return network.x.tokens + 8; };
  size_t all = 0;
  double work = 0;
  for (const Network& network : networks_) {
    all += GatedRows::pairs(*network.weights) * cost_of(network);
    work += 2.0 * static_cast<double>(network.x.tokens * network.weights->gate.rows) *
            static_cast<double>(hidden_);
  }
  parallel(compute.team, all, work, [&](size_t begin, size_t end, int member) {
    size_t first = 0;
    for (const Network& network : networks_) {
      const size_t cost = cost_of(network), last = first + GatedRows::pairs(*network.weights) * cost;
      // A pair belongs to the piece in which it begins.
      const auto pair_at = [&](size_t at) { return (std::clamp(at, first, last) - first + cost - 1) / cost; };
      network.gated->compute(compute.kernels, *network.weights, network.x, network.first_gated,
                             pair_at(begin), pair_at(end), member);
      first = last;
    }
  });
}

/// Some panels' rows of all networks' results, which are combined while they are in the cache.
void MoeLayer::run_lower_halves(const Compute& compute, size_t tokens, float* y) {
  double work = 0;
  for (const Network& network : networks_) {
    work += static_cast<double>(network.x.tokens * network.weights->down.cols) * static_cast<double>(hidden_);
  }
  const size_t panels = networks_.front().weights->down.panels();
  parallel(compute.team, panels, work, [&](size_t begin, size_t end, int member) {
    for (size_t panel = begin; panel < end; panel += kPanelsAtOnce) {
      const size_t panel_end = std::min(end, panel + kPanelsAtOnce);
      lower_panels(compute.kernels, panel, panel_end, members_[member].results.data(), tokens, y);
    }
  });
}

void MoeLayer::lower_panels(const Kernels& kernels, size_t begin, size_t end, float* results, size_t tokens,
                            float* y) const {
  const size_t col = begin * kPanelRows, cols = std::min(hidden_, end * kPanelRows) - col;
  for (const Network& network : networks_) {
    const GatedWeights& weights = *network.weights;
    const PackedMatrix down = panels_of(weights.down, begin, end);
    project_panels(kernels,
                   {&down, results + network.first_result * cols, cols,
                    weights.down_bias ? weights.down_bias + col : nullptr},
                   network.gated->rows().rows(network.first_gated, network.x.tokens), 0, end - begin);
  }
  // A token's sum grows in the row of its first choice.
  const float* shared = results + tokens * used() * cols;
  const bool has_shared = networks_.size() > distinct_.size();
  for (size_t t = 0; t < tokens; ++t) {
    const uint32_t* row = choice_row_.data() + t * used();
    const float* weight = weights_.data() + t * used();
    float* sum = results + row[0] * cols;
    kernels.scale(weight[0], cols, sum);
    for (size_t k = 1; k < used(); ++k) kernels.axpy(weight[k], results + row[k] * cols, cols, sum);
    if (has_shared) kernels.axpy(1.0f, shared + t * cols, cols, sum);
    std::copy_n(sum, cols, y + t * hidden_ + col);
  }
}

}  // namespace tern
