// How much a caller may ask for in a minute: token buckets, one account for each key or address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace tern {

/// What is allowed in a minute; 0: as much as comes.
struct Limits {
  double requests = 0;
  double tokens = 0;  ///< of prompts and of what is generated
  bool any() const { return requests > 0 || tokens > 0; }
  bool operator==(const Limits&) const = default;
};

/// "60/min": 60. Throws Error{bad_input} for anything but a whole number from 1 to 10^9 before "/min".
double parse_rate(const std::string& text);

/// The two buckets of one caller; each holds a minute's worth and starts full. Thread-safe.
class Account {
 public:
  Account(Limits limits, TimePoint now);
  void set_limits(Limits limits, TimePoint now);
  /// Counts a request and returns 0, or counts nothing and returns after how many seconds one would pass.
  double take(TimePoint now);
  /// Takes tokens that were used. What a request will generate isn't known when it comes, so the bucket may
  /// go below zero; the next request waits until the debt is paid.
  void spend(int64_t tokens, TimePoint now);

 private:
  void refill(TimePoint now);
  std::mutex mutex_;
  Limits limits_;
  double requests_, tokens_;  ///< what is left
  TimePoint at_;              ///< when that was true
};

/// All accounts, at most `most`: the one not asked for longest is forgotten first, and would start full
/// again. Thread-safe.
class Accounts {
 public:
  explicit Accounts(size_t most = 16'384) : most_(most) {}
  /// Null where nothing is limited.
  std::shared_ptr<Account> of(const std::string& caller, Limits limits, TimePoint now);
  size_t size() const;

 private:
  using Entry = std::pair<std::string, std::shared_ptr<Account>>;
  mutable std::mutex mutex_;
  size_t most_;
  std::list<Entry> recent_;  ///< asked for last first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_caller_;
};

}  // namespace tern
