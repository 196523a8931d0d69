// Any bytes as a chat template and a request, a NUL between them: rendered within small limits or refused by
// an Error, never anything else. What the template wrote stays inside the prompt, and a request without a
// template is never trusted.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "tests/fuzz/require.h"
#include "text/jinja/json.h"
#include "text/jinja/template.h"
#include "text/utf8.h"

namespace tern {
namespace {

void check(std::string_view source, std::string_view request) {
  jinja::RenderOptions options;
  options.limits = {.steps = 100'000, .bytes = 8 << 20, .output = 1 << 20, .depth = 200};
  options.now = std::tm{};
  options.now->tm_mday = 1;
  const jinja::Template made(source);
  jinja::Dict variables;
  if (!request.empty()) {
    const jinja::Value value = jinja::parse_json(request);
    if (value.dict()) variables = *value.dict();
  }
  const jinja::Rendered prompt = made.render(variables, options);
  require(prompt.text.size() <= options.limits.output, "the output is bounded");
  require(utf8_valid_prefix(prompt.text) == prompt.text.size(), "a prompt is UTF-8");
  size_t end = 0;
  for (const TextSpan& span : prompt.trusted) {
    require(span.begin >= end && span.begin < span.end && span.end <= prompt.text.size(),
            "spans are in order");
    end = span.end;
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t border = input.find('\0');
  const bool whole = border == std::string_view::npos;
  try {
    tern::check(input.substr(0, border), whole ? std::string_view() : input.substr(border + 1));
  } catch (const tern::Error& error) {
    tern::require(error.kind() != tern::ErrorKind::internal && error.kind() != tern::ErrorKind::io,
                  error.what());
  }
  return 0;
}
