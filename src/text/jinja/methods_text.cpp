// The methods of Python's str.
#include <algorithm>
#include <optional>

#include "text/jinja/functions.h"
#include "text/jinja/methods.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace tern::jinja {
namespace {

template <Side side>
Value str_strip(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  return strip(runtime, *self.text(), side, bound.given(0) ? &bound.text(0) : nullptr);
}

template <Text (*map)(Runtime&, const Text&)>
Value str_map(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("a change of case", arguments);
  return map(runtime, *self.text());
}

Value str_title(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("title", arguments);
  return map_characters(runtime, *self.text(),
                        [](char32_t c, bool in_word) { return in_word ? lower_of(c) : title_of(c); });
}
Value str_swapcase(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("swapcase", arguments);
  return map_characters(runtime, *self.text(), [](char32_t c, bool) {
    return is_upper(c) ? lower_of(c) : is_lower(c) ? upper_of(c) : utf8_of(c);
  });
}

template <std::vector<Text> (*cut)(Runtime&, const Text&, const Text*, int64_t)>
Value str_split(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  return text_list(
      runtime, cut(runtime, *self.text(), bound.given(0) ? &bound.text(0) : nullptr, bound.integer(1, -1)));
}
Value str_splitlines(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  return text_list(runtime, split_lines(runtime, *self.text(), bound.truth(0, false)));
}

Value str_replace(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  return replace(runtime, *self.text(), bound.text(0), bound.text(1), bound.integer(2, -1));
}

/// The part that start and end leave of a string, in bytes; nothing where start is beyond its end.
std::optional<std::pair<size_t, size_t>> part_of(const Text& text, const Bound& bound) {
  const auto n = static_cast<int64_t>(text.characters());
  const auto limit = [&](size_t i, int64_t otherwise) {
    if (!bound.given(i)) return otherwise;
    const int64_t index = bound.integer(i, 0);
    return index < 0 ? std::max<int64_t>(0, index + n) : index;
  };
  const int64_t begin = limit(1, 0), end = std::min(limit(2, n), n);
  if (begin > end) return std::nullopt;
  return std::pair(text.offset(static_cast<size_t>(begin)), text.offset(static_cast<size_t>(end)));
}

template <bool at_start>
Value str_begins(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("startswith", arguments, {"prefix", "start", "end"}, 1);
  const Text& text = *self.text();
  std::vector<Value> wanted = {*bound[0]};
  if (bound[0]->list() && bound[0]->list()->shape == List::Shape::tuple) wanted = bound[0]->list()->items;
  runtime.meter.steps(text.size() / 16 + wanted.size());
  const auto part = part_of(text, bound);
  bool found = false;
  for (const Value& one : wanted) {
    if (!one.text()) fail(ErrorKind::bad_input, "startswith: {}, expected a string", type_name(one));
    if (!part) continue;
    const std::string_view view = text.view().substr(part->first, part->second - part->first);
    found = found || (at_start ? view.starts_with(one.text()->view()) : view.ends_with(one.text()->view()));
  }
  return found;
}

/// Code points before a byte.
int64_t index_of(const Text& text, size_t at) {
  return static_cast<int64_t>(text.slice(0, at).characters());
}

template <bool from_left, bool must>
Value str_find(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("find", arguments, {"sub", "start", "end"}, 1);
  const Text& text = *self.text();
  const std::string_view wanted = bound.text(0).view();
  runtime.meter.steps(text.size() / 16);
  size_t found = std::string_view::npos;
  if (const auto part = part_of(text, bound)) {
    const std::string_view view = text.view().substr(part->first, part->second - part->first);
    if (!from_left) runtime.meter.steps(view.size() * (wanted.size() / 16));
    found = from_left ? find_text(view, wanted) : view.rfind(wanted);
    if (found != std::string_view::npos) found += part->first;
  }
  if (found != std::string_view::npos) return index_of(text, found);
  if (must) fail(ErrorKind::bad_input, "index: the string is not there");
  return int64_t{-1};
}

Value str_count(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"}, 1);
  const Text& text = *self.text();
  const std::string_view wanted = bound.text(0).view();
  const auto part = part_of(text, bound);
  if (!part) return int64_t{0};
  if (wanted.empty()) return static_cast<int64_t>(text.slice(part->first, part->second).characters()) + 1;
  const std::string_view view = text.view().substr(0, part->second);
  runtime.meter.steps(view.size() / 16);
  int64_t count = 0;
  for (size_t at = part->first; (at = find_text(view, wanted, at)) != std::string_view::npos;
       at += wanted.size()) {
    runtime.meter.steps();
    ++count;
  }
  return count;
}

Value str_join(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("join", arguments, {"iterable"}, 1);
  std::vector<Text> pieces;
  for (const Value& item : walk(runtime, *bound[0])) {
    if (!item.text()) fail(ErrorKind::bad_input, "join: an item is {}, expected a string", type_name(item));
    pieces.push_back(*item.text());
  }
  return join(runtime, *self.text(), pieces);
}

Value str_format(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  return format_braces(runtime, *self.text(), arguments);
}

template <bool prefix>
Value str_remove(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("removeprefix", arguments, {"prefix"}, 1);
  const Text& text = *self.text();
  const Text& part = bound.text(0);
  runtime.meter.bytes(text.size());
  if (prefix && text.view().starts_with(part.view())) return text.slice(part.size(), text.size());
  if (!prefix && text.view().ends_with(part.view())) return text.slice(0, text.size() - part.size());
  return text;
}

template <bool from_left>
Value str_partition(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("partition", arguments, {"sep"}, 1);
  const Text& text = *self.text();
  const Text& separator = bound.text(0);
  if (separator.empty()) fail(ErrorKind::bad_input, "partition: an empty separator");
  runtime.meter.bytes(text.size());
  runtime.meter.steps(from_left ? 1 : text.size() * (separator.size() / 16));
  const size_t at =
      from_left ? find_text(text.view(), separator.view()) : text.view().rfind(separator.view());
  std::vector<Value> parts;
  if (at == std::string_view::npos) {
    parts = {Text(), Text(), Text()};
    parts[from_left ? 0 : 2] = text;
  } else {
    const size_t after = at + separator.size();
    parts = {text.slice(0, at), text.slice(at, after), text.slice(after, text.size())};
  }
  return make_list(runtime.meter, std::move(parts), List::Shape::tuple);
}

template <Side side>
Value str_pad(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("ljust", arguments, {"width", "fillchar"}, 1);
  const Text fill = bound.has(1) ? bound.text(1) : Text::trusted_text(" ");
  if (fill.characters() != 1) fail(ErrorKind::bad_input, "ljust: expected one character to fill with");
  return pad(runtime, *self.text(), bound.integer(0, 0), side, fill);
}

Value str_zfill(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("zfill", arguments, {"width"}, 1);
  const Text& text = *self.text();
  const bool sign = text.view().starts_with('-') || text.view().starts_with('+');
  const int64_t width = bound.integer(0, 0) - (sign ? 1 : 0);
  const Text digits = text.slice(sign ? 1 : 0, text.size());
  return join(
      runtime, Text(),
      {text.slice(0, sign ? 1 : 0), pad(runtime, digits, width, Side::right, Text::trusted_text("0"))});
}

Value str_expandtabs(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  const Bound bound("expandtabs", arguments, {"tabsize"});
  const int64_t size = bound.integer(0, 8);
  runtime.meter.length(static_cast<size_t>(std::max<int64_t>(0, size)));
  int64_t column = 0;
  return map_characters(runtime, *self.text(), [&](char32_t c, bool) {
    if (c == '\t') {
      const int64_t n = size > 0 ? size - column % size : 0;
      runtime.meter.bytes(static_cast<uint64_t>(n));
      column += n;
      return std::string(static_cast<size_t>(n), ' ');
    }
    column = c == '\n' || c == '\r' ? 0 : column + 1;
    return utf8_of(c);
  });
}

/// Whether there is a character and `holds` of each.
template <bool (*holds)(char32_t)>
Value str_all(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("a test of characters", arguments);
  const std::string_view text = self.text()->view();
  bool all = !text.empty();
  for (size_t at = 0, bytes = 0; at < text.size() && all; at += bytes) {
    runtime.meter.steps();
    all = holds(decode_character(text.substr(at), bytes));
  }
  return all;
}
bool is_alphanumeric(char32_t c) {
  return is_letter(c) || is_numeric(c);
}
Value str_isascii(Runtime&, const Value& self, const CallArguments& arguments) {
  no_arguments("isascii", arguments);
  const std::string_view text = self.text()->view();
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}
Value str_islower(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("islower", arguments);
  return call_test(runtime, "lower", self, {});
}
Value str_isupper(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  no_arguments("isupper", arguments);
  return call_test(runtime, "upper", self, {});
}

}  // namespace

