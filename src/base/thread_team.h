// A team of threads that works through one job at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace tern {

/// The calling thread is member 0 and works too. Idle members spin briefly, then sleep, so a busy neighbour
/// costs its share and not a collapse. Not reentrant; one caller at a time.
class ThreadTeam {
 public:
  /// Below 1 counts as 1. Throws Error{limit} where the system refuses to start so many.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  /// Finds out what handing a job over to another member costs here (some tens of microseconds, or
  /// milliseconds where others have the cores), so that jobs are shared only where it makes them faster.
  /// `rate`: multiply-adds a second of one member.
  void measure_handover(double rate);

  int size() const;
  /// Seconds that the caller has waited for the others at the ends of jobs. From the caller's thread.
  double waited() const;

  /// Calls body(begin, end, member) over pieces that cover [0, items) once. `work` is the job's whole cost in
  /// multiply-adds, about: jobs that one thread does sooner run on the caller alone. Pieces are handed out
  /// dynamically, so the result may not depend on how items are cut. body must not throw.
  void parallel_for(size_t items, double work,
                    const std::function<void(size_t begin, size_t end, int member)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern
