// Values as text: str(), repr(), JSON.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/operations.h"
#include "text/jinja/unicode.h"

namespace tern::jinja {
namespace {

void append_escape(char32_t c, TextBuilder& out) {
  const auto code = static_cast<uint32_t>(c);
  if (c < 0x100) {
    out.append(fmt::format("\\x{:02x}", code), false);
  } else if (c < 0x10000) {
    out.append(fmt::format("\\u{:04x}", code), false);
  } else {
    out.append(fmt::format("\\U{:08x}", code), false);
  }
}

/// A string as Python writes it: in ' unless it has that and no ".
void print_quoted(Runtime& runtime, const Text& text, TextBuilder& out) {
  const std::string_view all = text.view();
  const bool doubled = all.find('\'') != std::string_view::npos && all.find('"') == std::string_view::npos;
  const char quote = doubled ? '"' : '\'';
  out.append({&quote, 1}, false);
  for (size_t at = 0; at < all.size();) {
    size_t bytes = 0;
    const char32_t c = decode_character(all.substr(at), bytes);
    runtime.meter.steps();
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out.append("\\", false);
      out.append(text, at, at + bytes);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out.append(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", false);
    } else if (is_printable(c)) {
      out.append(text, at, at + bytes);
    } else {
      append_escape(c, out);
    }
    at += bytes;
  }
  out.append({&quote, 1}, false);
}

void print_items(Runtime& runtime, const std::vector<Value>& items, const char* open, const char* close,
                 TextBuilder& out) {
  out.append(open, false);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ", false);
    print(runtime, items[i], true, out);
  }
  out.append(close, false);
}

void print_list(Runtime& runtime, const List& list, TextBuilder& out) {
  switch (list.shape) {
    case List::Shape::list:
      return print_items(runtime, list.items, "[", "]", out);
    case List::Shape::tuple:
      return print_items(runtime, list.items, "(", list.items.size() == 1 ? ",)" : ")", out);
    case List::Shape::range:
      out.append(fmt::format("range({}, {}", list.range[0], list.range[1]), false);
      if (list.range[2] != 1) out.append(fmt::format(", {}", list.range[2]), false);
      return out.append(")", false);
    case List::Shape::view:
      out.append(list.view, false);
      return print_items(runtime, list.items, "([", "])", out);
    case List::Shape::generator:
      fail(ErrorKind::unsupported, "a generator printed: its text is an address, expected | list before it");
  }
}

template <typename Items>
void print_pairs(Runtime& runtime, const Items& items, TextBuilder& out) {
  out.append("{", false);
  bool first = true;
  for (const auto& [key, value] : items) {
    if (!first) out.append(", ", false);
    first = false;
    print(runtime, key, true, out);
    out.append(": ", false);
    print(runtime, value, true, out);
  }
  out.append("}", false);
}

void print_space(Runtime& runtime, const Namespace& space, TextBuilder& out) {
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [name, value] : space.attributes)
    items.emplace_back(make_text(runtime.meter, name, true), value);
  out.append("<Namespace ", false);
  print_pairs(runtime, items, out);
  out.append(">", false);
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), std::fabs(value), std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = text.find('e');
  std::string digits(text.substr(0, e));
  std::erase(digits, '.');
  int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  const std::string sign = std::signbit(value) ? "-" : "";
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    const std::string point = n > 1 ? "." + digits.substr(1) : "";
    return fmt::format("{}{}{}e{}{:02d}", sign, digits[0], point, exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

void print(Runtime& runtime, const Value& value, bool quoted, TextBuilder& out) {
  runtime.meter.steps();
  const Meter::Level level(runtime.meter);
  if (const Text* text = value.text()) {
    if (!quoted) return out.append(*text);
    if (text->markup()) out.append("Markup(", false);
    print_quoted(runtime, *text, out);
    if (text->markup()) out.append(")", false);
    return;
  }
  if (value.is_undefined()) return out.append(quoted ? "Undefined" : "", false);
  if (value.is_none()) return out.append("None", false);
  if (const auto* b = value.as<bool>()) return out.append(*b ? "True" : "False", false);
  if (const auto* i = value.as<int64_t>()) return out.append(std::to_string(*i), false);
  if (const auto* d = value.as<double>()) return out.append(float_text(*d), false);
  if (const auto* big = value.as<BigInteger>()) return out.append(*big->digits, false);
  if (const List* list = value.list()) return print_list(runtime, *list, out);
  if (const Dict* dict = value.dict()) return print_pairs(runtime, dict->items, out);
  if (const Namespace* space = value.space()) return print_space(runtime, *space, out);
  if (const Loop* loop = value.loop())
    return out.append(fmt::format("<LoopContext {}/{}>", loop->index0 + 1, loop->items->items.size()), false);
  if (value.callable()->kind == Callable::Kind::macro)
    return out.append(fmt::format("<Macro '{}'>", value.callable()->name), false);
  fail(ErrorKind::unsupported, "the function {} printed: its text is an address", value.callable()->name);
}

Text to_text(Runtime& runtime, const Value& value) {
  if (const Text* text = value.text()) {
    runtime.meter.bytes(text->size());
    return text->as_markup(false);
  }
  TextBuilder out(runtime.meter);
  print(runtime, value, false, out);
  return out.take();
}

Text escape_html(Runtime& runtime, const Text& text) {
  if (text.markup()) return text;
  TextBuilder out(runtime.meter);
  size_t begin = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    static constexpr std::string_view kFrom = "&<>'\"";
    static constexpr const char* kTo[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    const size_t which = kFrom.find(text.view()[at]);
    if (which == std::string_view::npos) continue;
    out.append(text, begin, at);
    out.append(kTo[which], false);
    begin = at + 1;
  }
  out.append(text, begin, text.size());
  return out.take().as_markup(true);
}

namespace {

class JsonPrinter {
 public:
  JsonPrinter(Runtime& runtime, const JsonStyle& style, TextBuilder& out)
      : runtime_(runtime), style_(style), out_(out) {}

  void value(const Value& value) {
    runtime_.meter.steps();
    if (const Text* text = value.text()) return string(*text);
    if (value.is_none()) return plain("null");
    if (const auto* b = value.as<bool>()) return plain(*b ? "true" : "false");
    if (const auto* i = value.as<int64_t>()) return plain(std::to_string(*i));
    if (const auto* d = value.as<double>()) return plain(number(*d));
    if (const auto* big = value.as<BigInteger>()) return plain(*big->digits);
    if (const List* list = value.list()) {
      if (list->shape == List::Shape::list || list->shape == List::Shape::tuple) return items(list->items);
    }
    if (const Dict* dict = value.dict()) return pairs(*dict);
    fail(ErrorKind::bad_input, "tojson: {} has no JSON", type_name(value));
  }

 private:
  void plain(std::string_view text) { out_.append(text, false); }

  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_text(value);
  }

  void new_line() {
    if (!style_.indent) return;
    plain("\n");
    for (int i = 0; i < level_; ++i) plain(*style_.indent);
  }

  void items(const std::vector<Value>& list) {
    if (list.empty()) return plain("[]");
    plain("[");
    ++level_;
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) plain(style_.comma);
      new_line();
      value(list[i]);
    }
    --level_;
    new_line();
    plain("]");
  }

  void pairs(const Dict& dict) {
    if (dict.items.empty()) return plain("{}");
    std::vector<const std::pair<Value, Value>*> list;
    for (const auto& item : dict.items) list.push_back(&item);
    if (style_.sort_keys) {
      std::stable_sort(list.begin(), list.end(),
                       [&](const auto* a, const auto* b) { return order(runtime_, a->first, b->first) < 0; });
    }
    plain("{");
    ++level_;
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) plain(style_.comma);
      new_line();
      key(list[i]->first);
      plain(style_.colon);
      value(list[i]->second);
    }
    --level_;
    new_line();
    plain("}");
  }

  void key(const Value& name) {
    if (name.text()) return string(*name.text());
    if (name.list() || name.is_undefined())
      fail(ErrorKind::bad_input, "tojson: a key is {}", type_name(name));
    plain("\"");
    value(name);
    plain("\"");
  }

  void string(const Text& text) {
    plain("\"");
    const std::string_view all = text.view();
    size_t begin = 0;
    for (size_t at = 0; at < all.size();) {
      const auto byte = static_cast<unsigned char>(all[at]);
      const bool escaped =
          byte < 0x20 || byte == '"' || byte == '\\' || (style_.ensure_ascii && byte >= 0x7F);
      if (!escaped) {
        ++at;
        continue;
      }
      out_.append(text, begin, at);
      size_t bytes = 0;
      escape(decode_character(all.substr(at), bytes));
      begin = at += bytes;
    }
    out_.append(text, begin, all.size());
    runtime_.meter.steps(all.size() / 16);
    plain("\"");
  }

  void escape(char32_t c) {
    static constexpr std::string_view kFrom = "\"\\\n\r\t\f\b";
    static constexpr const char* kTo[] = {"\\\"", "\\\\", "\\n", "\\r", "\\t", "\\f", "\\b"};
    const size_t which = c < 0x80 ? kFrom.find(static_cast<char>(c)) : std::string_view::npos;
    if (which != std::string_view::npos) return plain(kTo[which]);
    auto code = static_cast<uint32_t>(c);
    if (code >= 0x10000) {
      code -= 0x10000;
      plain(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF)));
    } else {
      plain(fmt::format("\\u{:04x}", code));
    }
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  TextBuilder& out_;
  int level_ = 0;
};

}  // namespace

void print_json(Runtime& runtime, const Value& value, const JsonStyle& style, TextBuilder& out) {
  JsonPrinter(runtime, style, out).value(value);
}

}  // namespace tern::jinja
