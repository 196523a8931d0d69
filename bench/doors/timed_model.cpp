// The real engine over a model that costs nothing and ends each step when it is due.
#include <sys/prctl.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "bench/doors/doors.h"
#include "model/model.h"

namespace tern::doors {
namespace {

class TimedModel : public Model {
 public:
  TimedModel(const Settings& settings, TokenTable& table, int vocab)
      : table_(table), period_(std::chrono::microseconds(settings.period_us)), sequences_(settings.streams) {
    shape_.architecture = "timed";
    shape_.vocab = vocab;
    shape_.layers = shape_.cache_layers = 1;
    shape_.cache_layer_bytes = 64;
    shape_.context = settings.tokens + 64;
  }

  const ModelShape& shape() const override { return shape_; }

  /// A step of all streams: over when the next multiple of the period is here.
  void forward(std::span<const BatchToken> batch, PagedCache&, float* logits, float*) override {
    prctl(PR_SET_TIMERSLACK, 1);
    const auto now = Clock::now().time_since_epoch();
    std::this_thread::sleep_until(TimePoint(now / period_ * period_ + period_));
    say(batch, logits);
  }

  /// Prompts; they take no time.
  bool forward_part(std::span<const BatchToken> batch, PagedCache&, PausedPass&, const std::function<bool()>&,
                    float* logits) override {
    for (size_t begin = 0, end; begin < batch.size(); begin = end) {
      end = begin;
      std::vector<int32_t> prompt;
      while (end < batch.size() && batch[end].sequence == batch[begin].sequence)
        prompt.push_back(batch[end++].token);
      sequences_[batch[begin].sequence] = {stream_of(prompt), batch[end - 1].position};
    }
    say(batch, logits);
    return true;
  }

 private:
  struct Sequence {
    int stream = 0, last_of_prompt = 0;
  };

  void say(std::span<const BatchToken> batch, float* logits) {
    for (const BatchToken& at : batch) {
      if (!at.wants_logits) continue;
      std::fill_n(logits, shape_.vocab, -50.0f);
      logits[word_of(at.position - sequences_[at.sequence].last_of_prompt)] = 0;
      logits += shape_.vocab;
    }
    const int64_t chosen = now_ns();
    for (const BatchToken& at : batch) {
      const Sequence& sequence = sequences_[at.sequence];
      const int token = at.position - sequence.last_of_prompt;
      if (at.wants_logits && sequence.stream < table_.streams() && token < table_.tokens())
        table_.chosen(sequence.stream, token) = chosen;
    }
  }

  TokenTable& table_;
  Clock::duration period_;
  ModelShape shape_;
  std::vector<Sequence> sequences_;
};

}  // namespace

const char* const kEngineName = "the engine, over a model that costs nothing";

std::unique_ptr<Engine> make_engine(const Settings& settings, TokenTable& table) {
  if (settings.staggered)
    fail(ErrorKind::unsupported, "the engine's streams step together; bench_doors has staggered ones");
  Tokenizer words = tokenizer();
  EngineOptions options;
  options.parallel = settings.streams;
  options.prompt_piece = 4096;
  options.share_prefixes = false;  // the model knows a stream by its whole prompt
  if (settings.deadline_ms > 0) options.calibration_s = 0.5;
  auto model = std::make_unique<TimedModel>(settings, table, words.size());
  return std::make_unique<Engine>(std::move(model), std::move(words), options);
}

}  // namespace tern::doors
