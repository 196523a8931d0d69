#include "text/jinja/text.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tern::jinja {
namespace {

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

}  // namespace

Text Text::trusted_text(std::string bytes) {
  Text text;
  text.bytes_ = std::move(bytes);
  if (!text.bytes_.empty()) text.trusted_.push_back({0, text.bytes_.size()});
  return text;
}

Text Text::request_text(std::string bytes) {
  Text text;
  text.bytes_ = std::move(bytes);
  return text;
}

size_t Text::characters() const {
  return static_cast<size_t>(std::count_if(bytes_.begin(), bytes_.end(), begins_character));
}

size_t Text::offset(size_t index) const {
  for (size_t at = 0; at < bytes_.size(); ++at) {
    if (begins_character(bytes_[at]) && index-- == 0) return at;
  }
  return bytes_.size();
}

Text Text::slice(size_t begin, size_t end) const {
  Text part;
  part.bytes_ = bytes_.substr(begin, end - begin);
  part.markup_ = markup_;
  for (const TextSpan& span : trusted_) {
    const size_t from = std::max(span.begin, begin), to = std::min(span.end, end);
    if (from < to) part.trusted_.push_back({from - begin, to - begin});
  }
  return part;
}

Text Text::as_markup(bool markup) const {
  Text copy = *this;
  copy.markup_ = markup;
  return copy;
}

void TextBuilder::append(const Text& text, size_t begin, size_t end) {
  const size_t base = text_.size();
  append(text.view().substr(begin, end - begin), false);
  // The first span that ends after `begin`: texts of many spans are often walked piece by piece.
  auto span = std::lower_bound(text.trusted_.begin(), text.trusted_.end(), begin,
                               [](const TextSpan& s, size_t at) { return s.end <= at; });
  for (; span != text.trusted_.end() && span->begin < end; ++span) {
    trust(base + std::max(span->begin, begin) - begin, base + std::min(span->end, end) - begin);
  }
}

void TextBuilder::append(std::string_view bytes, bool trusted) {
  meter_.bytes(bytes.size());
  meter_.length(text_.size() + bytes.size());
  const size_t begin = text_.size();
  text_.bytes_ += bytes;
  if (trusted) trust(begin, text_.size());
}

void TextBuilder::trust(size_t begin, size_t end) {
  if (begin == end) return;
  auto& spans = text_.trusted_;
  if (!spans.empty() && spans.back().end == begin) {
    spans.back().end = end;
  } else {
    meter_.bytes(sizeof(TextSpan));
    spans.push_back({begin, end});
  }
}

bool trusted_at(const Text& text, size_t at) {
  const auto& spans = text.trusted();
  const auto span = std::lower_bound(spans.begin(), spans.end(), at,
                                     [](const TextSpan& s, size_t byte) { return s.end <= byte; });
  return span != spans.end() && span->begin <= at;
}

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* found = ::memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (!found) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace tern::jinja
