// What a thinking model may say when: a budget for the thinking, and no way back into it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "text/reasoning.h"

namespace tern {

/// Holds a reply to its budget of thinking, on whichever side its split says that it is.
///
/// Once that many tokens have been thought, the tokens that close the thinking are forced one after the
/// other; 0 closes at once. A closing line goes before them where anything was thought. In the answer an
/// opening marker that is one token is forbidden, so thinking can't open again. A vocabulary without markers
/// never thinks.
class ThinkingBudget : public Constraint {
 public:
  /// `format` and `split` must outlive this; the split is told of each token after accept(). `line`: the
  /// tokens of the closing line. Throws
  /// Error{bad_input} for a negative budget, Error{unsupported} where the reply starts in a thought or a
  /// budget is asked of a model without markers, or whose thinking can't be closed.
  ThinkingBudget(const ReasoningFormat& format, const ReasoningSplit& split, std::optional<int> budget,
                 const std::vector<int32_t>& line = {});

  std::optional<int32_t> forced() const override;
  void mask(std::span<float> logits) const override;
  void accept(int32_t token) override;

  /// Ends the thinking now, as at the budget. Without effect in the answer, or where thinking can't be
  /// closed.
  void close();
  /// Tokens of the closing that are still to be forced, if the thinking ended now; at most.
  int closing_left() const;
  /// Whether a closing was forced, if only in part.
  bool forced_closing() const { return forced_; }
  /// Whether it was close() that did.
  bool closed() const { return asked_; }

 private:
  const ReasoningFormat& format_;
  const ReasoningSplit& split_;
  std::optional<int> budget_;
  std::vector<int32_t> closing_;  ///< the line, then the format's
  size_t line_;                   ///< tokens of the line
  bool asked_ = false;            ///< by close()
  bool forced_ = false;           ///< a token of the closing
  std::optional<size_t> next_;    ///< of closing_, once the first was forced
};

}  // namespace tern
