// A model that is cheap and tells on its caller, a vocabulary to read in one glance, and a sink that
// remembers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "model/cache.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace tern::fake {

// Ids 0 to 255 are the bytes.
enum Token : int32_t { kBos = 256, kEos, kUser, kAssistant, kThink, kEndThink, kHel, kLoWor, kVocab };

inline Vocabulary vocabulary(bool thinks = true) {
  Vocabulary v;
  for (int b = 0; b < 256; ++b) v.tokens.emplace_back(1, static_cast<char>(b));
  v.types.assign(256, TokenType::normal);
  for (const char* name : {"<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>"}) v.tokens.emplace_back(name);
  v.tokens.emplace_back(thinks ? "<think>" : "<a>");
  v.tokens.emplace_back(thinks ? "</think>" : "</a>");
  v.types.resize(v.tokens.size(), TokenType::control);
  v.tokens.emplace_back("hel");
  v.tokens.emplace_back("lo wor");
  v.types.resize(v.tokens.size(), TokenType::normal);
  v.bos = kBos;
  v.eos = kEos;
  return v;
}

inline Tokenizer tokenizer(bool thinks = true) {
  return Tokenizer(vocabulary(thinks));
}

/// What comes after a prefix: fills the logits {vocab}.
using Script = std::function<void(std::span<const int32_t> prefix, std::span<float> logits)>;

/// Pseudo-random logits that depend on every token of the prefix and its place. Never ends by itself.
inline Script hashed() {
  return [](std::span<const int32_t> prefix, std::span<float> logits) {
    uint64_t hash = prefix.size();
    for (const int32_t token : prefix) {
      hash ^= static_cast<uint64_t>(token) * 0x9e3779b97f4a7c15ull;
      hash = splitmix64(hash);
    }
    for (float& logit : logits) logit = static_cast<float>(splitmix64(hash) >> 40) * 0x1p-22f;  // 0 to 4
    for (const int32_t special : {kBos, kEos, kUser, kAssistant, kThink, kEndThink}) logits[special] = -20;
  };
}

/// Says `reply` after a prompt of `prompt` tokens, then ends of generation. The reply's tokens are certain,
/// all others equally unlikely.
inline Script says(size_t prompt, std::vector<int32_t> reply) {
  return [prompt, reply = std::move(reply)](std::span<const int32_t> prefix, std::span<float> logits) {
    for (float& logit : logits) logit = -50;
    const size_t at = prefix.size() - prompt;
    logits[at < reply.size() ? reply[at] : static_cast<int32_t>(kEos)] = 0;
  };
}

