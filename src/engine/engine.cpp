#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "base/checked.h"
#include "base/cores.h"
#include "base/error.h"
#include "base/threads.h"
#include "engine/generation.h"
#include "engine/pace_file.h"
#include "engine/scheduler.h"
#include "engine/statistics.h"
#include "files/gguf.h"
#include "text/vocabulary.h"

namespace tern {
namespace {

#if defined(TERN_SANITIZED) || !defined(NDEBUG)
constexpr bool kChecksItself = true;
#else
constexpr bool kChecksItself = false;
#endif
constexpr double kConfirming = 0.3;  // of the calibration, where an earlier run's costs are kept

int threads_of(const EngineOptions& options) {
  return options.threads > 0 ? options.threads : usable_cores();
}

void check_options(const EngineOptions& options) {
  const auto at_least = [](const char* name, int value, int least) {
    if (value < least) fail(ErrorKind::bad_input, "{}: expected {} or more, found {}", name, least, value);
  };
  at_least("context", options.context, 0);
  at_least("parallel", options.parallel, 1);
  at_least("threads", options.threads, 0);
  at_least("prompt_piece", options.prompt_piece, 1);
  at_least("prompt_pass", options.prompt_pass, 1);
  at_least("most_waiting", options.most_waiting, 0);
  if (!(options.calibration_s >= 0) || options.calibration_s > 3600)
    fail(ErrorKind::bad_input, "calibration_s: expected 0 to 3600 seconds, found {}", options.calibration_s);
  if (!(options.longest_gap >= 0) || options.longest_gap > 3600)
    fail(ErrorKind::bad_input, "longest_gap: expected 0 to 3600 seconds, found {}", options.longest_gap);
  static constexpr int kMost = 1 << 20;  // far beyond use; keeps their sum an int
  const auto at_most = [](const char* name, int value) {
    if (value > kMost) fail(ErrorKind::limit, "{}: {}, at most {}", name, value, kMost);
  };
  at_most("parallel", options.parallel);
  at_most("prompt_piece", options.prompt_piece);
  at_most("prompt_pass", options.prompt_pass);
  at_most("most_waiting", options.most_waiting);
}

ModelOptions model_options(const EngineOptions& options) {
  check_options(options);
  ModelOptions model;
  model.isa = options.isa;
  model.threads = threads_of(options);
  model.pack = options.pack;
  model.cache = options.cache_type;
  model.progress = options.progress;
  model.max_batch = std::max({options.parallel, options.prompt_piece, options.prompt_pass});
  return model;
}

int asked_context(const ModelShape& model, const EngineOptions& options) {
  if (options.context > model.context)
    fail(ErrorKind::bad_input, "context: {} tokens, but the model reaches {}", options.context,
         model.context);
  return options.context > 0 ? options.context : model.context;
}

/// The cache that the options ask for: whole sequences, or as many pages as fit into cache_bytes.
PagedCache::Shape cache_shape(const ModelShape& model, const EngineOptions& options) {
  PagedCache::Shape cache;
  cache.layers = model.cache_layers;
  cache.layer_bytes = model.cache_layer_bytes;
  cache.max_sequences = options.parallel;
  const int context = asked_context(model, options);
  const uint64_t whole = checked_mul(PagedCache::pages_for(context), options.parallel, "the cache's pages");
  uint64_t pages = whole;
  if (options.cache_bytes > 0) {
    const uint64_t page_bytes = checked_mul(model.cache_layers, model.cache_layer_bytes, "a page");
    pages = std::min(whole, options.cache_bytes / std::max<uint64_t>(page_bytes, 1));
    if (pages == 0)
      fail(ErrorKind::bad_input, "cache_bytes: {} is less than one page of {}", options.cache_bytes,
           page_bytes);
  }
  if (pages > static_cast<uint64_t>(std::numeric_limits<int>::max() / PagedCache::kPageTokens))
    fail(ErrorKind::limit, "a cache of {} pages is too large; lower context or parallel", pages);
  cache.pages = static_cast<int>(pages);
  cache.max_tokens = std::min(context, cache.pages * PagedCache::kPageTokens);
  return cache;
}

}  // namespace

/// One thread owns the scheduler. Others leave mail, under the mutex; events go to sinks outside of it.
struct Engine::Impl {
  struct Mail {
    std::vector<std::unique_ptr<Generation>> requests;
    std::vector<RequestId> cancels;
  };

  Impl(std::unique_ptr<Model> a_model, Tokenizer a_tokenizer, const EngineOptions& options);
  ~Impl();

