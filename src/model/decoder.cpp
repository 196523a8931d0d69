#include "model/decoder.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "model/batch_plan.h"
#include "model/pass_meter.h"
#include "model/project.h"

namespace tern {

namespace {

class Decoder final : public Model {
 public:
  Decoder(const GgufFile& file, const DecoderShape& shape, const ModelOptions& options);
  ~Decoder() override { keeper_.reset(); }  // it reads the weights

  const ModelShape& shape() const override { return public_shape_; }
  void forward(std::span<const BatchToken> batch, PagedCache& cache, float* logits, float* states) override;
  bool forward_part(std::span<const BatchToken> batch, PagedCache& cache, PausedPass& pass,
                    const std::function<bool()>& pause, float* logits) override;
  void draft(std::span<const BatchToken> batch, const float* states, PagedCache& cache,
             float* logits) override;
  ModelStatistics statistics() const override;
  std::vector<uint64_t> expert_choices() const override { return meter_.expert_choices(); }

 private:
  std::unique_ptr<DecoderWeights> load_weights(const GgufFile& file, bool kept_are_good = true);
  std::unique_ptr<DecoderWeights> map_kept_weights(const GgufFile& file);
  void pack_anew();
  void begin(std::span<const BatchToken> batch, const PagedCache& cache);
  void check_cache(const PagedCache& cache) const;
  void choose_paths();
  void embed();
  void join(const DraftLayer& draft, const float* states);
  size_t run_layer(int index, const DecoderLayer& layer, PagedCache& cache, bool only_wanted);
  void attend(int index, const DecoderLayer& layer, PagedCache& cache);
  void feed_forward(int index, const DecoderLayer& layer, size_t tokens, bool only_wanted);
  void report_routes(int index, size_t tokens, bool only_wanted);
  void give_states(float* states);
  void head(const PackedMatrix& output, size_t tokens, float* logits);

  void norm(const std::vector<float>& weight, size_t tokens);
  void add(size_t tokens);
  void keep_wanted(std::vector<float>& rows);

  float* x(size_t token) { return x_.data() + token * shape_.hidden; }
  float* normed(size_t token) { return normed_.data() + token * shape_.hidden; }

  DecoderShape shape_;
  ModelOptions options_;
  ThreadTeam team_;
  Compute compute_;
  const std::string source_;            // the model's file
  std::unique_ptr<PackKeeper> keeper_;  // where packed weights are kept
  bool write_pack_ = false;             // after the first pass
  bool damaged_ = false;                // no pass may run on these weights
  std::unique_ptr<DecoderWeights> weights_;
  ModelShape public_shape_;
  PassMeter meter_;

  BatchPlan plan_;
  std::optional<MlaAttention> mla_;  // one of the two
  std::optional<GqaAttention> gqa_;
  int absorbed_from_ = 0;
  MoeLayer moe_;
  GatedScratch dense_;
  Activations activations_;
  std::vector<float> x_;       ///< {max_batch, hidden}: the residual stream
  std::vector<float> normed_;  ///< {max_batch, hidden}: what goes into a layer's half
  std::vector<float> delta_;   ///< {max_batch, hidden}: what comes out of it
  std::vector<float> joined_;  ///< {max_batch, 2 hidden}: what a draft layer starts from
};

RouterParams router_of(const DecoderShape& shape) {
  return shape.router.experts > 0 ? shape.router : RouterParams{};
}

/// Multiply-adds a second of one thread, about: small products come to a third of what registers alone do.
double small_product_rate(const Kernels& kernels) {
  constexpr size_t kRounds = 1000;  // 10 us or so
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const TimePoint start = Clock::now();
    const auto products = static_cast<double>(kernels.spin_products(kRounds));
    best = std::max(best, products / seconds_since(start));
  }
  return best / 3;
}

int checked_batch(int max_batch) {
  constexpr int kMost = 65536;
  if (max_batch >= 1 && max_batch <= kMost) return max_batch;
  fail(ErrorKind::bad_input, "model: max_batch: expected 1 to {}, found {}", kMost, max_batch);
}

}  // namespace

uint64_t active_weights(const DecoderShape& shape, uint64_t weights, bool tied) {
  const uint64_t hidden = shape.hidden, ff = shape.expert_ff;
  const uint64_t expert = 3 * hidden * ff + (shape.expert_bias ? 2 * ff + hidden : 0);
  const uint64_t idle =
      expert * (shape.router.experts - shape.router.used) * (shape.layers - shape.dense_layers);
  const uint64_t embedding = tied ? 0 : hidden * shape.vocab;
  return weights - idle - embedding;
}

