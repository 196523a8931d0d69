// Who may ask, from where, and how much: one guard for every door of the server.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/address.h"
#include "serve/keys.h"
#include "serve/limits.h"
#include "serve/options.h"
#include "serve/sources.h"

namespace tern {

/// Who asks: a key's name, or without keys nobody in particular.
struct Caller {
  std::string key;                   ///< "" where no keys are asked for
  std::shared_ptr<Account> account;  ///< whom tokens are counted for; null where nothing is limited
};

/// Thread-safe.
class Guard {
 public:
  /// Reads the key file where there is one. `loopback`: only this machine is listened to. Throws Error.
  Guard(const ServeOptions& options, bool loopback);

  /// Throws ApiError 401 (code invalid_api_key) where keys are asked for and `authorization`, the value of
  /// that header, is no "Bearer KEY" with one of them. Counts nothing.
  Caller admit(std::string_view authorization, const Address& client);
  /// Counts a request of the caller. Throws ApiError 429 (code rate_limit_exceeded) with the time to wait.
  static void count(const Caller& caller);

  const Sources& sources() const { return sources_; }
  const std::vector<Network>& proxies() const { return proxies_; }
  bool has_keys() const { return keys_.has_value(); }
  /// What the key file's owner should know, "" where that is nothing.
  std::string warning() const { return keys_ ? keys_->warning() : ""; }
  /// Reads the key file again and says in a line what came of it; a bad one leaves the old keys.
  std::string reload();

 private:
  Sources sources_;
  std::vector<Network> proxies_;
  std::optional<KeyRing> keys_;
  Limits limits_;
  Accounts accounts_;
};

/// Throws Error{bad_input} where `host` can be reached from other machines, there are no keys, and that was
/// not said to be meant.
void check_exposure(const ServeOptions& options, bool loopback);

}  // namespace tern
