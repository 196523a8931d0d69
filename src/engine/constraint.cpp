#include "engine/constraint.h"

#include <limits>

#include "base/error.h"

namespace tern {

ThinkingBudget::ThinkingBudget(ThinkingTokens markers, Side start, std::optional<int> budget)
    : markers_(markers), budget_(budget), side_(start) {
  if (budget && *budget < 0)
    fail(ErrorKind::bad_input, "thinking_budget: expected 0 or more tokens, found {}", *budget);
  if ((start == Side::thinking || budget) && !(markers.open && markers.close))
    fail(ErrorKind::unsupported, "{}: this model's vocabulary has no <think> and </think>",
         budget ? "thinking_budget" : "thinking");
}

std::optional<int32_t> ThinkingBudget::forced() const {
  const bool spent = side_ == Side::thinking && budget_ && thought_ >= *budget_;
  return spent ? markers_.close : std::nullopt;
}

void ThinkingBudget::mask(std::span<float> logits) const {
  const bool known = markers_.open && static_cast<size_t>(*markers_.open) < logits.size();
  if (side_ == Side::answer && known) logits[*markers_.open] = -std::numeric_limits<float>::infinity();
}

void ThinkingBudget::accept(int32_t token) {
  switch (side_) {
    case Side::unsaid:
      side_ = token == markers_.open ? Side::thinking : Side::answer;
      break;
    case Side::thinking:
      if (token == markers_.close) {
        side_ = Side::answer;
      } else {
        ++thought_;
      }
      break;
    case Side::answer:
      break;
  }
}

}  // namespace tern
