// Any bytes as a server's response to the load generator: refused by an Error, or read, the same however they
// were cut. The first two bytes say where.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "measure/load/http_reader.h"
#include "measure/load/sse_reader.h"
#include "measure/load/stream_event.h"
#include "measure/load/trace.h"
#include "tests/fuzz/require.h"

namespace tern::load {
namespace {

struct Seen {
  std::vector<std::string> events;
  std::string body;
  size_t used = 0;
  bool done = false, refused = false;
};

Seen read(std::string_view bytes, size_t first, size_t then) {
  Seen seen;
  HttpReader http;
  SseReader sse;
  try {
    for (size_t begin = 0; begin < bytes.size() && !http.done();) {
      const std::string_view piece = bytes.substr(begin, begin == 0 ? first : then);
      begin += piece.size();
      seen.used += http.feed(piece, [&](std::string_view body) {
        seen.body += body;
        sse.feed(body, [&](std::string_view data) { seen.events.emplace_back(data); });
      });
    }
    if (!http.done()) http.end();
  } catch (const Error&) {
    seen.refused = true;
  }
  seen.done = http.done();
  return seen;
}

void check_events(const Seen& seen) {
  for (const std::string& data : seen.events) {
    try {
      const StreamEvent event = read_event(data);
      require(event.finish.size() <= 32, "a finish_reason's length");
      require(!event.error || event.error->size() <= 200, "an error's length");
    } catch (const Error&) {
    }
  }
}

void check_trace(std::string_view text) {
  try {
    double last = 0;
    for (const TraceLine& line : parse_trace(text, "trace")) {
      require(line.at_s >= last, "a trace's order");
      last = line.at_s;
    }
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace tern::load

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tern;
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const load::Seen whole = load::read(bytes, bytes.size(), bytes.size());
  const load::Seen pieces = load::read(bytes, size_t{data[0]} + 1, size_t{data[1]} + 1);
  require(whole.refused == pieces.refused, "one refusal for all cuts");
  require(whole.done == pieces.done && whole.used <= bytes.size(), "one end for all cuts");
  // What is refused may have been read further in smaller pieces.
  if (!whole.refused) {
    require(whole.used == pieces.used && whole.body == pieces.body, "one body for all cuts");
    require(whole.events == pieces.events, "the same events for all cuts");
  }
  load::check_events(whole);
  load::check_trace(bytes);
  return 0;
}
