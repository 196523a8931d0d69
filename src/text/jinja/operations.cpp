#include "text/jinja/operations.h"

#include <algorithm>
#include <cmath>

namespace tern::jinja {
namespace {

[[noreturn]] void refuse_operands(const char* op, const Value& a, const Value& b) {
  for (const Value* value : {&a, &b}) {
    if (const auto* undefined = value->as<Undefined>())
      fail(ErrorKind::bad_input, "{} is undefined", undefined->what());
  }
  for (const Value* value : {&a, &b}) {
    if (value->as<BigInteger>()) fail(ErrorKind::limit, "{}: an integer beyond 64 bits", op);
  }
  fail(ErrorKind::bad_input, "{}: not between {} and {}", op, type_name(a), type_name(b));
}

bool is_number(const Value& value) {
  return value.number().has_value();
}

/// Exact: a long double holds every int64 and every double.
std::partial_ordering order_numbers(const Value& a, const Value& b) {
  const auto wide = [](const Value& value) {
    const auto integer = value.integer();
    return integer ? static_cast<long double>(*integer) : static_cast<long double>(*value.number());
  };
  return wide(a) <=> wide(b);
}

bool equal_lists(Runtime& runtime, const List& a, const List& b) {
  if (a.shape != b.shape || a.items.size() != b.items.size()) return false;
  if (a.shape == List::Shape::generator) return &a == &b;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(runtime, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Runtime& runtime, const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, place] : a.index) {
    const Value* other = b.find(key);
    if (!other || !equal(runtime, a.items[place].second, *other)) return false;
  }
  return true;
}

}  // namespace

bool truth(const Value& value) {
  if (const auto number = value.number()) return *number != 0;
  if (const Text* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return list->shape == List::Shape::generator || !list->items.empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  return !value.is_undefined() && !value.is_none();
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.meter.steps();
  if (is_number(a) && is_number(b)) return order_numbers(a, b) == 0;
  if (a.variant().index() != b.variant().index()) return false;
  if (a.text()) {
    runtime.meter.steps(a.text()->size() / 16);
    return a.text()->view() == b.text()->view();
  }
  if (a.list()) return equal_lists(runtime, *a.list(), *b.list());
  if (a.dict()) return equal_dicts(runtime, *a.dict(), *b.dict());
  if (const auto* big = a.as<BigInteger>()) return *big->digits == *b.as<BigInteger>()->digits;
  if (a.space()) return a.space() == b.space();
  if (a.callable()) return a.callable() == b.callable();
  if (a.loop()) return a.loop() == b.loop();
  return true;  // none or undefined
}

std::partial_ordering order(Runtime& runtime, const Value& a, const Value& b) {
  runtime.meter.steps();
  if (is_number(a) && is_number(b)) return order_numbers(a, b);
  if (a.text() && b.text()) {
    runtime.meter.steps(std::min(a.text()->size(), b.text()->size()) / 16);
    return a.text()->view() <=> b.text()->view();  // UTF-8 sorts as its code points do
  }
  const bool lists = a.list() && b.list() && a.list()->shape == b.list()->shape &&
                     (a.list()->shape == List::Shape::list || a.list()->shape == List::Shape::tuple);
  if (!lists) refuse_operands("comparison", a, b);
  const auto& left = a.list()->items;
  const auto& right = b.list()->items;
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (!equal(runtime, left[i], right[i])) return order(runtime, left[i], right[i]);
  }
  return left.size() <=> right.size();
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    const Text* part = item.text();
    if (!part) fail(ErrorKind::bad_input, "in: {} can't be in a string", type_name(item));
    runtime.meter.steps(text->size() / 16);
    return find_text(text->view(), part->view()) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) {
    const auto key = key_of(runtime, item);
    if (!key) fail(ErrorKind::bad_input, "in: {} can't be a key", type_name(item));
    return dict->find(*key) != nullptr;
  }
  if (!container.list() && !container.is_undefined())
    fail(ErrorKind::bad_input, "in: {} has no items", type_name(container));
  const auto items = walk(runtime, container);
  return std::any_of(items->items.begin(), items->items.end(),
                     [&](const Value& one) { return equal(runtime, one, item); });
}

