// The thinking trace: four lines, each checkable against the world and the truth.
//
//   velora red trainers max 60          the words, spelt right, in the order typed; a brand that is not one
//   is "?" trainers=sneaker                    candidates of every word that is not its own identifier;
//   "same" if none velora shoes sport has sneaker shoes   which departments the brand has, and whether the
//   type's is among them find                                the intent, and what is wrong: "find
//   ambiguous:brand"
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/search/grammar.h"
#include "tasks/search/search.h"

namespace tern::search {

/// The lines for a query said as `spoken`, with its tokens in the order typed.
std::vector<std::string> make_thinking(const World& world, const Truth& truth, const Spoken& spoken);

/// Which of the four steps of a trace are right.
struct ThinkingCheck {
  std::array<bool, 4> right{};  ///< normalised words, candidates, constraint check, decision
  double accuracy() const;      ///< share of right steps
};

/// Checks `text` line by line against the example's own trace, which follows from the world and the truth
/// alone. Spaces around words do not matter; a missing line is wrong, an extra one makes the decision wrong.
ThinkingCheck check_thinking(const Example& example, std::string_view text);

}  // namespace tern::search
