#include "text/jinja/strings.h"

#include <algorithm>

#include "text/jinja/unicode.h"

namespace tern::jinja {
namespace {

std::u32string characters_of(std::string_view text) {
  std::u32string all;
  for (size_t at = 0, bytes = 0; at < text.size(); at += bytes)
    all += decode_character(text.substr(at), bytes);
  return all;
}

Text cut(Runtime& runtime, const Text& text, size_t begin, size_t end) {
  runtime.meter.bytes(sizeof(Text) + end - begin);
  return text.slice(begin, end);
}

void check_separator(const Text& separator) {
  if (separator.empty()) fail(ErrorKind::bad_input, "split: an empty separator");
}

}  // namespace

Text strip(Runtime& runtime, const Text& text, Side side, const Text* set) {
  const std::u32string wanted = set ? characters_of(set->view()) : std::u32string();
  runtime.meter.steps(text.size() / 16);
  const auto goes = [&](char32_t c) {
    runtime.meter.steps(1 + wanted.size() / 16);
    return set ? wanted.find(c) != std::u32string::npos : is_space(c);
  };
  const std::string_view all = text.view();
  size_t begin = 0, end = all.size();
  if (side != Side::right) {
    for (size_t bytes = 0; begin < end; begin += bytes) {
      if (!goes(decode_character(all.substr(begin), bytes))) break;
    }
  }
  if (side != Side::left) {
    for (size_t before = 0; end > begin; end = before) {
      if (!goes(character_before(all, end, before))) break;
    }
  }
  return cut(runtime, text, begin, end);
}

Text map_characters(Runtime& runtime, const Text& text,
                    const std::function<std::string(char32_t, bool)>& map) {
  TextBuilder out(runtime.meter);
  bool in_word = false;
  const std::string_view all = text.view();
  for (size_t at = 0, bytes = 0; at < all.size(); at += bytes) {
    runtime.meter.steps();
    const char32_t c = decode_character(all.substr(at), bytes);
    out.append(map(c, in_word), trusted_at(text, at));
    in_word = is_letter(c);
  }
  return out.take().as_markup(text.markup());
}

Text upper(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text, [](char32_t c, bool) { return upper_of(c); });
}

Text lower(Runtime& runtime, const Text& text) {
  constexpr char32_t kSigma = 0x3A3;
  if (text.view().find("\u03a3") == std::string_view::npos)
    return map_characters(runtime, text, [](char32_t c, bool) { return lower_of(c); });
  // A capital sigma that ends a word becomes the final one.
  const std::u32string all = characters_of(text.view());
  size_t at = 0;
  return map_characters(runtime, text, [&](char32_t c, bool in_word) {
    const size_t here = at++;
    const bool last = here + 1 >= all.size() || !is_letter(all[here + 1]);
    return c == kSigma && in_word && last ? std::string("\u03c2") : lower_of(c);
  });
}

Text capitalize(Runtime& runtime, const Text& text) {
  bool first = true;
  return map_characters(runtime, text, [&](char32_t c, bool) {
    return std::exchange(first, false) ? title_of(c) : lower_of(c);
  });
}

Text replace(Runtime& runtime, const Text& text, const Text& from, const Text& to,
             std::optional<int64_t> most) {
  TextBuilder out(runtime.meter);
  const std::string_view all = text.view();
  runtime.meter.steps(all.size() / 16);
  int64_t left = most && *most >= 0 ? *most : std::numeric_limits<int64_t>::max();
  size_t at = 0;
  while (left > 0) {
    runtime.meter.steps();
    const size_t found = find_text(all, from.view(), at);
    if (found == std::string_view::npos) break;
    out.append(text, at, found);
    out.append(to);
    --left;
    at = found + from.size();
    if (!from.empty()) continue;
    // Nothing is found between all characters and at both ends.
    if (at >= all.size()) break;
    size_t bytes = 0;
    decode_character(all.substr(at), bytes);
    out.append(text, at, at + bytes);
    at += bytes;
  }
  out.append(text, std::min(at, all.size()), all.size());
  return out.take().as_markup(text.markup());
}

