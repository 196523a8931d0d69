// Known patterns of pre-tokenizers by hand: what PCRE2 would match, many times faster and in linear time.
#pragma once

#include <string_view>
#include <vector>

namespace tern {

/// Appends the matches and the gaps between them, in order, as Regex::split. `text` is well-formed UTF-8.
using Scanner = void (*)(std::string_view text, std::vector<std::string_view>& pieces);

/// Null where the pattern is none of text/patterns.h, in whatever spelling.
Scanner find_scanner(std::string_view pattern);

}  // namespace tern
