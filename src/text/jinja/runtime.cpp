#include "text/jinja/runtime.h"

#include "text/jinja/operations.h"
#include "text/jinja/scope.h"

namespace tern::jinja {

Runtime::~Runtime() {
  for (const auto& space : spaces) space->attributes.clear();
  for (const auto& scope : scopes) scope->variables.clear();
  for (const auto& loop : loops) loop->changed.reset();
}

Bound::Bound(const char* callee, const CallArguments& arguments, std::initializer_list<const char*> names,
             size_t required)
    : callee_(callee), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names.size())
    fail(ErrorKind::bad_input, "{}: {} arguments, expected {} at most", callee, arguments.positional.size(),
         names.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    size_t i = 0;
    while (i < names_.size() && name != names_[i]) ++i;
    if (i == names_.size()) fail(ErrorKind::bad_input, "{}: no argument named {}", callee, name);
    if (values_[i]) fail(ErrorKind::bad_input, "{}: argument {} is given twice", callee, name);
    values_[i] = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i]) fail(ErrorKind::bad_input, "{}: argument {} is missing", callee, names_[i]);
  }
}

int64_t Bound::integer(size_t i, int64_t otherwise) const {
  if (!values_[i]) return otherwise;
  const auto value = values_[i]->integer();
  if (!value)
    fail(ErrorKind::bad_input, "{}: {} is {}, expected an integer", callee_, names_[i],
         type_name(*values_[i]));
  return *value;
}

const Text& Bound::text(size_t i) const {
  const Text* text = values_[i]->text();
  if (!text)
    fail(ErrorKind::bad_input, "{}: {} is {}, expected a string", callee_, names_[i], type_name(*values_[i]));
  return *text;
}

bool Bound::truth(size_t i, bool otherwise) const {
  return values_[i] ? jinja::truth(*values_[i]) : otherwise;
}

}  // namespace tern::jinja
