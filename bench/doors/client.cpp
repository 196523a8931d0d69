#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "bench/doors/doors.h"
#include "measure/load/report.h"
#include "measure/load/run.h"

namespace tern::doors {

int run_client(const Settings& settings, const std::string& url, int table_file) {
  TokenTable table(table_file);
  load::LoadOptions options;
  options.server.url = url;
  options.server.timeout_s = 120;
  options.request.model = "tern";
  options.request.think = false;
  options.request.max_tokens = settings.tokens;
  if (settings.deadline_ms > 0) options.request.deadline_ms = {settings.deadline_ms, settings.deadline_ms};
  options.duration_s = 0;
  options.trace.resize(settings.streams);
  for (int i = 0; i < settings.streams; ++i) {
    options.request.prompts.push_back(std::to_string(i));
    options.trace[i].at_s = settings.ramp_s * i / settings.streams;
  }

  load::Histogram added;
  std::map<int64_t, int64_t> last_of_step;  // by when its tokens were chosen
  uint64_t unknown = 0;
  const int64_t begun = now_ns();
  const int64_t steady = begun + static_cast<int64_t>((settings.ramp_s + 0.5) * 1e9);
  options.on_text = [&](uint64_t request, uint32_t event, TimePoint at) {
    const int64_t received =
        std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
    const bool fits = event < static_cast<uint32_t>(settings.tokens);
    const int64_t chosen = fits ? table.chosen(static_cast<int>(request), static_cast<int>(event)).load() : 0;
    if (chosen == 0) {
      ++unknown;
      return;
    }
    if (chosen < steady) return;  // not all streams are there yet
    added.add(static_cast<double>(received - chosen) / 1e9);
    int64_t& last = last_of_step[chosen];
    last = std::max(last, received - chosen);
  };
  table.begun() = begun;
  const load::LoadReport report = load::run_load(options);

  load::Histogram last_event;
  for (const auto& [chosen, last] : last_of_step) last_event.add(static_cast<double>(last) / 1e9);
  nlohmann::ordered_json out = to_json(report);
  const auto ms = [](double seconds) { return seconds * 1e3; };
  out["added_ms"] = {{"p50", ms(added.quantile(0.5))}, {"p99", ms(added.quantile(0.99))}, {"max", ms(added.max())},
                     {"n", added.count()}};
  out["last_event_ms"] = {{"p50", ms(last_event.quantile(0.5))}, {"p99", ms(last_event.quantile(0.99))},
                          {"max", ms(last_event.max())}, {"n", last_event.count()}};
  out["unknown_events"] = unknown;
  fmt::print("{}\n", out.dump());
  return 0;
}

}  // namespace tern::doors
