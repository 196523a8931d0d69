#include "engine/constraint.h"

#include <limits>

#include "base/error.h"

namespace tern {

ThinkingBudget::ThinkingBudget(const ReasoningFormat& format, const ReasoningSplit& split,
                               std::optional<int> budget, const std::vector<int32_t>& line)
    : format_(format), split_(split), budget_(budget), closing_(line), line_(line.size()) {
  closing_.insert(closing_.end(), format.closing.begin(), format.closing.end());

  if (budget && *budget < 0)
    fail(ErrorKind::bad_input, "thinking_budget: expected 0 or more tokens, found {}", *budget);
  if (budget && format.closing.empty())
    fail(ErrorKind::unsupported,
         "thinking_budget: this model has no marker, such as </think>, that ends thinking");
}

std::optional<int32_t> ThinkingBudget::forced() const {
  const bool spent = split_.thinking() && (asked_ || (budget_ && split_.thought() >= *budget_));
  if (!next_ && !spent) return std::nullopt;
  return closing_[next_.value_or(split_.thought() > 0 ? 0 : line_)];
}

void ThinkingBudget::mask(std::span<float> logits) const {
  if (split_.side() != ReasoningSplit::Side::answer) return;
  const auto open = format_.open.id;
  const bool known = open && static_cast<size_t>(*open) < logits.size();
  if (known) logits[*open] = -std::numeric_limits<float>::infinity();
}

void ThinkingBudget::accept(int32_t token) {
  const auto due = forced();
  if (!due || token != *due) return;
  next_ = next_.value_or(split_.thought() > 0 ? 0 : line_) + 1;
  if (*next_ == closing_.size()) next_.reset();
  forced_ = true;
}

void ThinkingBudget::close() {
  if (!format_.closing.empty() && split_.side() != ReasoningSplit::Side::answer) asked_ = true;
}

int ThinkingBudget::closing_left() const {
  if (split_.side() == ReasoningSplit::Side::answer || format_.closing.empty()) return 0;
  const int opening = split_.side() == ReasoningSplit::Side::unsaid ? 1 : 0;
  return opening + static_cast<int>(closing_.size() - next_.value_or(0));
}

}  // namespace tern
