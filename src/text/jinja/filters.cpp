// jinja2's filters, with the tojson of transformers.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <unordered_map>

#include "text/jinja/functions.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace tern::jinja {
namespace {

using Filter = Value (*)(Runtime&, const Value&, const CallArguments&);

void no_arguments(const char* name, const CallArguments& arguments) {
  Bound(name, arguments, {});
}

Value list_of(Runtime& runtime, std::vector<Value> items) {
  return make_list(runtime.meter, std::move(items));
}
Value generator_of(Runtime& runtime, std::vector<Value> items) {
  return make_list(runtime.meter, std::move(items), List::Shape::generator);
}

/// soft_str(): strings as they are, markup too.
Text soft_text(Runtime& runtime, const Value& value) {
  return value.text() ? *value.text() : to_text(runtime, value);
}

// --- looking into items

/// The attribute "a.b.0" of an item, `otherwise` where it is undefined.
Value dotted_item(Runtime& runtime, Value value, const Value& attribute, const Value* otherwise) {
  std::vector<Value> parts;
  if (const Text* path = attribute.text()) {
    const Text dot = Text::trusted_text(".");
    for (Text& part : split(runtime, *path, &dot, -1)) {
      const bool digits = !part.empty() && std::all_of(part.view().begin(), part.view().end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
      parts.push_back(digits && part.size() < 18 ? Value(static_cast<int64_t>(std::stoll(part.bytes())))
                                                 : Value(std::move(part)));
    }
  } else {
    parts.push_back(attribute);
  }
  for (const Value& part : parts) {
    value = get_item(runtime, value, part);
    if (value.is_undefined() && otherwise) value = *otherwise;
  }
  return value;
}

/// What items are sorted or told apart by: an attribute, where one is given, in small letters unless the
/// case counts.
class Key {
 public:
  Key(Runtime& runtime, const Value* attribute, bool case_sensitive)
      : runtime_(runtime),
        attribute_(attribute && !attribute->is_none() ? attribute : nullptr),
        case_sensitive_(case_sensitive) {}

  Value operator()(const Value& item) const {
    const Value value = attribute_ ? dotted_item(runtime_, item, *attribute_, nullptr) : item;
    return folded(value);
  }
  Value folded(const Value& value) const {
    return value.text() && !case_sensitive_ ? Value(lower(runtime_, *value.text())) : value;
  }

 private:
  Runtime& runtime_;
  const Value* attribute_;
  bool case_sensitive_;
};

std::vector<Value> sorted(Runtime& runtime, const std::vector<Value>& items, bool reverse,
                          auto&& key_of_item) {
  std::vector<std::pair<Value, size_t>> keys;
  for (size_t i = 0; i < items.size(); ++i) keys.emplace_back(key_of_item(items[i]), i);
  std::stable_sort(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    return reverse ? order(runtime, b.first, a.first) < 0 : order(runtime, a.first, b.first) < 0;
  });
  std::vector<Value> made;
  for (const auto& [ignored, i] : keys) made.push_back(items[i]);
  return made;
}

// --- lists

Value filter_list(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("list", arguments);
  return list_of(runtime, walk(runtime, value)->items);
}

Value filter_length(Runtime&, const Value& value, const CallArguments& arguments) {
  no_arguments("length", arguments);
  const auto n = length(value);
  if (!n) fail(ErrorKind::bad_input, "length: {} has none", type_name(value));
  return *n;
}

Value filter_first(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("first", arguments);
  const auto items = walk(runtime, value);
  return items->items.empty() ? Value::undefined("the first item of nothing") : items->items.front();
}

Value filter_last(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("last", arguments);
  if (!length(value)) fail(ErrorKind::bad_input, "last: {} can't be reversed", type_name(value));
  const auto items = walk(runtime, value);
  return items->items.empty() ? Value::undefined("the last item of nothing") : items->items.back();
}

Value filter_reverse(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("reverse", arguments);
  std::vector<Value> items = walk(runtime, value)->items;
  std::reverse(items.begin(), items.end());
  if (!value.text()) return generator_of(runtime, std::move(items));
  TextBuilder out(runtime.meter);
  for (const Value& item : items) out.append(*item.text());
  return out.take().as_markup(value.text()->markup());
}

Value filter_items(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("items", arguments);
  if (value.is_undefined()) return generator_of(runtime, {});
  if (!value.dict()) fail(ErrorKind::bad_input, "items: {}, expected a mapping", type_name(value));
  std::vector<Value> items;
  for (const auto& [key, item] : value.dict()->items)
    items.push_back(make_list(runtime.meter, {key, item}, List::Shape::tuple));
  return generator_of(runtime, std::move(items));
}

Value filter_dictsort(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) ? bound.text(1).bytes() : "key";
  if (by != "key" && by != "value")
    fail(ErrorKind::bad_input, "dictsort: by is {}, expected key or value", by);
  if (!value.dict()) fail(ErrorKind::bad_input, "dictsort: {}, expected a mapping", type_name(value));
  std::vector<Value> items;
  for (const auto& [key, item] : value.dict()->items)
    items.push_back(make_list(runtime.meter, {key, item}, List::Shape::tuple));
  const Key key(runtime, nullptr, bound.truth(0, false));
  const size_t place = by == "key" ? 0 : 1;
  return list_of(runtime, sorted(runtime, items, bound.truth(2, false),
                                 [&](const Value& pair) { return key.folded(pair.list()->items[place]); }));
}

