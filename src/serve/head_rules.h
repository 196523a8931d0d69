// What a request's head must be beyond what the parser asks: nothing that a proxy in front may read another
// way, so that both always agree where a request ends (request smuggling).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>

#include "serve/api_error.h"

namespace tern {

/// What is wrong with the bytes of a head, or of its beginning: RFC 9112's bare line breaks and folded lines,
/// control bytes, a beginning that is no method, more than 128 fields. `whole`: it ends in an empty line.
std::optional<ApiError> bad_head_bytes(std::string_view bytes, bool whole);

/// What is wrong with a parsed head: fields that may stand once stand twice, a body whose end isn't certain,
/// a target that is no path.
std::optional<ApiError> bad_head(const boost::beast::http::request_header<>& head);

}  // namespace tern
