// What values have behind a dot: methods, here those of dict and list, and the state of a loop.
#include <algorithm>
#include <array>
#include <optional>

#include "text/jinja/functions.h"
#include "text/jinja/methods.h"
#include "text/jinja/operations.h"

namespace tern::jinja {
namespace {

// --- dicts and lists

Value view_of(Runtime& runtime, const char* name, std::vector<Value> items) {
  runtime.meter.bytes(sizeof(List) + items.size() * sizeof(Value));
  auto list = std::make_shared<List>();
  list->shape = List::Shape::view;
  list->view = name;
  for (const Value& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  list->items = std::move(items);
  return std::shared_ptr<const List>(std::move(list));
}

Value dict_keys(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("keys", arguments);
  return view_of(runtime, "dict_keys", walk(runtime, self)->items);
}
Value dict_values(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("values", arguments);
  std::vector<Value> values;
  for (const auto& [key, value] : self.dict()->items) values.push_back(value);
  runtime.meter.steps(values.size());
  return view_of(runtime, "dict_values", std::move(values));
}
Value dict_items(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("items", arguments);
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.dict()->items) {
    runtime.meter.steps();
    pairs.push_back(make_list(runtime.meter, {key, value}, List::Shape::tuple));
  }
  return view_of(runtime, "dict_items", std::move(pairs));
}
Value dict_get(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"}, 1);
  const auto key = key_of(runtime, *bound[0]);
  if (!key) fail(ErrorKind::bad_input, "get: {} can't be a key", type_name(*bound[0]));
  const Value* found = self.dict()->find(*key);
  if (found) return *found;
  return bound.has(1) ? *bound[1] : Value(None{});
}
Value same(Runtime&, const Value& self, const CallArguments& arguments) {
  no_arguments("copy", arguments);
  return self;  // nothing can change it
}

Value list_index(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("index", arguments, {"value"}, 1);
  const auto& items = self.list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(runtime, items[i], *bound[0])) return static_cast<int64_t>(i);
  }
  fail(ErrorKind::bad_input, "index: the value is not in the list");
}
Value list_count(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("count", arguments, {"value"}, 1);
  const auto& items = self.list()->items;
  return static_cast<int64_t>(std::count_if(
      items.begin(), items.end(), [&](const Value& item) { return equal(runtime, item, *bound[0]); }));
}

const Methods& methods_of(const Value& value) {
  static const Methods none, dict = {{"copy", same},        {"fromkeys", nullptr}, {"get", dict_get},
                                     {"items", dict_items}, {"keys", dict_keys},   {"values", dict_values}},
                             list = {{"copy", same}, {"count", list_count}, {"index", list_index}},
                             fixed = {{"count", list_count}, {"index", list_index}};
  if (value.text()) return text_methods();
  if (value.dict()) return dict;
  if (!value.list()) return none;
  switch (value.list()->shape) {
    case List::Shape::list:
      return list;
    case List::Shape::tuple:
    case List::Shape::range:
      return fixed;
    default:
      return none;
  }
}

/// Methods that would change their value: transformers' sandbox hides them.
bool is_hidden(const Value& value, std::string_view name) {
  static constexpr std::array<std::string_view, 8> kList = {"append", "clear",  "extend",  "insert",
                                                            "pop",    "remove", "reverse", "sort"};
  static constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault",
                                                            "update"};
  const auto has = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (value.dict()) return has(kDict);
  return value.list() && value.list()->shape == List::Shape::list && has(kList);
}

std::shared_ptr<const Callable> method(const Value& self, const std::string& name, Callable::Kind kind) {
  auto made = std::make_shared<Callable>();
  made->kind = kind;
  made->name = name;
  made->self = self;
  return made;
}

// --- loops

