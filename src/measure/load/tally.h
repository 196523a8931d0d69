// From what single calls told to a report.
#pragma once

#include <functional>
#include <memory>

#include "measure/load/options.h"
#include "measure/load/record.h"
#include "measure/load/run.h"
#include "measure/load/transport.h"

namespace tern::load {

/// Gathers the calls of one load. Belongs to the I/O thread.
class Tally {
 public:
  /// Measures what is due from `from` on, and the rates until `until`. The options must outlive it.
  Tally(const LoadOptions& options, TimePoint from, TimePoint until);

  using Ended = std::function<void(const CallEnd&)>;
  /// The observer of a call that is sent now; `ended` is called once it was counted. It must not outlive the
  /// tally.
  std::shared_ptr<CallObserver> observe(uint64_t number, const LoadRequest& request, TimePoint due,
                                        Ended ended);
  /// All so far; the measured time ends at `now` at the latest.
  LoadReport report(TimePoint now) const;
  const LoadProgress& progress() const { return progress_; }

 private:
  class Call;
  void count(const Call& call, const CallEnd& end);
  void count_answer(const Call& call, const CallEnd& end);
  Fate fate_of(const Call& call, const CallEnd& end) const;

  const LoadOptions& options_;
  TimePoint from_, until_;
  LoadReport report_;
  LoadProgress progress_;
};

}  // namespace tern::load
