#include "serve/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "engine/statistics.h"
#include "model/cache.h"

namespace tern {
namespace {

// When the program's own code began, milliseconds after the process.
const double kStarted =
    std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();

void write_load(Exposition& out, const EngineStatistics& engine) {
  out.gauge({"tern:num_requests_running", "vllm:num_requests_running"}, "Requests that are decoded or read.",
            engine.running);
  out.gauge({"tern:num_requests_waiting", "vllm:num_requests_waiting"}, "Requests that wait for a place.",
            engine.waiting);
  out.gauge({"tern:max_num_requests_running"}, "Places for requests.", engine.parallel);
  const double pages = std::max(engine.pages, 1);
  out.gauge({"tern:kv_cache_usage_perc", "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"},
            "Share of the cache's pages that requests hold, 0 to 1.", engine.pages_used / pages);
  out.gauge({"tern:kv_cache_reserved_perc"}, "Share of them that is held or set aside, 0 to 1.",
            engine.pages_reserved / pages);
  out.family("vllm:cache_config_info", "gauge", "The cache's pages and their size in tokens, always 1.");
  out.sample("vllm:cache_config_info",
             {{"block_size", std::to_string(PagedCache::kPageTokens)},
              {"num_gpu_blocks", std::to_string(engine.pages)}},
             1);
}

void write_tokens(Exposition& out, const EngineStatistics& engine) {
  out.counter({"tern:prompt_tokens_total", "vllm:prompt_tokens_total"}, "Prompt tokens that were computed.",
              static_cast<double>(engine.prompt_tokens));
  out.counter({"tern:generation_tokens_total", "vllm:generation_tokens_total"}, "Tokens chosen.",
              static_cast<double>(engine.generated_tokens));
  out.counter({"tern:thinking_tokens_total"}, "Tokens chosen inside of thinking.",
              static_cast<double>(engine.thinking_tokens));
  out.counter({"tern:prefix_cache_queries_total", "vllm:prefix_cache_queries_total"},
              "Prompt tokens looked up in the prefix cache.",
              static_cast<double>(engine.prefix_query_tokens));
  out.counter({"tern:prefix_cache_hits_total", "vllm:prefix_cache_hits_total"},
              "Prompt tokens found in the prefix cache.", static_cast<double>(engine.prefix_hit_tokens));
  out.counter({"tern:num_preemptions_total", "vllm:num_preemptions_total"},
              "Requests put back into the queue; tern never does that.", 0);
}

void write_requests(Exposition& out, const DoorMetrics& doors) {
  for (const std::string_view name : {"tern:request_success_total", "vllm:request_success_total"}) {
    out.family(name, "counter", "Requests that ended, by reason.");
    for (const FinishReason reason :
         {FinishReason::stop, FinishReason::length, FinishReason::cancelled, FinishReason::error}) {
      out.sample(name, {{"finished_reason", finished_name(reason)}},
                 static_cast<double>(doors.finished[static_cast<size_t>(reason)].load()));
    }
  }
  out.family("tern:responses_total", "counter",
             "Answers by route and HTTP status; 499: the client left before.");
  for (const auto& [key, count] : doors.responses()) {
    out.sample("tern:responses_total", {{"route", key.first}, {"code", std::to_string(key.second)}},
               static_cast<double>(count));
  }
}

void write_latencies(Exposition& out, const DoorMetrics& doors) {
  const auto histogram = [&](Exposition::Names names, const char* help, const Histogram& values) {
    out.histogram(names, help, values.buckets(), values.counts());
  };
  histogram({"tern:time_to_first_token_seconds", "vllm:time_to_first_token_seconds"},
            "From a request's first byte to its first token, thinking or not.", doors.first_token);
  histogram({"tern:time_to_first_answer_token_seconds"},
            "From a request's first byte to its first token behind the thinking.", doors.first_answer_token);
  histogram({"tern:inter_token_latency_seconds", "vllm:inter_token_latency_seconds",
             "vllm:time_per_output_token_seconds"},
            "Between two tokens of a request.", doors.inter_token);
  histogram({"tern:e2e_request_latency_seconds", "vllm:e2e_request_latency_seconds"},
            "From a request's first byte to its last token.", doors.e2e);
  histogram({"tern:request_queue_time_seconds", "vllm:request_queue_time_seconds"},
            "From a request's first byte to its first step.", doors.queue);
  histogram({"tern:refusal_seconds"}, "From a request's first byte to the end of its refusal with 429.",
            doors.refusal);
  histogram({"tern:request_prompt_tokens", "vllm:request_prompt_tokens"}, "Prompt tokens of a request.",
            doors.prompt_tokens);
  histogram({"tern:request_generation_tokens", "vllm:request_generation_tokens"},
            "Tokens chosen for a request.", doors.generation_tokens);
  histogram({"tern:request_thinking_tokens"}, "Of them inside of thinking.", doors.thinking_tokens);
}

void write_deadlines(Exposition& out, const EngineStatistics& engine) {
  out.counter({"tern:deadlines_promised_total"}, "Deadlines that were promised.",
              static_cast<double>(engine.promised));
  out.counter({"tern:deadlines_refused_total"}, "Requests refused because their deadline could not be kept.",
              static_cast<double>(engine.refused));
  out.counter({"tern:deadlines_expired_total"},
              "Promised deadlines that passed before the request had a place.",
              static_cast<double>(engine.expired));
  constexpr const char* kOutcomes = "tern:deadline_requests_total";
  out.family(kOutcomes, "counter",
             "Requests with a deadline that ended: on time with a complete answer or not.");
  for (const bool promised : {true, false}) {
    const DeadlineOutcomes& outcomes = promised ? engine.kept : engine.unpromised;
    const char* label = promised ? "true" : "false";
    const auto sample = [&](const char* outcome, uint64_t count) {
      out.sample(kOutcomes, {{"promised", label}, {"outcome", outcome}}, static_cast<double>(count));
    };
    sample("on_time", outcomes.on_time);
    sample("late", outcomes.late);
    sample("abandoned", outcomes.abandoned);
  }
  constexpr const char* kClosings = "tern:thinking_closed_total";
  out.family(kClosings, "counter", "Thinking that ended, by who ended it.");
  out.sample(kClosings, {{"by", "model"}}, static_cast<double>(engine.closed_by_model));
  out.sample(kClosings, {{"by", "budget"}}, static_cast<double>(engine.closed_by_budget));
  out.sample(kClosings, {{"by", "deadline"}}, static_cast<double>(engine.closed_by_deadline));
}

void write_steps(Exposition& out, const EngineStatistics& engine) {
  const std::pair<const char*, const StepStatistics*> kinds[] = {{"decode", &engine.decode},
                                                                 {"prompt", &engine.prompt}};
  out.counter({"tern:steps_total"}, "Steps that ran anything.", static_cast<double>(engine.steps));
  out.family("tern:step_seconds", "histogram", "What the streams' and the prompts' part of a step took.");
  for (const auto& [kind, steps] : kinds)
    out.histogram_samples("tern:step_seconds", {{"kind", kind}}, seconds_buckets(), steps->seconds);
  out.family("tern:step_time_ratio", "histogram", "What it took over what the pace had predicted.");
  for (const auto& [kind, steps] : kinds)
    out.histogram_samples("tern:step_time_ratio", {{"kind", kind}}, ratio_buckets(), steps->ratio);
  out.family("tern:step_predicted_seconds_total", "counter", "What the pace had predicted, in all.");
  for (const auto& [kind, steps] : kinds)
    out.sample("tern:step_predicted_seconds_total", {{"kind", kind}}, steps->predicted_s);
}

void write_model(Exposition& out, const ModelStatistics& model) {
  out.family("tern:model_stage_seconds_total", "counter", "Time of forward passes by stage.");
  for (size_t stage = 0; stage < kStages; ++stage) {
    out.sample("tern:model_stage_seconds_total", {{"stage", stage_name(static_cast<Stage>(stage))}},
               model.stages.seconds[stage]);
  }
  out.counter({"tern:model_read_bytes_total"}, "Bytes of weights and cache that the passes touched.",
              static_cast<double>(model.bytes));
  out.counter({"tern:model_passes_total"}, "Forward passes.", static_cast<double>(model.passes));
  out.counter({"tern:model_tokens_total"}, "Tokens in them.", static_cast<double>(model.tokens));
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// The usual names for a process, which have no model.
std::string process_text() {
  Exposition out({});
  out.counter({"process_cpu_seconds_total"}, "Processor time, user and system.", cpu_seconds());
  out.gauge({"process_resident_memory_bytes"}, "Memory that is resident.", resident_bytes());
  out.gauge({"process_start_time_seconds"}, "Start of the process, Unix seconds.", kStarted);
  return out.take();
}

}  // namespace

std::string metrics_text(const Engine& engine, const Telemetry& telemetry, const std::string& model) {
  const EngineStatistics statistics = engine.statistics();
  Exposition out({{"model_name", model}});
  write_load(out, statistics);
  write_tokens(out, statistics);
  write_requests(out, telemetry.metrics);
  write_latencies(out, telemetry.metrics);
  write_deadlines(out, statistics);
  write_steps(out, statistics);
  write_model(out, statistics.model);
  out.counter({"tern:log_lines_dropped_total"}, "Lines of the log that nobody took in time.",
              telemetry.log ? static_cast<double>(telemetry.log->dropped()) : 0);
  return out.take() + process_text();
}

}  // namespace tern
