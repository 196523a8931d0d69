// A stand-in for the engine (the linker takes this one in its place): no scheduler, no model, no sampler. One
// thread gives each stream its tokens when they are due, so that what is measured is the doors alone, and
// streams can be staggered, which a batch that steps together can't.
#include <sys/prctl.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "bench/doors/doors.h"
#include "engine/engine.h"
#include "engine/statistics.h"

namespace tern {

namespace {
const doors::Settings* the_settings = nullptr;  // the constructor's arguments have no room for them
doors::TokenTable* the_table = nullptr;
}  // namespace

namespace doors {

const char* const kEngineName = "a stand-in that only keeps the time";

std::unique_ptr<Engine> make_engine(const Settings& settings, TokenTable& table) {
  the_settings = &settings;
  the_table = &table;
  return std::make_unique<Engine>(nullptr, doors::tokenizer(), EngineOptions{});
}

}  // namespace doors

struct Engine::Impl {
  struct Stream {
    RequestId id = 0;
    int number = 0, given = 0, tokens = 0, prompt = 0;
    std::shared_ptr<EventSink> sink;
    TimePoint due, arrived;
  };

  explicit Impl(Tokenizer words) : tokenizer(std::move(words)), thread([this] { loop(); }) {}
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_one();
    thread.join();
  }

  void loop();
  void take_mail();
  void give(Stream& stream, int64_t chosen);
  void finish(Stream& stream, FinishReason reason);
  TimePoint first_due(int number) const;
  void line_up(Stream stream);

  const Tokenizer tokenizer;
  const ChatFormat format{tokenizer};
  const ModelShape shape{};
  const Clock::duration period = std::chrono::microseconds(the_settings->period_us);

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<Stream> inbox;
  std::unordered_set<RequestId> cancels;
  bool stopping = false;
  RequestId last_id = 0;
  int open = 0;
  std::deque<Stream> streams;  ///< the one that is due next first
  std::thread thread;
};

/// The next one. Steps are at multiples of the period; staggered streams have their own place between two, on
/// a grid of a fifth of a millisecond, so that the stand-in's own timer costs little beside the doors.
TimePoint Engine::Impl::first_due(int number) const {
  const auto share = the_settings->staggered ? static_cast<double>(number) / the_settings->streams : 0;
  constexpr Clock::duration kGrid = std::chrono::microseconds(200);
  const auto phase = std::chrono::duration_cast<Clock::duration>(period * share) / kGrid * kGrid;
  const auto now = Clock::now().time_since_epoch();
  const auto due = now / period * period + phase;
  return TimePoint(due > now ? due : due + period);
}

void Engine::Impl::line_up(Stream stream) {
  const auto behind = std::upper_bound(streams.begin(), streams.end(), stream.due,
                                       [](TimePoint due, const Stream& other) { return due < other.due; });
  streams.insert(behind, std::move(stream));
}

void Engine::Impl::take_mail() {
  const std::lock_guard lock(mutex);
  for (Stream& stream : inbox) {
    stream.due = first_due(stream.number);
    line_up(std::move(stream));
  }
  inbox.clear();
  if (cancels.empty()) return;
  std::erase_if(streams, [this](Stream& stream) {
    const bool gone = cancels.contains(stream.id);
    if (gone) finish(stream, FinishReason::cancelled);
    return gone;
  });
  cancels.clear();
}

void Engine::Impl::loop() {
  prctl(PR_SET_TIMERSLACK, 1);  // a late wake-up would be taken for the doors'
  for (;;) {
    {
      std::unique_lock lock(mutex);
      const auto called = [this] { return stopping || !inbox.empty() || !cancels.empty(); };
      if (streams.empty()) {
        changed.wait(lock, called);
      } else {
        changed.wait_until(lock, streams.front().due, called);
      }
      if (stopping) break;
    }
    take_mail();
    const TimePoint now = Clock::now();
    const int64_t chosen = doors::now_ns();
    while (!streams.empty() && streams.front().due <= now) {
      Stream stream = std::move(streams.front());
      streams.pop_front();
      give(stream, chosen);
      stream.due += period;
      if (stream.given < stream.tokens) line_up(std::move(stream));
    }
  }
  for (Stream& stream : streams) finish(stream, FinishReason::cancelled);
}

void Engine::Impl::give(Stream& stream, int64_t chosen) {
  if (stream.number < the_table->streams() && stream.given < the_table->tokens())
    the_table->chosen(stream.number, stream.given) = chosen;
  TokenEvent event;
  event.token = doors::word_of(stream.given);
  event.text = tokenizer.bytes(event.token);
  ++stream.given;
  stream.sink->on_token(event);
  if (stream.given == stream.tokens) finish(stream, FinishReason::length);
}

void Engine::Impl::finish(Stream& stream, FinishReason reason) {
  FinishEvent event;
  event.reason = reason;
  event.usage.prompt_tokens = stream.prompt;
  event.usage.completion_tokens = stream.given;
  event.timings.total_s = seconds_since(stream.arrived);
  stream.sink->on_finish(event);
  --open;
}

Engine::Engine(std::unique_ptr<Model>, Tokenizer tokenizer, const EngineOptions&)
    : impl_(std::make_unique<Impl>(std::move(tokenizer))) {}
Engine::~Engine() = default;

const Tokenizer& Engine::tokenizer() const {
  return impl_->tokenizer;
}
const ChatFormat& Engine::chat() const {
  return impl_->format;
}
const ModelShape& Engine::model_shape() const {
  return impl_->shape;
}
const std::string& Engine::warning() const {
  static const std::string kNone;
  return kNone;
}
int Engine::context() const {
  return 1 << 20;
}

RequestId Engine::submit(GenerateRequest request, std::shared_ptr<EventSink> sink) {
  Impl::Stream stream;
  stream.number = doors::stream_of(request.prompt);
  stream.tokens = request.max_tokens;
  stream.prompt = static_cast<int>(request.prompt.size());
  stream.sink = std::move(sink);
  stream.arrived = request.arrived;
  RequestId id;
  {
    const std::lock_guard lock(impl_->mutex);
    id = stream.id = ++impl_->last_id;
    ++impl_->open;
    impl_->inbox.push_back(std::move(stream));
  }
  impl_->changed.notify_one();
  return id;
}

void Engine::cancel(RequestId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancels.insert(id);
  }
  impl_->changed.notify_one();
}

void Engine::drain() {}

EngineStatus Engine::status() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStatus status;
  status.running = impl_->open;
  return status;
}

EngineStatistics Engine::statistics() const {
  EngineStatistics statistics;
  statistics.running = status().running;
  return statistics;
}

std::vector<uint64_t> Engine::expert_choices() const {
  return {};
}

}  // namespace tern