Value filter_sort(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const auto items = walk(runtime, value);
  // Keys are lists of attributes, of the item itself where none is named.
  std::vector<std::optional<Value>> attributes;
  if (bound.has(2) && bound[2]->text()) {
    const Text comma = Text::trusted_text(",");
    for (Text& one : split(runtime, *bound[2]->text(), &comma, -1)) attributes.emplace_back(std::move(one));
  } else {
    attributes.push_back(bound.has(2) ? std::optional(*bound[2]) : std::nullopt);
  }
  const bool case_sensitive = bound.truth(1, false);
  return list_of(runtime, sorted(runtime, items->items, bound.truth(0, false), [&](const Value& item) {
                   std::vector<Value> keys;
                   for (const auto& one : attributes)
                     keys.push_back(Key(runtime, one ? &*one : nullptr, case_sensitive)(item));
                   return list_of(runtime, std::move(keys));
                 }));
}

Value filter_unique(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  const Key key(runtime, bound[1], bound.truth(0, false));
  std::unordered_map<std::string, bool> seen;
  std::vector<Value> items;
  for (const Value& item : walk(runtime, value)) {
    const auto index = key_of(runtime, key(item));
    if (!index) fail(ErrorKind::bad_input, "unique: {} can't be a key", type_name(item));
    if (seen.emplace(*index, true).second) items.push_back(item);
  }
  return generator_of(runtime, std::move(items));
}

Value extreme(Runtime& runtime, const char* name, const Value& value, const CallArguments& arguments,
              bool most) {
  const Bound bound(name, arguments, {"case_sensitive", "attribute"});
  const Key key(runtime, bound[1], bound.truth(0, false));
  const auto items = walk(runtime, value);
  if (items->items.empty()) return Value::undefined("the extreme of nothing");
  size_t best = 0;
  Value best_key = key(items->items[0]);
  for (size_t i = 1; i < items->items.size(); ++i) {
    Value here = key(items->items[i]);
    const auto ordered = order(runtime, here, best_key);
    if (most ? ordered > 0 : ordered < 0) {
      best = i;
      best_key = std::move(here);
    }
  }
  return items->items[best];
}

Value filter_min(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  return extreme(runtime, "min", value, arguments, false);
}
Value filter_max(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  return extreme(runtime, "max", value, arguments, true);
}

