#include "engine/scheduler.h"

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

#include "base/checked.h"

namespace tern {

Scheduler::Scheduler(Model& model, const Limits& limits)
    : model_(model), limits_(limits), cache_(limits.cache), prefixes_(cache_) {
  for (SequenceId sequence = limits.parallel - 1; sequence >= 0; --sequence)
    free_sequences_.push_back(sequence);
  running_.reserve(limits.parallel);
  streams_.tokens.reserve(limits.parallel);
  for (Pass* pass : {&express_, &prompts_}) pass->batch.tokens.reserve(limits.prompt_pass);
  for (Batch* batch : {&streams_, &express_.batch, &prompts_.batch}) batch->turns.reserve(limits.parallel);
  logits_.resize(checked_mul(limits.parallel, model.shape().vocab, "the logits of one step"));
}

void Scheduler::Batch::clear() {
  tokens.clear();
  turns.clear();
  rows = 0;
}

void Scheduler::step() {
  const TimePoint began = limits_.clock();
  admit();
  mind_deadlines();
  schedule_streams();
  schedule_prompts();
  if (!streams_.turns.empty() || express_.under_way() || prompts_.under_way()) ++steps_;
  const StepWork decoded = work_of(streams_, 1, false);
  run_streams();
  finish(streams_);
  double gap = limits_.longest_gap;
  if (decoded.streams > 0) {
    const double took = seconds_between(began, limits_.clock()), usual = pace_.predict(decoded);
    statistics_.decode.add(usual, took);
    pace_.observe(decoded, took);
    // A step that something held up is no reason to hold the streams up twice as long.
    gap = std::max(gap, 2 * (usual > 0 ? std::min(took, usual) : took));
  }
  run_prompts(express_.under_way() ? express_ : prompts_, began, gap);
  release_ended();
}

/// In the order they wait: who doesn't fit yet waits, and all behind with it. One whose time to start has not
/// come keeps its place and pages, and lets others pass that fit beside it.
void Scheduler::admit() {
  drop_broken();
  int free = waiting_.empty() ? 0 : free_pages();
  size_t kept = 0;  // places
  for (auto at = waiting_.begin(); at != waiting_.end() && free_sequences_.size() > kept;) {
    free -= PagedCache::pages_for((*at)->most_cached());
    if (free < 0) return;
    if (!(*at)->promised() && slack(1) < 0) return;
    if (must_wait(**at)) {
      ++kept;
      ++at;
      continue;
    }
    start(std::move(*at));
    at = waiting_.erase(at);
  }
}

void Scheduler::start(std::unique_ptr<Generation> generation) {
  statistics_.prefix_query_tokens += generation->prompt_left();
  generation->admit();
  running_.push_back(std::make_unique<Running>(
      Running{std::move(generation), free_sequences_.back(), prompts_done_, false}));
  free_sequences_.pop_back();
}

/// Pages that nobody holds and that are not set aside.
int Scheduler::free_pages() const {
  int pages = prefixes_.available_pages();
  for (const auto& request : running_) pages -= pages_to_come(*request);
  return pages;
}

/// What is still set aside for it.
int Scheduler::pages_to_come(const Running& request) const {
  if (!request.generation) return 0;
  return PagedCache::pages_for(request.generation->most_cached()) -
         static_cast<int>(cache_.pages(request.sequence).size());
}

void Scheduler::schedule_streams() {
  streams_.clear();
  for (const auto& request : running_) {
    if (request->generation && !request->generation->in_prompt())
      take_turn(*request, streams_, request->generation->next());
  }
}

/// The next passes, where none is under way. The express pass is that of promised prompts; where there are
/// none, of those whose turn comes before the pass that is under way.
void Scheduler::schedule_prompts() {
  for (const auto& request : running_) {
    if (!request->in_pass) reuse_prefix(*request);
  }
  std::vector<Running*> order = prompts_in_order();
  // A promise was made without the company of prompts that have none, before it has a place, too.
  if (prompts_are_urgent()) {
    std::erase_if(order, [](const Running* request) { return !request->generation->promised(); });
    return fill(express_, order);
  }
  if (!waiting_.empty() && waiting_.front()->promised()) return;
  fill(prompts_, order);
  const auto in_pass =
      std::find_if(order.begin(), order.end(), [](const Running* request) { return request->in_pass; });
  fill(express_, std::span(order.begin(), in_pass));
}

/// Whole pieces of prompts in this order, while there is room for them.
void Scheduler::fill(Pass& pass, std::span<Running* const> order) {
  if (pass.under_way()) return;
  pass.batch.clear();
  size_t room = limits_.prompt_piece;
  for (Running* request : order) {
    if (request->in_pass) continue;
    const bool first = pass.batch.turns.empty();
    const Generation& generation = *request->generation;
    const std::span<const int32_t> tokens = generation.next(first ? pass_tokens(generation) : 0);
    if (!first && tokens.size() > room) continue;  // pieces are never cut: see Generation
    room -= std::min(room, tokens.size());
    request->in_pass = true;
    take_turn(*request, pass.batch, tokens);
  }
}

/// Tokens of one prompt in one pass: fewer where a layer of so many would hold the streams up for too long,
/// or a pass other promises.
size_t Scheduler::pass_tokens(const Generation& generation) const {
  if (generation.promised()) return limits_.prompt_piece;
  size_t tokens = limits_.prompt_pass;
  if (streams_.turns.empty()) return tokens;
  const StepTime time = step_time();
  const double step = pace_.predict(work_of(streams_, 1, false));
  const double left = std::max(limits_.longest_gap, 2 * step) - step;
  const auto layer = [&] {
    const int count = static_cast<int>(tokens);
    return time.seconds(time.prompt(count, generation.cached(), count)) / model_.shape().layers;
  };
  const size_t piece = limits_.prompt_piece;
  while (tokens > piece && layer() > left) tokens -= std::min(piece, tokens - piece);
  return tokens;
}

/// Takes over what others, perhaps a step ago, have made of the same beginning.
void Scheduler::reuse_prefix(Running& request) {
  if (!limits_.share_prefixes || !request.generation || !request.generation->in_prompt()) return;
  const int tokens = prefixes_.reuse(request.sequence, request.generation->prompt_to_come());
  request.generation->skip(tokens);
  statistics_.prefix_hit_tokens += tokens;
}

/// Lets others take over what is in the request's pages.
void Scheduler::learn_prefix(const Running& request) {
  if (!limits_.share_prefixes) return;
  const Generation& generation = *request.generation;
  // What a model says may leave other bits than what it is told: then only the prompt is known.
  const bool all = generation.prompt_tokens() >= model_.shape().same_rows_from;
  const int known = all ? generation.cached() : std::min(generation.cached(), generation.prompt_tokens());
  prefixes_.learn(request.sequence, generation.tokens().first(known));
}

/// The shortest rest first, less what others were given since the request came: so a short prompt passes a
/// long one, and nobody is passed by more prompt tokens than its own.
std::vector<Scheduler::Running*> Scheduler::prompts_in_order() const {
  std::vector<Running*> order;
  for (const auto& request : running_) {
    if (request->generation && request->generation->in_prompt()) order.push_back(request.get());
  }
  const auto key = [&](const Running* request) {
    const auto rest = static_cast<int64_t>(request->generation->prompt_left());
    return rest - static_cast<int64_t>(prompts_done_ - request->prompts_then);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const Running* a, const Running* b) { return key(a) < key(b); });
  return order;
}

