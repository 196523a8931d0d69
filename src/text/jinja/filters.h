// The table of jinja2's filters, in two parts.
#pragma once

#include <string_view>
#include <unordered_map>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace tern::jinja {

using Filter = Value (*)(Runtime&, const Value&, const CallArguments&);
/// By name; null where jinja2 has one that tern does not have.
using Filters = std::unordered_map<std::string_view, Filter>;

const Filters& text_filters();  ///< of strings and numbers, and all that print values
const Filters& list_filters();  ///< of lists, mappings and attributes

}  // namespace tern::jinja
