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
  turns_.reserve(limits.parallel);
  batch_.reserve(limits.parallel + limits.prompt_piece);
  logits_.resize(checked_mul(limits.parallel, model.shape().vocab, "the logits of one step"));
}

void Scheduler::step() {
  admit();
  schedule();
  run();
  finish();
}

/// First come, first served: who doesn't fit yet waits, and all behind with it.
void Scheduler::admit() {
  while (!waiting_.empty() && !free_sequences_.empty()) {
    const int pages = PagedCache::pages_for(waiting_.front()->most_cached());
    if (pages > free_pages_) return;
    free_pages_ -= pages;
    running_.push_back({std::move(waiting_.front()), free_sequences_.back(), pages});
    free_sequences_.pop_back();
    waiting_.pop_front();
  }
}

/// Every decoding stream, then prompts while their next piece still fits.
void Scheduler::schedule() {
  batch_.clear();
  turns_.clear();
  rows_ = 0;
  for (Running& request : running_) {
    if (!request.generation->in_prompt()) take_turn(request);
  }
  size_t room = limits_.prompt_piece;
  for (Running& request : running_) {
    if (!request.generation->in_prompt()) continue;
    const size_t piece = request.generation->next().size();
    if (piece > room) continue;  // pieces are never cut: see Generation
    room -= piece;
    take_turn(request);
  }
}

/// One forward pass for all. Where it fails, each request runs alone, so that only the guilty ones end.
void Scheduler::run() {
  if (batch_.empty()) return;
  ++steps_;
  try {
    model_.forward(batch_, cache_, logits_.data());
  } catch (const std::exception&) {
    for (Turn& turn : turns_) run_alone(turn);
  }
}

/// Chooses tokens, gives out events, and lets go of who is done.
void Scheduler::finish() {
  for (Turn& turn : turns_) finish_turn(turn);
  erase_ended();
}

void Scheduler::take_turn(Running& request) {
  const Generation& generation = *request.generation;
  const std::span<const int32_t> tokens = generation.next();
  Turn turn{&request, batch_.size(), batch_.size(), std::nullopt, std::nullopt};
  if (cache_.extend(request.sequence, static_cast<int>(tokens.size()))) {
    int32_t position = generation.cached();
    for (const int32_t token : tokens) batch_.push_back({token, position++, request.sequence, false});
    turn.end = batch_.size();
    if (generation.wants_logits()) {
      batch_.back().wants_logits = true;
      turn.row = rows_++;
    }
  } else {
    turn.error = "a bug in tern: the pages set aside for this request are gone";
  }
  turns_.push_back(std::move(turn));
}

void Scheduler::run_alone(Turn& turn) {
  const auto tokens = std::span<const BatchToken>(batch_).subspan(turn.begin, turn.end - turn.begin);
  if (tokens.empty()) return;
  try {
    model_.forward(tokens, cache_, turn.row ? logits_of(*turn.row).data() : nullptr);
  } catch (const std::exception& error) {
    turn.error = error.what();
  }
}

void Scheduler::finish_turn(Turn& turn) {
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

/// Gives back what the request held and tells its sink. Who calls it erases the entry.
void Scheduler::end(Running& request, FinishReason reason, const std::string& error) {
  cache_.truncate(request.sequence, 0);
  free_sequences_.push_back(request.sequence);
  free_pages_ += request.pages;
  request.generation->finish(reason, error);
  request.generation.reset();
}

void Scheduler::erase_ended() {
  std::erase_if(running_, [](const Running& request) { return !request.generation; });
}

void Scheduler::add(std::unique_ptr<Generation> generation) {
  waiting_.push_back(std::move(generation));
}

void Scheduler::cancel(RequestId id) {
  for (Running& request : running_) {
    if (request.generation->id() == id) end(request, FinishReason::cancelled);
    if (!request.generation) return erase_ended();
  }
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    if ((*at)->id() != id) continue;
    (*at)->finish(FinishReason::cancelled);
    waiting_.erase(at);
    return;
  }
}

void Scheduler::end_all(FinishReason reason, const std::string& error) {
  for (Running& request : running_) {
    if (request.generation) end(request, reason, error);
  }
  running_.clear();
  for (auto& generation : waiting_) generation->finish(reason, error);
  waiting_.clear();
}

}  // namespace tern
