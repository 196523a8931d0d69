#include "train/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <csignal>
#include <filesystem>
#include <optional>

#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/progress.h"
#include "files/gguf.h"
#include "train/checkpoint.h"
#include "train/data.h"
#include "train/export.h"
#include "train/log.h"
#include "train/probe.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/tensors.h"

namespace tern::train {

namespace {

volatile std::sig_atomic_t stop_requested = 0;

void request_stop(int) {
  stop_requested = 1;
}

/// The run's vocabulary: learned at its beginning, then read from its folder, so that a resumed run has the
/// same.
Tokenizer run_tokenizer(const std::string& path, const search::World& world, const Config& config,
                        bool begun) {
  if (!begun || !std::filesystem::exists(path)) {
    GgufWriter writer;
    writer.add_string("general.architecture", "vocabulary");
    write_vocabulary(learn_vocabulary(world, config.data, config.model.vocab_size), writer);
    writer.write(path);
  }
  Tokenizer tokenizer(read_vocabulary(GgufFile::open(path)));
  if (tokenizer.size() != config.model.vocab_size) {
    fail(ErrorKind::bad_input, "{}: {} tokens, but model.vocab_size is {}", path, tokenizer.size(),
         config.model.vocab_size);
  }
  return tokenizer;
}

class Run {
 public:
  Run(const Config& config, const TrainerOptions& options);
  void train();
  void finish();

 private:
  std::string path(const char* name) const { return options_.out + "/" + name; }
  bool begun() const { return std::filesystem::exists(path("checkpoint.safetensors")); }
  double seconds() const { return state_.seconds + seconds_since(started_); }
  void step(Prefetch& data);
  void log_steps();
  void run_probe();
  void save();

  const Config& config_;
  const TrainerOptions& options_;
  search::World world_;
  Tokenizer tokenizer_;
  std::unique_ptr<Network> network_;
  Stepper stepper_;
  AdamW optimizer_;
  RunState state_;  // seconds: those of earlier processes
  TimePoint started_ = Clock::now();
  std::optional<RunLog> log_;
  ExampleStream stream_;
  Probe probe_;
  Progress progress_;
  std::string probed_;

