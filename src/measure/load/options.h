// What a load is: where to, what is asked, and when.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "measure/load/trace.h"

namespace tern::load {

struct ServerOptions {
  std::string url;         ///< http://HOST[:PORT][/PATH], without a path /v1; or grpc://HOST:PORT
  std::string api_key;     ///< sent as `Authorization: Bearer`, where there is one
  bool keep_alive = true;  ///< else each request has a connection of its own
  double timeout_s = 60;   ///< a call that takes longer has failed
};

/// What each request holds. Empty options are not sent: the server's defaults apply.
struct RequestOptions {
  bool chat = true;                  ///< else /completions
  std::vector<std::string> prompts;  ///< taken in turn; at least one
  std::string model;
  std::optional<int> max_tokens;
  /// Milliseconds, drawn uniformly from [first, second] by the seed.
  std::optional<std::pair<int, int>> deadline_ms;
  std::string late;           ///< refuse, no_think, best_effort
  std::optional<bool> think;  ///< chat_template_kwargs.enable_thinking
  std::string effort;         ///< reasoning_effort
  std::optional<double> temperature;
  std::optional<int64_t> sampling_seed;
  nlohmann::ordered_json extra;  ///< an object merged into every body, or null
};

struct LoadOptions {
  ServerOptions server;
  RequestOptions request;
  uint64_t seed = 0;

  // One of: an open loop (rate > 0), a trace (not empty), else a closed loop.
  double rate = 0;        ///< requests a second
  double burstiness = 1;  ///< see Arrivals
  std::vector<TraceLine> trace;
  int concurrency = 1;  ///< requests under way at once

  double duration_s = 10;       ///< new requests are sent for so long, the warm-up beside it; 0: no limit
  uint64_t requests = 0;        ///< at most so many are sent, those of the warm-up beside them; 0: no limit
  double warmup_s = 0;          ///< requests due in this time at the beginning are not counted
  int most_connections = 4096;  ///< beyond, requests wait here; their time counts from when they were due

  /// Called for each event with text, where set: the request's number, the event's, when it came.
  std::function<void(uint64_t request, uint32_t event, TimePoint at)> on_text;
};

}  // namespace tern::load
