// tern keys new: an API key, and its line for the server's key file.
#include "serve/keys.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "app/commands.h"

namespace tern::app {
namespace {

struct KeyArguments {
  KeyId id;
  std::string append;
};

/// One write, so that the line is there whole or not at all; only the owner may read a new file.
void append_line(const std::string& path, const std::string& line) {
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) fail(ErrorKind::io, "{}: {}", path, std::strerror(errno));
  const std::string bytes = line + "\n";
  const bool done = write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  const int error = errno;
  if (close(file) != 0 || !done) fail(ErrorKind::io, "{}: {}", path, std::strerror(error));
}

void make_key(const KeyArguments& arguments) {
  const std::string key = new_key();
  const std::string line = key_line(key, arguments.id);
  if (!arguments.append.empty()) append_line(arguments.append, line);
  fmt::print("{}\n", key);
  if (arguments.append.empty()) fmt::print("{}\n", line);
}

}  // namespace

void add_keys(CLI::App& app) {
  CLI::App* keys = app.add_subcommand("keys", "Make API keys for a server");
  keys->require_subcommand(1);
  CLI::App* make = keys->add_subcommand("new", "Make a key; it is shown this once");
  auto arguments = std::make_shared<KeyArguments>();
  make->add_option("NAME", arguments->id.name, "Whose key it is; stands in the file and in the server's log")
      ->required();
  make->add_option("--requests", arguments->id.limits.requests, "Requests a minute (default: the server's)")
      ->check(CLI::Range(1, 1'000'000'000));
  make->add_option("--tokens", arguments->id.limits.tokens, "Tokens a minute (default: the server's)")
      ->check(CLI::Range(1, 1'000'000'000));
  make->add_option("--append", arguments->append,
                   "Put the line at the end of this file and print only the key");
  constexpr const char* kFooter = R"(Examples:
  tern keys new shop                                  the key, then its line for the file
  tern keys new shop --requests 600 --append keys     the key; its line goes to the file `keys`
  tern serve --api-keys keys
  curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8080/v1/models

The file has the keys' hashes only: NAME sha256:HEX [requests=N] [tokens=N], a key a line. Deleting the line and
sending the server a SIGHUP ends the key.)";
  make->footer(kFooter);
  keys->footer(kFooter);
  make->callback([arguments] { make_key(*arguments); });
}

}  // namespace tern::app