bool compare(Runtime& runtime, Comparison op, const Value& a, const Value& b) {
  switch (op) {
    case Comparison::equal:
      return equal(runtime, a, b);
    case Comparison::unequal:
      return !equal(runtime, a, b);
    case Comparison::less:
      return order(runtime, a, b) < 0;
    case Comparison::less_equal:
      return order(runtime, a, b) <= 0;
    case Comparison::greater:
      return order(runtime, a, b) > 0;
    case Comparison::greater_equal:
      return order(runtime, a, b) >= 0;
    case Comparison::in:
      return contains(runtime, b, a);
    case Comparison::not_in:
      return !contains(runtime, b, a);
  }
  return false;
}

namespace {

[[noreturn]] void overflow(const char* op) {
  fail(ErrorKind::limit, "{}: the result does not fit into 64 bits", op);
}
[[noreturn]] void zero_division(const char* op) {
  fail(ErrorKind::bad_input, "{}: division by zero", op);
}

int64_t floor_divide(int64_t a, int64_t b, const char* op) {
  if (b == 0) zero_division(op);
  if (b == -1) {
    int64_t result;
    if (__builtin_sub_overflow(int64_t{0}, a, &result)) overflow(op);
    return result;
  }
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

int64_t floor_modulo(int64_t a, int64_t b, const char* op) {
  if (b == 0) zero_division(op);
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow("**");
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow("**");
  }
  return result;
}

Value integers(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Operator::add:
      if (__builtin_add_overflow(a, b, &result)) overflow("+");
      return result;
    case Operator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) overflow("-");
      return result;
    case Operator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) overflow("*");
      return result;
    case Operator::divide:
      if (b == 0) zero_division("/");
      return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
    case Operator::floor_divide:
      return floor_divide(a, b, "//");
    case Operator::modulo:
      return floor_modulo(a, b, "%");
    case Operator::power:
      if (b < 0) {
        if (a == 0) zero_division("**");
        return std::pow(static_cast<double>(a), static_cast<double>(b));
      }
      return power(a, b);
  }
  return result;
}

double float_modulo(double a, double b) {
  if (b == 0) zero_division("%");
  double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

/// As CPython does it: the quotient of what the modulo left, rounded to the nearest whole number.
double float_floor_divide(double a, double b) {
  if (b == 0) zero_division("//");
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

Value floats(Operator op, double a, double b) {
  switch (op) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      if (b == 0) zero_division("/");
      return a / b;
    case Operator::floor_divide:
      return float_floor_divide(a, b);
    case Operator::modulo:
      return float_modulo(a, b);
    case Operator::power:
      if (a == 0 && b < 0) zero_division("**");
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
        fail(ErrorKind::unsupported, "**: a complex number");
      const double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) overflow("**");
      return result;
  }
  return a;
}

Value join_texts(Runtime& runtime, const Text& a, const Text& b) {
  TextBuilder joined(runtime.meter);
  const bool markup = a.markup() || b.markup();
  joined.append(markup ? escape_html(runtime, a) : a);
  joined.append(markup ? escape_html(runtime, b) : b);
  return joined.take().as_markup(markup);
}

