// tern load: how a server does under load.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "app/commands.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/progress.h"
#include "measure/load/find_rate.h"
#include "measure/load/plot.h"
#include "measure/load/report.h"
#include "measure/load/requests.h"
#include "measure/load/run.h"
#include "measure/load/sweep.h"

namespace tern::app {
namespace {

struct LoadArguments {
  load::LoadOptions load;
  std::string prompts, trace, deadline, extra, plot;
  std::optional<double> duration;
  int prompt_words = 0, most_concurrency = 256;
  bool search = false, completions = false, think = false, no_think = false, no_keep_alive = false,
       json = false;
  bool find_capacity = false;
  double find_rate_ms = 0;  ///< 0: no search
  load::SweepPlan sweep;
};

/// "300" or "50:1000": milliseconds.
std::pair<int, int> parse_deadline(const std::string& text) {
  std::pair<int, int> range;
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, range.first);
  range.second = range.first;
  if (error == std::errc{} && at != end && *at == ':') {
    const auto second = std::from_chars(at + 1, end, range.second);
    at = second.ptr;
    error = second.ec;
  }
  const bool fits = range.first >= 1 && range.second <= 3'600'000 && range.first <= range.second;
  if (error != std::errc{} || at != end || !fits)
    fail(ErrorKind::bad_input,
         "expected milliseconds from 1 to 3600000, or a range such as 50:1000, found {}", text);
  return range;
}

nlohmann::ordered_json parse_extra(const std::string& text) {
  auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) fail(ErrorKind::bad_input, "expected a JSON object, found {}", text);
  return json;
}

