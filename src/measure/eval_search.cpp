#include "measure/eval_search.h"

#include "base/error.h"
#include "measure/search_request.h"
#include "tasks/search/baseline.h"
#include "tasks/search/examples_io.h"
#include "tasks/search/oracle.h"

namespace tern {
namespace {

using search::Example;
using search::Reply;
using search::Scores;
using search::ScoreTable;

/// The model's replies, in the examples' order.
std::vector<Reply> ask_all(Engine& engine, const std::vector<const Example*>& examples,
                           const SearchEvalOptions& options,
                           const std::function<void(const SearchProgress&)>& progress) {
  const int all = static_cast<int>(examples.size());
  std::vector<Reply> replies(examples.size());
  std::vector<FinishEvent> ends(examples.size());
  ReplySink::Gate gate;
  const auto wait_until = [&](auto&& ready) {
    std::unique_lock lock(gate.mutex);
    gate.changed.wait(lock, ready);
    const int done = gate.done;
    lock.unlock();
    progress({done, 0, all});
    return done;
  };
  for (size_t i = 0; i < examples.size(); ++i) {
    wait_until([&] { return gate.open < options.parallel; });
    GenerateRequest request = search_request(engine, examples[i]->query, options.thinking);
    {
      const std::lock_guard lock(gate.mutex);
      ++gate.open;
    }
    try {
      engine.submit(std::move(request), std::make_shared<ReplySink>(gate, replies[i], ends[i]));
    } catch (...) {
      wait_until([&] { return gate.open == 1; });  // the others still write into this function's replies
      throw;
    }
  }
  for (int done = 0; done < all;) done = wait_until([&] { return gate.done > done; });
  for (size_t i = 0; i < ends.size(); ++i) {
    if (!ends[i].error.empty())
      fail(ErrorKind::internal, "query {} (\"{}\"): {}", i, examples[i]->query, ends[i].error);
  }
  return replies;
}

Reply to_reply(const search::Answer& answer) {
  Reply reply;
  reply.answer = search::to_json(answer);
  return reply;
}

/// Scores one example's three answers: the model's, the baseline's and the oracle's.
class Judge {
 public:
  explicit Judge(const search::World& world) : oracle_(world), baseline_(world) {}

  SearchAnswer judge(const Example& example, Reply reply, SearchScores& scores) {
    const TimePoint start = Clock::now();
    const auto readings = oracle_.read(example.query);
    oracle_seconds_ += seconds_since(start);
    ambiguous_ += search::Oracle::is_ambiguous(readings);
    ++count_;
    const auto support = search::Oracle::support(readings);
    SearchAnswer answer{example, std::move(reply), {}};
    answer.score = search::score_item(example, answer.reply, support);
    scores.model.add(example.noise, answer.score);
    scores.baseline.add(example.noise,
                        search::score_item(example, to_reply(baseline_.answer(example.query)), support));
    const Reply best = readings.empty() ? Reply{} : to_reply(readings.front().answer);
    scores.ceiling.add(example.noise, search::score_item(example, best, support));
    return answer;
  }

  int ambiguous() const { return ambiguous_; }
  double mean_oracle_ms() const { return count_ ? oracle_seconds_ * 1e3 / count_ : 0; }

