#include "measure/load/run.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <limits>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "base/error.h"
#include "base/threads.h"
#include "measure/load/arrivals.h"
#include "measure/load/requests.h"
#include "measure/load/tally.h"
#include "measure/load/transport.h"

namespace tern::load {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr double kShortestPause = 0.01, kLongestPause = 1, kPauseAfterFailure = 0.1;

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// Of this process: gRPC has threads of its own.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// As many connections as there may be files, most of them at least.
int connections_possible(int wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kOthers = 64;  // files this process has for other things
  const rlim_t most = limit.rlim_cur > 2 * kOthers ? limit.rlim_cur - kOthers : kOthers;
  return static_cast<int>(std::min<rlim_t>(most, static_cast<rlim_t>(wanted)));
}

void check(const LoadOptions& options) {
  const auto require = [](bool holds, const char* what, const auto& found) {
    if (!holds) fail(ErrorKind::bad_input, "{}, found {}", what, found);
  };
  require(options.concurrency >= 1 && options.concurrency <= 65536, "concurrency: expected 1 to 65,536",
          options.concurrency);
  require(options.duration_s >= 0 && options.duration_s <= 7 * 86400,
          "duration: expected 0 to 604,800 seconds", options.duration_s);
  require(options.warmup_s >= 0 && options.warmup_s <= 86400, "warmup: expected 0 to 86,400 seconds",
          options.warmup_s);
  require(options.most_connections >= 1, "connections: expected 1 or more", options.most_connections);
  require(options.server.timeout_s > 0 && options.server.timeout_s <= 86400,
          "timeout: expected above 0 to 86,400 seconds", options.server.timeout_s);
  if (options.duration_s == 0 && options.requests == 0 && options.trace.empty())
    fail(ErrorKind::bad_input, "a load needs an end: a duration, a number of requests, or a trace");
}

std::string model_of(const LoadOptions& options, Transport& transport) {
  return options.request.model.empty() ? transport.first_model() : options.request.model;
}

/// Decides what is sent when.
class Driver {
 public:
  Driver(const LoadOptions& options, const OnProgress& progress);
  LoadReport run();

 private:
  struct Due {
    uint64_t number;
    TimePoint at;
  };

  bool open_loop() const { return options_.rate > 0 || !options_.trace.empty(); }
  void begin_closed_loop();
  void await_next();
  std::optional<TimePoint> next_due();
  void send_or_queue(Due due);
  void send(Due due);
  void on_end(const CallEnd& end);
  void send_after(const CallEnd& end);
  bool may_send(TimePoint at) const { return sent_ < most_ && at < stop_; }
  void show_progress();
  bool is_done() const;
  void end_if_done();