/// One forward pass for all. Where it fails, each request runs alone, so that only the guilty ones end.
void Scheduler::run_streams() {
  if (streams_.tokens.empty()) return;
  try {
    model_.forward(streams_.tokens, cache_, logits_.data());
  } catch (const std::exception&) {
    for (Turn& turn : streams_.turns) run_alone(streams_, turn);
  }
}

/// Takes the pass further, by at least a layer, until the streams' gap since the step began is used up.
/// Prompts without a promise run while every promise leaves time for a layer.
void Scheduler::run_prompts(Pass& pass, TimePoint step_began, double gap) {
  if (!pass.under_way()) return;
  const TimePoint began = limits_.clock();
  const double all = model_.shape().layers;
  if (!prompts_are_urgent()) {
    const double left = slack(0), layer = pace_.predict(work_of(pass.batch, 1 / all, true));
    if (left < layer) return;
    gap = std::min(gap, seconds_between(step_began, began) + left);
  }
  const int before = pass.paused.layers;
  const bool done = take_further(pass, gap, step_began);
  const double layers = (done ? all : pass.paused.layers) - before;
  const StepWork work = work_of(pass.batch, layers / all, true);
  if (work.prompt > 0) {
    const double took = seconds_between(began, limits_.clock());
    statistics_.prompt.add(pace_.predict(work), took);
    pace_.observe(work, took);
  }
  if (!done) return;
  prompts_done_ += pass.batch.tokens.size();
  finish(pass.batch);
}

