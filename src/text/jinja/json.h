// JSON of a request to values of templates.
#pragma once

#include <string_view>

#include "text/jinja/value.h"

namespace tern::jinja {

/// Values in one text, and keys of one object (each is kept in order and looked up by hash).
inline constexpr size_t kMaxJsonValues = 1 << 20;

/// Reads a JSON text (RFC 8259) whose keys stay in order; of equal keys the last one's value counts. Strings
/// come from the request: none of it is trusted. Throws Error{bad_input} for what is not JSON in UTF-8,
/// Error{limit} for nesting beyond kMaxValueDepth or more than kMaxJsonValues.
Value parse_json(std::string_view text);

}  // namespace tern::jinja
