// tern serve: the OpenAI API over HTTP and tern's own over gRPC, until a signal.
#include "serve/server.h"

#include <cstdio>
#include <map>

#include <fmt/format.h>

#include "app/commands.h"
#include "app/serve_limits.h"
#include "app/version.h"  // written by the build
#include "measure/inspect.h"
#include "model/cache.h"

namespace tern::app {
namespace {

struct ServeArguments {
  ModelArguments model;
  ServeOptions serve;
  EngineOptions engine;
  std::string alias;
  std::string cache_memory;
  bool keep_pace = true;
  std::string effort_budgets;
};

/// What only the model makes impossible. Throws CLI::ValidationError that names the option.
void check_fits(const Inspection& model, const EngineOptions& options) {
  if (!model.refused.empty()) return;  // the engine says why
  if (options.context > 0 && static_cast<uint64_t>(options.context) > model.context) {
    throw CLI::ValidationError(
        "--ctx", fmt::format("{} tokens, but the model reaches {}", options.context, model.context));
  }
  const uint64_t page = model.cache_bytes_per_token * PagedCache::kPageTokens;
  if (options.cache_bytes > 0 && options.cache_bytes < page) {
    throw CLI::ValidationError(
        "--cache-mem", fmt::format("{} bytes, but {} tokens of this model take {}", options.cache_bytes,
                                   PagedCache::kPageTokens, page));
  }
}

void serve(ServeArguments& arguments) {
  arguments.model.apply(arguments.engine);
  if (!arguments.cache_memory.empty()) arguments.engine.cache_bytes = parse_size(arguments.cache_memory);
  arguments.serve.efforts = parse_effort_budgets(arguments.effort_budgets);
  arguments.serve.alias = arguments.alias.empty() ? arguments.model.name() : arguments.alias;
  arguments.serve.version = TERN_VERSION;
  arguments.serve.handle_signals = true;
  raise_file_limit();
  Server::check(arguments.serve);  // before a minute goes by for the model

  const GgufFile file = arguments.model.open();
  if (arguments.engine.context > 0 || arguments.engine.cache_bytes > 0)
    check_fits(inspect(file, arguments.engine.cache_type), arguments.engine);
  if (arguments.keep_pace) arguments.engine.pace_file = arguments.model.beside(".pace.json");
  Engine engine(file, arguments.engine);
  if (!engine.warning().empty())
    fmt::print(stderr, "tern: warning: {}; what steps take was measured anew\n", engine.warning());
  Server server(engine, arguments.serve);
  fmt::print(stderr, "tern: {} on {}/v1, {} tokens of context, {} streams at once\n", arguments.serve.alias,
             server.url(), engine.context(), arguments.engine.parallel);
  if (const std::string warning = server.guard().warning(); !warning.empty())
    fmt::print(stderr, "tern: warning: {}\n", warning);
  if (server.grpc_port() != 0)
    fmt::print(stderr, "tern: gRPC, tern.v1.Tern, on {}:{}\n", arguments.serve.host, server.grpc_port());
  server.run();
}

}  // namespace

void add_serve(CLI::App& app) {
  CLI::App* command = app.add_subcommand("serve", "Serve a model over the OpenAI API");
  auto arguments = std::make_shared<ServeArguments>();
  arguments->model.add_to(*command);
  command
      ->add_option("--host", arguments->serve.host,
                   "Address to listen on; one that other machines reach needs --api-keys")
      ->capture_default_str();
  command->add_option("--port", arguments->serve.port, "Port to listen on (0: any free one, printed)")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command
      ->add_option_function<uint16_t>(
          "--grpc-port", [arguments](uint16_t port) { arguments->serve.grpc_port = port; },
          "Also serve gRPC (proto/tern/v1, health, reflection) on this port of the same host (0: any free "
          "one, "
          "printed; default: no gRPC)")
      ->check(CLI::Range(0, 65535));
  command->add_option("--alias", arguments->alias, "The model's name in the API (default: the file's)");
  command->add_option("--ctx", arguments->engine.context, "Tokens of context for a request (0: the model's)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--parallel", arguments->engine.parallel,
                   "Requests decoded together; more wait their turn")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  arguments->engine.calibration_s = 0.5;
  command
      ->add_option("--calibration", arguments->engine.calibration_s,
                   "Seconds at start for measuring what steps take; deadlines need it")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  command->add_flag("!--no-pace-file", arguments->keep_pace,
                    "Keep nothing of what steps take: by default it is kept in MODEL.pace.json, or in "
                    "~/.cache/tern, so that the next start calibrates faster");
  command->add_flag("!--no-prefix-cache", arguments->engine.share_prefixes,
                    "Compute every prompt whole, also where it begins as an earlier one");
  command
      ->add_option_function<double>(
          "--longest-gap", [arguments](double ms) { arguments->engine.longest_gap = ms / 1000; },
          "Milliseconds between two tokens of a stream while prompts run, which pause between layers for it; "
          "at least two decode steps (default: 50)")
      ->check(CLI::Range(0.0, 3'600'000.0));
  command
      ->add_option("--cache-mem", arguments->cache_memory,
                   "Memory for the cache, e.g. 512M (default: parallel x ctx)")
      ->check(readable_by(parse_size));
  add_guard_options(*command, arguments->serve);
  command
      ->add_option(
          "--effort-budgets", arguments->effort_budgets,
          "Tokens of thinking that a request's reasoning_effort is worth, e.g. "
          "low=256,medium=1024,high=none (default: for tern's own models minimal=8,low=16,medium=48, "
          "for others minimal=256,low=1024,medium=4096,high=16384; the rest none)")
      ->check(readable_by([](const std::string& text) { return parse_effort_budgets(text); }));
  command
      ->add_option(
          "--max-thinking", arguments->serve.max_thinking,
          "Tokens of thinking that no request may exceed, whatever it asks for (default: no such limit)")
      ->check(CLI::NonNegativeNumber);
  arguments->serve.log = LogFormat::json;
  const std::map<std::string, LogFormat> formats = {
      {"json", LogFormat::json}, {"text", LogFormat::text}, {"none", LogFormat::none}};
  command
      ->add_option("--log", arguments->serve.log,
                   "One line on standard error for each request that asks for work or fails: json, text "
                   "(key=value) or none; no text of prompts or replies is in it (default: json)")
      ->transform(CLI::CheckedTransformer(formats))
      ->option_text("TEXT:{json,text,none}");
  command->add_flag("--log-prompts", arguments->serve.log_prompts,
                    "Put the text of prompts and replies into these lines, too");
  command->footer(R"(Examples:
  tern serve                                          the embedded model on http://127.0.0.1:8080/v1
  tern serve -m model.gguf --port 9000 --parallel 16
  tern serve --grpc-port 9090                         and gRPC: grpcurl -plaintext 127.0.0.1:9090 list
  tern keys new shop --append keys && tern serve --host 0.0.0.0 --api-keys keys --rate-limit 600/min
  tern serve --log json 2>requests.jsonl              a line a request; --log text to read along
  curl http://127.0.0.1:8080/metrics                  for Prometheus; /ready and /health for who watches
  curl -N http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \
       -d '{"stream":true,"messages":[{"role":"user","content":"chep red sneakrs undr 60"}]}'

SIGTERM finishes the running streams and exits 0; a second one ends at once. SIGHUP reads the key file again.)");
  command->callback([arguments] { serve(*arguments); });
}

}  // namespace tern::app
