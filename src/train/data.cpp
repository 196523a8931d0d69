#include "train/data.h"

#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "text/chat.h"

namespace tern::train {

namespace {

// Streams of random numbers, apart from those of the generator.
constexpr uint64_t shape_stream = 0x7472616365;           // noise level and trace
constexpr uint64_t vocabulary_index = uint64_t{1} << 40;  // examples that only the tokenizer sees

int draw_noise(const std::array<double, 5>& weights, Rng& rng) {
  double sum = 0;
  for (double weight : weights) sum += weight;
  double left = rng.uniform() * sum;
  for (size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return static_cast<int>(i);
  }
  return static_cast<int>(weights.size()) - 1;
}

Trace draw_trace(const DataConfig& config, Rng& rng) {
  const double u = rng.uniform();
  if (u < config.thinking_empty) return Trace::empty;
  return u < config.thinking_empty + config.thinking_cut ? Trace::cut : Trace::full;
}

/// How many tokens of the thinking are left: the end of a line, or any token, equally often.
size_t cut_at(const Tokenizer& tokenizer, const std::vector<int32_t>& thinking, Rng& rng) {
  if (thinking.size() < 2) return 0;
  std::vector<size_t> line_ends;
  for (size_t i = 0; i + 1 < thinking.size(); ++i) {
    if (tokenizer.bytes(thinking[i]).find('\n') != std::string_view::npos)
      line_ends.push_back(i + rng.below(2));
  }
  if (!line_ends.empty() && rng.chance(0.5)) return rng.pick(line_ends);
  return 1 + rng.below(thinking.size() - 1);
}

}  // namespace

Sequence make_sequence(const Tokenizer& tokenizer, const search::Example& example, Trace trace, Rng& rng) {
  const ChatMessage message{"user", example.query};
  const ThinkingTokens markers = thinking_tokens(tokenizer);
  std::vector<int32_t> thinking;
  if (trace != Trace::empty) thinking = tokenizer.encode(example.thinking_text());
  if (trace == Trace::cut) thinking.resize(cut_at(tokenizer, thinking, rng));

  Sequence sequence;
  sequence.tokens = render_chat(tokenizer, {&message, 1}, Thinking::on);
  sequence.learned.assign(sequence.tokens.size(), false);
  const auto add = [&](int32_t token, bool learned) {
    sequence.tokens.push_back(token);
    sequence.learned.push_back(learned);
  };
  for (int32_t token : thinking) add(token, true);
  add(markers.close.value(), trace == Trace::full);
  for (int32_t token : tokenizer.encode(example.answer_text())) add(token, true);
  add(tokenizer.vocabulary().eos.value(), true);
  return sequence;
}

ExampleStream::ExampleStream(const search::World& world, const Tokenizer& tokenizer, const DataConfig& config,
                             search::Split split)
    : tokenizer_(tokenizer), config_(config), generator_(world, {split, config.seed, false}) {}

search::Example ExampleStream::example(uint64_t index) const {
  Rng rng = Rng::for_item(config_.seed, shape_stream, index);
  return generator_.at(index, draw_noise(config_.noise, rng));
}

Batch ExampleStream::batch(uint64_t index) const {
  Batch batch;
  batch.starts.push_back(0);
  for (;; ++index) {
    Rng rng = Rng::for_item(config_.seed, shape_stream, index);
    const search::Example example = generator_.at(index, draw_noise(config_.noise, rng));
    const Sequence sequence = make_sequence(tokenizer_, example, draw_trace(config_, rng), rng);
    const auto length = static_cast<int64_t>(sequence.tokens.size());
    if (length > config_.max_tokens) continue;
    const auto used = static_cast<int64_t>(batch.tokens.size());
    if (used > 0 && used + length > config_.tokens_per_step) break;
    for (int64_t i = 0; i < length; ++i) {
      batch.tokens.push_back(sequence.tokens[i]);
      if (i + 1 < length && sequence.learned[i + 1]) {
        batch.rows.push_back(used + i);
        batch.targets.push_back(sequence.tokens[i + 1]);
      }
    }
    batch.starts.push_back(used + length);
  }
  batch.next_index = index;
  return batch;
}

Prefetch::Prefetch(const ExampleStream& stream, uint64_t index, size_t depth)
    : stream_(stream), depth_(depth), thread_([this, index] { work(index); }) {}

Prefetch::~Prefetch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetch::work(uint64_t index) {
  try {
    while (true) {
      Batch batch = stream_.batch(index);
      index = batch.next_index;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || ready_.size() < depth_; });
      if (stop_) return;
      ready_.push_back(std::move(batch));
      changed_.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
    changed_.notify_all();
  }
}

Batch Prefetch::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return error_ || !ready_.empty(); });
  if (ready_.empty()) std::rethrow_exception(error_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

Vocabulary learn_vocabulary(const search::World& world, const DataConfig& config, int64_t size) {
  const search::Generator generator(world, {search::Split::train, config.seed, false});
  std::vector<std::string> lines;
  for (int64_t i = 0; i < config.vocabulary_lines; ++i) {
    const uint64_t index = vocabulary_index + static_cast<uint64_t>(i);
    Rng rng = Rng::for_item(config.seed, shape_stream, index);
    const search::Example example = generator.at(index, draw_noise(config.noise, rng));
    lines.push_back(example.query);
    lines.push_back(example.thinking_text());
    lines.push_back(example.answer_text());
  }
  return tern_vocabulary(lines, static_cast<int32_t>(size));
}

}  // namespace tern::train
