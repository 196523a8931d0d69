#include "app/serve_limits.h"

#include <sys/resource.h>

#include "app/commands.h"
#include "serve/address.h"
#include "serve/sources.h"

namespace tern::app {
namespace {

void add_keys(CLI::App& command, ServeOptions& options) {
  const char* group = "Who may ask";
  command
      .add_option("--api-keys", options.key_file,
                  "File of hashed API keys (`tern keys new NAME` makes its lines); SIGHUP reads it again")
      ->check(CLI::ExistingFile)
      ->group(group);
  command
      .add_flag("--insecure-no-keys", options.insecure_no_keys,
                "Listen where other machines reach the server and ask nobody for a key")
      ->group(group);
  command
      .add_option("--allow-host", options.allowed_hosts,
                  "A name in the Host header to answer to, beside this machine's own; may be repeated")
      ->check(readable_by(parse_allowed_host))
      ->group(group);
  command
      .add_option("--allow-origin", options.allowed_origins,
                  "Web pages that may use the server, e.g. https://shop.example; may be repeated")
      ->check(readable_by(parse_allowed_origin))
      ->group(group);
  command
      .add_option("--trusted-proxy", options.trusted_proxies,
                  "Address or network of a proxy whose X-Forwarded-For is believed, e.g. 10.0.0.0/8")
      ->check(readable_by(parse_network))
      ->group(group);
}

void add_rate(CLI::App& command, const char* name, double& rate, const char* help) {
  command
      .add_option_function<std::string>(
          name, [&rate](const std::string& text) { rate = parse_rate(text); }, help)
      ->check(readable_by(parse_rate))
      ->type_name("N/min")
      ->group("Limits");
}

/// A size like 64K between two bounds.
void add_size(CLI::App& command, const char* name, size_t& size, uint64_t least, uint64_t most,
              const char* help) {
  const auto read = [least, most](const std::string& text) {
    const uint64_t bytes = parse_size(text);
    if (bytes < least || bytes > most)
      fail(ErrorKind::bad_input, "{}: from {} to {} bytes", text, least, most);
    return bytes;
  };
  command
      .add_option_function<std::string>(
          name, [&size, read](const std::string& text) { size = read(text); }, help)
      ->check(readable_by(read))
      ->type_name("SIZE")
      ->group("Limits");
}

void add_seconds(CLI::App& command, const char* name, std::chrono::milliseconds& time, const char* help) {
  command
      .add_option_function<double>(
          name,
          [&time](double seconds) { time = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)); },
          help)
      ->check(CLI::Range(0.1, 86'400.0))
      ->group("Limits");
}

}  // namespace

void add_guard_options(CLI::App& command, ServeOptions& options) {
  add_keys(command, options);
  add_rate(command, "--rate-limit", options.rate_limit.requests,
           "Requests a minute of each key, or without keys of each client address (default: no limit)");
  add_rate(command, "--token-rate-limit", options.rate_limit.tokens,
           "Tokens a minute of each, prompts and what is generated (default: no limit)");
  command
      .add_option("--max-tokens-limit", options.max_tokens_limit,
                  "Tokens generated for one choice at most, whatever is asked for (0: the context)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group("Limits");
  command.add_option("--max-n", options.max_n, "Choices of one request at most")
      ->check(CLI::Range(1, 16))
      ->capture_default_str()
      ->group("Limits");
  command
      .add_option("--max-choices", options.max_choices,
                  "Choices that run or wait at most; more are refused with 429")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str()
      ->group("Limits");
  command
      .add_option("--max-connections", options.max_connections,
                  "Connections at most; beyond, the longest idle one is closed, or the new one gets 503")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str()
      ->group("Limits");
  command
      .add_option_function<int>(
          "--max-connections-per-client",
          [&options](int connections) { options.connections_per_client = connections; },
          "Connections of one client address at most (default: 256, but no limit for this machine)")
      ->check(CLI::Range(1, 1'000'000))
      ->group("Limits");
  add_size(command, "--max-head", options.header_limit, 1 << 10, 1 << 20,
           "Bytes of a request's head at most (default: 16K)");
  add_size(command, "--max-body", options.body_limit, 1 << 10, 1 << 30,
           "Bytes of a request's body at most (default: 4M)");
  add_size(command, "--max-bodies", options.bodies_limit, 1 << 10, uint64_t{1} << 40,
           "Bytes of all bodies that are arriving at most (default: 256M)");
  add_seconds(command, "--header-timeout", options.header_timeout,
              "Seconds for a request's head to arrive (default: 10)");
  add_seconds(command, "--body-timeout", options.body_timeout,
              "Seconds for its body, and one more for each 16 KiB of it (default: 30)");
  add_seconds(command, "--idle-timeout", options.idle_timeout,
              "Seconds a connection may wait between requests (default: 75)");
  add_seconds(command, "--write-timeout", options.write_timeout,
              "Seconds for a reader to take what was written (default: 30)");
}

void raise_file_limit() {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace tern::app
