// Python's two ways of formatting strings: "..." % values and "...".format(values).
#include <algorithm>
#include <cmath>

#include "text/jinja/operations.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace tern::jinja {
namespace {

constexpr int64_t kMaxWidth = 10'000;  // of one field
constexpr int64_t kMaxPrecision = 1'000;

/// How one value is written; the widths and letters of both ways are the same.
struct Spec {
  std::string fill = " ";
  char align = '\0';  ///< < > ^ =, or none
  char sign = '-';
  bool alternate = false, zero = false;
  char group = '\0';
  int64_t width = 0;
  std::optional<int64_t> precision;
  char type = '\0';
};

int64_t read_number(std::string_view text, size_t& at, int64_t most) {
  int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = value * 10 + (text[at] - '0');
    if (value > most) fail(ErrorKind::limit, "a format of width or precision above {}", most);
  }
  return value;
}

std::string grouped(std::string digits, char separator, size_t size) {
  if (separator == '\0') return digits;
  const size_t whole = std::min(digits.find_first_of(".e"), digits.size());
  for (size_t at = whole; at > size; at -= size) digits.insert(at - size, 1, separator);
  return digits;
}

std::string digits_of(uint64_t value, char type) {
  switch (type) {
    case 'x':
      return fmt::format("{:x}", value);
    case 'X':
      return fmt::format("{:X}", value);
    case 'o':
      return fmt::format("{:o}", value);
    case 'b':
      return fmt::format("{:b}", value);
    default:
      return fmt::format("{}", value);
  }
}

/// A finite number's digits without its sign.
std::string float_digits(double value, const Spec& spec) {
  const double size = std::fabs(value);
  if (std::isnan(value)) return spec.type == 'F' || spec.type == 'E' || spec.type == 'G' ? "NAN" : "nan";
  if (std::isinf(value)) return spec.type == 'F' || spec.type == 'E' || spec.type == 'G' ? "INF" : "inf";
  if (spec.type == '\0' && !spec.precision) return float_text(size);
  if (spec.type == '\0') fail(ErrorKind::unsupported, "a format of a float with a precision and no letter");
  const char letter = spec.type == '%' ? 'f' : spec.type;
  const std::string format =
      fmt::format("%{}.{}{}", spec.alternate ? "#" : "", spec.precision.value_or(6), letter);
  char text[kMaxPrecision + 400];
  std::snprintf(text, sizeof(text), format.c_str(), spec.type == '%' ? size * 100 : size);
  return std::string(text) + (spec.type == '%' ? "%" : "");
}

std::string sign_of(bool negative, const Spec& spec) {
  return negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
}

Text number_text(Runtime& runtime, const std::string& sign, const std::string& prefix, std::string digits,
                 const Spec& spec) {
  const auto taken = static_cast<int64_t>(sign.size() + prefix.size());
  const bool fills_inside = spec.zero || spec.align == '=';
  if (fills_inside && spec.group != '\0') fail(ErrorKind::unsupported, "a format with zeros and separators");
  TextBuilder out(runtime.meter);
  out.append(sign + prefix, false);
  if (fills_inside) {
    const std::string fill = spec.zero && spec.align == '\0' ? "0" : spec.fill;
    for (auto n = static_cast<int64_t>(digits.size()) + taken; n < spec.width; ++n) out.append(fill, false);
  }
  out.append(digits, false);
  return out.take();
}

Text padded(Runtime& runtime, const Text& text, const Spec& spec, char otherwise) {
  const char align = spec.align == '\0' || spec.align == '=' ? otherwise : spec.align;
  const auto size = static_cast<int64_t>(text.characters());
  const int64_t room = std::max<int64_t>(0, spec.width - size);
  const int64_t before = align == '<' ? 0 : align == '>' ? room : room / 2;
  TextBuilder out(runtime.meter);
  for (int64_t i = 0; i < before; ++i) out.append(spec.fill, false);
  out.append(text);
  for (int64_t i = before; i < room; ++i) out.append(spec.fill, false);
  return out.take();
}