 private:
  search::Oracle oracle_;
  search::Baseline baseline_;
  double oracle_seconds_ = 0;
  int ambiguous_ = 0, count_ = 0;
};

}  // namespace

SearchExamples make_search_examples(const search::World& world, const SearchEvalOptions& options) {
  SearchExamples examples;
  const search::Generator seen(world, {options.split, 1, false});
  const auto level = [&](int i) { return options.noise[i % options.noise.size()]; };
  for (int i = 0; i < options.count; ++i) examples.seen.push_back(seen.at(i, level(i)));
  const search::Generator unseen(world, {options.split, 2, true});
  for (int i = 0; i < options.count / 4; ++i) {
    if (level(i) > 0) examples.unseen.push_back(unseen.at(i, level(i)));
  }
  return examples;
}

SearchExamples split_search_examples(std::vector<Example> examples) {
  SearchExamples split;
  for (Example& example : examples) {
    auto& part = search::has_unseen_noise(example) ? split.unseen : split.seen;
    part.push_back(std::move(example));
  }
  return split;
}

SearchReport evaluate_search(Engine& engine, const search::World& world, const SearchExamples& examples,
                             const SearchEvalOptions& options,
                             const std::function<void(const SearchProgress&)>& progress) {
  std::vector<const Example*> all;
  for (const auto* part : {&examples.seen, &examples.unseen}) {
    for (const Example& example : *part) all.push_back(&example);
  }
  SearchReport report;
  const TimePoint start = Clock::now();
  std::vector<Reply> replies = ask_all(engine, all, options, progress);
  report.seconds = seconds_since(start);

  Judge judge(world);
  for (size_t i = 0; i < all.size(); ++i) {
    const bool is_seen = i < examples.seen.size();
    report.answers.push_back(
        judge.judge(*all[i], std::move(replies[i]), is_seen ? report.seen : report.unseen));
    if (is_seen) report.became_ambiguous = judge.ambiguous();
    const int count = static_cast<int>(all.size());
    progress({count, static_cast<int>(i) + 1, count});
  }
  report.oracle_ms = judge.mean_oracle_ms();
  return report;
}

nlohmann::ordered_json to_json(const SearchReport& report) {
  nlohmann::ordered_json out = search::to_json(report.seen.model);
  out["unseen_noise"] = search::to_json(report.unseen.model);
  out["unseen_noise"]["baseline"] = search::to_json(report.unseen.baseline);
  out["unseen_noise"]["ceiling"] = search::to_json(report.unseen.ceiling);
  out["baseline"] = search::to_json(report.seen.baseline);
  out["ceiling"] = search::to_json(report.seen.ceiling);
  out["became_ambiguous"] = report.became_ambiguous;
  out["oracle_ms"] = report.oracle_ms;
  out["seconds"] = report.seconds;
  return out;
}

namespace {

std::string row(const std::string& name, const Scores& s) {
  const auto percent = [](double share) { return fmt::format("{:.1f}%", share * 100); };
  return fmt::format("{:<22}{:>7}{:>9}{:>9}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}\n", name, s.count,
                     percent(s.exact_match), percent(s.slot_f1), percent(s.intent_accuracy),
                     percent(s.oos_recall), percent(s.invented_rate),
                     s.thinking_tokens > 0 ? percent(s.process_accuracy) : "-",
                     s.thinking_tokens > 0 ? fmt::format("{:.1f}", s.thinking_tokens) : "-",
                     s.answer_tokens > 0 ? fmt::format("{:.1f}", s.answer_tokens) : "-");
}

std::string rows(const std::string& name, const ScoreTable& table) {
  std::string out = row(name, table.overall());
  for (int noise = 0; noise <= 4; ++noise) {
    const Scores scores = table.at_noise(noise);
    if (scores.count > 0) out += row(fmt::format("  noise {}", noise), scores);
  }
  return out;
}

}  // namespace

std::string to_text(const SearchReport& report) {
  std::string out =
      fmt::format("{:<22}{:>7}{:>9}{:>9}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}\n", "", "queries", "exact", "slot F1",
                  "intent", "oos", "invented", "process", "think", "answer");
  out += rows("model", report.seen.model);
  out += rows("baseline", report.seen.baseline);
  out += rows("ceiling (oracle)", report.seen.ceiling);
  if (report.unseen.model.overall().count > 0) {
    out += "\noperators that training never saw\n";
    out += rows("model", report.unseen.model) + rows("baseline", report.unseen.baseline) +
           rows("ceiling (oracle)", report.unseen.ceiling);
  }
  out += fmt::format(
      "\n{} of {} queries became ambiguous through noise. Oracle: {:.2f} ms a query. Model: {:.1f} s for "
      "all.\n"
      "oos: off-topic and unknown-brand queries recognised; invented: answers with an identifier no reading "
      "supports;\n"
      "process: right steps of the thinking; think, answer: mean tokens.\n",
      report.became_ambiguous, report.seen.model.overall().count, report.oracle_ms, report.seconds);
  return out;
}

}  // namespace tern
