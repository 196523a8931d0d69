// bench_doors, bench_doors_engine: what the doors cost, beside the goals.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/exit_code.h"
#include "bench/doors/doors.h"
#include "serve/server.h"

namespace tern::doors {
namespace {

using Json = nlohmann::ordered_json;

double cpu_seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

uint64_t tokens_between(TokenTable& table, int64_t from, int64_t until) {
  uint64_t count = 0;
  for (int stream = 0; stream < table.streams(); ++stream) {
    for (int token = 0; token < table.tokens(); ++token) {
      const int64_t chosen = table.chosen(stream, token);
      count += chosen >= from && chosen < until;
    }
  }
  return count;
}

/// Starts this program again as the client; its output comes from the file.
std::FILE* start_client(const Settings& settings, const std::string& url, const TokenTable& table) {
  const std::string command =
      fmt::format("exec /proc/{}/exe --client {} --table {} --streams {} --tokens {} --period-us {} --ramp {} "
                  "--deadline-ms {}",
                  getpid(), url, table.file(), settings.streams, settings.tokens, settings.period_us,
                  settings.ramp_s, settings.deadline_ms);
  std::FILE* output = popen(command.c_str(), "r");
  if (!output) fail(ErrorKind::io, "can't start the client");
  return output;
}

std::string read_all(std::FILE* file) {
  std::string text;
  char piece[4096];
  for (size_t size; (size = fread(piece, 1, sizeof(piece), file)) > 0;) text.append(piece, size);
  return text;
}

struct ServerCost {
  double cpu_s = 0, io_thread_s = 0;
  uint64_t tokens = 0;
};

/// The CPU of this process, and of the thread that serves, while all streams run.
ServerCost watch(const Settings& settings, TokenTable& table, std::thread& serving) {
  using std::chrono::milliseconds;
  while (table.begun() == 0) std::this_thread::sleep_for(milliseconds(1));
  const auto sleep_until = [&](double seconds) {
    std::this_thread::sleep_until(
        TimePoint(std::chrono::nanoseconds(table.begun() + static_cast<int64_t>(seconds * 1e9))));
  };
  sleep_until(settings.ramp_s + 0.5);
  const int64_t from = now_ns();
  clockid_t io_clock = 0;
  pthread_getcpuclockid(serving.native_handle(), &io_clock);
  ServerCost cost;
  cost.cpu_s = -cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  cost.io_thread_s = -cpu_seconds(io_clock);
  sleep_until(settings.tokens * settings.period_us / 1e6 - 0.5);
  cost.cpu_s += cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  cost.io_thread_s += cpu_seconds(io_clock);
  cost.tokens = tokens_between(table, from, now_ns());
  return cost;
}

Json measure(const Settings& settings) {
  TokenTable table(settings.streams, settings.tokens);
  std::unique_ptr<Engine> engine = make_engine(settings, table);
  ServeOptions options;
  options.port = 0;
  options.max_choices = settings.streams + 1;
  options.max_connections = settings.streams + 16;
  Server server(*engine, options);
  std::thread serving([&] { server.run(); });
  std::FILE* client = start_client(settings, server.url(), table);
  const ServerCost cost = watch(settings, table, serving);
  const std::string output = read_all(client);
  const int status = pclose(client);
  server.stop();
  server.stop();
  serving.join();
  Json json = Json::parse(output, nullptr, false);
  if (status != 0 || json.is_discarded()) fail(ErrorKind::internal, "the client failed: {}", output);
  json["mode"] = settings.staggered ? "staggered" : "one step";
  const auto tokens = static_cast<double>(std::max<uint64_t>(cost.tokens, 1));
  json["server_cpu_us_a_token"] = cost.cpu_s * 1e6 / tokens;
  json["io_thread_cpu_us_a_token"] = cost.io_thread_s * 1e6 / tokens;
  json["tokens_watched"] = cost.tokens;
  if (json["done"] != settings.streams || json["unknown_events"] != 0)
    fail(ErrorKind::internal, "{} of {} streams came whole, {} events were of no known token: {}",
         json["done"].dump(), settings.streams, json["unknown_events"].dump(), json["failures"].dump());
  return json;
}

void print(const Settings& settings, const Json& json) {
  const auto line = [](const char* what, double value, const char* unit, const std::string& goal) {
    fmt::print("  {:<34}{:>9.2f} {:<6}{}\n", what, value, unit, goal);
  };
  const auto goal = [](bool holds, const char* text) { return fmt::format("goal {} {}", text, holds ? "met" : "MISSED"); };
  const auto number = [&](const char* key, const char* part) { return json[key][part].get<double>(); };
  fmt::print("{} streams, a token each {} ms, {}; behind the server: {}\n", settings.streams,
             settings.period_us / 1000.0, json["mode"].get<std::string>(), kEngineName);
  const double added = number("added_ms", "p99"), last = number("last_event_ms", "p99");
  line("added to a token, p50", number("added_ms", "p50"), "ms", "");
  line("added to a token, p99", added, "ms", settings.staggered ? goal(added <= 1, "<= 1") : "");
  if (!settings.staggered) {
    line("last event of a step, p50", number("last_event_ms", "p50"), "ms", "");
    line("last event of a step, p99", last, "ms", goal(last <= 15, "<= 15"));
  }
  const double cpu = json["server_cpu_us_a_token"], bytes = json["bytes_per_token"];
  line("server CPU a token", cpu, "us", goal(cpu <= 15, "<= 15"));
  line("  of it the thread that serves", json["io_thread_cpu_us_a_token"], "us", "");
  line("first byte, p50", number("ttfb_ms", "p50"), "ms", "");
  const double first = number("ttfb_ms", "p99");
  line("first byte, p99", first, "ms", goal(first <= 2, "<= 2"));
  line("bytes a chat token, heads included", bytes, "", goal(bytes <= 210, "<= 210"));
  line("client CPU", json["client_cpu_share"].get<double>() * 100, "%", "of a core");
}

int run(int argc, char** argv) {
  CLI::App app("What the doors of tern cost, in front of a model that costs nothing.");
  Settings settings;
  std::string mode = "both", client;
  int table = -1;
  bool json = false;
  app.add_option("--streams", settings.streams, "Streams at once")->check(CLI::Range(1, 20000))->capture_default_str();
  app.add_option("--tokens", settings.tokens, "Tokens of each stream; all run together for the time of these less the ramp")
      ->check(CLI::Range(10, 100000))
      ->capture_default_str();
  app.add_option("--period-us", settings.period_us, "Microseconds between two tokens of a stream")
      ->check(CLI::Range(100, 10'000'000))
      ->capture_default_str();
  app.add_option("--ramp", settings.ramp_s, "Seconds over which the streams begin")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  app.add_option("--deadline-ms", settings.deadline_ms,
                 "A deadline for every request, far beyond its end: shows what promises cost the engine (0: none)")
      ->check(CLI::Range(0, 3'600'000))
      ->capture_default_str();
  app.add_option("--mode", mode, "staggered: tokens come one after another; step: all at once")
      ->check(CLI::IsMember({"staggered", "step", "both"}))
      ->capture_default_str();
  app.add_flag("--json", json, "Print one JSON object a mode");
  app.add_option("--client", client, "Be the client of this URL")->group("");
  app.add_option("--table", table, "The parent's table")->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!client.empty()) return run_client(settings, client, table);
  if (settings.tokens * settings.period_us / 1e6 < settings.ramp_s + 1.5)
    fail(ErrorKind::bad_input, "the streams end before all have begun; more --tokens or less --ramp");
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (const bool staggered : {true, false}) {
    if (mode != "both" && staggered != (mode == "staggered")) continue;
    settings.staggered = staggered;
    const Json result = measure(settings);
    if (json) {
      fmt::print("{}\n", result.dump());
    } else {
      print(settings, result);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tern::doors

int main(int argc, char** argv) {
  try {
    return tern::doors::run(argc, argv);
  } catch (const tern::Error& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
    return tern::exit_code(error.kind());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
    return 1;
  }
}
