#include "serve/head_rules.h"

#include <algorithm>

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>

namespace tern {
namespace {

namespace http = boost::beast::http;

constexpr size_t kMostFields = 128;

ApiError no_http(const std::string& what) {
  return ApiError(400, fmt::format("This is no HTTP request: {}.", what));
}

/// The bytes of one line, without its end.
const char* wrong_in_line(std::string_view line) {
  for (const unsigned char c : line) {
    if (c == '\r') return "a carriage return inside a line";
    if ((c < 0x20 && c != '\t') || c == 0x7f) return "a control byte in its head";
  }
  return nullptr;
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view value(const http::request_header<>& head, http::field field) {
  const auto found = head[field];
  return {found.data(), found.size()};
}

const char* wrong_framing(const http::request_header<>& head) {
  const bool chunked = head.count(http::field::transfer_encoding) > 0;
  const bool sized = head.count(http::field::content_length) > 0;
  if (chunked && sized) return "Content-Length beside Transfer-Encoding";
  if (chunked && head.version() < 11) return "Transfer-Encoding in HTTP/1.0";
  const std::string_view coding = value(head, http::field::transfer_encoding);
  if (chunked && !boost::beast::iequals({coding.data(), coding.size()}, "chunked"))
    return "a Transfer-Encoding other than chunked";
  if (sized && !is_digits(value(head, http::field::content_length)))
    return "a Content-Length that is no number";
  return nullptr;
}

}  // namespace

std::optional<ApiError> bad_head_bytes(std::string_view bytes, bool whole) {
  const bool upper = bytes.empty() || (bytes[0] >= 'A' && bytes[0] <= 'Z');
  if (!upper) return no_http("it doesn't begin with a method");
  size_t lines = 0;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    std::string_view line = bytes.substr(0, end);
    if (end != std::string_view::npos && !line.ends_with('\r'))
      return no_http("a line that ends without a carriage return");
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (const char* wrong = wrong_in_line(line)) return no_http(wrong);
    if (line.starts_with(' ') || line.starts_with('\t')) return no_http("a folded line");
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    if (++lines > kMostFields + 2)
      return ApiError(431, fmt::format("The request's head has more than {} fields.", kMostFields));
  }
  if (whole && lines < 2) return no_http("an empty head");
  return std::nullopt;
}

std::optional<ApiError> bad_head(const http::request_header<>& head) {
  for (const http::field field : {http::field::content_length, http::field::transfer_encoding,
                                  http::field::host, http::field::origin}) {
    if (head.count(field) <= 1) continue;
    const auto name = http::to_string(field);
    return no_http(fmt::format("{} stands twice", std::string_view(name.data(), name.size())));
  }
  if (head.count(http::field::host) == 0 && head.version() >= 11)
    return ApiError(400, "The request must have one Host header.");
  if (const char* wrong = wrong_framing(head)) return no_http(wrong);
  if (!head.target().starts_with('/')) return no_http("a target that is no path");
  return std::nullopt;
}

}  // namespace tern