  void find_pace(const EngineOptions& options);
  void keep_pace();
  void loop();
  bool read_mail(Mail& mail);
  void publish();
  void publish_load();
  void promise(Generation& generation);
  bool busy() const { return running + waiting > 0; }  ///< under the mutex

  const Tokenizer tokenizer;
  const ChatFormat format{tokenizer};
  const std::unique_ptr<Model> model;
  const PagedCache::Shape cache;
  const GenerationLimits limits;
  const int most_requests;  ///< running and waiting
  Scheduler scheduler;      ///< the thread's alone
  const std::string pace_path, pace_conditions;
  std::string warning;

  std::atomic<RequestId> last_id = 0;
  mutable std::mutex mutex;
  std::condition_variable mail_came, went_idle;
  Mail inbox;
  bool draining = false, stopping = false;
  int running = 0, waiting = 0;  ///< as of the last step; the inbox waits too
  Load load;                     ///< likewise
  StepTime step_time{Forecast(), 0, 0};
  double step_p50_s = 0;
  uint64_t steps = 0;
  EngineStatistics statistics;         ///< as of the last step
  uint64_t promised = 0, refused = 0;  ///< deadlines so far
  TimePoint last_step = Clock::now();

  std::thread thread;
};

Engine::Impl::Impl(std::unique_ptr<Model> a_model, Tokenizer a_tokenizer, const EngineOptions& options)
    : tokenizer(std::move(a_tokenizer)),
      model(std::move(a_model)),
      cache(cache_shape(model->shape(), options)),
      limits{std::min(model->shape().vocab, tokenizer.size()), cache.max_tokens, options.prompt_piece},
      most_requests(options.parallel + options.most_waiting),
      scheduler(*model,
                {options.parallel, options.prompt_piece, std::max(options.prompt_piece, options.prompt_pass),
                 cache, options.longest_gap, options.share_prefixes, Clock::now,
                 [this] {
                   const std::lock_guard lock(mutex);
                   publish_load();
                 }}),
      pace_path(options.pace_file),
      pace_conditions(tern::pace_conditions(model->shape(), options.isa, threads_of(options))) {
  find_pace(options);
  publish();
  thread = std::thread([this] { loop(); });
}

/// From an earlier run, where it was kept, and from the calibration: a short one, if it only has to confirm.
void Engine::Impl::find_pace(const EngineOptions& options) {
  std::optional<Pace::Costs> kept;
  try {
    if (!pace_path.empty()) kept = read_pace(pace_path, pace_conditions);
  } catch (const Error& error) {
    warning = error.what();
  }
  if (kept) scheduler.start_from(Pace(*kept));
  if (options.calibration_s > 0) scheduler.calibrate(options.calibration_s * (kept ? kConfirming : 1));
  keep_pace();
}

void Engine::Impl::keep_pace() {
  if (pace_path.empty()) return;
  try {
    write_pace(pace_path, pace_conditions, scheduler.pace().costs());
  } catch (const Error& error) {
    if (warning.empty()) warning = error.what();
  }
}

Engine::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  mail_came.notify_one();
  thread.join();
  keep_pace();
}

void Engine::Impl::loop() {
  name_thread("tern-engine");
  Mail mail;
  while (read_mail(mail)) {
    for (auto& request : mail.requests) scheduler.add(std::move(request));
    for (const RequestId id : mail.cancels) scheduler.cancel(id);
    try {
      scheduler.step();
    } catch (const std::exception& error) {  // out of memory, or a bug: the engine outlives it
      scheduler.end_all(FinishReason::error, error.what());
    }
    publish();
    if (kChecksItself && scheduler.running() + scheduler.waiting() == 0) scheduler.check();
  }
  for (auto& request : mail.requests) scheduler.add(std::move(request));
  scheduler.end_all(FinishReason::cancelled);
}

/// Sleeps while there is nothing to do. False when the engine stops.
bool Engine::Impl::read_mail(Mail& mail) {
  mail.requests.clear();
  mail.cancels.clear();
  std::unique_lock lock(mutex);
  mail_came.wait(lock, [this] { return stopping || busy() || !inbox.cancels.empty(); });
  std::swap(mail, inbox);
  return !stopping;
}

/// Tells status(), submit() and drain() where the scheduler stands.
void Engine::Impl::publish() {
  const std::lock_guard lock(mutex);
  running = scheduler.running();
  waiting = scheduler.waiting() + static_cast<int>(inbox.requests.size());
  steps = scheduler.steps();
  step_p50_s = scheduler.predicted_step();
  statistics = scheduler.statistics();
  publish_load();
  last_step = Clock::now();
  if (!busy()) went_idle.notify_all();
}

