#include "serve/page.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "serve/page_files.h"

// What page.S holds.
#define TERN_DECLARE(stem, extension, type)                           \
  extern "C" const char tern_page_##stem[], tern_page_##stem##_end[]; \
  extern "C" const char tern_page_##stem##_gz[], tern_page_##stem##_gz_end[];
TERN_PAGE_FILES(TERN_DECLARE)
#undef TERN_DECLARE

namespace tern {
namespace {

// Model text never becomes markup, and nothing else may run, load or be asked either.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// FNV-1a, 64 bits: enough to tell two builds of a file apart.
uint64_t hash(std::string_view bytes) {
  uint64_t sum = 0xcbf29ce484222325;
  for (const unsigned char byte : bytes) sum = (sum ^ byte) * 0x100000001b3;
  return sum;
}

PageFile page_file(std::string_view name, const char* type, std::string_view plain,
                   std::string_view gzipped) {
  const std::string tag = fmt::format("{:016x}", hash(plain));
  return {name == "index.html" ? "/" : fmt::format("/web/{}", name),
          type,
          plain,
          gzipped,
          fmt::format("\"{}\"", tag),
          fmt::format("\"{}-gz\"", tag)};
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// Cuts the text before the first `mark` off `rest`, trimmed.
std::string_view take_until(std::string_view& rest, char mark) {
  const size_t end = std::min(rest.find(mark), rest.size());
  const std::string_view part = trimmed(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

bool is_gzip(std::string_view coding) {
  constexpr std::string_view kGzip = "gzip";
  return std::equal(coding.begin(), coding.end(), kGzip.begin(), kGzip.end(),
                    [](char a, char b) { return (a | 0x20) == b; });
}

}  // namespace

std::span<const PageFile> page_files() {
#define TERN_ENTRY(stem, extension, type)                                           \
  page_file(#stem "." #extension, type, {tern_page_##stem, tern_page_##stem##_end}, \
            {tern_page_##stem##_gz, tern_page_##stem##_gz_end}),
  static const std::array kFiles = {TERN_PAGE_FILES(TERN_ENTRY)};
#undef TERN_ENTRY
  return kFiles;
}

bool takes_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    std::string_view element = take_until(accept_encoding, ',');
    if (!is_gzip(take_until(element, ';'))) continue;
    const std::string_view weight = trimmed(element);  // "q=0.5"; "q=0" takes none
    return weight.empty() || weight.find_first_of("123456789") != std::string_view::npos;
  }
  return false;
}

std::optional<HttpReply> page_reply(const HttpRequest& request) {
  const auto files = page_files();
  const auto file =
      std::find_if(files.begin(), files.end(), [&](const PageFile& one) { return one.path == request.path; });
  if (file == files.end()) return std::nullopt;
  const bool gzip = takes_gzip(request.accept_encoding);
  const std::string& etag = gzip ? file->gzipped_etag : file->etag;
  HttpReply reply;
  reply.content_type = file->content_type;
  // The page belongs to the program that serves it: asked for each time, and sent where it has changed.
  reply.headers = {{"ETag", etag},
                   {"Cache-Control", "no-cache"},
                   {"Vary", "Accept-Encoding"},
                   {"Content-Security-Policy", kPolicy},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Referrer-Policy", "no-referrer"}};
  if (request.if_none_match.find(etag) != std::string::npos) {
    reply.status = 304;
    return reply;
  }
  if (gzip) reply.headers.emplace_back("Content-Encoding", "gzip");
  reply.body = gzip ? file->gzipped : file->plain;
  return reply;
}

}  // namespace tern
