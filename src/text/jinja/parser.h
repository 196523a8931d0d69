// Tokens of a template to its tree.
#pragma once

#include <string_view>

#include "text/jinja/ast.h"

namespace tern::jinja {

/// Parses jinja2's language, with the extensions that transformers switches on: break, continue, generation.
/// Throws Error with the template's line: bad_input for what jinja2 refuses, unsupported for inheritance,
/// import, call and autoescape blocks, limit where it is nested too deeply.
Tree parse(std::string_view source);

}  // namespace tern::jinja