Value repeat(Runtime& runtime, const Value& value, int64_t times) {
  const uint64_t n = static_cast<uint64_t>(std::max<int64_t>(0, times));
  if (const Text* text = value.text()) {
    TextBuilder repeated(runtime.meter);
    for (uint64_t i = 0; i < n && !text->empty(); ++i) {
      runtime.meter.steps();
      repeated.append(*text);
    }
    return repeated.take().as_markup(text->markup());
  }
  const List& list = *value.list();
  uint64_t size = 0;
  if (__builtin_mul_overflow(n, list.items.size() * sizeof(Value), &size)) size = UINT64_MAX;
  runtime.meter.bytes(size);  // before any of it is there
  std::vector<Value> items;
  for (uint64_t i = 0; i < n && !list.items.empty(); ++i) {
    runtime.meter.steps(list.items.size());
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return make_list(runtime.meter, std::move(items), list.shape);
}

bool is_sequence(const Value& value) {
  return value.text() || (value.list() && (value.list()->shape == List::Shape::list ||
                                           value.list()->shape == List::Shape::tuple));
}

const char* op_name(Operator op) {
  static constexpr const char* kNames[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kNames[static_cast<int>(op)];
}

}  // namespace

Value arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  const auto x = a.integer(), y = b.integer();
  if (x && y) return integers(op, *x, *y);
  const auto u = a.number(), v = b.number();
  if (u && v) return floats(op, *u, *v);
  if (op == Operator::modulo && a.text()) return format_percent(runtime, *a.text(), b);
  if (op == Operator::multiply && is_sequence(a) && y) return repeat(runtime, a, *y);
  if (op == Operator::multiply && x && is_sequence(b)) return repeat(runtime, b, *x);
  if (op == Operator::add && a.text() && b.text()) return join_texts(runtime, *a.text(), *b.text());
  if (op == Operator::add && a.list() && b.list() && a.list()->shape == b.list()->shape && is_sequence(a)) {
    std::vector<Value> items = a.list()->items;
    runtime.meter.steps(items.size() + b.list()->items.size());
    items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
    return make_list(runtime.meter, std::move(items), a.list()->shape);
  }
  refuse_operands(op_name(op), a, b);
}

Value negate(Runtime&, const Value& value) {
  if (const auto integer = value.integer()) return integers(Operator::subtract, 0, *integer);
  if (const auto number = value.number()) return -*number;
  refuse_operands("-", value, value);
}

std::optional<int64_t> length(const Value& value) {
  if (const Text* text = value.text()) return static_cast<int64_t>(text->characters());
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->items.size());
  if (value.is_undefined()) return 0;
  if (const Loop* loop = value.loop()) return static_cast<int64_t>(loop->items->items.size());
  const List* list = value.list();
  if (!list || list->shape == List::Shape::generator) return std::nullopt;
  return static_cast<int64_t>(list->items.size());
}

Items walk(Runtime& runtime, const Value& value) {
  runtime.meter.steps();
  static const auto empty = std::make_shared<const List>();
  if (const List* list = value.list()) {
    if (list->shape == List::Shape::generator && std::exchange(list->walked, true)) return empty;
    return *value.as<std::shared_ptr<const List>>();
  }
  if (value.is_undefined()) return empty;
  auto made = std::make_shared<List>();
  if (const Dict* dict = value.dict()) {
    for (const auto& [key, ignored] : dict->items) {
      runtime.meter.bytes(sizeof(Value));
      made->items.push_back(key);
    }
    return made;
  }
  const Text* text = value.text();
  if (!text)
    fail(ErrorKind::bad_input, "{} can't be walked, expected something with items", type_name(value));
  for (size_t at = 0; at < text->size();) {
    size_t end = at + 1;
    while (end < text->size() && (static_cast<unsigned char>(text->view()[end]) & 0xC0) == 0x80) ++end;
    runtime.meter.steps();
    runtime.meter.bytes(sizeof(Value) + sizeof(Text) + (end - at));
    made->items.emplace_back(text->slice(at, end));
    at = end;
  }
  return made;
}

std::optional<std::string> key_of(Runtime& runtime, const Value& value) {
  runtime.meter.steps();
  if (const Text* text = value.text()) {
    runtime.meter.bytes(text->size());
    return "s" + text->bytes();
  }
  if (const auto integer = value.integer()) return "n" + std::to_string(*integer);
  if (const auto number = value.number()) {
    const bool whole = *number == std::floor(*number) && std::fabs(*number) < 9e18;
    return whole ? "n" + std::to_string(static_cast<int64_t>(*number)) : "f" + float_text(*number);
  }
  if (value.is_none()) return "0";
  if (value.is_undefined()) return "u";
  if (const auto* big = value.as<BigInteger>()) return "n" + *big->digits;
  const List* list = value.list();
  if (!list || list->shape != List::Shape::tuple) return std::nullopt;
  std::string all = "(";
  for (const Value& item : list->items) {
    const auto key = key_of(runtime, item);
    if (!key) return std::nullopt;
    runtime.meter.bytes(key->size());
    all += std::to_string(key->size()) + ":" + *key;
  }
  return all;
}

}  // namespace tern::jinja
