#include "measure/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/rng.h"
#include "engine/sampler.h"

namespace tern {
namespace {

constexpr uint64_t kSeed = 1;

void check(const BenchOptions& options, const ModelShape& model) {
  const auto range = [](const char* name, int value, int least, int most) {
    if (value < least || value > most)
      fail(ErrorKind::bad_input, "bench: {}: expected {} to {}, found {}", name, least, most, value);
  };
  range("prompt tokens", options.prompt, 0, model.context);
  range("depth", options.depth, 0, model.context);
  range("generated tokens", options.generate, 0, model.context);
  if (options.depth + options.generate > model.context)
    fail(ErrorKind::bad_input, "bench: {} tokens behind {} are more than the model's context of {}",
         options.generate, options.depth, model.context);
  range("streams", options.streams, 1, 1024);
  range("rounds", options.rounds, 1, 10000);
  range("piece", options.piece, 1, 65536);
}

/// Whole streams in the cache, and one prompt behind them.
PagedCache::Shape cache_for(const BenchOptions& options, const ModelShape& model) {
  const int stream =
      options.generate > 0 ? PagedCache::pages_for(std::max(1, options.depth) + options.generate) : 0;
  const int prompt = PagedCache::pages_for(options.prompt);
  return {.layers = model.cache_layers,
          .layer_bytes = model.cache_layer_bytes,
          .pages = std::max(1, stream * options.streams + prompt),
          .max_sequences = options.streams + 1,
          .max_tokens = std::max({1, stream, prompt}) * PagedCache::kPageTokens};
}

/// Two operations for each weight that a token meets; the head's only where logits are wanted.
double operations(const ModelShape& model, double tokens, double logits) {
  const double head = static_cast<double>(model.vocab) * model.hidden;
  return 2 * ((static_cast<double>(model.active_weights) - head) * tokens + head * logits);
}

class Bench {
 public:
  Bench(const GgufFile& file, const BenchOptions& options)
      : options_(options),
        model_(load(file, options)),
        cache_((check(options, model_->shape()), cache_for(options, model_->shape()))),
        logits_(static_cast<size_t>(options.streams) * model_->shape().vocab),
        rng_(kSeed) {}

  const ModelShape& shape() const { return model_->shape(); }

  /// Runs a prompt once and forgets it.
  void prompt(BenchWork& work) {
    const SequenceId sequence = options_.streams;
    measure(work, options_.prompt, operations(shape(), options_.prompt, 1),
            [&] { feed(sequence, options_.prompt); });
    cache_.truncate(sequence, 0);
  }

  /// Tokens that each stream has before its next; that one has been said, too.
  int behind() const { return std::max(1, options_.depth) - 1; }

  /// Each stream gets a prompt of its own.
  void fill(BenchWork& work) {
    const double tokens = double(behind()) * options_.streams;
    measure(work, tokens, operations(shape(), tokens, options_.streams), [&] {
      for (int s = 0; s < options_.streams; ++s) feed(s, behind());
    });
  }

  /// All streams; what they said is forgotten.
  void decode(BenchWork& work) {
    std::vector<int32_t> next(options_.streams);
    for (int32_t& token : next) token = random_token();
    const double tokens = double(options_.generate) * options_.streams;
    measure(work, tokens, operations(shape(), tokens, tokens), [&] {
      for (int i = 0; i < options_.generate; ++i) step(behind() + i, next, work);
    });
    for (int s = 0; s < options_.streams; ++s) cache_.truncate(s, behind());
  }

 private:
  static std::unique_ptr<Model> load(const GgufFile& file, const BenchOptions& options) {
    ModelOptions model;
    model.isa = options.isa;
    model.threads = options.threads;
    model.pack = options.pack;
    model.cache = options.cache_type;
    model.progress = options.load_progress;
    model.max_batch = std::max(options.piece, options.streams);
    return load_model(file, model);
  }

  template <typename Run>
  void measure(BenchWork& work, double tokens, double ops, const Run& run) {
    const ModelStatistics before = model_->statistics();
    const TimePoint start = Clock::now();
    run();
    const double seconds = seconds_since(start);
    work.tokens_s.push_back(tokens / seconds);
    work.statistics += model_->statistics() - before;
    work.seconds += seconds;
    work.tokens += static_cast<uint64_t>(tokens);
    work.ops += ops;
  }

