// tern eval: how well a model does a task.
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "app/commands.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/progress.h"
#include "measure/eval_deadline.h"
#include "measure/eval_search.h"
#include "tasks/search/examples_io.h"
#include "tasks/search/world.h"

namespace tern::app {
namespace {

struct EvalArguments {
  ModelArguments model;
  SearchEvalOptions options;
  std::string split = "dev", noise = "0..3", think = "on", data, exported;
  std::vector<double> deadlines;
  bool json = false;
};

/// "2" or "0..3".
std::vector<int> parse_noise(const std::string& text) {
  int low = 0, high = 0;
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, low);
  high = low;
  if (error == std::errc{} && text.compare(at - text.data(), 2, "..") == 0) {
    const auto second = std::from_chars(at + 2, end, high);
    at = second.ptr;
    error = second.ec;
  }
  if (error != std::errc{} || at != end || low < 0 || high > 4 || low > high) {
    fail(ErrorKind::bad_input, "expected a level from 0 to 4, or a range such as 0..3, found {}", text);
  }
  std::vector<int> levels;
  for (int level = low; level <= high; ++level) levels.push_back(level);
  return levels;
}

/// Opened before the evaluation, which takes a while: a bad path fails at once.
std::optional<AtomicFile> open_export(const std::string& path) {
  if (path.empty()) return std::nullopt;
  if (std::filesystem::is_directory(path)) fail(ErrorKind::io, "{}: expected a file, found a folder", path);
  return std::optional<AtomicFile>(std::in_place, path);
}

/// One JSON line an example: what was asked, what is right, what the model said.
void export_answers(AtomicFile& file, const SearchReport& report) {
  for (const SearchAnswer& answer : report.answers) {
    auto line = nlohmann::ordered_json::parse(search::example_line(answer.example));
    line["model"] = {{"thinking", answer.reply.thinking},
                     {"answer", answer.reply.answer},
                     {"exact", answer.score.exact},
                     {"invented", answer.score.invented},
                     {"thinking_tokens", answer.reply.thinking_tokens},
                     {"answer_tokens", answer.reply.answer_tokens}};
    file.write(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

void show(Progress& bar, const SearchProgress& at) {
  const bool judging = at.answered == at.all;
  bar.update(at.share(), fmt::format("{} of {} queries {}", judging ? at.judged : at.answered, at.all,
                                     judging ? "judged" : "answered"));
}

template <typename Report>
void print(const Report& report, bool json) {
  fmt::print("{}", json ? to_json(report).dump(2) + "\n" : to_text(report));
}

/// One query at a time on an engine that knows how fast it is. Queries that begin alike share nothing: each
/// would be faster than the one before.
void evaluate_by_deadline(const EvalArguments& arguments) {
  EngineOptions engine_options;
  engine_options.parallel = 1;
  engine_options.calibration_s = 1;
  engine_options.share_prefixes = false;
  arguments.model.apply(engine_options);
  const GgufFile file = arguments.model.open();
  Engine engine(file, engine_options);
  Progress progress("eval search");
  DeadlineEvalOptions options;
  options.queries = arguments.options;
  options.deadlines_ms = arguments.deadlines;
  const auto show_share = [&](double share) { progress.update(share, "by deadline"); };
  const DeadlineReport report = evaluate_deadlines(engine, search::World(), options, show_share);
  progress.finish();
  print(report, arguments.json);
}

void evaluate(EvalArguments& arguments) {
  SearchEvalOptions& options = arguments.options;
  options.split = arguments.split == "test" ? search::Split::test : search::Split::dev;
  options.noise = parse_noise(arguments.noise);
  options.thinking = arguments.think == "off" ? Thinking::off : Thinking::on;
  if (!arguments.deadlines.empty()) return evaluate_by_deadline(arguments);

  std::optional<AtomicFile> exported = open_export(arguments.exported);
  const search::World world;
  SearchExamples examples;
  if (arguments.data.empty()) {
    examples = make_search_examples(world, options);
  } else {
    examples = split_search_examples(search::read_examples(arguments.data));
  }

  EngineOptions engine_options;
  engine_options.parallel = options.parallel;
  arguments.model.apply(engine_options);
  const GgufFile file = arguments.model.open();
  Engine engine(file, engine_options);

  Progress progress("eval search");
  const SearchReport report = evaluate_search(engine, world, examples, options,
                                              [&](const SearchProgress& at) { show(progress, at); });
  progress.finish();
  if (exported) export_answers(*exported, report);
  print(report, arguments.json);
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* eval = app.add_subcommand("eval", "Measure how well a model does a task");
  eval->require_subcommand(1);
  eval->footer(R"(Examples:
  tern eval search                                       500 dev queries with the embedded model
  tern eval search --help                                all options)");
  CLI::App* search =
      eval->add_subcommand("search", "Noisy shop search: the model, a baseline of rules, and the ceiling");
  auto arguments = std::make_shared<EvalArguments>();
  arguments->model.add_to(*search);
  CLI::Option* split =
      search->add_option("--split", arguments->split, "dev to tune on, test to look at once at the end")
          ->check(CLI::IsMember({"dev", "test"}))
          ->capture_default_str();
  CLI::Option* count =
      search->add_option("--n", arguments->options.count, "Queries, spread evenly over the noise levels")
          ->check(CLI::Range(1, 1000000))
          ->capture_default_str();
  CLI::Option* noise = search
                           ->add_option("--noise", arguments->noise,
                                        "Noise operators in a query: a level from 0 to 4, or a range")
                           ->check(readable_by(parse_noise))
                           ->capture_default_str();
  CLI::Option* think = search->add_option("--think", arguments->think, "Let the model think first")
                           ->check(CLI::IsMember({"on", "off"}))
                           ->capture_default_str();
  CLI::Option* deadline =
      search
          ->add_option(
              "--deadline", arguments->deadlines,
              "Right answers by deadlines in milliseconds, such as 10,20,40,80,160: thinking closed in "
              "time, beside no thinking, the best fixed budget and truncation")
          ->delimiter(',')
          ->check(CLI::Range(1.0, 600'000.0))
          ->excludes(think);
  CLI::Option* data = search
                          ->add_option("--data", arguments->data,
                                       "Take the examples from this JSON-lines file, as --export writes")
                          ->excludes(split)
                          ->excludes(count)
                          ->excludes(noise);
  deadline->excludes(data);
  CLI::Option* exported = search->add_option(
      "--export", arguments->exported, "Write every example with the model's answer to this JSON-lines file");
  deadline->excludes(exported);
  search->add_flag("--json", arguments->json, "Print one JSON object");
  search->footer(R"(Examples:
  tern eval search                                       500 dev queries with the embedded model
  tern eval search --split test --n 2000 --json
  tern eval search -m runs/search/model.gguf --noise 3 --think off
  tern eval search --deadline 10,20,40,80,160            what a deadline costs in accuracy
  tern eval search --export answers.jsonl                to look at the mistakes; --data reads such files)");
  search->callback([arguments] { evaluate(*arguments); });
}

}  // namespace tern::app
