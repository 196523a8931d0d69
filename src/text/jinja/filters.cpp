#include "text/jinja/filters.h"

#include "text/jinja/functions.h"

namespace tern::jinja {
namespace {

const Filters& filters() {
  static const Filters all = [] {
    Filters both = text_filters();
    both.insert(list_filters().begin(), list_filters().end());
    return both;
  }();
  return all;
}

}  // namespace

bool is_filter(std::string_view name) {
  return filters().contains(name);
}

Value call_filter(Runtime& runtime, const std::string& name, const Value& value,
                  const CallArguments& arguments) {
  runtime.meter.steps();
  const Meter::Level level(runtime.meter);
  const auto found = filters().find(name);
  if (found == filters().end()) fail(ErrorKind::bad_input, "no filter named {}", name);
  if (!found->second) fail(ErrorKind::unsupported, "the filter {}", name);
  return found->second(runtime, value, arguments);
}

}  // namespace tern::jinja