std::string file_text(const std::string& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void prepare(LoadArguments& arguments) {
  load::LoadOptions& load = arguments.load;
  constexpr size_t kPrompts = 1000;  // then they come again
  constexpr double kDuration = 10;
  const bool ends = load.requests > 0 || !arguments.trace.empty();
  load.duration_s = arguments.duration.value_or(ends ? 0 : kDuration);
  load.request.chat = !arguments.completions;
  load.server.keep_alive = !arguments.no_keep_alive;
  if (arguments.think || arguments.no_think) load.request.think = arguments.think;
  if (!arguments.deadline.empty()) load.request.deadline_ms = parse_deadline(arguments.deadline);
  if (!arguments.extra.empty()) load.request.extra = parse_extra(arguments.extra);
  if (!arguments.trace.empty()) load.trace = load::parse_trace(file_text(arguments.trace), arguments.trace);
  if (!arguments.prompts.empty()) {
    load.request.prompts = load::prompts_of_lines(file_text(arguments.prompts), arguments.prompts);
  } else if (arguments.prompt_words > 0) {
    load.request.prompts = load::synthetic_prompts(arguments.prompt_words, kPrompts, load.seed);
  } else {
    load.request.prompts = load::search_prompts(kPrompts);
  }
  if (load.server.api_key.empty()) {
    const char* key = std::getenv("TERN_API_KEY");
    if (key) load.server.api_key = key;
  }
  for (const char c : load.server.api_key) {
    if (c <= ' ' || c == '\x7f')
      fail(ErrorKind::bad_input, "the API key has characters that no header takes");
  }
}

/// A bar a run, each with a label of its own.
class Bars {
 public:
  void begin(const std::string& label) { bar_.emplace(label); }
  load::OnProgress progress() {
    return [this](const load::LoadProgress& at) {
      bar_->update(at.share, fmt::format("{} done, {} late, {} refused, {} failed, {} open", at.done, at.late,
                                         at.refused, at.failed, at.open));
    };
  }
  void end() { bar_.reset(); }

 private:
  std::optional<Progress> bar_;
};

struct Results {
  std::optional<load::LoadReport> report;
  std::optional<load::Capacity> capacity;
  std::optional<load::Sweep> sweep;
  std::optional<load::SustainedRate> sustained;
};

Results measure(LoadArguments& arguments) {
  Results results;
  Bars bars;
  const load::OnProgress progress = bars.progress();
  const bool sweeps = !arguments.sweep.multiples.empty();
  if (arguments.find_capacity || (sweeps && arguments.sweep.answers_s == 0)) {
    results.capacity = load::find_capacity(arguments.most_concurrency, [&](int concurrency) {
      bars.begin(fmt::format("capacity, {} at once", concurrency));
      return load::run_closed_loop(arguments.load, concurrency, progress);
    });
  }
  if (sweeps) {
    arguments.sweep.capacity = results.capacity;
    const auto begin = [&](const std::string& label) { bars.begin(label); };
    results.sweep = load::sweep(arguments.load, arguments.sweep, begin, progress);
  } else if (arguments.find_rate_ms > 0) {
    const auto begin = [&](double rate) {
      bars.begin(rate > 0 ? fmt::format("{:.1f}/s", rate) : "one at a time");
    };
    results.sustained = load::find_rate(arguments.load, arguments.find_rate_ms / 1e3, begin, progress);
  } else if (!results.capacity) {
    bars.begin("load");
    results.report = load::run_load(arguments.load, progress);
  }
  bars.end();
  return results;
}

void print(const Results& results, bool json) {
  if (json) {
    nlohmann::ordered_json out = results.report ? to_json(*results.report) : nlohmann::ordered_json::object();
    if (results.capacity) out["capacity"] = to_json(*results.capacity);
    if (results.sweep) {
      out["rounds"] = results.sweep->answers_s.size();
      out["cells"] = to_json(*results.sweep);
    }
    if (results.sustained) out["sustained"] = to_json(*results.sustained);
    return fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  if (results.capacity) fmt::print("{}", to_text(*results.capacity));
  if (results.capacity && results.sweep) fmt::print("\n");
  if (results.sweep) fmt::print("{}", to_text(*results.sweep));
  if (results.sustained) fmt::print("{}", to_text(*results.sustained));
  if (results.report) fmt::print("{}", to_text(*results.report));
}

/// A load in which something failed, or in which nothing was answered, is a failure of the command: a script
/// that goes on from its figures must notice.
void check(const Results& results) {
  std::vector<const load::LoadReport*> reports;
  if (results.report) reports.push_back(&*results.report);
  if (results.capacity) {
    for (const load::CapacityStep& step : results.capacity->steps) reports.push_back(&step.report);
  }
  if (results.sweep) {
    for (const load::LoadReport& report : results.sweep->remeasured) reports.push_back(&report);
    for (const load::SweepCell& cell : results.sweep->cells) reports.push_back(&cell.report);
  }
  if (results.sustained) {  // beyond what is sustained, failures are what was looked for
    for (const load::RateStep& step : results.sustained->steps) {
      if (step.sustained || results.sustained->rate == 0) reports.push_back(&step.report);
    }
  }
  uint64_t failed = 0, done = 0;
  std::string why;
  for (const load::LoadReport* report : reports) {
    failed += report->failed;
    done += report->done;
    if (why.empty() && !report->failures.empty()) why = report->failures.begin()->first;
  }
  if (failed > 0) fail(ErrorKind::io, "{} requests failed; for one: {}", failed, why);
  if (done == 0) fail(ErrorKind::io, "no request was answered");
}

std::string picture(const Results& results, const std::string& title) {
  if (results.report) return load::plot_svg(*results.report, title);
  if (results.sweep) return load::plot_svg(results.sweep->cells, title);
  if (results.sustained) return load::plot_svg(*results.sustained, title);
  return load::plot_svg(*results.capacity, title);
}

void run_command(LoadArguments& arguments) {
  prepare(arguments);
  std::optional<AtomicFile> plot;
  if (!arguments.plot.empty()) plot.emplace(arguments.plot);  // a bad path fails before the load
  const Results results = measure(arguments);
  if (plot) {
    plot->write(picture(results, arguments.load.server.url));
    plot->commit();
  }
  print(results, arguments.json);
  check(results);
}

void add_arrivals(CLI::App& command, LoadArguments& arguments) {
  load::LoadOptions& load = arguments.load;
  auto* rate =
      command.add_option("--rate", load.rate,
                         "Open loop: requests a second, sent when they are due whether or not the server "
                         "keeps up; times count from when a request was due");
  rate->check(CLI::Range(1e-3, 1e6));
  command
      .add_option(
          "--burstiness", load.burstiness,
          "Shape of the gamma distributed gaps of an open loop: 1 is a Poisson process, less comes in bursts")
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
  auto* concurrency =
      command
          .add_option("--concurrency", load.concurrency,
                      "Closed loop (the default): so many requests under way, each followed by the next")
          ->check(CLI::Range(1, 65536))
          ->capture_default_str();
  auto* trace =
      command
          .add_option(
              "--trace", arguments.trace,
              "Replay JSON lines {\"at_ms\": …, \"prompt\": …, \"max_tokens\": …, \"deadline_ms\": …} or "
              "{\"at_ms\": …, \"request\": {…}}")
          ->check(CLI::ExistingFile);
  auto* capacity = command.add_flag(
      "--find-capacity", arguments.find_capacity,
      "Closed loops of 1, 2, 4, … requests at once without deadlines: complete answers a second at the "
      "best");
  command
      .add_option("--most-concurrency", arguments.most_concurrency,
                  "Where --find-capacity ends at the latest")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  auto* find_rate =
      command
          .add_option(
              "--find-rate", arguments.find_rate_ms,
              "Open loops, by bisection: the highest rate at which 95% of the whole answers come within "
              "so many milliseconds of when they were due")
          ->check(CLI::Range(0.1, 3.6e6));
  auto* multiples =
      command
          .add_option("--sweep", arguments.sweep.multiples,
                      "Open loops at these multiples of the capacity, for every --burst: 0.5,1,1.5,3")
          ->delimiter(',')
          ->check(CLI::Range(0.001, 1000.0));
  command.add_option("--burst", arguments.sweep.burstiness, "Burstinesses of a sweep: 1,0.5,0.25")
      ->delimiter(',')
      ->check(CLI::Range(0.01, 1e6))
      ->needs(multiples);
  command
      .add_option("--capacity", arguments.sweep.answers_s,
                  "Answers a second that --sweep multiplies (default: found as by --find-capacity)")
      ->check(CLI::Range(1e-3, 1e6))
      ->needs(multiples);
  command
      .add_option("--rounds", arguments.sweep.rounds,
                  "How often all loads of a sweep are run, each one's results added up; a capacity that was "
                  "found is measured again before each, and the rates follow it")
      ->check(CLI::Range(1, 1000))
      ->needs(multiples)
      ->capture_default_str();
  find_rate->excludes(rate)->excludes(concurrency)->excludes(trace)->excludes(capacity)->excludes(multiples);
  rate->excludes(concurrency)->excludes(trace)->excludes(capacity)->excludes(multiples);
  trace->excludes(concurrency)->excludes(capacity)->excludes(multiples);
  command
      .add_option("--duration", arguments.duration,
                  "Seconds for which requests are sent, after the warm-up; 0: no limit (default: 10, without "
                  "--requests or --trace)")
      ->check(CLI::Range(0.0, 604800.0));
  command.add_option("--requests", load.requests, "Requests at most (0: no limit)")
      ->check(CLI::Range(uint64_t{0}, uint64_t{100'000'000}))
      ->capture_default_str();
  command.add_option("--warmup", load.warmup_s, "Seconds at the beginning that are not counted")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command
      .add_option("--seed", load.seed,
                  "Arrivals, deadlines and synthetic prompts are the same for the same seed")
      ->capture_default_str();
}

void add_requests(CLI::App& command, LoadArguments& arguments) {
  load::RequestOptions& request = arguments.load.request;
  command.add_flag("--completions", arguments.completions,
                   "Ask /completions instead of /chat/completions; over gRPC raw text");
  auto* prompts =
      command.add_option("--prompts", arguments.prompts, "A file with a prompt in each line, asked in turn")
          ->check(CLI::ExistingFile);
  auto* words =
      command.add_option("--prompt-words", arguments.prompt_words, "Synthetic prompts of so many words")
          ->check(CLI::Range(1, 1'000'000));
  auto* search =
      command.add_flag("--search", arguments.search,
                       "Noisy shop queries of the search task, the default: 1,000 of its dev split");
  prompts->excludes(words)->excludes(search);
  words->excludes(search);
  command.add_option("--max-tokens", request.max_tokens, "Tokens of a reply at most (default: the server's)")
      ->check(CLI::Range(1, 1'000'000));
  command
      .add_option(
          "--deadline", arguments.deadline,
          "Milliseconds sent as deadline_ms, or a range from which each request draws: 50:1000; over gRPC "
          "the call's own deadline")
      ->check(readable_by(parse_deadline));
  command.add_option("--late", request.late, "What tern does where the deadline can't be promised")
      ->check(CLI::IsMember({"refuse", "no_think", "best_effort"}));
  auto* think =
      command.add_flag("--think", arguments.think, "Ask for thinking (chat_template_kwargs.enable_thinking)");
  command.add_flag("--no-think", arguments.no_think, "Ask for an answer without thinking")->excludes(think);
  command.add_option("--effort", request.effort, "reasoning_effort")
      ->check(CLI::IsMember({"none", "minimal", "low", "medium", "high", "xhigh"}));
  command.add_option("--temperature", request.temperature, "Of the sampling (default: the server's)")
      ->check(CLI::Range(0.0, 2.0));
  command.add_option("--sampling-seed", request.sampling_seed, "seed of every request (default: none)");
  command.add_option("--model", request.model, "The model's name (default: the first of the server's list)");
  command
      .add_option("--extra", arguments.extra,
                  "A JSON object merged into every request's body; over gRPC only fields that it has")
      ->check(readable_by(parse_extra));
}

void add_server(CLI::App& command, LoadArguments& arguments) {
  load::ServerOptions& server = arguments.load.server;
  command
      .add_option(
          "URL", server.url,
          "The server: http://HOST:PORT, or with the path before /chat/completions; grpc://HOST:PORT for "
          "tern's own gRPC API")
      ->required();
  command.add_option("--api-key", server.api_key,
                     "Sent as `Authorization: Bearer` (default: the environment's TERN_API_KEY)");
  command.add_flag("--no-keep-alive", arguments.no_keep_alive, "A connection for each request");
  command.add_option("--timeout", server.timeout_s, "Seconds after which a request has failed")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
}

}  // namespace

void add_load(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "load", "Measure how a server of the OpenAI API, or of tern's gRPC API, does under load");
  auto arguments = std::make_shared<LoadArguments>();
  add_server(*command, *arguments);
  add_arrivals(*command, *arguments);
  add_requests(*command, *arguments);
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->add_option("--plot", arguments->plot, "Write a picture of what was measured to this SVG file");
  command->footer(R"(Examples:
  tern load http://127.0.0.1:8080                                          one request after another, 10 seconds
  tern load http://127.0.0.1:8080 --rate 50 --burstiness 0.25 --deadline 50:1000 --plot load.svg
  tern load http://127.0.0.1:8080 --find-capacity --duration 3 --warmup 1
  tern load http://127.0.0.1:8080 --find-rate 100 --duration 5
  tern load http://127.0.0.1:8080 --sweep 0.5,1,1.5,3 --burst 1,0.5,0.25 --deadline 50:1000
  tern load http://127.0.0.1:8080 --completions --prompt-words 100 --max-tokens 64 --concurrency 8
  tern load grpc://127.0.0.1:9090 --rate 50 --deadline 50:1000

On time is a complete answer (finish_reason stop) whose last byte came by the deadline, by this client's clock, counted
from when the request was due. Refused is 429 or 503, over gRPC RESOURCE_EXHAUSTED or UNAVAILABLE. Quantiles are within
0.4% (a histogram of 128 buckets an octave).
Exit codes: 0 measured, 1 a request failed or none was answered, 2 wrong usage, 3 a file that can't be read.)");
  command->callback([arguments] { run_command(*arguments); });
}

}  // namespace tern::app
