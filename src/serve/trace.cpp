#include "serve/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace tern {
namespace {

constexpr size_t kVersion = 2, kTrace = 32, kSpan = 16, kFlags = 2;
constexpr size_t kLength = kVersion + 1 + kTrace + 1 + kSpan + 1 + kFlags;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) {
  return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

uint64_t random_id() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  uint64_t id = 0;
  while (id == 0) id = random();
  return id;
}

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view header) {
  if (header.size() < kLength) return std::nullopt;
  const std::string_view version = header.substr(0, kVersion);
  const std::string_view trace = header.substr(kVersion + 1, kTrace);
  const std::string_view span = header.substr(kVersion + kTrace + 2, kSpan);
  const std::string_view flags = header.substr(kVersion + kTrace + kSpan + 3, kFlags);
  const bool dashes = header[kVersion] == '-' && header[kVersion + kTrace + 1] == '-' &&
                      header[kVersion + kTrace + kSpan + 2] == '-';
  const bool more = header.size() > kLength;
  if (!dashes || !is_hex(version) || version == "ff" || !is_hex(flags)) return std::nullopt;
  if (more && (version == "00" || header[kLength] != '-')) return std::nullopt;
  if (!is_id(trace) || !is_id(span)) return std::nullopt;
  return TraceContext{std::string(trace), {}, std::string(span)};
}

TraceContext trace_of(std::string_view traceparent) {
  TraceContext context = parse_traceparent(traceparent).value_or(TraceContext{});
  if (context.trace_id.empty()) context.trace_id = fmt::format("{:016x}{:016x}", random_id(), random_id());
  context.span_id = fmt::format("{:016x}", random_id());
  return context;
}

}  // namespace tern
