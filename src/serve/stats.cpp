#include "serve/stats.h"

#include <cmath>
#include <numeric>
#include <span>

#include <nlohmann/json.hpp>

namespace tern {
namespace {

using StatsJson = nlohmann::ordered_json;

StatsSample sample_now(const Telemetry& telemetry, const Engine& engine) {
  const DoorMetrics& doors = telemetry.metrics;
  return {Clock::now(),
          engine.statistics(),
          engine.expert_choices(),
          doors.first_token.counts(),
          doors.inter_token.counts(),
          doors.queue.counts()};
}

double rounded(double value) {
  constexpr double kDigits = 1e6;
  return std::round(value * kDigits) / kDigits;
}

double ratio(double of, double to) {
  return to > 0 ? rounded(of / to) : 0;
}

/// In milliseconds; null where nothing was counted.
StatsJson quantiles(const HistogramCounts& now, const HistogramCounts& then) {
  const HistogramCounts between = now - then;
  StatsJson json;
  for (const auto& [name, q] : {std::pair("p50", 0.5), std::pair("p99", 0.99)}) {
    const double seconds = between.quantile(seconds_buckets(), q);
    json[name] = std::isnan(seconds) ? StatsJson(nullptr) : StatsJson(rounded(seconds * 1e3));
  }
  return json;
}

StatsJson stages_per_token(const ModelStatistics& model) {
  StatsJson json;
  for (size_t stage = 0; stage < kStages; ++stage) {
    json[stage_name(static_cast<Stage>(stage))] =
        ratio(model.stages.seconds[stage] * 1e6, static_cast<double>(model.tokens));
  }
  return json;
}

/// Each expert's share of its layer's choices; zeros where nothing was chosen.
StatsJson expert_shares(std::span<const uint64_t> now, std::span<const uint64_t> then, int experts) {
  StatsJson layers = StatsJson::array();
  if (experts <= 0) return layers;
  for (size_t first = 0; first < now.size(); first += experts) {
    std::vector<double> counts(experts);
    for (int e = 0; e < experts; ++e) counts[e] = static_cast<double>(now[first + e] - then[first + e]);
    const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
    StatsJson shares = StatsJson::array();
    for (const double count : counts) shares.push_back(all > 0 ? std::round(count / all * 1e4) / 1e4 : 0.0);
    layers.push_back(std::move(shares));
  }
  return layers;
}

}  // namespace

void StatsWindow::sample(const Telemetry& telemetry, const Engine& engine) {
  samples_.push_back(sample_now(telemetry, engine));
  while (samples_.size() > 1 && samples_.back().at - samples_.front().at > kLength) samples_.pop_front();
}

std::string StatsWindow::json(const Telemetry& telemetry, const Engine& engine,
                              const std::string& model) const {
  const StatsSample now = sample_now(telemetry, engine);
  const StatsSample& then = samples_.empty() ? now : samples_.front();
  const EngineStatistics& e = now.engine;
  const double seconds = seconds_between(then.at, now.at);
  const ModelStatistics passes = e.model - then.engine.model;
  const double busy = passes.stages.total();
  const auto per_second = [&](uint64_t later, uint64_t earlier) {
    return ratio(static_cast<double>(later - earlier), seconds);
  };

  StatsJson json;
  json["model"] = model;
  json["uptime_s"] = rounded(seconds_since(started_));
  json["running"] = e.running;
  json["waiting"] = e.waiting;
  json["parallel"] = e.parallel;
  json["step_ms"] = quantiles(e.decode.seconds, then.engine.decode.seconds);
  json["tokens_per_s"] = per_second(e.generated_tokens, then.engine.generated_tokens);
  json["prompt_tokens_per_s"] = per_second(e.prompt_tokens, then.engine.prompt_tokens);
  json["gbps"] = ratio(static_cast<double>(passes.bytes) * 1e-9, busy);
  json["router_share"] = ratio(passes.stages[Stage::router], busy);
  json["cache_usage"] = ratio(e.pages_used, e.pages);
  json["deadlines"] = {
      {"promised", e.promised}, {"on_time", e.kept.on_time}, {"late", e.kept.late}, {"refused", e.refused}};
  json["ttft_ms"] = quantiles(now.first_token, then.first_token);
  json["itl_ms"] = quantiles(now.inter_token, then.inter_token);
  json["queue_ms"] = quantiles(now.queue, then.queue);
  json["stages_us"] = stages_per_token(passes);
  json["experts"] = expert_shares(now.experts, then.experts, engine.model_shape().experts);
  return json.dump(-1, ' ', false, StatsJson::error_handler_t::replace);
}

}  // namespace tern