Value filter_sum(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound.has(1) ? *bound[1] : Value(int64_t{0});
  if (total.text()) fail(ErrorKind::bad_input, "sum: strings are joined by join");
  const bool attribute = bound.has(0) && !bound[0]->is_none();
  for (const Value& item : walk(runtime, value)) {
    total = arithmetic(runtime, Operator::add, total,
                       attribute ? dotted_item(runtime, item, *bound[0], nullptr) : item);
  }
  return total;
}

Value filter_batch(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t size = bound.integer(0, 1);
  const bool filled = bound.has(1) && !bound[1]->is_none();
  std::vector<Value> batches, batch;
  for (const Value& item : walk(runtime, value)) {
    if (static_cast<int64_t>(batch.size()) == size)
      batches.push_back(list_of(runtime, std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    while (filled && static_cast<int64_t>(batch.size()) < size) {
      runtime.meter.steps();
      runtime.meter.bytes(sizeof(Value));
      batch.push_back(*bound[1]);
    }
    batches.push_back(list_of(runtime, std::move(batch)));
  }
  return generator_of(runtime, std::move(batches));
}

Value filter_slice(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"}, 1);
  const auto items = walk(runtime, value);
  const int64_t n = bound.integer(0, 1), size = static_cast<int64_t>(items->items.size());
  if (n == 0) fail(ErrorKind::bad_input, "slice: division by zero");
  const bool filled = bound.has(1) && !bound[1]->is_none();
  const int64_t each = size / n, longer = size % n;
  std::vector<Value> slices;
  int64_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t end = at + each + (i < longer ? 1 : 0);
    std::vector<Value> slice(items->items.begin() + at, items->items.begin() + end);
    if (filled && i >= longer) slice.push_back(*bound[1]);
    runtime.meter.steps();
    slices.push_back(list_of(runtime, std::move(slice)));
    at = end;
  }
  return generator_of(runtime, std::move(slices));
}

Value filter_join(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  const Text separator = bound.has(0) ? to_text(runtime, *bound[0]) : Text();
  const bool attribute = bound.has(1) && !bound[1]->is_none();
  std::vector<Text> pieces;
  for (const Value& item : walk(runtime, value))
    pieces.push_back(to_text(runtime, attribute ? dotted_item(runtime, item, *bound[1], nullptr) : item));
  return join(runtime, separator, pieces);
}

// --- choosing items

CallArguments rest_of(const CallArguments& arguments, size_t from) {
  CallArguments rest;
  for (size_t i = from; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  rest.named = arguments.named;
  return rest;
}

const std::string& name_in(const char* filter, const CallArguments& arguments, size_t i) {
  const Text* name = arguments.positional[i].text();
  if (!name)
    fail(ErrorKind::bad_input, "{}: expected a name, found {}", filter, type_name(arguments.positional[i]));
  return name->bytes();
}

Value choose(Runtime& runtime, const char* filter, const Value& value, const CallArguments& arguments,
             bool by_attribute, bool wanted) {
  if (!truth(value)) return generator_of(runtime, {});  // so jinja2: none has no items, but is no error
  size_t at = 0;
  const Value* attribute = nullptr;
  if (by_attribute) {
    if (arguments.positional.empty()) fail(ErrorKind::bad_input, "{}: expected an attribute", filter);
    attribute = &arguments.positional[at++];
  }
  const std::string* test = nullptr;
  if (arguments.positional.size() > at) test = &name_in(filter, arguments, at++);
  const CallArguments rest = rest_of(arguments, at);
  std::vector<Value> chosen;
  for (const Value& item : walk(runtime, value)) {
    const Value looked_at = attribute ? dotted_item(runtime, item, *attribute, nullptr) : item;
    const bool holds = test ? call_test(runtime, *test, looked_at, rest) : truth(looked_at);
    if (holds == wanted) chosen.push_back(item);
  }
  return generator_of(runtime, std::move(chosen));
}

Value filter_select(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  return choose(runtime, "select", value, arguments, false, true);
}
Value filter_reject(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  return choose(runtime, "reject", value, arguments, false, false);
}
Value filter_selectattr(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  return choose(runtime, "selectattr", value, arguments, true, true);
}
Value filter_rejectattr(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  return choose(runtime, "rejectattr", value, arguments, true, false);
}

Value filter_map(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  if (!truth(value)) return generator_of(runtime, {});
  std::vector<Value> mapped;
  const auto items = walk(runtime, value);
  const bool by_attribute = arguments.positional.empty();
  if (by_attribute) {
    const Bound bound("map", arguments, {"attribute", "default"}, 1);
    for (const Value& item : items->items) mapped.push_back(dotted_item(runtime, item, *bound[0], bound[1]));
    return generator_of(runtime, std::move(mapped));
  }
  const std::string& filter = name_in("map", arguments, 0);
  const CallArguments rest = rest_of(arguments, 1);
  for (const Value& item : items->items) mapped.push_back(call_filter(runtime, filter, item, rest));
  return generator_of(runtime, std::move(mapped));
}

Value filter_groupby(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = bound.truth(2, false);
  const Key key(runtime, nullptr, case_sensitive);
  const auto grouper = [&](const Value& item) { return dotted_item(runtime, item, *bound[0], bound[1]); };
  const std::vector<Value> items = sorted(runtime, walk(runtime, value)->items, false,
                                          [&](const Value& item) { return key.folded(grouper(item)); });
  std::vector<Value> groups;
  for (size_t begin = 0; begin < items.size();) {
    const Value name = grouper(items[begin]);
    size_t end = begin + 1;
    while (end < items.size() && equal(runtime, key.folded(grouper(items[end])), key.folded(name))) ++end;
    Value group = list_of(runtime, std::vector<Value>(items.begin() + static_cast<ptrdiff_t>(begin),
                                                      items.begin() + static_cast<ptrdiff_t>(end)));
    groups.push_back(make_list(runtime.meter, {name, std::move(group)}, List::Shape::tuple));
    begin = end;
  }
  return list_of(runtime, std::move(groups));
}

// --- numbers

/// int(text, base) as Python reads it; nothing where it raises.
std::optional<int64_t> parse_integer(std::string_view text, int64_t base) {
  std::string digits;
  bool negative = false;
  size_t at = 0;
  while (at < text.size() && is_space(static_cast<unsigned char>(text[at]))) ++at;
  size_t end = text.size();
  while (end > at && is_space(static_cast<unsigned char>(text[end - 1]))) --end;
  if (at < end && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
  static constexpr std::pair<char, int> kPrefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
  for (const auto& [letter, prefix_base] : kPrefixes) {
    if (end - at > 2 && text[at] == '0' && (text[at + 1] | 32) == letter &&
        (base == prefix_base || base == 0)) {
      base = prefix_base;
      at += text[at + 2] == '_' ? 3 : 2;
      break;
    }
  }
  if (base == 0) base = 10;
  for (; at < end; ++at) {
    const bool between = text[at] == '_' && !digits.empty() && at + 1 < end && text[at - 1] != '_';
    if (!between) digits += text[at];
  }
  if (digits.empty() || digits[0] == '+' || digits[0] == '-' || digits[0] == ' ') return std::nullopt;
  if (negative) digits.insert(digits.begin(), '-');
  char* stop = nullptr;
  errno = 0;
  const long long value = std::strtoll(digits.c_str(), &stop, static_cast<int>(base));
  if (stop != digits.c_str() + digits.size()) return std::nullopt;
  if (errno == ERANGE) fail(ErrorKind::limit, "int: {} does not fit into 64 bits", text.substr(0, 100));
  return value;
}

/// float(text); nothing where Python raises.
std::optional<double> parse_float(std::string_view text) {
  size_t at = 0, end = text.size();
  while (at < end && is_space(static_cast<unsigned char>(text[at]))) ++at;
  while (end > at && is_space(static_cast<unsigned char>(text[end - 1]))) --end;
  std::string plain;
  for (size_t i = at; i < end; ++i) {
    const auto digit = [&](size_t j) { return j > at && j < end && text[j] >= '0' && text[j] <= '9'; };
    if (text[i] == '_' && i > at && text[i - 1] >= '0' && text[i - 1] <= '9' && digit(i + 1)) continue;
    plain += text[i];
  }
  const bool hexadecimal =
      plain.find_first_of("xXpP(") != std::string::npos;  // strtod reads it, Python doesn't
  if (plain.empty() || hexadecimal || is_space(static_cast<unsigned char>(plain[0]))) return std::nullopt;
  char* stop = nullptr;
  const double value = std::strtod(plain.c_str(), &stop);
  return *stop == '\0' && stop == plain.c_str() + plain.size() ? std::optional(value) : std::nullopt;
}

void refuse_undefined(const char* name, const Value& value) {
  if (value.is_undefined()) fail(ErrorKind::bad_input, "{}: an undefined value", name);
}

std::optional<int64_t> truncated(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::fabs(value) >= 9223372036854775808.0)
    fail(ErrorKind::limit, "int: {} does not fit into 64 bits", value);
  return static_cast<int64_t>(value);
}

Value filter_int(Runtime&, const Value& value, const CallArguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  const Value otherwise = bound.has(0) ? *bound[0] : Value(int64_t{0});
  const int64_t base = bound.integer(1, 10);
  refuse_undefined("int", value);
  if (const Text* text = value.text()) {
    const bool known_base = base == 0 || (base >= 2 && base <= 36);
    if (const auto number = known_base ? parse_integer(text->view(), base) : std::nullopt) return *number;
    const auto number = parse_float(text->view());
    const auto whole = number ? truncated(*number) : std::nullopt;
    return whole ? Value(*whole) : otherwise;
  }
  if (value.as<BigInteger>()) return value;
  if (const auto integer = value.integer()) return *integer;
  const auto number = value.number();
  if (number && std::isinf(*number)) fail(ErrorKind::bad_input, "int: infinity is no integer");
  const auto whole = number ? truncated(*number) : std::nullopt;
  return whole ? Value(*whole) : otherwise;
}

Value filter_float(Runtime&, const Value& value, const CallArguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  const Value otherwise = bound.has(0) ? *bound[0] : Value(0.0);
  refuse_undefined("float", value);
  if (const Text* text = value.text()) {
    const auto number = parse_float(text->view());
    return number ? Value(*number) : otherwise;
  }
  if (const auto* big = value.as<BigInteger>()) return std::strtod(big->digits->c_str(), nullptr);
  const auto number = value.number();
  return number ? Value(*number) : otherwise;
}

Value filter_abs(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("abs", arguments);
  if (const auto* number = value.as<double>()) return std::fabs(*number);
  const auto integer = value.integer();
  return integer && *integer >= 0 ? Value(*integer) : negate(runtime, value);
}

/// Decimal digits of the exact value, rounded half to even: what Python's round() gives.
double rounded(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  if (digits < -308) return std::copysign(0.0, value);
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

Value filter_round(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t precision = bound.integer(0, 0);
  const std::string method = bound.has(1) ? bound.text(1).bytes() : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    fail(ErrorKind::bad_input, "round: method {}, expected common, ceil or floor", method);
  const auto number = value.number();
  if (!number) fail(ErrorKind::bad_input, "round: {}, expected a number", type_name(value));
  if (method == "common") {
    if (const auto integer = value.integer(); integer && precision >= 0) return *integer;
    if (value.integer()) return static_cast<int64_t>(rounded(*number, precision));
    return rounded(*number, precision);
  }
  const Value scale = arithmetic(runtime, Operator::power, int64_t{10}, precision);
  const double scaled = *number * *scale.number();
  const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  if (!std::isfinite(whole)) fail(ErrorKind::bad_input, "round: {} is no number", float_text(whole));
  return whole / *scale.number();
}

// --- strings

Value filter_string(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("string", arguments);
  return soft_text(runtime, value);
}
Value filter_upper(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("upper", arguments);
  return upper(runtime, soft_text(runtime, value));
}
Value filter_lower(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("lower", arguments);
  return lower(runtime, soft_text(runtime, value));
}
Value filter_capitalize(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("capitalize", arguments);
  return capitalize(runtime, soft_text(runtime, value));
}

/// Words begin after white space, a dash or an opening bracket.
Value filter_title(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("title", arguments);
  bool begins = true;
  return map_characters(runtime, soft_text(runtime, value), [&](char32_t c, bool) {
    std::string mapped = begins ? upper_of(c) : lower_of(c);
    begins = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    return mapped;
  });
}

Value filter_trim(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const bool given = bound.has(0) && !bound[0]->is_none();
  return strip(runtime, soft_text(runtime, value), Side::both, given ? &bound.text(0) : nullptr);
}

Value filter_replace(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const bool counted = bound.has(2) && !bound[2]->is_none();
  return replace(runtime, to_text(runtime, value), to_text(runtime, *bound[0]), to_text(runtime, *bound[1]),
                 counted ? std::optional(bound.integer(2, -1)) : std::nullopt);
}

Value filter_indent(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  const Text* text = value.text();
  if (!text) fail(ErrorKind::bad_input, "indent: {}, expected a string", type_name(value));
  Text space;
  if (bound.has(0) && bound[0]->text()) {
    space = *bound[0]->text();
  } else {
    space = pad(runtime, Text(), bound.integer(0, 4), Side::left, Text::trusted_text(" "));
  }
  TextBuilder with_end(runtime.meter);
  with_end.append(*text);
  with_end.append("\n", true);
  const std::vector<Text> lines = split_lines(runtime, with_end.take(), false);
  TextBuilder out(runtime.meter);
  if (bound.truth(1, false)) out.append(space);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      out.append("\n", true);
      if (bound.truth(2, false) || !lines[i].empty()) out.append(space);
    }
    out.append(lines[i]);
  }
  return out.take();
}

Value filter_center(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  return pad(runtime, soft_text(runtime, value), bound.integer(0, 80), Side::both, Text::trusted_text(" "));
}

Value filter_wordcount(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("wordcount", arguments);
  int64_t words = 0;
  bool before = false;
  map_characters(runtime, soft_text(runtime, value), [&](char32_t c, bool) {
    const bool word = is_letter(c) || is_numeric(c) || c == '_';
    words += word && !before ? 1 : 0;
    before = word;
    return std::string();
  });
  return words;
}

Value filter_truncate(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const Text text = soft_text(runtime, value);
  const Text end = bound.has(2) ? bound.text(2) : Text::trusted_text("...");
  const int64_t most = bound.integer(0, 255);
  const int64_t leeway = bound.has(3) && !bound[3]->is_none() ? bound.integer(3, 5) : 5;
  const auto tail = static_cast<int64_t>(end.characters());
  if (most < tail) fail(ErrorKind::bad_input, "truncate: length {}, expected {} or more", most, tail);
  if (leeway < 0) fail(ErrorKind::bad_input, "truncate: leeway {}, expected 0 or more", leeway);
  if (static_cast<int64_t>(text.characters()) <= most + leeway) return text;
  Text kept = text.slice(0, text.offset(static_cast<size_t>(most - tail)));
  if (!bound.truth(1, false)) {
    const size_t space = kept.view().rfind(' ');
    if (space != std::string_view::npos) kept = kept.slice(0, space);
  }
  return join(runtime, Text(), {kept, end});
}

Value filter_format(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    fail(ErrorKind::bad_input, "format: positional and named arguments at once");
  const Text format = soft_text(runtime, value);
  if (arguments.named.empty())
    return format_percent(runtime, format,
                          make_list(runtime.meter, arguments.positional, List::Shape::tuple));
  auto dict = std::make_shared<Dict>();
  for (const auto& [name, item] : arguments.named) dict->set(name, item);
  return format_percent(runtime, format, std::shared_ptr<const Dict>(std::move(dict)));
}

Value filter_safe(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("safe", arguments);
  return to_text(runtime, value).as_markup(true);
}
Value filter_escape(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("escape", arguments);
  return escape_html(runtime, soft_text(runtime, value));
}

// --- all else

Value filter_default(Runtime&, const Value& value, const CallArguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool missing = value.is_undefined() || (bound.truth(1, false) && !truth(value));
  if (!missing) return value;
  return bound.has(0) ? *bound[0] : Value(Text());
}

Value filter_attr(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("attr", arguments, {"name"}, 1);
  if (value.is_undefined()) return get_attribute(runtime, value, to_text(runtime, *bound[0]).bytes());
  const auto found = find_attribute(runtime, value, to_text(runtime, *bound[0]).bytes());
  return found ? *found : Value::undefined("an attribute");
}

Value filter_tojson(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (bound.has(1) && !bound[1]->is_none()) {
    style.comma.assign(1, ',');
    if (bound[1]->text()) {
      style.indent = bound.text(1).bytes();
    } else {
      const int64_t width = std::max<int64_t>(0, bound.integer(1, 0));
      runtime.meter.length(static_cast<size_t>(width));
      runtime.meter.bytes(static_cast<size_t>(width));
      style.indent = std::string(static_cast<size_t>(width), ' ');
    }
  }
  if (bound.has(2) && !bound[2]->is_none()) {
    const auto pair = walk(runtime, *bound[2]);
    if (pair->items.size() != 2 || !pair->items[0].text() || !pair->items[1].text())
      fail(ErrorKind::bad_input, "tojson: separators, expected two strings");
    style.comma = pair->items[0].text()->bytes();
    style.colon = pair->items[1].text()->bytes();
  }
  TextBuilder out(runtime.meter);
  print_json(runtime, value, style, out);
  return out.take();
}

/// Every filter of jinja2; null where tern does not have it.
const std::unordered_map<std::string_view, Filter>& filters() {
  static const std::unordered_map<std::string_view, Filter> all = {
      {"abs", filter_abs},           {"attr", filter_attr},
      {"batch", filter_batch},       {"capitalize", filter_capitalize},
      {"center", filter_center},     {"count", filter_length},
      {"d", filter_default},         {"default", filter_default},
      {"dictsort", filter_dictsort}, {"e", filter_escape},
      {"escape", filter_escape},     {"filesizeformat", nullptr},
      {"first", filter_first},       {"float", filter_float},
      {"forceescape", nullptr},      {"format", filter_format},
      {"groupby", filter_groupby},   {"indent", filter_indent},
      {"int", filter_int},           {"items", filter_items},
      {"join", filter_join},         {"last", filter_last},
      {"length", filter_length},     {"list", filter_list},
      {"lower", filter_lower},       {"map", filter_map},
      {"max", filter_max},           {"min", filter_min},
      {"pprint", nullptr},           {"random", nullptr},
      {"reject", filter_reject},     {"rejectattr", filter_rejectattr},
      {"replace", filter_replace},   {"reverse", filter_reverse},
      {"round", filter_round},       {"safe", filter_safe},
      {"select", filter_select},     {"selectattr", filter_selectattr},
      {"slice", filter_slice},       {"sort", filter_sort},
      {"string", filter_string},     {"striptags", nullptr},
      {"sum", filter_sum},           {"title", filter_title},
      {"tojson", filter_tojson},     {"trim", filter_trim},
      {"truncate", filter_truncate}, {"unique", filter_unique},
      {"upper", filter_upper},       {"urlencode", nullptr},
      {"urlize", nullptr},           {"wordcount", filter_wordcount},
      {"wordwrap", nullptr},         {"xmlattr", nullptr},
  };
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
