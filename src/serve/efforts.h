// How hard to think: the words of `reasoning_effort`, and what each is worth in tokens of thinking.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string_view>

namespace tern {

enum class Effort { none, minimal, low, medium, high, xhigh };
inline constexpr std::array<std::string_view, 6> kEffortNames = {"none",   "minimal", "low",
                                                                 "medium", "high",    "xhigh"};

std::optional<Effort> effort_named(std::string_view name);

/// Tokens of thinking; an effort that is not there, or has no number, thinks as long as it likes.
using EffortBudgets = std::map<Effort, std::optional<int>>;

/// For models that think in thousands of tokens, as those of DeepSeek-R1's kind do.
EffortBudgets long_thinkers();
/// For tern's own small models, which think in dozens.
EffortBudgets short_thinkers();

/// "low=256,medium=1024,high=none" over `defaults`, which keep what isn't named. Throws Error{bad_input}
/// naming what isn't EFFORT=TOKENS, minimal to xhigh and 0 to 2^31-1 or "none".
EffortBudgets parse_effort_budgets(std::string_view text, EffortBudgets defaults = {});

}  // namespace tern
