#include "serve/guard.h"

#include <strings.h>

#include "base/error.h"
#include "serve/api_error.h"

namespace tern {
namespace {

/// The key of "Bearer KEY", "" where it is something else. The scheme's case doesn't matter (RFC 9110).
std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() ||
      strncasecmp(authorization.data(), kScheme.data(), kScheme.size()) != 0) {
    return {};
  }
  authorization.remove_prefix(kScheme.size());
  return authorization.substr(std::min(authorization.find_first_not_of(' '), authorization.size()));
}

std::vector<Network> parse_networks(const std::vector<std::string>& texts) {
  std::vector<Network> networks;
  for (const std::string& text : texts) networks.push_back(parse_network(text));
  return networks;
}

/// What a key's line says; what it leaves open is as for everybody.
Limits merged(const Limits& own, const Limits& common) {
  return {own.requests > 0 ? own.requests : common.requests, own.tokens > 0 ? own.tokens : common.tokens};
}

}  // namespace

Guard::Guard(const ServeOptions& options, bool loopback)
    : sources_(loopback, options.host, options.allowed_hosts, options.allowed_origins),
      proxies_(parse_networks(options.trusted_proxies)),
      limits_(options.rate_limit) {
  if (!options.key_file.empty()) keys_.emplace(options.key_file);
}

Caller Guard::admit(std::string_view authorization, const Address& client) {
  const TimePoint now = Clock::now();
  if (!keys_)
    return {"", limits_.any() ? accounts_.of("address " + client.group().text(), limits_, now) : nullptr};
  const std::string_view key = bearer(authorization);
  const auto id = keys_->admit(key);
  if (!id) {
    throw ApiError(401,
                   key.empty() ? "This server asks for an API key: Authorization: Bearer KEY."
                               : "The API key is none of this server's.",
                   "", "invalid_api_key");
  }
  return {id->name, accounts_.of("key " + id->name, merged(id->limits, limits_), now)};
}

void Guard::count(const Caller& caller) {
  if (!caller.account) return;
  const double wait = caller.account->take(Clock::now());
  if (wait == 0) return;
  throw ApiError(429, fmt::format("The rate limit is reached; the next request passes in {:.1f} s.", wait),
                 "", "rate_limit_exceeded")
      .retry_after(wait);
}

std::string Guard::reload() {
  if (!keys_) return "there is no key file to read again";
  try {
    keys_->reload();
    const std::string warned = keys_->warning();
    return fmt::format("{} keys of {} from now on{}{}", keys_->size(), keys_->path(),
                       warned.empty() ? "" : "; ", warned);
  } catch (const std::exception& error) {
    return fmt::format("{}; the old keys stay", error.what());
  }
}

void check_exposure(const ServeOptions& options, bool loopback) {
  if (loopback || !options.key_file.empty() || options.insecure_no_keys) return;
  fail(ErrorKind::bad_input,
       "other machines can reach {}, and there are no API keys: give --api-keys FILE (`tern keys new NAME` "
       "makes its lines), or say twice that anybody may use it with --insecure-no-keys",
       options.host);
}

}  // namespace tern
