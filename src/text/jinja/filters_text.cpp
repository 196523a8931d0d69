// jinja2's filters of strings and numbers, with the tojson of transformers.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "text/jinja/filters.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace tern::jinja {
namespace {

/// soft_str(): strings as they are, markup too.
Text soft_text(Runtime& runtime, const Value& value) {
  return value.text() ? *value.text() : to_text(runtime, value);
}

// --- numbers

std::string_view without_spaces(std::string_view text) {
  const auto space = [](char c) { return is_space(static_cast<unsigned char>(c)); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

/// int(text, base) as Python reads it; nothing where it raises.
std::optional<int64_t> parse_integer(std::string_view all, int64_t base) {
  const std::string_view text = without_spaces(all);
  const size_t end = text.size();
  std::string digits;
  bool negative = false;
  size_t at = 0;
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
  if (errno == ERANGE) fail(ErrorKind::limit, "int: {} does not fit into 64 bits", all.substr(0, 100));
  return value;
}

/// float(text); nothing where Python raises.
std::optional<double> parse_float(std::string_view all) {
  const std::string_view text = without_spaces(all);
  const auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = text[i] == '_' && i > 0 && digit(i - 1) && digit(i + 1);
    if (!between) plain += text[i];
  }
  // strtod() reads hexadecimal digits and nan(...), Python doesn't.
  if (plain.empty() || plain.find_first_of("xXpP(") != std::string::npos) return std::nullopt;
  char* stop = nullptr;
  const double value = std::strtod(plain.c_str(), &stop);
  return stop == plain.c_str() + plain.size() ? std::optional(value) : std::nullopt;
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
  return strip(runtime, soft_text(runtime, value), Side::both, bound.given(0) ? &bound.text(0) : nullptr);
}

Value filter_replace(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  return replace(runtime, to_text(runtime, value), to_text(runtime, *bound[0]), to_text(runtime, *bound[1]),
                 bound.given(2) ? std::optional(bound.integer(2, -1)) : std::nullopt);
}

Value filter_indent(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  const Text* text = value.text();
  if (!text) fail(ErrorKind::bad_input, "indent: {}, expected a string", type_name(value));
  const Text space = bound.has(0) && bound[0]->text()
                         ? bound.text(0)
                         : pad(runtime, Text(), bound.integer(0, 4), Side::left, Text::trusted_text(" "));
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
  const int64_t leeway = bound.given(3) ? bound.integer(3, 5) : 5;
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

Value filter_tojson(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (bound.given(1)) {
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
  if (bound.given(2)) {
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

}  // namespace

const Filters& text_filters() {
  static const Filters all = {
      {"abs", filter_abs},       {"capitalize", filter_capitalize},
      {"center", filter_center}, {"e", filter_escape},
      {"escape", filter_escape}, {"filesizeformat", nullptr},
      {"float", filter_float},   {"forceescape", nullptr},
      {"format", filter_format}, {"indent", filter_indent},
      {"int", filter_int},       {"lower", filter_lower},
      {"pprint", nullptr},       {"replace", filter_replace},
      {"round", filter_round},   {"safe", filter_safe},
      {"string", filter_string}, {"striptags", nullptr},
      {"title", filter_title},   {"tojson", filter_tojson},
      {"trim", filter_trim},     {"truncate", filter_truncate},
      {"upper", filter_upper},   {"urlencode", nullptr},
      {"urlize", nullptr},       {"wordcount", filter_wordcount},
      {"wordwrap", nullptr},     {"xmlattr", nullptr},
  };
  return all;
}

}  // namespace tern::jinja
