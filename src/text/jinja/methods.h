// The methods of Python's types, by name.
#pragma once

#include <string_view>
#include <unordered_map>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace tern::jinja {

using Method = Value (*)(Runtime&, const Value& self, const CallArguments&);
/// Null where Python has one that tern does not have.
using Methods = std::unordered_map<std::string_view, Method>;

const Methods& text_methods();  ///< of str

}  // namespace tern::jinja
