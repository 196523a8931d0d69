// How fast a model runs on this machine, beside what the machine can at most.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "files/gguf.h"
#include "measure/machine.h"
#include "model/model.h"

namespace tern {

struct BenchOptions {
  int prompt = 512;                         ///< tokens of a prompt; 0: no prompts are measured
  int generate = 64;                        ///< tokens of each stream; 0: no decoding is measured
  int depth = 0;                            ///< tokens that each stream has in the cache before it begins
  int streams = 1;                          ///< decoded together
  int rounds = 5;                           ///< prompts and decoding in turn
  int piece = EngineOptions{}.prompt_pass;  ///< tokens of a prompt in one pass at most
  int threads = 1;
  Isa isa = detect_isa();
  CacheType cache_type = CacheType::automatic;
  PackOptions pack;            ///< where packed weights are kept
  ByteProgress load_progress;  ///< see ModelOptions
  /// Called before each round and before filling the depth; may wait, for another program in turn with this.
  std::function<void()> before_round = [] {};
};

/// One kind of work, over all its rounds.
struct BenchWork {
  std::vector<double> tokens_s;  ///< of each round, in their order
  ModelStatistics statistics;    ///< of all
  double sampling_s = 0;         ///< choosing tokens, on top of the stages
  double seconds = 0;            ///< of all
  uint64_t tokens = 0;           ///< of all
  double ops = 0;                ///< of the weights: two a weight and token, attention's own left out

  double median() const;
  double bytes_s() const { return seconds > 0 ? static_cast<double>(statistics.bytes) / seconds : 0; }
  double ops_s() const { return seconds > 0 ? ops / seconds : 0; }
};

struct BenchReport {
  BenchOptions options;
  ModelShape model;
  MachineLimits machine;
  BenchWork fill;  ///< the streams' prompts that decoding has behind it, once; empty without a depth
  BenchWork prompt, decode;
};

/// Loads the model and runs prompts of random tokens, and streams that continue random prompts with their
/// most probable tokens, in turn; what is behind them is filled once. `progress` is told the share done and
/// what is next. Throws as load_model, and Error{bad_input} for options out of range, such as more tokens
/// than the model's context.
BenchReport run_bench(const GgufFile& file, const BenchOptions& options,
                      const std::function<void(double share, const std::string& what)>& progress);

/// Keys: pp_tps, tg_tps (medians), gbps, bandwidth_share, stages_us (of decoding, a token), and all else
/// under prompt, fill, decode, machine.
nlohmann::ordered_json to_json(const BenchReport& report);
std::string to_text(const BenchReport& report);
nlohmann::ordered_json to_json(const MachineLimits& limits);
std::string to_text(const MachineLimits& limits);

}  // namespace tern