namespace {

/// Automatic: int8 where the weights that make keys and values are quantized.
CacheType settled(CacheType asked, const DecoderWeights& weights) {
  if (asked != CacheType::automatic) return asked;
  const auto& attention = weights.layers.front().attention;
  const auto* mla = std::get_if<MlaWeights>(&attention);
  const DType type = mla ? mla->kv_a.type : std::get<GqaWeights>(attention).k.type;
  return needs_quantized(type) ? CacheType::int8 : CacheType::f32;
}

ModelShape public_shape(const GgufFile& file, const DecoderShape& shape, const DecoderWeights& weights,
                        CacheType cache) {
  const bool tied = file.find_tensor("output.weight") == nullptr;
  return {.architecture = shape.architecture,
          .vocab = shape.vocab,
          .hidden = shape.hidden,
          .layers = shape.layers,
          .context = shape.context,
          .cache_layers = shape.layers + (weights.draft ? 1 : 0),
          .cache_type = cache,
          .cache_layer_bytes = KeyValuePage(cache, shape.key_value()).bytes(),
          .experts = shape.layers > shape.dense_layers ? shape.router.experts : 0,
          .experts_used = shape.layers > shape.dense_layers ? shape.router.used : 0,
          .draft_layers = shape.draft_layers,
          .weights = weights.weights,
          .active_weights = active_weights(shape, weights.weights, tied),
          .packed_bytes = weights.memory.bytes()};
}

Decoder::Decoder(const GgufFile& file, const DecoderShape& shape, const ModelOptions& options)
    : shape_(shape),
      options_(options),
      team_(std::max(1, options.threads)),
      compute_{kernels(options.isa), team_},
      source_(file.name()),
      weights_(load_weights(file)),
      public_shape_(public_shape(file, shape, *weights_, settled(options.cache, *weights_))),
      meter_(shape, *weights_, public_shape_.cache_layer_bytes),
      plan_(checked_batch(options.max_batch)),
      moe_(router_of(shape), shape.hidden, shape.expert_ff, size_t(shape.expert_ff) * shape.shared_experts,
           options.max_batch, team_.size()) {
  const size_t tokens = options.max_batch, hidden = shape.hidden;
  const KeyValuePage page(public_shape_.cache_type, shape.key_value());
  if (const auto* mla = std::get_if<MlaShape>(&shape.attention)) {
    mla_.emplace(*mla, page, shape.rope, hidden, shape.eps, tokens, team_.size());
    absorbed_from_ = absorbed_from(*mla);
    if (options.attention == AttentionPath::automatic) public_shape_.same_rows_from = absorbed_from_;
  } else {
    gqa_.emplace(std::get<GqaShape>(shape.attention), page, shape.rope, hidden, shape.eps, tokens,
                 team_.size());
  }
  if (shape.dense_layers > 0) dense_.reserve(tokens, hidden, shape.dense_ff, team_.size());
  if (weights_->draft) joined_.resize(tokens * 2 * hidden);
  activations_.reserve(tokens, weights_->draft ? 2 * hidden : hidden);
  for (auto* buffer : {&x_, &normed_, &delta_}) buffer->resize(tokens * hidden);
  team_.measure_handover(small_product_rate(compute_.kernels));
}

std::unique_ptr<DecoderWeights> Decoder::load_weights(const GgufFile& file, bool kept_are_good) {
  const auto identity = options_.pack.empty() ? std::nullopt : pack_identity(file, options_.draft);
  if (!identity) return load_decoder_weights(file, shape_, options_.draft, team_, {}, options_.progress);
  keeper_ = std::make_unique<PackKeeper>(options_.pack, *identity);
  if (kept_are_good) {
    if (auto kept = map_kept_weights(file)) return kept;
  }
  write_pack_ = true;
  return load_decoder_weights(file, shape_, options_.draft, team_, {}, options_.progress);
}

/// What an earlier run has kept; null where that is of no use.
std::unique_ptr<DecoderWeights> Decoder::map_kept_weights(const GgufFile& file) {
  const auto packed = keeper_->open();
  if (!packed) return nullptr;
  try {
    auto weights = load_decoder_weights(file, shape_, options_.draft, team_, WeightMemory::filled(packed));
    keeper_->check(weights->memory.file());
    return weights;
  } catch (const Error& error) {  // the model's own errors will come again
    keeper_->warn(error.what());
    return nullptr;
  }
}

/// What was mapped turned out damaged.
void Decoder::pack_anew() {
  const GgufFile file = GgufFile::open(source_);
  if (pack_identity(file, options_.draft) != keeper_->identity())
    fail(ErrorKind::io, "{}: it has changed since the model was loaded", source_);
  weights_ = load_weights(file, false);
  damaged_ = false;
}

ModelStatistics Decoder::statistics() const {
  ModelStatistics statistics = meter_.statistics();
  statistics.waited_s = team_.waited();
  return statistics;
}

void Decoder::forward(std::span<const BatchToken> batch, PagedCache& cache, float* logits, float* states) {
  if (!states) {
    PausedPass whole;
    forward_part(
        batch, cache, whole, [] { return false; }, logits);
    return;
  }
  begin(batch, cache);
  embed();
  meter_.lap(Stage::rest);
  for (int i = 0; i < shape_.layers; ++i) run_layer(i, weights_->layers[i], cache, false);
  norm(weights_->output_norm, plan_.tokens());
  give_states(states);
  head(weights_->output, plan_.wanted().size(), logits);
}

bool Decoder::forward_part(std::span<const BatchToken> batch, PagedCache& cache, PausedPass& pass,
                           const std::function<bool()>& pause, float* logits) {
  begin(batch, cache);
  const size_t values = plan_.tokens() * shape_.hidden;
  if (pass.layers == 0) {
    embed();
  } else {
    std::copy_n(pass.states.begin(), values, x_.begin());
  }
  meter_.lap(Stage::rest);
  while (pass.layers + 1 < shape_.layers) {
    run_layer(pass.layers, weights_->layers[pass.layers], cache, false);
    ++pass.layers;
    if (!pause()) continue;
    pass.states.assign(x_.begin(), x_.begin() + static_cast<ptrdiff_t>(values));
    return false;
  }
  // Behind the last attention only the tokens that want logits matter.
  const size_t wanted = run_layer(pass.layers, weights_->layers.back(), cache, true);
  norm(weights_->output_norm, wanted);
  head(weights_->output, wanted, logits);
  pass.layers = 0;
  return true;
}

void Decoder::draft(std::span<const BatchToken> batch, const float* states, PagedCache& cache,
                    float* logits) {
  if (!weights_->draft) return Model::draft(batch, states, cache, logits);
  const DraftLayer& draft = *weights_->draft;
  begin(batch, cache);
  join(draft, states);
  meter_.lap(Stage::rest);
  const size_t tokens = run_layer(shape_.layers, draft.layer, cache, true);
  norm(draft.output_norm, tokens);
  head(draft.output ? *draft.output : weights_->output, tokens, logits);
}

/// One layer over x_. Returns how many tokens are left in it: all, or those that want logits.
size_t Decoder::run_layer(int index, const DecoderLayer& layer, PagedCache& cache, bool only_wanted) {
  norm(layer.attention_norm, plan_.tokens());
  attend(index, layer, cache);
  add(plan_.tokens());
  if (only_wanted) keep_wanted(x_);
  const size_t tokens = only_wanted ? plan_.wanted().size() : plan_.tokens();
  if (tokens == 0) {
    meter_.lap(Stage::attention);
    return 0;
  }
  norm(layer.ffn_norm, tokens);
  meter_.lap(Stage::attention);
  feed_forward(index, layer, tokens, only_wanted);
  add(tokens);
  meter_.lap(shape_.is_dense(index) ? Stage::dense : Stage::experts);
  return tokens;
}

void Decoder::begin(std::span<const BatchToken> batch, const PagedCache& cache) {
  damaged_ = damaged_ || (keeper_ && keeper_->damaged());
  if (damaged_) pack_anew();
  meter_.start();
  check_cache(cache);
  const bool automatic = mla_ && options_.attention == AttentionPath::automatic;
  plan_.group(batch, cache, shape_.vocab, automatic ? absorbed_from_ : kNever);
  if (mla_) choose_paths();
  plan_.arrange();
  mla_ ? mla_->prepare(plan_) : gqa_->prepare(plan_);
}

void Decoder::check_cache(const PagedCache& cache) const {
  const PagedCache::Shape& found = cache.shape();
  if (found.layers == public_shape_.cache_layers && found.layer_bytes == public_shape_.cache_layer_bytes)
    return;
  fail(ErrorKind::bad_input, "cache: expected {} layers with {} bytes a page, found {} with {}",
       public_shape_.cache_layers, public_shape_.cache_layer_bytes, found.layers, found.layer_bytes);
}

void Decoder::choose_paths() {
  for (Piece& piece : plan_.pieces()) {
    piece.absorbed = options_.attention == AttentionPath::absorbed ||
                     (options_.attention == AttentionPath::automatic &&
                      (piece.generated || piece.position >= absorbed_from_));
  }
}

void Decoder::embed() {
  for (size_t t = 0; t < plan_.tokens(); ++t) weights_->embedding.decode_row(plan_.token(t).token, x(t));
}

/// x_ = the draft layer's join of each token's embedding and the state before it, both normed.
void Decoder::join(const DraftLayer& draft, const float* states) {
  const size_t hidden = shape_.hidden;
  const Kernels& kernels = compute_.kernels;
  const Embedding& embedding = draft.embedding ? *draft.embedding : weights_->embedding;
  for (size_t t = 0; t < plan_.tokens(); ++t) {
    float* row = joined_.data() + t * 2 * hidden;
    embedding.decode_row(plan_.token(t).token, row);
    kernels.rms_norm(row, draft.embedding_norm.data(), shape_.eps, hidden, row);
    const float* state = states + plan_.place(t) * hidden;
    kernels.rms_norm(state, draft.hidden_norm.data(), shape_.eps, hidden, row + hidden);
  }
  project(compute_, activations_, joined_.data(), 2 * hidden, plan_.tokens(),
          {{&draft.join, x_.data(), hidden}});
  meter_.read(draft.join);
}

void Decoder::attend(int index, const DecoderLayer& layer, PagedCache& cache) {
  if (mla_) {
    const auto& weights = std::get<MlaWeights>(layer.attention);
    mla_->forward(compute_, weights, plan_, cache, index, normed_.data(), delta_.data());
  } else {
    const auto& weights = std::get<GqaWeights>(layer.attention);
    gqa_->forward(compute_, weights, plan_, cache, index, normed_.data(), delta_.data());
  }
  meter_.attended(index, plan_);
}

void Decoder::feed_forward(int index, const DecoderLayer& layer, size_t tokens, bool only_wanted) {
  meter_.fed_forward(index);
  if (shape_.is_dense(index)) {
    gated_ffn(compute_, layer.dense, dense_, normed_.data(), tokens, delta_.data());
    return;
  }
  moe_.route(compute_, layer.moe, normed_.data(), tokens);
  meter_.lap(Stage::router);
  moe_.run(compute_, weights_->experts, index, layer.moe, normed_.data(), tokens, delta_.data());
  meter_.ran_experts(index, moe_);
  if (options_.router_observer) report_routes(index, tokens, only_wanted);
}

void Decoder::report_routes(int index, size_t tokens, bool only_wanted) {
  for (size_t t = 0; t < tokens; ++t) {
    const BatchToken& token = plan_.token(only_wanted ? plan_.wanted()[t] : t);
    options_.router_observer->on_route(index, token, moe_.chosen(t), moe_.weights(t));
  }
}

/// Gives out the states after the output norm, then keeps those that the head needs.
void Decoder::give_states(float* states) {
  const size_t hidden = shape_.hidden;
  for (size_t t = 0; t < plan_.tokens(); ++t) {
    std::memcpy(states + plan_.place(t) * hidden, normed(t), hidden * sizeof(float));
  }
  keep_wanted(normed_);
}

void Decoder::head(const PackedMatrix& output, size_t tokens, float* logits) {
  if (tokens > 0) {
    const size_t hidden = shape_.hidden, vocab = shape_.vocab;
    project(compute_, activations_, normed_.data(), hidden, tokens, {{&output, logits, vocab}});
    meter_.read(output);
  }
  meter_.lap(Stage::head);
  meter_.finished(plan_.tokens());
  if (std::exchange(write_pack_, false)) keeper_->write(weights_->memory.taken());
}

void Decoder::norm(const std::vector<float>& weight, size_t tokens) {
  const size_t hidden = shape_.hidden;
  parallel(team_, tokens, 4.0 * static_cast<double>(tokens * hidden), [&](size_t begin, size_t end, int) {
    for (size_t t = begin; t < end; ++t) {
      compute_.kernels.rms_norm(x(t), weight.data(), shape_.eps, hidden, normed(t));
    }
  });
}

void Decoder::add(size_t tokens) {
  compute_.kernels.axpy(1.0f, delta_.data(), tokens * shape_.hidden, x_.data());
}

/// Leaves the rows of the tokens that want logits, in the order of the batch.
void Decoder::keep_wanted(std::vector<float>& rows) {
  const std::span<const uint32_t> wanted = plan_.wanted();
  const size_t hidden = shape_.hidden;
  for (size_t i = 0; i < wanted.size(); ++i) {
    std::memcpy(delta_.data() + i * hidden, rows.data() + wanted[i] * hidden, hidden * sizeof(float));
  }
  std::swap(rows, delta_);
}

}  // namespace

std::unique_ptr<Model> load_decoder(const GgufFile& file, const DecoderShape& shape,
                                    const ModelOptions& options) {
  return std::make_unique<Decoder>(file, shape, options);
}

ModelShape measure_decoder(const GgufFile& file, const DecoderShape& shape, CacheType cache) {
  ThreadTeam alone(1);
  const auto weights = load_decoder_weights(file, shape, false, alone, WeightMemory::counting());
  return public_shape(file, shape, *weights, settled(cache, *weights));
}

}  // namespace tern