/// The pass, until it is done (true) or the next layer would not be over so many seconds after `began`.
bool Scheduler::take_further(Pass& pass, double seconds, TimePoint began) {
  if (pass.batch.tokens.empty()) return true;
  TimePoint layer_began = limits_.clock();
  const auto pause = [&] {
    const TimePoint now = limits_.clock();
    const double layer = seconds_between(std::exchange(layer_began, now), now);
    return seconds_between(began, now) + layer > seconds;
  };
  try {
    return model_.forward_part(pass.batch.tokens, cache_, pass.paused, pause, logits_.data());
  } catch (const std::exception&) {
    pass.paused = {};
    for (Turn& turn : pass.batch.turns) run_alone(pass.batch, turn);
  }
  return true;
}

/// Chooses tokens and gives out events.
void Scheduler::finish(Batch& batch) {
  for (Turn& turn : batch.turns) finish_turn(turn);
  batch.clear();
  tell_ended();
}

void Scheduler::take_turn(Running& request, Batch& batch, std::span<const int32_t> tokens) {
  const Generation& generation = *request.generation;
  Turn turn{&request, batch.tokens.size(), batch.tokens.size(), std::nullopt, std::nullopt};
  const int held = static_cast<int>(cache_.pages(request.sequence).size());
  prefixes_.make_room(PagedCache::pages_for(generation.cached() + static_cast<int>(tokens.size())) - held);
  if (cache_.extend(request.sequence, static_cast<int>(tokens.size()))) {
    int32_t position = generation.cached();
    const bool generated = !generation.in_prompt();
    for (const int32_t token : tokens)
      batch.tokens.push_back({token, position++, request.sequence, false, generated});
    turn.end = batch.tokens.size();
    if (generation.wants_logits(tokens.size())) {
      batch.tokens.back().wants_logits = true;
      turn.row = batch.rows++;
    }
  } else {
    turn.error = "a bug in tern: the pages set aside for this request are gone";
  }
  batch.turns.push_back(std::move(turn));
}

void Scheduler::run_alone(const Batch& batch, Turn& turn) {
  const auto tokens = std::span<const BatchToken>(batch.tokens).subspan(turn.begin, turn.end - turn.begin);
  if (tokens.empty()) return;
  try {
    model_.forward(tokens, cache_, turn.row ? logits_of(*turn.row).data() : nullptr);
  } catch (const std::exception& error) {
    turn.error = error.what();
  }
}

