// The engine: takes requests from any thread, runs them together in one batch, and gives back events.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/promises.h"
#include "engine/sampler.h"
#include "model/model.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace tern {

using RequestId = uint64_t;

struct GenerateRequest {
  std::vector<int32_t> prompt;  ///< token ids, at least one
  int max_tokens = 0;           ///< thinking and answer together; 0: as far as the context reaches
  SamplingParams sampling;
  std::vector<std::string> stop;  ///< text that ends the answer (not looked for in the thinking); not given
                                  ///< out; at most 64 strings of at most 1,024 bytes
  std::vector<int32_t> stop_tokens;  ///< end it wherever they come, in spite of ignore_eos; not given out
  bool ignore_eos = false;
  int top_logprobs = -1;               ///< -1: no logprobs; 0: of the chosen tokens; n: also the n best
  bool starts_thinking = false;        ///< the prompt ended inside a thought
  std::optional<int> thinking_budget;  ///< tokens; at the budget the closing markers are forced
  std::string closing_line;  ///< said before the markers where a budget or a deadline closes the thinking
  std::optional<Deadline> deadline;  ///< when the answer is to be complete
  TimePoint arrived = Clock::now();
};

enum class FinishReason { stop, length, cancelled, error };

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;  ///< every token chosen, markers and the ending one included
  int reasoning_tokens = 0;   ///< those of them between the thinking's markers, as vLLM counts
};

struct Timings {
  double queue_s = 0;                     ///< from `arrived` until it had a place, or its end without one
  double first_token_s = 0, total_s = 0;  ///< from `arrived`
};

/// Who ended the thinking; none where there was none, or it is not over.
enum class ClosedBy { none, model, budget, deadline };

/// One chosen token's news; every token has its event. Text comes in whole characters and is empty while
/// bytes are held back and for special tokens; a token's thinking and answer text never come in one event.
struct TokenEvent {
  int32_t token = 0;
  bool thinking = false;  ///< which side `text` belongs to; the markers themselves count to the thinking
  std::string text;
  std::string marker;  ///< of the thinking, completed by this token; it stands after `text`, and belongs to
                       ///< it only where raw text is wanted
  std::optional<Sampled> logprobs;
};

struct FinishEvent {
  FinishReason reason = FinishReason::stop;
  std::string text;  ///< text held back until the end; belongs to `thinking` or the answer as below
  bool thinking = false;
  std::string error;  ///< for FinishReason::error
  Usage usage;
  Timings timings;
  ClosedBy closed_by = ClosedBy::none;
  int answer_tokens = 0;              ///< those behind the thinking, the ending one included
  bool promised = false;              ///< its deadline was
  std::optional<double> predicted_s;  ///< where it had one: from `arrived`, at the 99th percentile, without
                                      ///< thinking, as judged when it came
  std::optional<bool> on_time;        ///< a complete answer by its deadline, where it had one
};

/// Where a request's events go. Called on the engine's thread: must return at once and not throw.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_token(const TokenEvent& event) = 0;
  virtual void on_finish(const FinishEvent& event) = 0;  ///< exactly once, last
};

struct EngineOptions {
  int context = 0;           ///< tokens of one sequence; 0: the model's
  int parallel = 8;          ///< sequences in one batch; more wait, first come first served
  uint64_t cache_bytes = 0;  ///< 0: parallel x context; a smaller cache than one context shortens the context
  CacheType cache_type = CacheType::automatic;
  int threads = 0;         ///< 0: usable_cores()
  int prompt_piece = 128;  ///< a prompt is cut at its multiples only; several prompts share a pass of so many
                           ///< tokens
  int prompt_pass = kPromptPass;  ///< tokens of one prompt in one pass at most, where that holds up nobody:
                                  ///< reads the weights less often. At least a piece
  double longest_gap = 0.05;      ///< seconds between two tokens of a stream while prompts run: these pause
                                  ///< between layers. Where two decode steps take longer, those
  bool share_prefixes = true;     ///< requests that begin alike share what the cache has of it; the same bits
  double calibration_s = 0;       ///< seconds at start for measuring what steps take; deadlines need it
  std::string pace_file;          ///< where what steps take is kept from run to run; empty: nowhere
  PackOptions pack;               ///< where packed weights are kept from run to run
  ByteProgress progress;          ///< of loading, see ModelOptions
  int most_waiting = 1024;        ///< requests that may wait; more are refused
  Isa isa = detect_isa();
};

/// A deadline that can't be promised, asked for with LatePolicy::refuse.
class DeadlineRefused : public Error {
 public:
  /// retry_s: how much later it would have to come; 0 where that doesn't help.
  DeadlineRefused(const std::string& what, double retry_s)
      : Error(ErrorKind::limit, what), retry_s_(retry_s) {}
  double retry_s() const { return retry_s_; }

 private:
  double retry_s_;
};

struct EngineStatus {
  int running = 0, waiting = 0;
  uint64_t steps = 0;
  double step_p50_s = 0, step_p99_s = 0;  ///< what the next decode step of one stream would take
  double seconds_since_step = 0;          ///< 0 while there is nothing to do
};

struct EngineStatistics;  // engine/statistics.h

class Engine {
 public:
  /// Loads the model from `file` and starts the engine's thread. Throws as load_model and read_vocabulary,
  /// and Error{bad_input | limit} naming the option out of range.
  Engine(const GgufFile& file, const EngineOptions& options);
  /// Takes a model that was loaded elsewhere; it must take batches of parallel, of prompt_piece and of
  /// prompt_pass tokens.
  Engine(std::unique_ptr<Model> model, Tokenizer tokenizer, const EngineOptions& options);
  ~Engine();  ///< cancels what runs and waits

  /// What went wrong with the pace file, if anything did; the engine runs without it.
  const std::string& warning() const;
  const Tokenizer& tokenizer() const;
  const ChatFormat& chat() const;
  const ModelShape& model_shape() const;
  int context() const;

  /// Queues a request; thread-safe. One with a deadline that can't be promised is treated by its policy:
  /// DeadlineRefused, or it runs without a promise. Throws Error{bad_input | unsupported} at once where it
  /// can never run (empty prompt, ids out of range, prompt and one token beyond the context or the cache,
  /// parameters out of range, thinking asked of a vocabulary without the markers), and Error{limit} only
  /// where it came at a bad time: too many wait, or the engine drains. A max_tokens beyond the context is cut
  /// to it.
  RequestId submit(GenerateRequest request, std::shared_ptr<EventSink> sink);
  /// Ends a request within one step; its sink gets FinishReason::cancelled. Unknown ids are ignored.
  /// Thread-safe.
  void cancel(RequestId id);
  /// Returns when nothing runs or waits. Later submits are refused with Error{limit}. Thread-safe; not for
  /// sinks.
  void drain();
  EngineStatus status() const;
  /// Sums and state as of the last step. From any thread; holds the engine up for no more than a copy.
  EngineStatistics statistics() const;
  /// Model::expert_choices(). From any thread.
  std::vector<uint64_t> expert_choices() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern
