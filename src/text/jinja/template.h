// Chat templates: the language of jinja2, as transformers sets it up, run within bounds.
//
// trim_blocks and lstrip_blocks are on; the sandbox hides what would change lists and dicts; break, continue
// and generation blocks are known; tojson writes ", " and ": ", keeps keys in order and escapes no HTML.
// What is left out is refused by name: inheritance, import, call and recursive loops, and some filters
// (functions.h). Integers have 64 bits; one that would not fit ends the rendering.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/meter.h"
#include "text/jinja/value.h"
#include "text/tokenizer.h"

namespace tern::jinja {

struct Tree;

struct RenderOptions {
  std::optional<std::tm> now;  ///< what strftime_now() says; nothing: the clock, in local time
  Limits limits;
};

/// A text, and which of it the template itself wrote: only there may special tokens be recognised.
struct Rendered {
  std::string text;
  std::vector<TextSpan> trusted;  ///< bytes; sorted, apart
};

/// Immutable after construction, safe to share between threads.
class Template {
 public:
  /// Throws Error{bad_input | unsupported | limit} naming the line.
  explicit Template(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;

  /// Throws Error naming the line: bad_input where jinja2 raises (raise_exception included), limit where the
  /// template runs too long or makes too much, unsupported for what tern leaves out.
  Rendered render(const Dict& variables, const RenderOptions& options = {}) const;
  /// Whether a variable or attribute-less name `name` stands anywhere in it.
  bool asks_for(std::string_view name) const;

 private:
  std::unique_ptr<const Tree> tree_;
};

}  // namespace tern::jinja