  const LoadOptions& options_;
  const OnProgress& progress_;
  asio::io_context io_{1};
  std::unique_ptr<Transport> transport_;
  RequestMaker maker_;
  const TimePoint begin_, stop_;
  const uint64_t most_;
  const size_t most_open_;
  Tally tally_;
  std::optional<Arrivals> arrivals_;
  asio::steady_timer arrival_{io_}, show_{io_};
  TimePoint last_due_;
  uint64_t sent_ = 0;      ///< or waiting in queue_
  std::deque<Due> queue_;  ///< due, but every connection is taken
  size_t pausing_ = 0;     ///< places of a closed loop that wait before they go on
  bool arriving_ = false;
};

Driver::Driver(const LoadOptions& options, const OnProgress& progress)
    : options_(options),
      progress_(progress),
      transport_(make_transport(io_, options.server)),
      maker_(options, model_of(options, *transport_)),
      begin_(Clock::now()),
      stop_(options.duration_s > 0 ? begin_ + duration_of(options.warmup_s + options.duration_s)
                                   : TimePoint::max()),
      most_(std::min(options.requests > 0 ? options.requests : std::numeric_limits<uint64_t>::max(),
                     options.trace.empty() ? std::numeric_limits<uint64_t>::max() : options.trace.size())),
      most_open_(static_cast<size_t>(connections_possible(options.most_connections))),
      tally_(options, begin_ + duration_of(options.warmup_s), stop_),
      last_due_(begin_) {
  if (options.rate > 0) arrivals_.emplace(options.rate, options.burstiness, options.seed);
}

LoadReport Driver::run() {
  prefer_latency();  // what comes is to be noticed when it comes, also where the server is on the same cores
  const double cpu = cpu_seconds();
  io_.restart();  // asking for the model may have run it dry
  if (open_loop()) {
    arriving_ = true;
    await_next();
  } else {
    begin_closed_loop();
  }
  if (progress_) show_progress();
  io_.run();
  LoadReport report = tally_.report(Clock::now());
  report.client_cpu_s = cpu_seconds() - cpu;
  report.client_wall_s = seconds_since(begin_);
  return report;
}

void Driver::begin_closed_loop() {
  const auto places = std::min<uint64_t>(options_.concurrency, most_);
  for (uint64_t i = 0; i < places; ++i) {
    const Due due{sent_++, Clock::now()};
    send_or_queue(due);
  }
}

/// When the next request of an open loop or a trace is due.
std::optional<TimePoint> Driver::next_due() {
  if (!arrivals_) {
    if (sent_ >= most_) return std::nullopt;
    last_due_ = begin_ + duration_of(options_.trace[sent_].at_s);
  } else {
    last_due_ += duration_of(arrivals_->next_gap());
  }
  return may_send(last_due_) ? std::optional(last_due_) : std::nullopt;
}

void Driver::await_next() {
  const std::optional<TimePoint> due = next_due();
  if (!due) {
    arriving_ = false;
    return end_if_done();
  }
  arrival_.expires_at(*due);
  arrival_.async_wait([this, due = *due](error_code error) {
    if (error) return;
    send_or_queue({sent_++, due});
    await_next();
  });
}

void Driver::send_or_queue(Due due) {
  if (tally_.progress().open >= most_open_) {
    queue_.push_back(due);
  } else {
    send(due);
  }
}

void Driver::send(Due due) {
  const LoadRequest request = maker_.make(due.number);
  transport_->start(request,
                    tally_.observe(due.number, request, due.at, [this](const CallEnd& end) { on_end(end); }));
}

void Driver::on_end(const CallEnd& end) {
  if (!queue_.empty()) {
    const Due next = queue_.front();
    queue_.pop_front();
    send(next);
  }
  if (!open_loop()) send_after(end);
  end_if_done();
}

/// A closed loop goes on where a request has ended.
void Driver::send_after(const CallEnd& end) {
  if (!may_send(Clock::now())) return;
  double pause = 0;
  if (end.outcome == Outcome::failed) pause = kPauseAfterFailure;
  if (end.outcome == Outcome::refused)
    pause = std::clamp(end.retry_after_s.value_or(0), kShortestPause, kLongestPause);
  if (pause == 0) return send_or_queue({sent_++, Clock::now()});
  ++pausing_;
  auto timer = std::make_shared<asio::steady_timer>(io_, duration_of(pause));
  timer->async_wait([this, timer](error_code error) {
    if (error) return;
    --pausing_;
    if (may_send(Clock::now())) send_or_queue({sent_++, Clock::now()});
    end_if_done();
  });
}

void Driver::show_progress() {
  LoadProgress now = tally_.progress();
  const double by_count = most_ == std::numeric_limits<uint64_t>::max()
                              ? 0
                              : static_cast<double>(sent_) / static_cast<double>(most_);
  const double by_time =
      stop_ == TimePoint::max() ? 0 : seconds_since(begin_) / std::max(1e-9, seconds_between(begin_, stop_));
  now.share = std::min(1.0, std::max(by_count, by_time));
  progress_(now);
  show_.expires_after(std::chrono::milliseconds(100));
  show_.async_wait([this](error_code error) {
    if (!error && !is_done()) show_progress();  // it may have been on its way when it was cancelled
  });
}

bool Driver::is_done() const {
  if (arriving_ || pausing_ > 0 || !queue_.empty() || tally_.progress().open > 0) return false;
  return open_loop() || !may_send(Clock::now());  // else it is between two requests of one place
}

/// run() returns when nothing is left to wait for.
void Driver::end_if_done() {
  if (!is_done()) return;
  show_.cancel();
  transport_->abort_all("the load has ended");
}

}  // namespace

LoadReport run_load(const LoadOptions& options, const OnProgress& progress) {
  check(options);
  Driver driver(options, progress);
  return driver.run();
}

LoadReport run_closed_loop(LoadOptions options, int concurrency, const OnProgress& progress) {
  options.rate = 0;
  options.trace.clear();
  options.request.deadline_ms.reset();
  options.concurrency = concurrency;
  return run_load(options, progress);
}

}  // namespace tern::load