  int32_t random_token() { return static_cast<int32_t>(rng_.below(shape().vocab)); }

  /// So many random tokens, as a prompt in pieces; the last one wants its logits.
  void feed(SequenceId sequence, int tokens) {
    std::vector<BatchToken> batch;
    for (int done = 0; done < tokens; done += static_cast<int>(batch.size())) {
      const int count = std::min(options_.piece, tokens - done);
      batch.clear();
      for (int i = 0; i < count; ++i)
        batch.push_back({random_token(), done + i, sequence, done + i + 1 == tokens, false});
      extend(sequence, count);
      model_->forward(batch, cache_, logits_.data());
    }
  }

  void step(int position, std::vector<int32_t>& next, BenchWork& work) {
    std::vector<BatchToken> batch;
    for (int s = 0; s < options_.streams; ++s) {
      extend(s, 1);
      batch.push_back({next[s], position, s, true, true});
    }
    model_->forward(batch, cache_, logits_.data());
    const TimePoint start = Clock::now();
    const size_t vocab = shape().vocab;
    for (int s = 0; s < options_.streams; ++s)
      next[s] = sampler_.sample({logits_.data() + s * vocab, vocab}, nullptr).token;
    work.sampling_s += seconds_since(start);
  }

  void extend(SequenceId sequence, int tokens) {
    if (!cache_.extend(sequence, tokens)) fail(ErrorKind::internal, "bench: the cache is full");
  }

  BenchOptions options_;
  std::unique_ptr<Model> model_;
  PagedCache cache_;
  std::vector<float> logits_;  ///< {streams, vocab}
  Sampler sampler_{SamplingParams(), -1};
  Rng rng_;
};

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

/// A stage's name and its seconds, as they are shown.
std::vector<std::pair<std::string, double>> stages_of(const BenchWork& work) {
  std::vector<std::pair<std::string, double>> stages;
  for (size_t s = 0; s < kStages; ++s) {
    const auto stage = static_cast<Stage>(s);
    stages.emplace_back(stage_name(stage), work.statistics.stages[stage]);
  }
  stages.emplace_back("sampling", work.sampling_s);
  return stages;
}

double us_a_token(double seconds, const BenchWork& work) {
  return work.tokens > 0 ? seconds * 1e6 / static_cast<double>(work.tokens) : 0;
}

nlohmann::ordered_json stages_json(const BenchWork& work) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const auto& [name, seconds] : stages_of(work)) out[name] = us_a_token(seconds, work);
  out["waiting"] = us_a_token(work.statistics.waited_s, work);  // part of the others
  return out;
}

nlohmann::ordered_json work_json(const BenchWork& work, const MachineLimits& machine) {
  return {{"tps", work.median()},          {"rounds_tps", work.tokens_s},
          {"gbps", work.bytes_s() / 1e9},  {"bandwidth_share", share(work.bytes_s(), machine.read_bytes_s)},
          {"gops", work.ops_s() / 1e9},    {"int8_share", share(work.ops_s(), machine.int8_ops_s)},
          {"stages_us", stages_json(work)}};
}

std::string work_row(const std::string& name, const BenchWork& work, const MachineLimits& machine) {
  if (work.tokens_s.empty()) return {};
  const auto [least, most] = std::minmax_element(work.tokens_s.begin(), work.tokens_s.end());
  return fmt::format("{:<34}{:>10.2f}{:>10.2f}{:>10.2f}{:>9.1f}{:>8.0f}%{:>9.0f}{:>8.0f}%\n", name,
                     work.median(), *least, *most, work.bytes_s() / 1e9,
                     100 * share(work.bytes_s(), machine.read_bytes_s), work.ops_s() / 1e9,
                     100 * share(work.ops_s(), machine.int8_ops_s));
}

}  // namespace

