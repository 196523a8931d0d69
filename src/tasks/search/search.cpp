#include "tasks/search/search.h"

#include "base/error.h"
#include "tasks/search/noise.h"
#include "tasks/search/thinking.h"

namespace tern::search {
namespace {

constexpr int most_noise = 4;

/// A brand that does not exist is farther from every word than the query's noise reaches (one edit an
/// operator, seldom two), and never nearer than four edits, since the reader does not know how noisy a query
/// is.
int unknown_distance(int noise) {
  return std::max(4, noise + 1);
}

}  // namespace

std::string Example::thinking_text() const {
  std::string text;
  for (const auto& line : thinking) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

std::string Example::answer_text() const {
  return to_json(answer);
}

struct Generator::Impl {
  const World& world;
  GeneratorOptions options;
  Grammar grammar;
  NoiseChannel channel;
};

Generator::Generator(const World& world, GeneratorOptions options)
    : impl_(new Impl{world, options, Grammar(world), NoiseChannel(world)}) {}
Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;

Example Generator::at(uint64_t index, int noise) const {
  if (noise < 0 || noise > most_noise)
    fail(ErrorKind::bad_input, "noise: expected 0 to {}, found {}", most_noise, noise);
  const auto& options = impl_->options;
  const uint64_t stream = static_cast<uint64_t>(options.split);
  Rng rng = Rng::for_item(options.seed, stream, index);
  Truth truth = sample_truth(impl_->world, rng);
  uint64_t hash = truth_hash(truth);
  while (split_of(hash) != options.split) {
    truth = sample_truth(impl_->world, rng);
    hash = truth_hash(truth);
  }
  Rng noise_rng =
      Rng::for_item(options.seed ^ 0x6e6f697365ull, stream * 16 + static_cast<uint64_t>(noise), index);
  const std::string unknown =
      truth.unknown_brand ? impl_->world.invent_brand(noise_rng, unknown_distance(noise)) : "";
  Spoken spoken = impl_->grammar.say(truth, unknown, options.split, rng);
  Example example;
  example.index = index;
  example.noise = noise;
  example.clean = join_tokens(spoken.tokens);
  example.steps = impl_->channel.corrupt(spoken.tokens, noise, options.unseen_noise, spoken, noise_rng);
  example.query = join_tokens(spoken.tokens);
  example.thinking = make_thinking(impl_->world, truth, spoken);
  example.answer = std::move(truth.answer);
  example.truth_hash = hash;
  example.phrasing_hash = spoken.phrasing_hash;
  return example;
}

}  // namespace tern::search
