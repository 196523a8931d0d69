#include "engine/scheduler.h"

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

#include "base/checked.h"

namespace tern {

Scheduler::Scheduler(Model& model, const Limits& limits)
    : model_(model), limits_(limits), cache_(limits.cache), free_pages_(limits.cache.pages) {
  for (SequenceId sequence = limits.parallel - 1; sequence >= 0; --sequence)
    free_sequences_.push_back(sequence);
  running_.reserve(limits.parallel);
  streams_.tokens.reserve(limits.parallel);
  prompts_.tokens.reserve(limits.prompt_piece);
  for (Batch* batch : {&streams_, &prompts_}) batch->turns.reserve(limits.parallel);
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
  schedule_streams();
  schedule_prompts();
  if (!streams_.turns.empty() || !prompts_.turns.empty()) ++steps_;
  run_streams();
  finish(streams_);
  if (run_prompts(began)) finish(prompts_);
  release_ended();
}

/// First come, first served: who doesn't fit yet waits, and all behind with it.
void Scheduler::admit() {
  while (!waiting_.empty() && !free_sequences_.empty()) {
    const int pages = PagedCache::pages_for(waiting_.front()->most_cached());
    if (pages > free_pages_) return;
    free_pages_ -= pages;
    running_.push_back(std::make_unique<Running>(
        Running{std::move(waiting_.front()), free_sequences_.back(), pages, prompts_done_, false}));
    free_sequences_.pop_back();
    waiting_.pop_front();
  }
}

void Scheduler::schedule_streams() {
  streams_.clear();
  for (const auto& request : running_) {
    if (request->generation && !request->generation->in_prompt()) take_turn(*request, streams_);
  }
}

/// The next pass, where none is under way: whole pieces while there is room for them.
void Scheduler::schedule_prompts() {
  if (!prompts_.turns.empty()) return;
  prompts_.clear();
  size_t room = limits_.prompt_piece;
  for (Running* request : prompts_in_order()) {
    const size_t piece = request->generation->next().size();
    if (piece > room) continue;  // pieces are never cut: see Generation
    room -= piece;
    request->in_pass = true;
    take_turn(*request, prompts_);
  }
}

/// The shortest rest first, less what others were given since the request came: so a short prompt passes a
/// long one, and nobody is passed by more prompt tokens than its own.
std::vector<Scheduler::Running*> Scheduler::prompts_in_order() {
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

/// Takes the pass further, by at least a layer, until the streams' gap is used up but for their next step.
/// Whether it is done.
bool Scheduler::run_prompts(TimePoint step_began) {
  if (prompts_.turns.empty()) return false;
  const TimePoint began = limits_.clock();
  const double gap = std::max(limits_.longest_gap, 2 * seconds_between(step_began, began));
  TimePoint layer_began = began;
  const auto pause = [&] {
    const TimePoint now = limits_.clock();
    const double layer = seconds_between(std::exchange(layer_began, now), now);
    return seconds_between(step_began, now) + layer > gap;
  };
  try {
    if (!prompts_.tokens.empty() &&
        !model_.forward_part(prompts_.tokens, cache_, pass_, pause, logits_.data()))
      return false;
  } catch (const std::exception&) {
    pass_ = {};
    for (Turn& turn : prompts_.turns) run_alone(prompts_, turn);
  }
  prompts_done_ += prompts_.tokens.size();
  return true;
}

/// Chooses tokens and gives out events.
void Scheduler::finish(Batch& batch) {
  for (Turn& turn : batch.turns) finish_turn(turn);
  batch.clear();
}

void Scheduler::take_turn(Running& request, Batch& batch) {
  const Generation& generation = *request.generation;
  const std::span<const int32_t> tokens = generation.next();
  Turn turn{&request, batch.tokens.size(), batch.tokens.size(), std::nullopt, std::nullopt};
  if (cache_.extend(request.sequence, static_cast<int>(tokens.size()))) {
    int32_t position = generation.cached();
    for (const int32_t token : tokens) batch.tokens.push_back({token, position++, request.sequence, false});
    turn.end = batch.tokens.size();
    if (generation.wants_logits()) {
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
  generation.advance();
  if (!turn.row) return;
  try {
    generation.choose(logits_of(*turn.row));
  } catch (const std::exception& error) {
    return end(*turn.request, FinishReason::error, error.what());
  }
  if (const auto reason = generation.done()) end(*turn.request, *reason);
}

std::span<float> Scheduler::logits_of(size_t row) {
  const size_t vocab = model_.shape().vocab;
  return std::span(logits_).subspan(row * vocab, vocab);
}

/// Tells its sink. What it holds is given back by release_ended().
void Scheduler::end(Running& request, FinishReason reason, const std::string& error) {
  request.generation->finish(reason, error);
  request.generation.reset();
}

/// A pass that nobody waits for any more is left; until then it may write the pages of who has ended.
void Scheduler::leave_pass() {
  const auto wanted = [](const Turn& turn) { return turn.request->generation != nullptr; };
  if (std::any_of(prompts_.turns.begin(), prompts_.turns.end(), wanted) || prompts_.turns.empty()) return;
  for (Turn& turn : prompts_.turns) turn.request->in_pass = false;
  prompts_.clear();
  pass_ = {};
}

/// Gives back what ended requests held.
void Scheduler::release_ended() {
  leave_pass();
  std::erase_if(running_, [this](const std::unique_ptr<Running>& request) {
    if (request->generation || request->in_pass) return false;
    cache_.truncate(request->sequence, 0);
    free_sequences_.push_back(request->sequence);
    free_pages_ += request->pages;
    return true;
  });
}

void Scheduler::add(std::unique_ptr<Generation> generation) {
  waiting_.push_back(std::move(generation));
}

void Scheduler::cancel(RequestId id) {
  for (const auto& request : running_) {
    if (!request->generation || request->generation->id() != id) continue;
    end(*request, FinishReason::cancelled);
    return release_ended();
  }
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    if ((*at)->id() != id) continue;
    (*at)->finish(FinishReason::cancelled);
    waiting_.erase(at);
    return;
  }
}

void Scheduler::end_all(FinishReason reason, const std::string& error) {
  for (const auto& request : running_) {
    if (request->generation) end(*request, reason, error);
  }
  streams_.clear();
  release_ended();
  for (auto& generation : waiting_) generation->finish(reason, error);
  waiting_.clear();
}

}  // namespace tern
