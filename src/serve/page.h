// The page at /: the files of web/, which lie inside the program. They refer to nothing outside of it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "serve/http.h"

namespace tern {

struct PageFile {
  std::string path;  ///< "/" for index.html, else "/web/NAME"
  const char* content_type;
  std::string_view plain, gzipped;
  std::string etag, gzipped_etag;  ///< RFC 9110's strong validators, quotes included
};

/// All of them.
std::span<const PageFile> page_files();

/// The answer to GET and HEAD of exactly one of those paths, gzipped for clients that take it, 304 for those
/// that have it; nothing for any other path.
std::optional<HttpReply> page_reply(const HttpRequest& request);

/// Whether an Accept-Encoding header takes gzip (RFC 9110, 12.5.3).
bool takes_gzip(std::string_view accept_encoding);

}  // namespace tern
