// Runs a template's tree.
#pragma once

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace tern::jinja {

/// The text of a template with these variables. Throws Error as Template::render, `line` then says where.
Text interpret(const Tree& tree, const Dict& variables, Runtime& runtime, int& line);

}  // namespace tern::jinja
