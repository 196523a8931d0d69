// Examples as JSON lines, for `tern eval search --data` and `--export`.
//
// One object a line: "query" (text) and "answer" (object, see answer.h) are required; "noise" (0 to 4),
// "index", "clean", "thinking" (array of lines), "steps" (array of {"op","at","before","after"}),
// "truth_hash" and "phrasing_hash" (16 hex digits) may be absent. Other keys are ignored; empty lines are
// skipped. An example is one of unseen noise where a step's "op" is an operator that training never sees.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/search/search.h"

namespace tern::search {

/// One line, without the line's end.
std::string example_line(const Example& example);

/// The example on one line; throws Error{bad_input} that starts with `where` and names the key.
Example parse_example(std::string_view line, const std::string& where);

/// Whether an operator that training never sees touched the query, by the example's steps.
bool has_unseen_noise(const Example& example);

/// Throws Error{bad_input} naming file and line, Error{io}, or Error{limit} over 1 GiB.
std::vector<Example> read_examples(const std::string& path);
void write_examples(const std::string& path, std::span<const Example> examples);

}  // namespace tern::search
