// Filters, tests, methods and global functions of templates.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace tern::jinja {

/// Whether jinja2 has a filter or test of this name (tern may still refuse to run it).
bool is_filter(std::string_view name);
bool is_test(std::string_view name);

/// value | name(arguments). Throws Error{unsupported} for filters that tern does not have.
Value call_filter(Runtime& runtime, const std::string& name, const Value& value,
                  const CallArguments& arguments);
bool call_test(Runtime& runtime, const std::string& name, const Value& value, const CallArguments& arguments);

/// What a value has under a name: a method or a property. Nothing where it has none; undefined where
/// transformers' sandbox hides it, as all that would change a list or a dict.
std::optional<Value> find_attribute(Runtime& runtime, const Value& value, const std::string& name);
/// Calls a method, a global function or a method of `loop` (macros are the interpreter's).
Value call_function(Runtime& runtime, const Callable& function, const CallArguments& arguments);

/// A function that every template has: range, namespace, raise_exception, strftime_now, dict.
std::optional<Value> find_global(const std::string& name);
Value call_global(Runtime& runtime, const std::string& name, const CallArguments& arguments);

}  // namespace tern::jinja
