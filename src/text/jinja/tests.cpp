// jinja2's tests: value is NAME.
#include <cmath>
#include <unordered_map>

#include "text/jinja/functions.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

using Test = bool (*)(Runtime&, const Value&, const CallArguments&);

template <bool (*holds)(const Value&)>
bool plain(Runtime&, const Value& value, const CallArguments& arguments) {
  no_arguments("a test", arguments);
  return holds(value);
}

template <Comparison op>
bool comparison(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("a comparison", arguments, {"other"}, 1);
  return compare(runtime, op, value, *bound[0]);
}

bool is_list(const Value& value, List::Shape shape) {
  return value.list() && value.list()->shape == shape;
}

bool is_boolean(const Value& value) {
  return value.as<bool>() != nullptr;
}
bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_true(const Value& value) {
  return value.as<bool>() && *value.as<bool>();
}
bool is_false(const Value& value) {
  return value.as<bool>() && !*value.as<bool>();
}
bool is_string(const Value& value) {
  return value.text() != nullptr;
}
bool is_escaped(const Value& value) {
  return value.text() && value.text()->markup();
}
bool is_integer(const Value& value) {
  return value.as<int64_t>() || value.as<BigInteger>();
}
bool is_float(const Value& value) {
  return value.as<double>() != nullptr;
}
bool is_number(const Value& value) {
  return value.number() || value.as<BigInteger>();
}
bool is_mapping(const Value& value) {
  return value.dict() != nullptr;
}
bool is_callable(const Value& value) {
  return value.callable() || value.is_undefined();  // jinja2's Undefined can be called, to raise
}
bool is_iterable(const Value& value) {
  return value.text() || value.list() || value.dict() || value.is_undefined() || value.loop();
}
bool is_sequence(const Value& value) {
  return value.text() || value.dict() || value.is_undefined() ||
         (value.list() && !is_list(value, List::Shape::generator) && !is_list(value, List::Shape::view));
}

/// str(value).islower() or isupper(): letters of the one case, none of the other.
bool is_case(Runtime& runtime, const Value& value, Text (*change)(Runtime&, const Text&),
             Text (*other)(Runtime&, const Text&)) {
  const Text text = to_text(runtime, value);
  return change(runtime, text).view() == text.view() && other(runtime, text).view() != text.view();
}
bool is_lower_case(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("lower", arguments);
  return is_case(runtime, value, lower, upper);
}
bool is_upper_case(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("upper", arguments);
  return is_case(runtime, value, upper, lower);
}

bool divides(Runtime& runtime, const Value& value, const Value& by, int64_t rest) {
  return equal(runtime, arithmetic(runtime, Operator::modulo, value, by), rest);
}
bool is_divisible(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("divisibleby", arguments, {"num"}, 1);
  return divides(runtime, value, *bound[0], 0);
}
bool is_even(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("even", arguments);
  return divides(runtime, value, int64_t{2}, 0);
}
bool is_odd(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("odd", arguments);
  return divides(runtime, value, int64_t{2}, 1);
}

bool is_in(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("in", arguments, {"seq"}, 1);
  return contains(runtime, *bound[0], value);
}

/// The same object: for values without one, an equal one of the same type.
bool is_same(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("sameas", arguments, {"other"}, 1);
  const Value& other = *bound[0];
  if (value.variant().index() != other.variant().index()) return false;
  if (value.list()) return value.list() == other.list();
  if (value.dict()) return value.dict() == other.dict();
  return equal(runtime, value, other);
}

bool names_filter(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("filter", arguments);
  return is_filter(to_text(runtime, value).bytes());
}
bool names_test(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("test", arguments);
  return is_test(to_text(runtime, value).bytes());
}

const std::unordered_map<std::string_view, Test>& tests() {
  static const std::unordered_map<std::string_view, Test> all = {
      {"!=", comparison<Comparison::unequal>},
      {"<", comparison<Comparison::less>},
      {"<=", comparison<Comparison::less_equal>},
      {"==", comparison<Comparison::equal>},
      {">", comparison<Comparison::greater>},
      {">=", comparison<Comparison::greater_equal>},
      {"boolean", plain<is_boolean>},
      {"callable", plain<is_callable>},
      {"defined", plain<is_defined>},
      {"divisibleby", is_divisible},
      {"eq", comparison<Comparison::equal>},
      {"equalto", comparison<Comparison::equal>},
      {"escaped", plain<is_escaped>},
      {"even", is_even},
      {"false", plain<is_false>},
      {"filter", names_filter},
      {"float", plain<is_float>},
      {"ge", comparison<Comparison::greater_equal>},
      {"greaterthan", comparison<Comparison::greater>},
      {"gt", comparison<Comparison::greater>},
      {"in", is_in},
      {"integer", plain<is_integer>},
      {"iterable", plain<is_iterable>},
      {"le", comparison<Comparison::less_equal>},
      {"lessthan", comparison<Comparison::less>},
      {"lower", is_lower_case},
      {"lt", comparison<Comparison::less>},
      {"mapping", plain<is_mapping>},
      {"ne", comparison<Comparison::unequal>},
      {"none", plain<is_none>},
      {"number", plain<is_number>},
      {"odd", is_odd},
      {"sameas", is_same},
      {"sequence", plain<is_sequence>},
      {"string", plain<is_string>},
      {"test", names_test},
      {"true", plain<is_true>},
      {"undefined", plain<is_undefined>},
      {"upper", is_upper_case},
  };
  return all;
}

}  // namespace

bool is_test(std::string_view name) {
  return tests().contains(name);
}

bool call_test(Runtime& runtime, const std::string& name, const Value& value,
               const CallArguments& arguments) {
  runtime.meter.steps();
  const auto found = tests().find(name);
  if (found == tests().end()) fail(ErrorKind::bad_input, "no test named {}", name);
  return found->second(runtime, value, arguments);
}

}  // namespace tern::jinja