Text integer_text(Runtime& runtime, int64_t value, const Spec& spec) {
  const uint64_t size = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string prefix;
  if (spec.alternate && (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b'))
    prefix = std::string("0") + spec.type;
  const bool decimal = spec.type == '\0' || spec.type == 'd';
  std::string digits = grouped(digits_of(size, spec.type), spec.group, decimal ? 3 : 4);
  return number_text(runtime, sign_of(value < 0, spec), prefix, std::move(digits), spec);
}

Text real_text(Runtime& runtime, double value, const Spec& spec) {
  return number_text(runtime, sign_of(std::signbit(value) && !std::isnan(value), spec), "",
                     grouped(float_digits(value, spec), spec.group, 3), spec);
}

Text cut_to(const Text& text, const std::optional<int64_t>& precision) {
  return precision ? text.slice(0, text.offset(static_cast<size_t>(*precision))) : text;
}

Text quoted(Runtime& runtime, const Value& value) {
  TextBuilder out(runtime.meter);
  print(runtime, value, true, out);
  return out.take();
}

void refuse_markup(const Text& format) {
  if (format.markup()) fail(ErrorKind::unsupported, "a format that was marked safe");
}

// --- "..." % values

class PercentFormat {
 public:
  PercentFormat(Runtime& runtime, const Text& format, const Value& values)
      : runtime_(runtime), format_(format), all_(format.view()), values_(values), out_(runtime.meter) {
    if (values.list() && values.list()->shape == List::Shape::tuple) tuple_ = &values.list()->items;
  }

  Text run() {
    size_t begin = 0;
    while ((at_ = all_.find('%', begin)) != std::string_view::npos) {
      runtime_.meter.steps();
      out_.append(format_, begin, at_);
      ++at_;
      field();
      begin = at_;
    }
    out_.append(format_, begin, all_.size());
    // Python takes all that has items for a mapping, which need not be used up; undefined pretends to have
    // some.
    const bool takes_any = !tuple_ && (values_.dict() || values_.list() || values_.is_undefined());
    if (!takes_any && next_ < (tuple_ ? tuple_->size() : 1))
      fail(ErrorKind::bad_input, "%: not all values are used in the format");
    return out_.take();
  }

 private:
  char peek() const {
    if (at_ >= all_.size()) fail(ErrorKind::bad_input, "%: the format ends in the middle");
    return all_[at_];
  }

  const Value& next() {
    const size_t n = tuple_ ? tuple_->size() : 1;
    if (next_ >= n) fail(ErrorKind::bad_input, "%: not enough values for the format");
    const size_t i = next_++;
    return tuple_ ? (*tuple_)[i] : values_;
  }

  int64_t star() {
    ++at_;
    const auto value = next().integer();
    if (!value) fail(ErrorKind::bad_input, "%: a width, expected an integer");
    if (std::abs(*value) > kMaxPrecision) fail(ErrorKind::limit, "%: a width above {}", kMaxPrecision);
    return *value;
  }

  const Value* named() {
    if (peek() != '(') return nullptr;
    const size_t close = all_.find(')', at_);
    if (close == std::string_view::npos) fail(ErrorKind::bad_input, "%: a key has no end");
    const std::string key(all_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    if (!values_.dict()) fail(ErrorKind::bad_input, "%: a key, expected a mapping of values");
    const Value* found = values_.dict()->get(key);
    if (!found) fail(ErrorKind::bad_input, "%: no value named {}", key.substr(0, 100));
    return found;
  }

  void field() {
    const Value* value = named();
    Spec spec;
    for (; std::string_view("-+ 0#").find(peek()) != std::string_view::npos; ++at_) {
      if (all_[at_] == '-') spec.align = '<';
      if (all_[at_] == '+' || (all_[at_] == ' ' && spec.sign != '+')) spec.sign = all_[at_];
      if (all_[at_] == '0') spec.zero = true;
      if (all_[at_] == '#') spec.alternate = true;
    }
    spec.width = peek() == '*' ? star() : read_number(all_, at_, kMaxWidth);
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(0, peek() == '*' ? star() : read_number(all_, at_, kMaxPrecision));
    }
    while (std::string_view("hlL").find(peek()) != std::string_view::npos) ++at_;
    spec.type = peek();
    ++at_;
    if (spec.type == '%') return out_.append("%", trusted_at(format_, at_ - 1));
    if (spec.align == '<') spec.zero = false;
    convert(value ? *value : next(), spec);
  }

  void convert(const Value& value, Spec& spec) {
    const char type = spec.type;
    if (type == 's' || type == 'r' || type == 'a') {
      if (type == 'a') fail(ErrorKind::unsupported, "%a");
      const Text text = type == 's' ? to_text(runtime_, value) : quoted(runtime_, value);
      return out_.append(padded(runtime_, cut_to(text, spec.precision), spec, '>'));
    }
    if (type == 'c') return character(value, spec);
    if (std::string_view("diuxXo").find(type) != std::string_view::npos) return integer(value, spec);
    if (std::string_view("fFeEgG").find(type) == std::string_view::npos)
      fail(ErrorKind::bad_input, "%: unknown letter in the format");
    const auto number = value.number();
    if (!number) fail(ErrorKind::bad_input, "%{}: {}, expected a number", type, type_name(value));
    out_.append(padded(runtime_, real_text(runtime_, *number, spec), spec, '>'));
  }

  void integer(const Value& value, Spec& spec) {
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    auto number = value.integer();
    if (!number && decimal && value.as<double>()) {
      const double real = *value.as<double>();
      if (!std::isfinite(real)) fail(ErrorKind::bad_input, "%d: not a finite number");
      if (std::fabs(real) >= 9.2e18) fail(ErrorKind::limit, "%d: beyond 64 bits");
      number = static_cast<int64_t>(real);
    }
    if (!number) fail(ErrorKind::bad_input, "%{}: {}, expected an integer", spec.type, type_name(value));
    if (spec.precision) fail(ErrorKind::unsupported, "a format of an integer with a precision");
    if (decimal) spec.type = 'd';
    out_.append(padded(runtime_, integer_text(runtime_, *number, spec), spec, '>'));
  }

  void character(const Value& value, const Spec& spec) {
    if (const Text* text = value.text()) {
      if (text->characters() != 1) fail(ErrorKind::bad_input, "%c: expected one character");
      return out_.append(padded(runtime_, *text, spec, '>'));
    }
    const auto code = value.integer();
    if (!code || *code < 0 || *code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF))
      fail(ErrorKind::bad_input, "%c: expected a character");
    const Text text = Text::request_text(utf8_of(static_cast<char32_t>(*code)));
    out_.append(padded(runtime_, text, spec, '>'));
  }

  Runtime& runtime_;
  const Text& format_;
  std::string_view all_;
  const Value& values_;
  const std::vector<Value>* tuple_ = nullptr;
  TextBuilder out_;
  size_t at_ = 0, next_ = 0;
};

// --- "...".format(values)

class BraceFormat {
 public:
  BraceFormat(Runtime& runtime, const Text& format, const CallArguments& arguments)
      : runtime_(runtime), format_(format), all_(format.view()), arguments_(arguments), out_(runtime.meter) {}

  Text run() {
    size_t begin = 0;
    for (size_t at = 0; (at = all_.find_first_of("{}", at)) != std::string_view::npos;) {
      runtime_.meter.steps();
      out_.append(format_, begin, at);
      if (at + 1 < all_.size() && all_[at + 1] == all_[at]) {
        out_.append(format_, at, at + 1);
        begin = at = at + 2;
        continue;
      }
      if (all_[at] == '}') fail(ErrorKind::bad_input, "format: a single }}");
      const size_t close = all_.find('}', at);
      if (close == std::string_view::npos)
        fail(ErrorKind::bad_input, "format: a field has no end, expected }}");
      field(all_.substr(at + 1, close - at - 1));
      begin = at = close + 1;
    }
    out_.append(format_, begin, all_.size());
    return out_.take();
  }

 private:
  void field(std::string_view text) {
    if (text.find('{') != std::string_view::npos) fail(ErrorKind::unsupported, "format: a field in a field");
    const size_t colon = std::min(text.find(':'), text.size());
    std::string_view name = text.substr(0, colon);
    char conversion = '\0';
    if (const size_t bang = name.find('!'); bang != std::string_view::npos) {
      if (bang + 2 != name.size()) fail(ErrorKind::bad_input, "format: a broken conversion");
      conversion = name[bang + 1];
      name = name.substr(0, bang);
    }
    Value value = find(name);
    if (conversion == 'r') value = quoted(runtime_, value);
    if (conversion == 's') value = to_text(runtime_, value);
    if (conversion == 'a') fail(ErrorKind::unsupported, "format: !a");
    if (conversion != '\0' && conversion != 'r' && conversion != 's')
      fail(ErrorKind::bad_input, "format: unknown conversion");
    write(value, colon < text.size() ? text.substr(colon + 1) : std::string_view());
  }

  Value find(std::string_view name) {
    size_t at = name.find_first_of(".[");
    at = std::min(at, name.size());
    Value value = argument(name.substr(0, at));
    while (at < name.size()) {
      const bool attribute = name[at] == '.';
      const size_t end =
          attribute ? std::min(name.find_first_of(".[", at + 1), name.size()) : name.find(']', at);
      if (end == std::string_view::npos || end == at + 1)
        fail(ErrorKind::bad_input, "format: a broken field");
      const std::string part(name.substr(at + 1, end - at - 1));
      value = attribute ? get_attribute(runtime_, value, part) : get_item(runtime_, value, index(part));
      at = end + (attribute ? 0 : 1);
      if (!attribute && at < name.size() && name[at] != '.' && name[at] != '[')
        fail(ErrorKind::bad_input, "format: a broken field");
    }
    return value;
  }

  static bool is_number(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  }
  static Value index(const std::string& text) {
    size_t at = 0;
    if (is_number(text)) return read_number(text, at, int64_t{1} << 40);
    return Text::request_text(text);
  }

  Value argument(std::string_view name) {
    if (name.empty() || is_number(name)) {
      const bool automatic = name.empty();
      if (numbered_ && *numbered_ == automatic)
        fail(ErrorKind::bad_input, "format: numbered and unnumbered fields at once");
      numbered_ = !automatic;
      size_t at = 0;
      const auto i = automatic ? next_++ : static_cast<size_t>(read_number(name, at, kMaxWidth));
      if (i >= arguments_.positional.size()) fail(ErrorKind::bad_input, "format: no value {}", i);
      return arguments_.positional[i];
    }
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    fail(ErrorKind::bad_input, "format: no value named {}", name.substr(0, 100));
  }

  void write(const Value& value, std::string_view text) {
    if (text.empty()) return print(runtime_, value, false, out_);
    const Spec spec = parse(text);
    const bool number = value.number() && !value.as<bool>();
    if (value.text()) {
      if ((spec.type != '\0' && spec.type != 's') || spec.sign != '-' || spec.align == '=' ||
          spec.group != '\0' || spec.alternate)
        fail(ErrorKind::bad_input, "format: a format of numbers for a string");
      Spec filled = spec;
      if (spec.zero && spec.align == '\0') filled.fill = "0";
      return out_.append(padded(runtime_, cut_to(*value.text(), spec.precision), filled, '<'));
    }
    if (!number) fail(ErrorKind::unsupported, "format: a format for {}", type_name(value));
    const bool whole =
        value.integer() && std::string_view("\0dxXob", 6).find(spec.type) != std::string_view::npos;
    if (whole && spec.precision) fail(ErrorKind::bad_input, "format: a precision for an integer");
    if (!whole && std::string_view("\0fFeEgG%", 8).find(spec.type) == std::string_view::npos)
      fail(ErrorKind::bad_input, "format: unknown letter for {}", type_name(value));
    out_.append(padded(
        runtime_,
        whole ? integer_text(runtime_, *value.integer(), spec) : real_text(runtime_, *value.number(), spec),
        spec, '>'));
  }

  static Spec parse(std::string_view text) {
    constexpr std::string_view kAligns = "<>^=";
    Spec spec;
    size_t at = 0, bytes = 0;
    decode_character(text, bytes);
    if (bytes < text.size() && kAligns.find(text[bytes]) != std::string_view::npos) {
      spec.fill = text.substr(0, bytes);
      spec.align = text[bytes];
      at = bytes + 1;
    } else if (kAligns.find(text[0]) != std::string_view::npos) {
      spec.align = text[at++];
    }
    const auto is = [&](std::string_view set) {
      return at < text.size() && set.find(text[at]) != std::string_view::npos;
    };
    if (is("+- ")) spec.sign = text[at++];
    if (is("#")) spec.alternate = ++at > 0;
    if (is("0")) spec.zero = ++at > 0;
    spec.width = read_number(text, at, kMaxWidth);
    if (is(",_")) spec.group = text[at++];
    if (is(".")) {
      const size_t digits = ++at;
      spec.precision = read_number(text, at, kMaxPrecision);
      if (at == digits) fail(ErrorKind::bad_input, "format: a precision without a number");
    }
    if (at < text.size()) spec.type = text[at++];
    if (at != text.size()) fail(ErrorKind::bad_input, "format: a broken format");
    if (spec.zero && spec.align != '\0') spec.zero = false;
    return spec;
  }

  Runtime& runtime_;
  const Text& format_;
  std::string_view all_;
  const CallArguments& arguments_;
  TextBuilder out_;
  std::optional<bool> numbered_;
  size_t next_ = 0;
};

}  // namespace

Text format_percent(Runtime& runtime, const Text& format, const Value& values) {
  refuse_markup(format);
  return PercentFormat(runtime, format, values).run();
}

Text format_braces(Runtime& runtime, const Text& format, const CallArguments& arguments) {
  refuse_markup(format);
  return BraceFormat(runtime, format, arguments).run();
}

}  // namespace tern::jinja