/// What deadlines are judged by. Under the mutex.
void Engine::Impl::publish_load() {
  load = scheduler.load();
  step_time = scheduler.step_time();
  for (const auto& generation : inbox.requests) {
    if (generation->promised()) owe(load, *generation, false, step_time, limits.prompt_piece);
  }
}

Engine::Engine(std::unique_ptr<Model> model, Tokenizer tokenizer, const EngineOptions& options) {
  check_options(options);
  impl_ = std::make_unique<Impl>(std::move(model), std::move(tokenizer), options);
}

Engine::Engine(const GgufFile& file, const EngineOptions& options)
    : Engine(load_model(file, model_options(options)), Tokenizer(read_vocabulary(file)), options) {}

Engine::~Engine() = default;

const std::string& Engine::warning() const {
  return impl_->warning;
}
const Tokenizer& Engine::tokenizer() const {
  return impl_->tokenizer;
}
const ChatFormat& Engine::chat() const {
  return impl_->format;
}
const ModelShape& Engine::model_shape() const {
  return impl_->model->shape();
}
int Engine::context() const {
  return impl_->limits.context;
}

namespace {

std::string reason(const Verdict& verdict, double left) {
  if (!std::isfinite(verdict.needed_s))
    return "its place or its memory is taken by requests whose end nobody knows";
  if (verdict.needed_s > left)
    return fmt::format("an answer needs {:.0f} ms now, {:.0f} are left", verdict.needed_s * 1e3, left * 1e3);
  return fmt::format(
      "an answer needs {:.0f} of the {:.0f} ms that are left, but an earlier promise would break",
      verdict.needed_s * 1e3, left * 1e3);
}

}  // namespace

/// Judges the deadline by what the last step left. Under the mutex.
void Engine::Impl::promise(Generation& generation) {
  const Deadline& deadline = *generation.deadline();
  const Load::Promise asked = promise_of(generation, false, load, step_time, limits.prompt_piece);
  const Verdict verdict = judge(load, asked, step_time, Clock::now());
  generation.predict(verdict.needed_s);
  if (verdict.kept) {
    generation.promise(verdict.start);
    ++promised;
    owe(load, generation, false, step_time, limits.prompt_piece);
  } else if (deadline.late == LatePolicy::refuse) {
    ++refused;
    const double left = std::max(0.0, seconds_between(Clock::now(), deadline.at));
    throw DeadlineRefused("the deadline can't be promised: " + reason(verdict, left), verdict.retry_s);
  } else if (deadline.late == LatePolicy::no_think) {
    generation.close_thinking();
  }
}

RequestId Engine::submit(GenerateRequest request, std::shared_ptr<EventSink> sink) {
  const RequestId id = ++impl_->last_id;
  auto generation =
      std::make_unique<Generation>(id, std::move(request), std::move(sink), impl_->format, impl_->limits);
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->draining) fail(ErrorKind::limit, "the engine is draining and takes no more requests");
    if (impl_->running + impl_->waiting >= impl_->most_requests)
      fail(ErrorKind::limit, "{} requests are running or waiting, no more are taken", impl_->most_requests);
    if (generation->deadline()) impl_->promise(*generation);
    if (!impl_->busy()) impl_->last_step = Clock::now();
    impl_->inbox.requests.push_back(std::move(generation));
    ++impl_->waiting;
  }
  impl_->mail_came.notify_one();
  return id;
}

void Engine::cancel(RequestId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->busy()) return;
    impl_->inbox.cancels.push_back(id);
  }
  impl_->mail_came.notify_one();
}

EngineStatistics Engine::statistics() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStatistics now = impl_->statistics;
  now.running = impl_->running;
  now.waiting = impl_->waiting;
  now.promised = impl_->promised;
  now.refused = impl_->refused;
  return now;
}

std::vector<uint64_t> Engine::expert_choices() const {
  return impl_->model->expert_choices();
}

void Engine::drain() {
  std::unique_lock lock(impl_->mutex);
  impl_->draining = true;
  impl_->went_idle.wait(lock, [this] { return !impl_->busy(); });
}

EngineStatus Engine::status() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStatus status;
  status.running = impl_->running;
  status.waiting = impl_->waiting;
  status.steps = impl_->steps;
  status.step_p50_s = impl_->step_p50_s;
  status.step_p99_s = impl_->step_time.p99(impl_->step_time.seconds(impl_->step_time.streams(1, 0)));
  if (impl_->busy()) status.seconds_since_step = seconds_since(impl_->last_step);
  return status;
}

}  // namespace tern
