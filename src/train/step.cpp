#include "train/step.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <exception>
#include <thread>

namespace tern::train {

namespace {

/// This part's share of the mean over `count` targets; with `learn` its gradients too.
double run_part(Network& network, const Batch& batch, int64_t count, bool learn) {
  const c10::AutoGradMode mode(learn);
  const at::Device device = network.output().device();
  const auto on_device = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(device);
  };
  const Sequences sequences(batch.starts, device);
  const at::Tensor hidden = network.hidden(on_device(batch.tokens), sequences);
  const at::Tensor rows = hidden.index_select(0, on_device(batch.rows));
  const at::Tensor loss = head_loss(rows, network.output(), on_device(batch.targets), count);
  if (learn) loss.backward();
  return loss.item<double>();
}

}  // namespace

std::vector<Batch> split_batch(const Batch& batch, size_t parts) {
  std::vector<Batch> result;
  size_t sequence = 0, row = 0;
  const auto sequences = static_cast<size_t>(batch.sequences());
  for (size_t part = 0; part < parts && sequence < sequences; ++part) {
    const int64_t first = batch.starts[sequence];
    const int64_t goal = batch.starts.back() * static_cast<int64_t>(part + 1) / static_cast<int64_t>(parts);
    Batch piece;
    piece.starts.push_back(0);
    do {
      ++sequence;
      piece.starts.push_back(batch.starts[sequence] - first);
    } while (sequence < sequences && batch.starts[sequence] < goal);
    const int64_t last = batch.starts[sequence];
    piece.tokens.assign(batch.tokens.begin() + first, batch.tokens.begin() + last);
    for (; row < batch.rows.size() && batch.rows[row] < last; ++row) {
      piece.rows.push_back(batch.rows[row] - first);
      piece.targets.push_back(batch.targets[row]);
    }
    result.push_back(std::move(piece));
  }
  return result;
}

Stepper::Stepper(Network& network, int threads) {
  networks_.push_back(&network);
  for (int i = 1; i < threads; ++i) {
    replicas_.push_back(make_replica(network));
    networks_.push_back(replicas_.back().get());
  }
}

double Stepper::accumulate(const Batch& batch) {
  return run(batch, true);
}

double Stepper::loss(const Batch& batch) {
  return run(batch, false);
}

double Stepper::run(const Batch& batch, bool learn) {
  const std::vector<Batch> parts = split_batch(batch, networks_.size());
  const auto count = static_cast<int64_t>(batch.targets.size());
  std::vector<double> losses(parts.size(), 0.0);
  std::vector<std::exception_ptr> errors(parts.size());
  const auto work = [&](size_t i) {
    try {
      losses[i] = run_part(*networks_[i], parts[i], count, learn);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < parts.size(); ++i) {
    threads.emplace_back([&, i] {
      at::set_num_threads(1);
      work(i);
    });
  }
  work(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }

  const c10::NoGradGuard no_grad;
  for (size_t i = 1; learn && i < parts.size(); ++i) {
    auto& from = networks_[i]->parameters().gradients();
    auto& to = networks_[0]->parameters().gradients();
    for (size_t g = 0; g < to.size(); ++g) {
      to[g].add_(from[g]);
      from[g].zero_();
    }
  }
  double loss = 0;
  for (double part : losses) loss += part;
  return loss;
}

at::Tensor Stepper::take_load() {
  at::Tensor load = networks_[0]->take_load();
  for (size_t i = 1; i < networks_.size(); ++i) {
    const at::Tensor more = networks_[i]->take_load();
    if (load.defined()) load += more;
  }
  return load;
}

}  // namespace tern::train
