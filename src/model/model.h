// A loaded model: one forward pass over a batch of tokens of many sequences.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/thread_team.h"
#include "files/gguf.h"
#include "kernels/kernels.h"
#include "model/cache.h"
#include "model/pack_keeper.h"
#include "model/statistics.h"

namespace tern {

/// One token of a batch. A sequence's tokens stand in ascending order of position, contiguous from its cached
/// length.
struct BatchToken {
  int32_t token = 0;
  int32_t position = 0;
  SequenceId sequence = 0;
  bool wants_logits = false;
  bool generated = false;  ///< chosen by the model, or drafted for it: not of a prompt
};

/// Which way Multi-head Latent Attention goes. automatic: generated tokens absorbed, prompts by
/// their position, see absorbed_from().
enum class AttentionPath { automatic, decompressed, absorbed };

/// Is told which experts the router chose, on the thread that runs forward(). For tests and statistics.
class RouterObserver {
 public:
  virtual ~RouterObserver() = default;
  /// `experts` best first, with their weights in the sum. Tokens come in no fixed order; in the last layer
  /// only those that want logits.
  virtual void on_route(int layer, const BatchToken& token, std::span<const int32_t> experts,
                        std::span<const float> weights) = 0;
};

/// Tokens of one prompt in a pass, where nothing else is said: more hold others up for longer, fewer read the
/// weights more often.
inline constexpr int kPromptPass = 512;

struct ModelOptions {
  Isa isa = detect_isa();
  int threads = 1;
  int max_batch = 256;  ///< tokens in one forward
  AttentionPath attention = AttentionPath::automatic;
  CacheType cache = CacheType::automatic;
  bool draft = false;  ///< load the multi-token-prediction layer too, where the file has one
  RouterObserver* router_observer = nullptr;  ///< must outlive the model
  PackOptions pack;                           ///< where packed weights are kept for the next start
  ByteProgress progress;                      ///< of reading the file, by the thread that loads
};

/// What the engine, inspect and servers need to know of any family.
struct ModelShape {
  std::string architecture;
  int vocab = 0, hidden = 0, layers = 0, context = 0;
  int cache_layers = 0;                   ///< layers of its cache: the model's, and the draft layer if loaded
  CacheType cache_type = CacheType::f32;  ///< how its keys and values are kept, never automatic
  uint64_t cache_layer_bytes = 0;         ///< of a page of its cache for one layer
  /// Generated tokens from this position on leave the rows that they would leave as part of a prompt, bit for
  /// bit, where all before them do.
  int same_rows_from = 0;
  int experts = 0, experts_used = 0;  ///< routed ones a layer, and of those a token; 0: dense
  int draft_layers = 0;               ///< multi-token-prediction layers in the file, loaded or not
  uint64_t weights = 0,
           active_weights = 0;  ///< numbers of parameters: all but draft layers', and used for one token
  uint64_t packed_bytes = 0;    ///< memory of the weights; the norms' few floats come on top
};

/// Where a forward pass stands that stopped between two layers.
struct PausedPass {
  int layers = 0;             ///< that are done; 0: the pass has not begun
  std::vector<float> states;  ///< {tokens, hidden}: what goes into the next one
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelShape& shape() const = 0;

  /// Runs the batch (1 to max_batch tokens), extends nothing: the caller has made room in `cache` with
  /// extend() before, and positions are below length(). logits: {number of tokens with wants_logits, vocab}
  /// in batch order. `states`, where not null: {tokens of the batch, hidden}, each token's state behind the
  /// output norm, for draft(). A sequence's logits do not depend on the batch's other sequences, bit for bit.
  /// Throws Error{bad_input} for ids out of range or positions without room.
  virtual void forward(std::span<const BatchToken> batch, PagedCache& cache, float* logits,
                       float* states = nullptr) = 0;

  /// forward() in parts, so that a long pass leaves room for short ones: goes on behind `pass`, asks `pause`
  /// after every layer but the last and stops where it says so (false). True: done, the logits are there and
  /// `pass` is as new. Each part gets the same batch; in between, other passes may run on other sequences.
  /// The bits are forward()'s. Where it throws, `pass` is of no use any more.
  virtual bool forward_part(std::span<const BatchToken> batch, PagedCache& cache, PausedPass& pass,
                            const std::function<bool()>& pause, float* logits) = 0;

  /// One step of the draft head (multi-token prediction, DeepSeek-V3, section 2.2). A batch token at position
  /// p holds the token of position p + 1, and its row of `states` {tokens of the batch, hidden} what
  /// forward() gave for position p; the logits are those of position p + 2. It attends to what was drafted
  /// before, so a sequence is drafted from its first position on; rows of its own in the same cache, in the
  /// layer behind the model's. Throws Error{bad_input} as forward(), and where no draft layer is loaded.
  virtual void draft(std::span<const BatchToken> batch, const float* states, PagedCache& cache,
                     float* logits);

  /// Where the time of all passes went so far. Between passes, on the thread that runs them. A model that
  /// doesn't measure has zeros.
  virtual ModelStatistics statistics() const { return {}; }
  /// How often the router chose each expert so far: {layers with experts, experts}, row by row, a loaded
  /// draft layer's last. From any thread; empty without experts, and of a model that doesn't count.
  virtual std::vector<uint64_t> expert_choices() const { return {}; }
};

/// Loads any supported architecture. The file must outlive the call only; weights are packed into memory of
/// their own. Throws Error{unsupported} naming an unknown architecture or switch, Error{bad_input} for
/// missing or misshapen tensors.
std::unique_ptr<Model> load_model(const GgufFile& file, const ModelOptions& options);

/// What the loaded model would say of itself. Runs the same loader on memory that only counts, so it reads no
/// weights and throws the same errors.
ModelShape measure_model(const GgufFile& file, CacheType cache = CacheType::automatic);

}  // namespace tern