void Scheduler::finish_turn(Turn& turn) {
  turn.request->in_pass = false;
  if (!turn.request->generation) return;  // cancelled while its pass was under way
  Generation& generation = *turn.request->generation;
  if (turn.error) return end(*turn.request, FinishReason::error, *turn.error);
  const Usage before = generation.usage();
  if (generation.in_prompt()) statistics_.prompt_tokens += turn.end - turn.begin;
  generation.advance(turn.end - turn.begin);
  learn_prefix(*turn.request);
  if (!turn.row) return;
  try {
    generation.choose(logits_of(*turn.row));
    ++statistics_.generated_tokens;
    statistics_.thinking_tokens += generation.usage().reasoning_tokens - before.reasoning_tokens;
  } catch (const std::exception& error) {
    return end(*turn.request, FinishReason::error, error.what());
  }
  if (const auto reason = generation.done()) end(*turn.request, *reason);
}

EngineStatistics Scheduler::statistics() const {
  EngineStatistics now = statistics_;
  now.running = running();
  now.waiting = waiting();
  now.parallel = limits_.parallel;
  now.pages = limits_.cache.pages;
  now.pages_used = now.pages - prefixes_.available_pages();
  now.pages_reserved = now.pages - free_pages();
  now.steps = steps_;
  now.model = model_.statistics();
  return now;
}

std::span<float> Scheduler::logits_of(size_t row) {
  const size_t vocab = model_.shape().vocab;
  return std::span(logits_).subspan(row * vocab, vocab);
}

/// It is over; tell_ended() tells its sink, and what it holds is given back before that.
void Scheduler::end(Running& request, FinishReason reason, const std::string& error) {
  const int answer = request.generation->answer_tokens();
  if (reason == FinishReason::stop && answer > 0) answers_.add(answer / Load::kUsualAnswer);
  ended_.push_back({std::move(request.generation), reason, error});
}

void Scheduler::tell_ended() {
  if (ended_.empty()) return;
  release_ended();
  if (limits_.before_ends) limits_.before_ends();
  for (const Ended& ended : ended_) statistics_.ended(ended.generation->finish(ended.reason, ended.error));
  ended_.clear();
}

/// A pass that nobody waits for any more is left; until then it may write the pages of who has ended.
void Scheduler::leave_pass(Pass& pass) {
  const auto wanted = [](const Turn& turn) { return turn.request->generation != nullptr; };
  if (std::any_of(pass.batch.turns.begin(), pass.batch.turns.end(), wanted)) return;
  for (Turn& turn : pass.batch.turns) turn.request->in_pass = false;
  pass.batch.clear();
  pass.paused = {};
}

/// Gives back what ended requests held.
void Scheduler::release_ended() {
  leave_pass(express_);
  leave_pass(prompts_);
  std::erase_if(running_, [this](const std::unique_ptr<Running>& request) {
    if (request->generation || request->in_pass) return false;
    prefixes_.release(request->sequence);
    free_sequences_.push_back(request->sequence);
    return true;
  });
}

void Scheduler::add(std::unique_ptr<Generation> generation) {
  const auto less_urgent = [&](const auto& waiting) {
    return !waiting->promised() || waiting->deadline()->at > generation->deadline()->at;
  };
  const auto behind =
      generation->promised() ? std::find_if(waiting_.begin(), waiting_.end(), less_urgent) : waiting_.end();
  waiting_.insert(behind, std::move(generation));
}

void Scheduler::cancel(RequestId id) {
  for (const auto& request : running_) {
    if (!request->generation || request->generation->id() != id) continue;
    end(*request, FinishReason::cancelled);
    return tell_ended();
  }
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    if ((*at)->id() != id) continue;
    statistics_.ended((*at)->finish(FinishReason::cancelled));
    waiting_.erase(at);
    return;
  }
}

void Scheduler::end_all(FinishReason reason, const std::string& error) {
  for (const auto& request : running_) {
    if (request->generation) end(*request, reason, error);
  }
  streams_.clear();
  tell_ended();
  for (auto& generation : waiting_) statistics_.ended(generation->finish(reason, error));
  waiting_.clear();
}

void Scheduler::check() const {
  cache_.check();
  prefixes_.check();
  if (free_pages() < 0) fail(ErrorKind::internal, "schedule: {} pages too many are set aside", -free_pages());
}

}  // namespace tern