double BenchWork::median() const {
  if (tokens_s.empty()) return 0;
  std::vector<double> sorted = tokens_s;
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

BenchReport run_bench(const GgufFile& file, const BenchOptions& options,
                      const std::function<void(double, const std::string&)>& progress) {
  BenchReport report;
  report.options = options;
  progress(0, "loading");
  Bench bench(file, options);
  report.model = bench.shape();
  const bool prompts = options.prompt > 0, decodes = options.generate > 0;
  const bool fills = decodes && bench.behind() > 0;
  const double jobs = 1 + fills + static_cast<double>(options.rounds) * (prompts + decodes);
  double done = 0;
  const auto next = [&](const char* what) { progress(done++ / jobs, what); };
  next("the machine");
  report.machine = measure_machine(options.isa, options.threads);
  if (fills) {
    next("filling");
    options.before_round();
    bench.fill(report.fill);
  }
  for (int round = 0; round < options.rounds; ++round) {
    options.before_round();
    if (prompts) {
      next("prompt");
      bench.prompt(report.prompt);
    }
    if (decodes) {
      next("decode");
      bench.decode(report.decode);
    }
  }
  progress(1, "done");
  return report;
}

nlohmann::ordered_json to_json(const MachineLimits& limits) {
  return {{"isa", isa_name(limits.isa)},
          {"threads", limits.threads},
          {"read_gbps", limits.read_bytes_s / 1e9},
          {"int8_gops", limits.int8_ops_s / 1e9}};
}

std::string to_text(const MachineLimits& limits) {
  return fmt::format("{} on {} thread{}: reads {:.1f} GB/s, {:.0f} billion 8-bit operations/s\n",
                     isa_name(limits.isa), limits.threads, limits.threads == 1 ? "" : "s",
                     limits.read_bytes_s / 1e9, limits.int8_ops_s / 1e9);
}

nlohmann::ordered_json to_json(const BenchReport& report) {
  const BenchOptions& options = report.options;
  nlohmann::ordered_json out;
  out["architecture"] = report.model.architecture;
  out["weights"] = report.model.weights;
  out["active_weights"] = report.model.active_weights;
  out["prompt_tokens"] = options.prompt;
  out["generated_tokens"] = options.generate;
  out["depth"] = options.depth;
  out["streams"] = options.streams;
  out["pp_tps"] = report.prompt.median();
  out["tg_tps"] = report.decode.median();
  out["gbps"] = report.decode.bytes_s() / 1e9;
  out["bandwidth_share"] = share(report.decode.bytes_s(), report.machine.read_bytes_s);
  out["stages_us"] = stages_json(report.decode);
  out["machine"] = to_json(report.machine);
  out["prompt"] = work_json(report.prompt, report.machine);
  out["fill"] = work_json(report.fill, report.machine);
  out["decode"] = work_json(report.decode, report.machine);
  return out;
}

std::string to_text(const BenchReport& report) {
  const BenchOptions& options = report.options;
  std::string out =
      fmt::format("{}, {:.2f} billion weights, {:.2f} used for a token; {}\n", report.model.architecture,
                  static_cast<double>(report.model.weights) / 1e9,
                  static_cast<double>(report.model.active_weights) / 1e9, to_text(report.machine));
  out += fmt::format("{:<34}{:>10}{:>10}{:>10}{:>9}{:>9}{:>9}{:>9}\n", "", "tokens/s", "least", "most",
                     "GB/s", "of limit", "Gop/s", "of limit");
  const std::string behind = options.depth > 0 ? fmt::format(" behind {}", options.depth) : "";
  out += work_row(fmt::format("prompt of {}", options.prompt), report.prompt, report.machine);
  out += work_row(fmt::format("filling {} x {}", options.streams, options.depth - 1), report.fill,
                  report.machine);
  out += work_row(fmt::format("{} x {} tokens{}", options.streams, options.generate, behind), report.decode,
                  report.machine);
  out += fmt::format("\n{:<12}{:>22}{:>22}\n", "", "prompt, us a token", "decode, us a token");
  const auto prompt = stages_of(report.prompt), decode = stages_of(report.decode);
  const auto cell = [](double seconds, const BenchWork& work) {
    return fmt::format("{:>14.1f}{:>7.1f}%", us_a_token(seconds, work), 100 * share(seconds, work.seconds));
  };
  for (size_t s = 0; s < prompt.size(); ++s) {
    out += fmt::format("{:<12}{}{}\n", prompt[s].first, cell(prompt[s].second, report.prompt),
                       cell(decode[s].second, report.decode));
  }
  return out + fmt::format("{:<12}{}{}  (part of the above: one thread waits for the others)\n", "waiting",
                           cell(report.prompt.statistics.waited_s, report.prompt),
                           cell(report.decode.statistics.waited_s, report.decode));
}

}  // namespace tern
