// The noise channel: operators that corrupt a query one place at a time, each logged.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tasks/search/grammar.h"

namespace tern::search {

enum class NoiseOp : uint8_t {
  neighbour_key,
  swap,
  drop,
  double_letter,
  missing_space,
  sound_alike,
  abbreviation,
  mixed_language,
  letter_case,
  truncation,
  word_order,
  units,
  extra_space,  ///< never trained on
  vowel_drop,   ///< never trained on
};

std::string_view noise_op_name(NoiseOp op);
/// How often training's noise draws each of its twelve operators, relative to each other, by NoiseOp.
std::span<const double> noise_op_weights();

/// Pairs of spellings that sound alike ("ph", "f"), both directions listed.
struct SoundPair {
  std::string_view from;
  std::string_view to;
};
std::span<const SoundPair> sound_pairs();
/// The keys around `letter` on a QWERTY keyboard.
std::string_view neighbour_keys(char letter);

class NoiseChannel {
 public:
  explicit NoiseChannel(const World& world);

  /// Applies exactly `count` operators to `tokens` and logs them. With `unseen`, the first is one of the two
  /// that training never uses. An invented brand's letters change by at most one edit an operator; numbers
  /// change in `units` alone; a word is hit twice only where no other place is left.
  std::vector<NoiseStep> corrupt(std::vector<Token>& tokens, int count, bool unseen, const Spoken& spoken,
                                 Rng& rng) const;

 private:
  bool apply(NoiseOp op, int most_hits, std::vector<Token>& tokens, const Spoken& spoken, Rng& rng,
             NoiseStep& step) const;
  bool change_word(NoiseOp op, Token& token, bool unknown, Rng& rng) const;
  bool translate(std::vector<Token>& tokens, size_t at, NoiseStep& step, Rng& rng) const;

  const World& world_;
  std::unordered_map<std::string, const Translation*> translation_by_word_;
  std::unordered_map<std::string, std::string> abbreviation_by_word_;
};

}  // namespace tern::search
