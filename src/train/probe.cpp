#include "train/probe.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "text/chat.h"

namespace tern::train {

namespace {

constexpr int64_t examples_a_batch = 32;

void append(Batch& batch, const Sequence& sequence) {
  const int64_t at = batch.starts.back();
  for (size_t i = 0; i < sequence.tokens.size(); ++i) {
    batch.tokens.push_back(sequence.tokens[i]);
    if (i + 1 < sequence.tokens.size() && sequence.learned[i + 1]) {
      batch.rows.push_back(at + static_cast<int64_t>(i));
      batch.targets.push_back(sequence.tokens[i + 1]);
    }
  }
  batch.starts.push_back(at + static_cast<int64_t>(sequence.tokens.size()));
}

/// For each example of the batch, whether all its targets and whether those after `close` are the likeliest.
struct Hits {
  std::vector<bool> all, answer;
  double loss = 0;  ///< summed over targets
};

Hits hits(Network& network, const Batch& batch, int32_t close) {
  const c10::NoGradGuard no_grad;
  const at::Device device = network.output().device();
  const auto on_device = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(device);
  };
  const at::Tensor hidden = network.hidden(on_device(batch.tokens), Sequences(batch.starts, device));
  const at::Tensor logits = at::mm(hidden.index_select(0, on_device(batch.rows)), network.output().t());
  const at::Tensor likeliest = logits.argmax(1).cpu();
  Hits result;
  result.loss =
      head_loss(hidden.index_select(0, on_device(batch.rows)), network.output(), on_device(batch.targets), 1)
          .item<double>();
  size_t row = 0;
  for (int64_t sequence = 0; sequence < batch.sequences(); ++sequence) {
    bool all = true, answer = true;
    for (; row < batch.rows.size() && batch.rows[row] < batch.starts[sequence + 1]; ++row) {
      if (likeliest.data_ptr<int64_t>()[row] != batch.targets[row]) all = answer = false;
      if (batch.targets[row] == close) answer = true;  // what follows is the answer
    }
    result.all.push_back(all);
    result.answer.push_back(answer);
  }
  return result;
}

}  // namespace

Probe::Probe(const search::World& world, const Tokenizer& tokenizer, const DataConfig& config, int64_t count)
    : close_(thinking_tokens(tokenizer).close.value()) {
  const search::Generator generator(world, {search::Split::dev, config.seed, false});
  Rng unused(0);
  for (int64_t i = 0; i < count; ++i) {
    if (i % examples_a_batch == 0) {
      plain_.emplace_back().starts.push_back(0);
      thinking_.emplace_back().starts.push_back(0);
    }
    const search::Example example = generator.at(static_cast<uint64_t>(i), static_cast<int>(i % 4));
    append(plain_.back(), make_sequence(tokenizer, example, Trace::empty, unused));
    append(thinking_.back(), make_sequence(tokenizer, example, Trace::full, unused));
  }
}

ProbeResult Probe::run(Network& network) const {
  ProbeResult result;
  std::array<int64_t, 4> seen{};
  int64_t count = 0, targets = 0;
  for (size_t b = 0; b < plain_.size(); ++b) {
    const Hits plain = hits(network, plain_[b], close_), thinking = hits(network, thinking_[b], close_);
    result.loss += thinking.loss;
    targets += static_cast<int64_t>(thinking_[b].targets.size());
    for (size_t i = 0; i < plain.all.size(); ++i, ++count) {
      result.exact += plain.all[i];
      result.exact_thinking += thinking.all[i];
      result.exact_given_thinking += thinking.answer[i];
      result.exact_by_noise[count % 4] += thinking.all[i];
      ++seen[count % 4];
    }
  }
  const auto share = [](double& sum, int64_t of) { sum /= static_cast<double>(std::max<int64_t>(of, 1)); };
  share(result.loss, targets);
  share(result.exact, count);
  share(result.exact_thinking, count);
  share(result.exact_given_thinking, count);
  for (size_t level = 0; level < seen.size(); ++level) share(result.exact_by_noise[level], seen[level]);
  return result;
}

}  // namespace tern::train
