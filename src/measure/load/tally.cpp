#include "measure/load/tally.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace tern::load {
namespace {

/// Whether nothing of the answer is missing: it ended by itself, or, where no deadline cut it, at the
/// max_tokens that were asked for.
bool is_complete(const CallEnd& end, bool has_deadline) {
  return end.outcome == Outcome::answered &&
         (end.finish == "stop" || (end.finish == "length" && !has_deadline));
}

}  // namespace

class Tally::Call : public CallObserver {
 public:
  Call(Tally& tally, uint64_t its_number, const LoadRequest& request, TimePoint is_due, Ended ended)
      : number(its_number),
        due(is_due),
        deadline_ms(request.deadline_ms),
        counted(is_due >= tally.from_),
        tally_(tally),
        ended_(std::move(ended)) {}

  void on_first_byte(TimePoint at) override { first_byte = at; }

  void on_text(TimePoint at, bool thinking) override {
    if (events == 0) {
      first_text = at;
    } else if (counted) {
      tally_.report_.itl.add(seconds_between(last_text, at));
    }
    if (!thinking && !first_answer) first_answer = at;
    last_text = at;
    if (thinking) ++thinking_events;
    if (tally_.options_.on_text) tally_.options_.on_text(number, events, at);
    ++events;
  }

  void on_end(const CallEnd& end) override {
    tally_.count(*this, end);
    if (ended_) std::exchange(ended_, nullptr)(end);
  }

  const uint64_t number;
  const TimePoint due;
  const std::optional<int> deadline_ms;
  const bool counted;
  TimePoint first_text, last_text;
  std::optional<TimePoint> first_byte, first_answer;
  uint32_t events = 0, thinking_events = 0;

 private:
  Tally& tally_;
  Ended ended_;
};

Tally::Tally(const LoadOptions& options, TimePoint from, TimePoint until)
    : options_(options), from_(from), until_(until) {}

std::shared_ptr<CallObserver> Tally::observe(uint64_t number, const LoadRequest& request, TimePoint due,
                                             Ended ended) {
  auto call = std::make_shared<Call>(*this, number, request, due, std::move(ended));
  ++progress_.sent;
  ++progress_.open;
  if (call->counted) {
    ++report_.sent;
    if (call->deadline_ms) ++report_.with_deadline;
    report_.lag.add(seconds_since(due));
  }
  return call;
}

Fate Tally::fate_of(const Call& call, const CallEnd& end) const {
  if (end.outcome == Outcome::refused) return Fate::refused;
  if (end.outcome == Outcome::failed) return Fate::failed;
  if (!call.deadline_ms) return Fate::done;
  const bool in_time = seconds_between(call.due, end.at) * 1e3 <= *call.deadline_ms;
  return in_time && end.finish == "stop" ? Fate::on_time : Fate::late;
}

void Tally::count(const Call& call, const CallEnd& end) {
  const Fate fate = fate_of(call, end);
  --progress_.open;
  if (fate == Fate::refused) ++progress_.refused;
  if (fate == Fate::failed) ++progress_.failed;
  if (fate == Fate::late) ++progress_.late;
  if (end.outcome == Outcome::answered) ++progress_.done;

  // Rates are of what ended in the measured time, those that began in the warm-up too: else a steady load
  // would seem to start late.
  const bool in_time = end.at >= from_ && end.at <= until_;
  if (in_time && is_complete(end, call.deadline_ms.has_value())) ++report_.completed_in_time;
  if (in_time && end.outcome == Outcome::answered)
    report_.tokens_in_time += end.usage ? end.usage->completion : call.events;
  if (!call.counted) return;

  const double latency = seconds_between(call.due, end.at);
  if (report_.records.size() < kMostRecords) {
    report_.records.push_back({static_cast<float>(seconds_between(from_, call.due)),
                               static_cast<float>(latency),
                               static_cast<float>(call.deadline_ms.value_or(0)) / 1e3f, fate});
  }
  switch (fate) {
    case Fate::on_time:
      ++report_.on_time;
      break;
    case Fate::late:
      ++report_.late;
      break;
    case Fate::refused:
      ++report_.refused;
      report_.refusal.add(latency);
      break;
    case Fate::failed:
      ++report_.failed;
      report_.add_reason(end.why);
      break;
    case Fate::done:
      break;
  }
  if (end.outcome == Outcome::answered) count_answer(call, end);
}

void Tally::count_answer(const Call& call, const CallEnd& end) {
  ++report_.done;
  if (is_complete(end, call.deadline_ms.has_value())) ++report_.complete;
  if (end.tern) ++report_.server_said;
  if (end.tern && end.tern->on_time) ++report_.server_on_time;
  report_.bytes += end.bytes;
  if (end.usage) {
    report_.tokens += end.usage->completion;
    report_.prompt_tokens += end.usage->prompt;
    // Who doesn't count the thinking apart is taken by its events.
    report_.reasoning_tokens += end.usage->reasoning > 0 ? end.usage->reasoning : call.thinking_events;
  } else {
    report_.tokens += call.events;
    report_.reasoning_tokens += call.thinking_events;
    ++report_.estimated;
  }
  if (call.first_byte) report_.ttfb.add(seconds_between(call.due, *call.first_byte));
  if (call.events > 0) report_.ttft.add(seconds_between(call.due, call.first_text));
  if (call.first_answer) report_.ttfa.add(seconds_between(call.due, *call.first_answer));
  report_.e2e.add(seconds_between(call.due, end.at));
}

LoadReport Tally::report(TimePoint now) const {
  LoadReport report = report_;
  report.seconds = std::max(0.0, seconds_between(from_, std::min(now, until_)));
  return report;
}

}  // namespace tern::load
