#include "tests/model/runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "base/error.h"

namespace tern {

PagedCache cache_for(const Model& model, int sequences, int tokens) {
  return PagedCache({.layers = model.shape().cache_layers,
                     .layer_bytes = model.shape().cache_layer_bytes,
                     .pages = sequences * PagedCache::pages_for(tokens),
                     .max_sequences = sequences,
                     .max_tokens = tokens});
}

std::vector<float> run_sequence(Model& model, PagedCache& cache, SequenceId sequence,
                                std::span<const int32_t> tokens, int piece) {
  const size_t vocab = model.shape().vocab;
  std::vector<float> logits(tokens.size() * vocab);
  for (size_t done = 0; done < tokens.size();) {
    const size_t count = std::min<size_t>(piece, tokens.size() - done);
    const int position = cache.length(sequence);
    if (!cache.extend(sequence, static_cast<int>(count))) fail(ErrorKind::limit, "test: no room");
    std::vector<BatchToken> batch;
    for (size_t i = 0; i < count; ++i) batch.push_back({tokens[done + i], position + int(i), sequence, true});
    model.forward(batch, cache, logits.data() + done * vocab);
    done += count;
  }
  return logits;
}

std::vector<float> run_fresh(Model& model, std::span<const int32_t> tokens, int piece) {
  PagedCache cache = cache_for(model);
  return run_sequence(model, cache, 0, tokens, piece);
}

void Routes::on_route(int layer, const BatchToken& token, std::span<const int32_t> experts,
                      std::span<const float> weights) {
  std::vector<int32_t>& chosen = chosen_[layer][token.position];
  chosen.assign(experts.begin(), experts.end());
  std::sort(chosen.begin(), chosen.end());
  for (const float weight : weights) EXPECT_GT(weight, 0);
}

std::vector<int32_t> Routes::all() const {
  std::vector<int32_t> result;
  for (const auto& [layer, tokens] : chosen_) {
    for (const auto& [position, experts] : tokens)
      result.insert(result.end(), experts.begin(), experts.end());
  }
  return result;
}

std::vector<int32_t> Routes::at(int position) const {
  std::vector<int32_t> result;
  for (const auto& [layer, tokens] : chosen_) {
    const std::vector<int32_t>& experts = tokens.at(position);
    result.insert(result.end(), experts.begin(), experts.end());
  }
  return result;
}

size_t count_same(std::span<const int32_t> a, std::span<const int32_t> b) {
  if (a.size() != b.size()) fail(ErrorKind::internal, "test: {} experts beside {}", a.size(), b.size());
  return std::inner_product(a.begin(), a.end(), b.begin(), size_t{0}, std::plus<>(), std::equal_to<>());
}

double relative_error(std::span<const float> a, std::span<const float> b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    norm += double{b[i]} * b[i];
  }
  return std::sqrt(difference / norm);
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace tern
