#include "text/jinja/template.h"

#include <algorithm>

#include "text/jinja/ast.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"
#include "text/jinja/runtime.h"

namespace tern::jinja {

Template::Template(std::string_view source) : tree_(std::make_unique<const Tree>(parse(source))) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;

Rendered Template::render(const Dict& variables, const RenderOptions& options) const {
  Runtime runtime(options.limits, options.now);
  int line = 1;
  try {
    const Text text = interpret(*tree_, variables, runtime, line);
    return {text.bytes(), text.trusted()};
  } catch (const Error& error) {
    fail_at(line, error.kind(), "{}", error.what());
  }
}

bool Template::asks_for(std::string_view name) const {
  return std::find(tree_->names.begin(), tree_->names.end(), name) != tree_->names.end();
}

}  // namespace tern::jinja
