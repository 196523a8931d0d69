#include "serve/efforts.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"

namespace tern {
namespace {

std::pair<Effort, std::optional<int>> parse_one(std::string_view item) {
  const auto wrong = [&] {
    fail(ErrorKind::bad_input, "\"{}\": expected EFFORT=TOKENS, such as low=256 or high=none", item);
  };
  const size_t equals = item.find('=');
  if (equals == std::string_view::npos) wrong();
  const auto effort = effort_named(item.substr(0, equals));
  const std::string_view value = item.substr(equals + 1);
  if (!effort || *effort == Effort::none) wrong();
  if (value == "none") return {*effort, std::nullopt};
  int tokens = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), tokens);
  if (read.ec != std::errc() || read.ptr != value.data() + value.size() || tokens < 0) wrong();
  return {*effort, tokens};
}

}  // namespace

std::optional<Effort> effort_named(std::string_view name) {
  const auto found = std::find(kEffortNames.begin(), kEffortNames.end(), name);
  if (found == kEffortNames.end()) return std::nullopt;
  return static_cast<Effort>(found - kEffortNames.begin());
}

EffortBudgets long_thinkers() {
  return {{Effort::minimal, 256}, {Effort::low, 1024}, {Effort::medium, 4096}, {Effort::high, 16384}};
}

EffortBudgets short_thinkers() {
  return {{Effort::minimal, 8}, {Effort::low, 16}, {Effort::medium, 48}};
}

EffortBudgets parse_effort_budgets(std::string_view text, EffortBudgets defaults) {
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const auto [effort, tokens] = parse_one(text.substr(0, comma));
    defaults[effort] = tokens;
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return defaults;
}

}  // namespace tern