inline std::vector<int32_t> bytes(std::string_view text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

/// Keeps the tokens it was fed in the cache's rows and reads the prefix back from there, so that pages mixed
/// up between sequences change what it says. Throws where the caller breaks Model::forward's contract.
class FakeModel : public Model {
 public:
  struct Call {
    size_t tokens = 0;
    size_t sequences = 0;
    size_t decodes = 0;          ///< sequences that go on from a generated token
    std::vector<size_t> pieces;  ///< tokens of each sequence, in batch order
  };

  explicit FakeModel(Script script = hashed(), int context = 256, int max_batch = 1 << 20)
      : script_(std::move(script)), max_batch_(max_batch) {
    shape_.architecture = "fake";
    shape_.vocab = kVocab;
    shape_.layers = shape_.cache_layers = 2;
    shape_.context = context;
    shape_.cache_layer_bytes = kLayerBytes;
  }

  static constexpr uint64_t kLayerBytes = PagedCache::kPageTokens * sizeof(int32_t);

  const ModelShape& shape() const override { return shape_; }
  ModelShape& change_shape() { return shape_; }

  void forward(std::span<const BatchToken> batch, PagedCache& cache, float* logits,
               float* /*states*/) override {
    PausedPass whole;
    forward_part(
        batch, cache, whole, [] { return false; }, logits);
  }

  bool forward_part(std::span<const BatchToken> batch, PagedCache& cache, PausedPass& pass,
                    const std::function<bool()>& pause, float* logits) override {
    if (pass.layers == 0) {
      record(batch);
      if (before) before(batch);
      check(batch, cache);
    }
    for (;;) {
      for (const BatchToken& at : batch) *place(cache, pass.layers, at) = at.token;
      if (on_layer) on_layer(batch, pass.layers);
      if (++pass.layers == shape_.layers) break;
      if (pause()) return false;
    }
    pass.layers = 0;
    say(batch, cache, logits);
    ++forwards;
    return true;
  }

  std::vector<Call> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  std::function<void(std::span<const BatchToken>)>
      before;  ///< before each pass; set before the engine starts; may throw or wait
  std::function<void(std::span<const BatchToken>, int layer)> on_layer;  ///< after each layer
  std::atomic<int> forwards = 0;

 private:
  /// Where the cache has a token.
  static const int32_t* place(const PagedCache& cache, int layer, const BatchToken& at) {
    return reinterpret_cast<const int32_t*>(cache.page(layer, at.sequence, at.position)) +
           at.position % PagedCache::kPageTokens;
  }
  static int32_t* place(PagedCache& cache, int layer, const BatchToken& at) {
    return const_cast<int32_t*>(place(std::as_const(cache), layer, at));
  }
  void check(std::span<const BatchToken> batch, const PagedCache& cache) const {
    if (batch.empty() || batch.size() > static_cast<size_t>(max_batch_))
      fail(ErrorKind::internal, "a batch of {}", batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      const BatchToken& at = batch[i];
      if (at.position >= cache.length(at.sequence)) fail(ErrorKind::internal, "no room at {}", at.position);
      const bool goes_on = i > 0 && batch[i - 1].sequence == at.sequence;
      if (goes_on && at.position != batch[i - 1].position + 1) fail(ErrorKind::internal, "positions jump");
    }
  }
  void say(std::span<const BatchToken> batch, const PagedCache& cache, float* logits) const {
    for (const BatchToken& at : batch) {
      if (!at.wants_logits) continue;
      std::vector<int32_t> prefix;
      for (int p = 0; p <= at.position; ++p)
        prefix.push_back(*place(cache, p % shape_.layers, {.position = p, .sequence = at.sequence}));
      script_(prefix, {logits, static_cast<size_t>(shape_.vocab)});
      logits += shape_.vocab;
    }
  }
  void record(std::span<const BatchToken> batch) {
    Call call;
    call.tokens = batch.size();
    for (size_t i = 0; i < batch.size(); ++i) {
      if (i == 0 || batch[i].sequence != batch[i - 1].sequence) call.pieces.push_back(0);
      ++call.pieces.back();
    }
    call.sequences = call.pieces.size();
    size_t begin = 0;
    for (const size_t piece : call.pieces) {
      if (batch[begin].generated) ++call.decodes;
      begin += piece;
    }
    const std::lock_guard lock(mutex_);
    calls_.push_back(call);
  }

  ModelShape shape_;
  Script script_;
  int max_batch_;
  mutable std::mutex mutex_;
  std::vector<Call> calls_;
};

/// Remembers everything; wait() returns once the last event came.
class Recorder : public EventSink {
 public:
  void on_token(const TokenEvent& event) override {
    const std::lock_guard lock(mutex_);
    if (finish_) ++after_finish_;
    tokens_.push_back(event);
    if (on_token_do) on_token_do(tokens_.size());
    changed_.notify_all();
  }
  void on_finish(const FinishEvent& event) override {
    const std::lock_guard lock(mutex_);
    if (finish_) ++after_finish_;
    finish_ = event;
    changed_.notify_all();
  }

  const FinishEvent& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finish_.has_value(); });
    return *finish_;
  }
  void wait_tokens(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return finish_ || tokens_.size() >= n; });
  }
  bool finished() const {
    const std::lock_guard lock(mutex_);
    return finish_.has_value();
  }
  int after_finish() const {
    const std::lock_guard lock(mutex_);
    return after_finish_;
  }
  std::vector<TokenEvent> events() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  std::vector<int32_t> tokens() const {
    std::vector<int32_t> ids;
    for (const TokenEvent& event : events()) ids.push_back(event.token);
    return ids;
  }
  /// All text of one side, the finish event's included.
  std::string text(bool thinking = false) const {
    std::string all;
    for (const TokenEvent& event : events()) all += event.thinking == thinking ? event.text : "";
    const std::lock_guard lock(mutex_);
    if (finish_ && finish_->thinking == thinking) all += finish_->text;
    return all;
  }

  std::function<void(size_t)> on_token_do;  ///< called with the number of tokens so far; may throw

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TokenEvent> tokens_;
  std::optional<FinishEvent> finish_;
  int after_finish_ = 0;
};

}  // namespace tern::fake
