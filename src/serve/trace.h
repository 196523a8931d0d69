// Where a request stands in a distributed trace: W3C Trace Context, level 1 (the header traceparent).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tern {

/// Ids in lower-case hexadecimal.
struct TraceContext {
  std::string trace_id;   ///< 32 digits
  std::string span_id;    ///< 16 digits: this request's own
  std::string parent_id;  ///< 16 digits: the caller's span; empty where the trace begins here
};

/// The trace and the caller's span of a traceparent; nothing where it is malformed in any way (wrong lengths
/// or digits, ids of zeros, version ff). Later versions are read as far as version 00 goes.
std::optional<TraceContext> parse_traceparent(std::string_view header);
/// The request's own place: a new span in the caller's trace, or in a new one.
TraceContext trace_of(std::string_view traceparent);

}  // namespace tern
