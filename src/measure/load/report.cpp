#include "measure/load/report.h"

#include <fmt/format.h>

#include <cmath>

namespace tern::load {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double value, double unit) {
  return std::round(value / unit) * unit;
}

Json times_json(const Histogram& times) {
  const auto ms = [](double seconds) { return std::round(seconds * 1e6) / 1e3; };
  Json json;
  json["p50"] = ms(times.quantile(0.5));
  json["p95"] = ms(times.quantile(0.95));
  json["p99"] = ms(times.quantile(0.99));
  json["max"] = ms(times.max());
  json["mean"] = ms(times.mean());
  json["n"] = times.count();
  return json;
}

std::string ms_text(double seconds) {
  const double ms = seconds * 1e3;
  return fmt::format("{:.{}f}", ms, ms < 10 ? 2 : ms < 100 ? 1 : 0);
}

std::string row(const char* name, const Histogram& times) {
  if (times.count() == 0) return fmt::format("{:<22}{:>10}\n", name, "-");
  return fmt::format("{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}\n", name, ms_text(times.quantile(0.5)),
                     ms_text(times.quantile(0.95)), ms_text(times.quantile(0.99)), ms_text(times.max()),
                     ms_text(times.mean()));
}

std::string percent(double share) {
  return fmt::format("{:.{}f}%", share * 100, share > 0.99 && share < 1 ? 2 : 1);
}

std::string requests_text(const LoadReport& r) {
  std::string out = fmt::format("requests  {} sent in {:.1f} s: {} done, {} refused ({}), {} failed\n",
                                r.sent, r.seconds, r.done, r.refused, percent(r.refused_share()), r.failed);
  if (r.with_deadline > 0) {
    out += fmt::format("deadlines {} on time, {} late: {} of {} accepted on time", r.on_time, r.late,
                       percent(r.on_time_share()), r.accepted());
    if (r.server_said > 0)
      out += fmt::format("; by the server's word {} of {}", r.server_on_time, r.server_said);
    out += '\n';
  } else {
    out += "deadlines none asked for: 0 late\n";
  }
  for (const auto& [why, count] : r.failures) out += fmt::format("failed    {} x {}\n", count, why);
  return out;
}

}  // namespace

nlohmann::ordered_json to_json(const LoadReport& r) {
  Json json;
  json["ttfb_ms"] = times_json(r.ttfb);
  json["ttft_ms"] = times_json(r.ttft);
  json["ttfa_ms"] = times_json(r.ttfa);
  json["itl_ms"] = times_json(r.itl);
  json["e2e_ms"] = times_json(r.e2e);
  json["refusal_ms"] = times_json(r.refusal);
  json["send_lag_ms"] = times_json(r.lag);
  json["sent"] = r.sent;
  json["done"] = r.done;
  json["complete"] = r.complete;
  json["with_deadline"] = r.with_deadline;
  json["on_time"] = r.on_time;
  json["late"] = r.late;
  json["refused"] = r.refused;
  json["failed"] = r.failed;
  json["failures"] = r.failures;
  json["accepted"] = r.accepted();
  json["on_time_share"] = r.with_deadline ? Json(rounded(r.on_time_share(), 1e-5)) : Json(nullptr);
  json["refused_share"] = rounded(r.refused_share(), 1e-5);
  json["server_said"] = r.server_said;
  json["server_on_time"] = r.server_on_time;
  json["tok_s"] = rounded(r.tokens_per_s(), 0.1);
  json["complete_s"] = rounded(r.complete_per_s(), 0.001);
  json["tokens"] = r.tokens;
  json["reasoning_tokens"] = r.reasoning_tokens;
  json["prompt_tokens"] = r.prompt_tokens;
  json["tokens_estimated_for"] = r.estimated;
  json["bytes_per_token"] = rounded(r.bytes_per_token(), 0.1);
  json["seconds"] = rounded(r.seconds, 0.001);
  json["client_cpu_s"] = rounded(r.client_cpu_s, 0.001);
  json["client_cpu_share"] = rounded(r.client_wall_s > 0 ? r.client_cpu_s / r.client_wall_s : 0, 0.001);
  return json;
}

std::string to_text(const LoadReport& r) {
  std::string out =
      fmt::format("{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "ms", "p50", "p95", "p99", "max", "mean");
  out += row("first byte", r.ttfb);
  out += row("first token", r.ttft);
  out += row("first answer token", r.ttfa);
  out += row("gap between tokens", r.itl);
  out += row("end to end", r.e2e);
  out += row("refusal", r.refusal);
  out += row("sent after it was due", r.lag);
  out += '\n' + requests_text(r);
  out += fmt::format("answers   {:.2f} complete a second; {} of {} done are complete\n", r.complete_per_s(),
                     r.complete, r.done);
  out += fmt::format(
      "tokens    {:.0f} a second; {} of which {} thinking, {:.0f} bytes each{}\n", r.tokens_per_s(), r.tokens,
      r.reasoning_tokens, r.bytes_per_token(),
      r.estimated ? fmt::format("; {} answers came without a usage, their events were counted", r.estimated)
                  : "");
  out += fmt::format("client    {:.2f} s of CPU, {} of a core\n", r.client_cpu_s,
                     percent(r.client_wall_s > 0 ? r.client_cpu_s / r.client_wall_s : 0));
  return out;
}

}  // namespace tern::load
