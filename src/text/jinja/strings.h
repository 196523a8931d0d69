// The string work of Python's str methods, on texts that keep their origin.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/text.h"

namespace tern::jinja {

enum class Side { left, right, both };

/// Without the characters of `set` (white space where there is none) at its ends.
Text strip(Runtime& runtime, const Text& text, Side side, const Text* set);
/// Its characters through `map`, which is told whether the character before was a letter.
Text map_characters(Runtime& runtime, const Text& text,
                    const std::function<std::string(char32_t character, bool in_word)>& map);
Text upper(Runtime& runtime, const Text& text);
Text lower(Runtime& runtime, const Text& text);
Text capitalize(Runtime& runtime, const Text& text);
/// All occurrences of `from`, or the first `most`, replaced.
Text replace(Runtime& runtime, const Text& text, const Text& from, const Text& to,
             std::optional<int64_t> most);
/// The pieces between separators (runs of white space where there is none), cut at most `most` times.
std::vector<Text> split(Runtime& runtime, const Text& text, const Text* separator, int64_t most);
std::vector<Text> split_right(Runtime& runtime, const Text& text, const Text* separator, int64_t most);
std::vector<Text> split_lines(Runtime& runtime, const Text& text, bool keep_ends);
/// Filled up to `width` characters.
Text pad(Runtime& runtime, const Text& text, int64_t width, Side text_at, const Text& fill);
Text join(Runtime& runtime, const Text& separator, const std::vector<Text>& pieces);

/// A list of strings.
Value text_list(Runtime& runtime, std::vector<Text> texts);

}  // namespace tern::jinja
