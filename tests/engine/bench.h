// A scheduler without threads, whose clock the test winds.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "engine/scheduler.h"
#include "tests/engine/fakes.h"

namespace tern::fake {

inline constexpr double kGap = 0.05;

/// A scheduler over the fake model, with the engine's thread and the clock played by the test.
class Bench {
 public:
  struct Sizes {
    int parallel = 4, prompt_piece = 16, context = 128, pages = 0;
    int prompt_pass = 0;  ///< 0: a piece
  };

  explicit Bench(const Sizes& sizes, Script script = hashed())
      : model(std::move(script), sizes.context,
              std::max({sizes.parallel, sizes.prompt_piece, sizes.prompt_pass})),
        words_(fake::tokenizer()),
        format_(words_),
        limits_{kVocab, sizes.context, sizes.prompt_piece, [this] { return now; }},
        scheduler(model, {sizes.parallel, sizes.prompt_piece, std::max(sizes.prompt_piece, sizes.prompt_pass),
                          cache(sizes), kGap, true, [this] { return now; }}) {}

  std::shared_ptr<Recorder> add(GenerateRequest request, bool promised = false) {
    auto sink = std::make_shared<Recorder>();
    auto generation = std::make_unique<Generation>(++last_id, std::move(request), sink, format_, limits_);
    if (promised) generation->promise();
    scheduler.add(std::move(generation));
    return sink;
  }
  /// Judges its deadline as the engine does, and takes it with a promise; else null.
  std::shared_ptr<Recorder> add_promised(GenerateRequest request) {
    auto sink = std::make_shared<Recorder>();
    auto generation = std::make_unique<Generation>(++last_id, std::move(request), sink, format_, limits_);
    const StepTime time = scheduler.step_time();
    const Load load = scheduler.load();
    verdict = judge(load, promise_of(*generation, false, load, time, limits_.prompt_piece), time, now);
    if (!verdict.kept) return nullptr;
    generation->promise(verdict.start);
    scheduler.add(std::move(generation));
    return sink;
  }
  void run_all() {
    for (int steps = 0; scheduler.running() + scheduler.waiting() > 0; ++steps) {
      ASSERT_LT(steps, 10000);
      step();
    }
  }
  void step() {
    scheduler.step();
    scheduler.check();
  }

 private:
  static PagedCache::Shape cache(const Sizes& sizes) {
    PagedCache::Shape shape;
    shape.layers = 2;
    shape.layer_bytes = FakeModel::kLayerBytes;
    shape.pages = sizes.pages > 0 ? sizes.pages : sizes.parallel * PagedCache::pages_for(sizes.context);
    shape.max_sequences = sizes.parallel;
    shape.max_tokens = sizes.context;
    return shape;
  }

 public:
  /// Lets the time pass that a layer takes: so much each, and so much a token.
  void take_time(double layer_s, double token_s) {
    model.on_layer = [this, layer_s, token_s](std::span<const BatchToken> batch, int) {
      pass(layer_s + token_s * static_cast<double>(batch.size()));
    };
  }
  void pass(double seconds) {
    now += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  TimePoint now{};
  Verdict verdict;  ///< of the last add_promised()
  FakeModel model;

 private:
  Tokenizer words_;
  const ChatFormat format_;
  GenerationLimits limits_;

 public:
  Scheduler scheduler;
  RequestId last_id = 0;
};

}  // namespace tern::fake