const Methods& text_methods() {
  static const Methods all = {
      {"capitalize", str_map<capitalize>},
      {"casefold", nullptr},
      {"center", str_pad<Side::both>},
      {"count", str_count},
      {"encode", nullptr},
      {"endswith", str_begins<false>},
      {"expandtabs", str_expandtabs},
      {"find", str_find<true, false>},
      {"format", str_format},
      {"format_map", nullptr},
      {"index", str_find<true, true>},
      {"isalnum", str_all<is_alphanumeric>},
      {"isalpha", str_all<is_letter>},
      {"isascii", str_isascii},
      {"isdecimal", str_all<is_decimal>},
      {"isdigit", str_all<is_decimal>},
      {"isidentifier", nullptr},
      {"islower", str_islower},
      {"isnumeric", str_all<is_numeric>},
      {"isprintable", str_all<is_printable>},
      {"isspace", str_all<is_space>},
      {"istitle", nullptr},
      {"isupper", str_isupper},
      {"join", str_join},
      {"ljust", str_pad<Side::left>},
      {"lower", str_map<lower>},
      {"lstrip", str_strip<Side::left>},
      {"maketrans", nullptr},
      {"partition", str_partition<true>},
      {"removeprefix", str_remove<true>},
      {"removesuffix", str_remove<false>},
      {"replace", str_replace},
      {"rfind", str_find<false, false>},
      {"rindex", str_find<false, true>},
      {"rjust", str_pad<Side::right>},
      {"rpartition", str_partition<false>},
      {"rsplit", str_split<split_right>},
      {"rstrip", str_strip<Side::right>},
      {"split", str_split<split>},
      {"splitlines", str_splitlines},
      {"startswith", str_begins<true>},
      {"strip", str_strip<Side::both>},
      {"swapcase", str_swapcase},
      {"title", str_title},
      {"translate", nullptr},
      {"upper", str_map<upper>},
      {"zfill", str_zfill},
  };
  return all;
}

}  // namespace tern::jinja
