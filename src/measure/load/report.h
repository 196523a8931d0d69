// A measurement as JSON and as the table that a person reads.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "measure/load/record.h"

namespace tern::load {

/// Keys: ttfb_ms, ttft_ms, ttfa_ms, itl_ms, e2e_ms, refusal_ms, send_lag_ms, each with p50 p95 p99 max mean
/// and n; sent, done, complete, on_time, late, refused, failed, failures (reason to count); accepted, of
/// which on_time_share; server_said, server_on_time; tok_s, complete_s, tokens, reasoning_tokens,
/// prompt_tokens, bytes_per_token; seconds; client_cpu_s, client_cpu_share.
nlohmann::ordered_json to_json(const LoadReport& report);

std::string to_text(const LoadReport& report);

}  // namespace tern::load
