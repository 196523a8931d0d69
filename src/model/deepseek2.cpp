#include "model/deepseek2.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "model/batch_plan.h"
#include "model/project.h"

namespace tern {

namespace {

class Deepseek2 final : public Model {
 public:
  Deepseek2(const GgufFile& file, const ModelOptions& options);

  const ModelShape& shape() const override { return public_shape_; }
  void forward(std::span<const BatchToken> batch, PagedCache& cache, float* logits) override;

 private:
  void embed();
  void choose_paths();
  void norm(const std::vector<float>& weight, size_t tokens);
  void add(size_t tokens);
  void keep_wanted();
  void feed_forward(int layer, const Deepseek2Layer& weights, size_t tokens);
  void report_routes(int layer, size_t tokens);
  void check_cache(const PagedCache& cache) const;

  float* x(size_t token) { return x_.data() + token * shape_.hidden; }

  Deepseek2Shape shape_;
  ModelOptions options_;
  ThreadTeam team_;
  Compute compute_;
  std::unique_ptr<Deepseek2Weights> weights_;
  ModelShape public_shape_;

  BatchPlan plan_;
  MlaAttention attention_;
  MoeLayer moe_;
  GatedScratch dense_;
  Activations activations_;
  std::vector<float> x_;       ///< {max_batch, hidden}: the residual stream
  std::vector<float> normed_;  ///< {max_batch, hidden}: what goes into a layer's half
  std::vector<float> delta_;   ///< {max_batch, hidden}: what comes out of it
};

RouterParams router_of(const Deepseek2Shape& shape) {
  return shape.dense_layers < shape.layers ? shape.router : RouterParams{};
}

int checked_batch(int max_batch) {
  constexpr int kMost = 65536;
  if (max_batch >= 1 && max_batch <= kMost) return max_batch;
  fail(ErrorKind::bad_input, "model: max_batch: expected 1 to {}, found {}", kMost, max_batch);
}

ModelShape public_shape(const GgufFile& file, const Deepseek2Shape& shape, const Deepseek2Weights& weights) {
  const bool tied = file.find_tensor("output.weight") == nullptr;
  return {.architecture = "deepseek2",
          .vocab = shape.vocab,
          .hidden = shape.hidden,
          .layers = shape.layers,
          .context = shape.context,
          .cache_row = shape.attention.cache_row(),
          .weights = weights.weights,
          .active_weights = active_weights(shape, weights.weights, tied),
          .packed_bytes = weights.memory.bytes()};
}

Deepseek2::Deepseek2(const GgufFile& file, const ModelOptions& options)
    : shape_(read_deepseek2_shape(file)),
      options_(options),
      team_(std::max(1, options.threads)),
      compute_{kernels(options.isa), team_},
      weights_(load_deepseek2_weights(file, shape_, team_)),
      plan_(checked_batch(options.max_batch)),
      attention_(shape_.attention, shape_.rope, shape_.hidden, shape_.eps, options.max_batch, team_.size()),
      moe_(router_of(shape_), shape_.hidden, shape_.expert_ff,
           size_t(shape_.expert_ff) * shape_.shared_experts, options.max_batch, team_.size()) {
  const size_t tokens = options.max_batch, hidden = shape_.hidden;
  if (shape_.dense_layers > 0) dense_.reserve(tokens, hidden, shape_.dense_ff);
  activations_.reserve(tokens, hidden);
  for (auto* buffer : {&x_, &normed_, &delta_}) buffer->resize(tokens * hidden);
  public_shape_ = public_shape(file, shape_, *weights_);
}

void Deepseek2::forward(std::span<const BatchToken> batch, PagedCache& cache, float* logits) {
  check_cache(cache);
  plan_.group(batch, cache, shape_.vocab);
  choose_paths();
  plan_.arrange();
  attention_.prepare(plan_);
  embed();
  size_t tokens = plan_.tokens();
  for (int i = 0; i < shape_.layers; ++i) {
    const Deepseek2Layer& layer = weights_->layers[i];
    norm(layer.attention_norm, tokens);
    attention_.forward(compute_, layer.attention, plan_, cache, i, normed_.data(), delta_.data());
    add(tokens);
    if (i + 1 == shape_.layers) {
      // Behind the last attention only the tokens that want logits matter.
      keep_wanted();
      tokens = plan_.wanted().size();
      if (tokens == 0) return;
    }
    norm(layer.ffn_norm, tokens);
    feed_forward(i, layer, tokens);
    add(tokens);
  }
  norm(weights_->output_norm, tokens);
  const size_t hidden = shape_.hidden, vocab = shape_.vocab;
  project(compute_, activations_, normed_.data(), hidden, tokens, {{&weights_->output, logits, vocab}});
}

void Deepseek2::check_cache(const PagedCache& cache) const {
  const PagedCache::Shape& found = cache.shape();
  if (found.layers == shape_.layers && found.row == shape_.attention.cache_row()) return;
  fail(ErrorKind::bad_input, "cache: expected {} layers with rows of {}, found {} with {}", shape_.layers,
       shape_.attention.cache_row(), found.layers, found.row);
}

void Deepseek2::choose_paths() {
  for (Piece& piece : plan_.pieces()) {
    piece.absorbed = options_.attention == AttentionPath::absorbed ||
                     (options_.attention == AttentionPath::automatic &&
                      absorbing_is_cheaper(shape_.attention, piece.position, piece.count));
  }
}

void Deepseek2::embed() {
  for (size_t t = 0; t < plan_.tokens(); ++t) weights_->embedding.decode_row(plan_.token(t).token, x(t));
}

void Deepseek2::norm(const std::vector<float>& weight, size_t tokens) {
  const size_t hidden = shape_.hidden;
  parallel(team_, tokens, 4.0 * static_cast<double>(tokens * hidden), [&](size_t begin, size_t end, int) {
    for (size_t t = begin; t < end; ++t) {
      compute_.kernels.rms_norm(x(t), weight.data(), shape_.eps, hidden, normed_.data() + t * hidden);
    }
  });
}

void Deepseek2::add(size_t tokens) {
  compute_.kernels.axpy(1.0f, delta_.data(), tokens * shape_.hidden, x_.data());
}

void Deepseek2::keep_wanted() {
  const std::span<const uint32_t> wanted = plan_.wanted();
  const size_t hidden = shape_.hidden;
  for (size_t i = 0; i < wanted.size(); ++i) {
    std::memcpy(delta_.data() + i * hidden, x(wanted[i]), hidden * sizeof(float));
  }
  std::swap(x_, delta_);
}

void Deepseek2::feed_forward(int layer, const Deepseek2Layer& weights, size_t tokens) {
  if (shape_.is_dense(layer)) {
    gated_ffn(compute_, weights.dense, dense_, normed_.data(), tokens, delta_.data());
    return;
  }
  moe_.forward(compute_, weights_->experts, layer, weights.moe, normed_.data(), tokens, delta_.data());
  if (options_.router_observer) report_routes(layer, tokens);
}

void Deepseek2::report_routes(int layer, size_t tokens) {
  const bool last = layer + 1 == shape_.layers;
  for (size_t t = 0; t < tokens; ++t) {
    const BatchToken& token = plan_.token(last ? plan_.wanted()[t] : t);
    options_.router_observer->on_route(layer, token, moe_.chosen(t), moe_.weights(t));
  }
}

}  // namespace

std::unique_ptr<Model> load_deepseek2(const GgufFile& file, const ModelOptions& options) {
  return std::make_unique<Deepseek2>(file, options);
}

ModelShape measure_deepseek2(const GgufFile& file) {
  const Deepseek2Shape shape = read_deepseek2_shape(file);
  ThreadTeam alone(1);
  return public_shape(file, shape, *load_deepseek2_weights(file, shape, alone, WeightMemory::counting()));
}

}  // namespace tern