std::optional<Value> loop_attribute(const Value& self, const std::string& name) {
  const Loop& loop = *self.loop();
  const auto n = static_cast<int64_t>(loop.items->items.size());
  const auto i = static_cast<int64_t>(loop.index0);
  if (name == "index") return i + 1;
  if (name == "index0") return i;
  if (name == "revindex") return n - i;
  if (name == "revindex0") return n - i - 1;
  if (name == "first") return i == 0;
  if (name == "last") return i + 1 == n;
  if (name == "length") return n;
  if (name == "depth") return int64_t{1};
  if (name == "depth0") return int64_t{0};
  if (name == "previtem")
    return i > 0 ? loop.items->items[loop.index0 - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return i + 1 < n ? loop.items->items[loop.index0 + 1] : Value::undefined("there is no next item");
  if (name == "cycle" || name == "changed") return method(self, name, Callable::Kind::loop_method);
  return std::nullopt;
}

Value call_loop_method(Runtime& runtime, const Callable& function, const CallArguments& arguments) {
  const Loop& loop = *function.self.loop();
  if (!arguments.named.empty()) fail(ErrorKind::bad_input, "loop.{}: no named arguments", function.name);
  if (function.name == "cycle") {
    if (arguments.positional.empty()) fail(ErrorKind::bad_input, "loop.cycle: expected items");
    return arguments.positional[loop.index0 % arguments.positional.size()];
  }
  Value now = make_list(runtime.meter, arguments.positional, List::Shape::tuple);
  if (loop.changed && equal(runtime, *loop.changed, now)) return false;
  if (!loop.changed) runtime.loops.push_back(*function.self.as<std::shared_ptr<const Loop>>());
  loop.changed = std::move(now);
  return true;
}

std::optional<Value> range_attribute(const List& range, const std::string& name) {
  static constexpr std::string_view kNames[] = {"start", "stop", "step"};
  for (size_t i = 0; i < 3; ++i) {
    if (name == kNames[i]) return range.range[i];
  }
  return std::nullopt;
}

/// Properties and methods of numbers in Python: no template is known to use one.
bool is_of_numbers(std::string_view name) {
  static constexpr std::array<std::string_view, 13> kNames = {
      "real",     "imag",       "numerator",        "denominator", "conjugate", "bit_length", "bit_count",
      "to_bytes", "from_bytes", "as_integer_ratio", "is_integer",  "hex",       "fromhex"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

std::optional<Value> find_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  if (const Namespace* space = value.space()) {
    const Value* found = space->find(name);
    return found ? std::optional(*found) : std::nullopt;
  }
  if (value.loop()) return loop_attribute(value, name);
  if (value.callable() && value.callable()->kind == Callable::Kind::macro && name == "name")
    return make_text(runtime.meter, value.callable()->name, true);
  if (value.list() && value.list()->shape == List::Shape::range) {
    if (auto found = range_attribute(*value.list(), name)) return found;
  }
  if (is_hidden(value, name))
    return Value::undefined(
        fmt::format("{}, which would change a {} in transformers' sandbox,", name, type_name(value)));
  if ((value.number() || value.as<BigInteger>()) && is_of_numbers(name))
    fail(ErrorKind::unsupported, "{} of a number", name);
  const Methods& methods = methods_of(value);
  const auto found = methods.find(name);
  if (found == methods.end()) return std::nullopt;
  if (!found->second) fail(ErrorKind::unsupported, "the method {} of a {}", name, type_name(value));
  return method(value, name, Callable::Kind::method);
}

Value call_function(Runtime& runtime, const Callable& function, const CallArguments& arguments) {
  runtime.meter.steps();
  const Meter::Level level(runtime.meter);
  switch (function.kind) {
    case Callable::Kind::method:
      return methods_of(function.self).at(function.name)(runtime, function.self, arguments);
    case Callable::Kind::loop_method:
      return call_loop_method(runtime, function, arguments);
    case Callable::Kind::global:
      return call_global(runtime, function.name, arguments);
    case Callable::Kind::macro:
      break;
  }
  fail(ErrorKind::internal, "a macro called as a function");
}

}  // namespace tern::jinja