std::vector<Text> split(Runtime& runtime, const Text& text, const Text* separator, int64_t most) {
  const std::string_view all = text.view();
  runtime.meter.steps(all.size() / 16);
  std::vector<Text> pieces;
  const auto may_cut = [&] { return most < 0 || static_cast<int64_t>(pieces.size()) < most; };
  if (separator) {
    check_separator(*separator);
    size_t begin = 0;
    for (size_t found;
         may_cut() && (found = find_text(all, separator->view(), begin)) != std::string_view::npos;) {
      runtime.meter.steps();
      pieces.push_back(cut(runtime, text, begin, found));
      begin = found + separator->size();
    }
    pieces.push_back(cut(runtime, text, begin, all.size()));
    return pieces;
  }
  for (size_t at = run_end(all, 0); at < all.size();) {
    runtime.meter.steps();
    const size_t end = may_cut() ? run_end(all, at, false) : all.size();
    pieces.push_back(cut(runtime, text, at, end));
    at = run_end(all, end);
  }
  return pieces;
}

std::vector<Text> split_right(Runtime& runtime, const Text& text, const Text* separator, int64_t most) {
  const std::string_view all = text.view();
  runtime.meter.steps(all.size() / 16);
  std::vector<Text> pieces;
  const auto may_cut = [&] { return most < 0 || static_cast<int64_t>(pieces.size()) < most; };
  size_t end = all.size();
  if (separator) {
    check_separator(*separator);
    while (may_cut()) {
      const size_t found = end < separator->size() ? std::string_view::npos
                                                   : all.rfind(separator->view(), end - separator->size());
      runtime.meter.steps(1 + (end - (found == std::string_view::npos ? 0 : found)) * separator->size() / 16);
      if (found == std::string_view::npos) break;
      pieces.push_back(cut(runtime, text, found + separator->size(), end));
      end = found;
    }
    pieces.push_back(cut(runtime, text, 0, end));
  } else {
    for (end = run_begin(all, end); end > 0;) {
      runtime.meter.steps();
      const size_t begin = may_cut() ? run_begin(all, end, false) : 0;
      pieces.push_back(cut(runtime, text, begin, end));
      end = run_begin(all, begin);
    }
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<Text> split_lines(Runtime& runtime, const Text& text, bool keep_ends) {
  const std::string_view all = text.view();
  runtime.meter.steps(all.size());
  const auto line_end = [](char32_t c) {
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::vector<Text> lines;
  size_t begin = 0;
  for (size_t at = 0, bytes = 0; at < all.size();) {
    const bool ends = line_end(decode_character(all.substr(at), bytes));
    const size_t end = at;
    at += bytes;
    if (!ends) continue;
    if (all[end] == '\r' && at < all.size() && all[at] == '\n') ++at;
    lines.push_back(cut(runtime, text, begin, keep_ends ? at : end));
    begin = at;
  }
  if (begin < all.size()) lines.push_back(cut(runtime, text, begin, all.size()));
  return lines;
}

Text pad(Runtime& runtime, const Text& text, int64_t width, Side text_at, const Text& fill) {
  const auto size = static_cast<int64_t>(text.characters());
  if (width <= size) return text;
  const int64_t room = width - size;
  // Python puts an odd one to the left where the width is odd too.
  int64_t before = text_at == Side::left ? 0 : text_at == Side::right ? room : room / 2 + (room & width & 1);
  TextBuilder out(runtime.meter);
  const auto add = [&](int64_t n) {
    for (; n > 0; --n) {
      runtime.meter.steps();
      out.append(fill);
    }
  };
  add(before);
  out.append(text);
  add(room - before);
  return out.take().as_markup(text.markup());
}

Text join(Runtime& runtime, const Text& separator, const std::vector<Text>& pieces) {
  TextBuilder out(runtime.meter);
  for (size_t i = 0; i < pieces.size(); ++i) {
    runtime.meter.steps();
    if (i > 0) out.append(separator);
    out.append(pieces[i]);
  }
  return out.take();
}

Value text_list(Runtime& runtime, std::vector<Text> texts) {
  std::vector<Value> items;
  for (Text& text : texts) items.emplace_back(std::move(text));
  return make_list(runtime.meter, std::move(items));
}

}  // namespace tern::jinja