  StepRecord sums_;  // since the last line of the log
  int64_t summed_ = 0, logged_tokens_ = 0;
  double logged_seconds_ = 0;
  TimePoint saved_at_ = Clock::now(), probed_at_ = Clock::now();
};

at::TensorOptions device_options(const std::string& device) {
  if (device == "cuda" && !at::hasCUDA()) {
    fail(ErrorKind::unsupported, "--device cuda: this PyTorch finds no CUDA device");
  }
  return at::TensorOptions(at::kFloat).device(at::Device(device));
}

Run::Run(const Config& config, const TrainerOptions& options)
    : config_(config),
      options_(options),
      tokenizer_(run_tokenizer(path("vocabulary.gguf"), world_, config, begun())),
      network_(make_network(config.model, device_options(options.device), config.run.seed)),
      stepper_(*network_, options.device == "cpu" ? options.threads : 1),
      optimizer_(network_->parameters(), config.optimizer),
      stream_(world_, tokenizer_, config.data),
      probe_(world_, tokenizer_, config.data, config.run.probe_examples),
      progress_("train") {
  if (begun()) state_ = load_checkpoint(path("checkpoint.safetensors"), *network_, optimizer_);
  log_.emplace(path("log.jsonl"), state_.step);
  logged_tokens_ = state_.tokens;
  logged_seconds_ = state_.seconds;
  started_ = Clock::now();
}

void Run::train() {
  progress_.update(run_progress(config_.run, state_.step, seconds()), "");
  Prefetch data(stream_, state_.next_index);
  while (!stop_requested && run_progress(config_.run, state_.step, seconds()) < 1) {
    step(data);
    if (summed_ == config_.run.log_every) log_steps();
    if (config_.run.probe_minutes > 0 && seconds_since(probed_at_) >= 60 * config_.run.probe_minutes)
      run_probe();
    if (seconds_since(saved_at_) >= 60 * config_.run.checkpoint_minutes) save();
  }
}

void Run::step(Prefetch& data) {
  const Batch batch = data.next();
  const double rate = learning_rate(config_.optimizer, run_progress(config_.run, state_.step, seconds()));
  sums_.loss += stepper_.accumulate(batch);
  sums_.gradient_norm += optimizer_.step(rate);
  const Balance balance = network_->balance(stepper_.take_load(), config_.optimizer.balance_rate);
  sums_.max_violation += balance.worst;
  sums_.mean_violation += balance.mean;
  sums_.learning_rate = rate;
  ++summed_;
  ++state_.step;
  state_.tokens += static_cast<int64_t>(batch.tokens.size());
  state_.next_index = batch.next_index;
}

void Run::log_steps() {
  StepRecord record = sums_;
  const auto count = static_cast<double>(summed_);
  record.step = state_.step;
  record.tokens = state_.tokens;
  record.seconds = seconds();
  record.loss /= count;
  record.gradient_norm /= count;
  record.max_violation /= count;
  record.mean_violation /= count;
  record.tokens_a_second =
      static_cast<double>(state_.tokens - logged_tokens_) / (record.seconds - logged_seconds_ + 1e-9);
  log_->add(record);
  progress_.update(run_progress(config_.run, state_.step, record.seconds),
                   fmt::format("loss {:.4f}  {:.0f} tokens/s  MaxVio {:.2f}{}", record.loss,
                               record.tokens_a_second, record.max_violation, probed_));
  sums_ = {};
  summed_ = 0;
  logged_tokens_ = state_.tokens;
  logged_seconds_ = record.seconds;
}

void Run::run_probe() {
  const ProbeResult result = probe_.run(*network_);
  log_->add(state_.step, state_.tokens, seconds(), result);
  probed_ = fmt::format("  dev exact {:.1f}%", 100 * result.exact_thinking);
  probed_at_ = Clock::now();
}

void Run::save() {
  if (summed_ > 0) log_steps();  // a resumed run has no other record of these steps
  RunState state = state_;
  state.seconds = seconds();
  save_checkpoint(path("checkpoint.safetensors"), *network_, optimizer_, state, lasting_settings(config_));
  write_file(path("loss.svg"), loss_curve_svg(read_file(path("log.jsonl")), config_.name));
  saved_at_ = Clock::now();
}

void Run::finish() {
  if (summed_ > 0) log_steps();  // before the probe's line
  run_probe();
  save();
  progress_.finish();
  export_model(*network_, tokenizer_.vocabulary(), config_, options_.out);
}

}  // namespace

void train_search(const Config& config, const TrainerOptions& options) {
  std::filesystem::create_directories(options.out);
  const std::string checkpoint = options.out + "/checkpoint.safetensors";
  const bool begun = std::filesystem::exists(checkpoint);
  if (begun && !options.resume) {
    fail(ErrorKind::bad_input,
         "{}: holds a run already; add --resume to go on with it, or name another folder", options.out);
  }
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
  if (begun) check_settings(checkpoint, lasting_settings(config));
  Run run(config, options);
  write_file(options.out + "/config.toml", config_text(config));
  run.train();
  run.finish();
}

std::vector<std::vector<float>> run_logits(const Config& config, const TrainerOptions& options,
                                           const std::vector<int64_t>& tokens) {
  for (int64_t token : tokens) {
    if (token < 0 || token >= config.model.vocab_size) {
      fail(ErrorKind::bad_input, "token {}: expected 0 to {}", token, config.model.vocab_size - 1);
    }
  }
  const c10::NoGradGuard no_grad;
  check_settings(options.out + "/checkpoint.safetensors", lasting_settings(config));
  const auto network = make_network(config.model, device_options(options.device), config.run.seed);
  AdamW optimizer(network->parameters(), config.optimizer);
  load_checkpoint(options.out + "/checkpoint.safetensors", *network, optimizer);
  const at::Device device = network->output().device();
  const Sequences sequences({0, static_cast<int64_t>(tokens.size())}, device);
  const at::Tensor hidden = network->hidden(at::tensor(tokens, at::kLong).to(device), sequences);
  const at::Tensor logits = at::mm(hidden, network->output().t());
  std::vector<std::vector<float>> result;
  for (int64_t row = 0; row < logits.size(0); ++row) result.push_back(tensor_floats(logits[row]));
  return result;
}

}  // namespace tern::train
