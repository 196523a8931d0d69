// Strings of templates: UTF-8 that remembers which of its bytes the template wrote and which a request.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/meter.h"
#include "text/tokenizer.h"

namespace tern::jinja {

/// Immutable text in valid UTF-8. Bytes inside `trusted()` came from the template itself (or from tern), all
/// others from the request: only the former may become control tokens. Every operation on strings keeps the
/// origin of each byte; what it can't tell is not trusted.
class Text {
 public:
  Text() = default;
  static Text trusted_text(std::string bytes);
  static Text request_text(std::string bytes);

  std::string_view view() const { return bytes_; }
  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }  ///< bytes
  bool empty() const { return bytes_.empty(); }
  /// Sorted, not empty, not touching each other.
  const std::vector<TextSpan>& trusted() const { return trusted_; }
  /// HTML that is safe as it is (jinja2's Markup, what the filter `safe` makes).
  bool markup() const { return markup_; }

  size_t characters() const;  ///< code points
  /// The byte where code point `index` begins; size() from the last one's end on.
  size_t offset(size_t index) const;
  Text slice(size_t begin, size_t end) const;  ///< by bytes
  Text as_markup(bool markup) const;

 private:
  friend class TextBuilder;
  std::string bytes_;
  std::vector<TextSpan> trusted_;
  bool markup_ = false;
};

/// Grows a text, charging what it takes.
class TextBuilder {
 public:
  explicit TextBuilder(Meter& meter) : meter_(meter) {}

  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, size_t begin, size_t end);  ///< bytes [begin, end) of it
  void append(std::string_view bytes, bool trusted);
  size_t size() const { return text_.size(); }
  Text take() { return std::move(text_); }

 private:
  void trust(size_t begin, size_t end);

  Meter& meter_;
  Text text_;
};

/// Whether the byte at `at` came from the template.
bool trusted_at(const Text& text, size_t at);

/// Where `needle` begins in `text` at or after `from`, npos where it does not. Linear time whatever the
/// bytes.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);

}  // namespace tern::jinja
