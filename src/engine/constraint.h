// What a thinking model may say when: a budget for the thinking, and no way back into it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/sampler.h"
#include "text/chat.h"

namespace tern {

/// Follows which side of the thinking a reply is on and holds it to its budget.
///
/// A reply thinks from the start where its prompt ended in the opening marker, or where its first token is
/// that marker. The closing marker ends the thinking; in the answer the opening marker is forbidden, so
/// thinking can't open again. With a budget, the closing marker is forced once that many tokens have been
/// thought: 0 closes at once. A vocabulary without markers never thinks.
class ThinkingBudget : public Constraint {
 public:
  enum class Side { unsaid, thinking, answer };

  /// start: thinking or answer where the prompt ended in the opening or closing marker, else unsaid.
  /// Throws Error{bad_input} for a negative budget, Error{unsupported} where thinking or a budget is asked of
  /// a vocabulary without the markers.
  ThinkingBudget(ThinkingTokens markers, Side start, std::optional<int> budget);

  std::optional<int32_t> forced() const override;
  void mask(std::span<float> logits) const override;
  void accept(int32_t token) override;

  bool thinking() const { return side_ == Side::thinking; }
  /// Tokens thought so far, the markers not counted (as vLLM counts reasoning tokens).
  int thought() const { return thought_; }

 private:
  ThinkingTokens markers_;
  std::optional<int> budget_;
  Side side_;
  int thought_ = 0;
};

}  // namespace tern
