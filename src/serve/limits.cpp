#include "serve/limits.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace tern {

double parse_rate(const std::string& text) {
  constexpr int64_t kMost = 1'000'000'000;
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, text.data() + text.size() - end);
  if (error != std::errc() || unit != "/min" || count < 1 || count > kMost)
    fail(ErrorKind::bad_input, "\"{}\": expected a rate like 60/min, from 1 to {}/min", text, kMost);
  return static_cast<double>(count);
}

Account::Account(Limits limits, TimePoint now)
    : limits_(limits), requests_(limits.requests), tokens_(limits.tokens), at_(now) {}

void Account::set_limits(Limits limits, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (limits == limits_) return;
  refill(now);
  // What was used stays used.
  requests_ += limits.requests - limits_.requests;
  tokens_ += limits.tokens - limits_.tokens;
  limits_ = limits;
}

void Account::refill(TimePoint now) {
  const double minutes = std::chrono::duration<double>(now - at_).count() / 60;
  if (minutes <= 0) return;
  requests_ = std::min(limits_.requests, requests_ + minutes * limits_.requests);
  tokens_ = std::min(limits_.tokens, tokens_ + minutes * limits_.tokens);
  at_ = now;
}

double Account::take(TimePoint now) {
  const std::lock_guard lock(mutex_);
  refill(now);
  const auto wait = [](double left, double rate) {
    return rate > 0 && left < 1 ? (1 - left) * 60 / rate : 0.0;
  };
  const double seconds = std::max(wait(requests_, limits_.requests), wait(tokens_, limits_.tokens));
  if (seconds == 0) requests_ -= 1;
  return seconds;
}

void Account::spend(int64_t tokens, TimePoint now) {
  const std::lock_guard lock(mutex_);
  refill(now);
  tokens_ -= static_cast<double>(tokens);
}

std::shared_ptr<Account> Accounts::of(const std::string& caller, Limits limits, TimePoint now) {
  if (!limits.any()) return nullptr;
  const std::lock_guard lock(mutex_);
  if (const auto found = by_caller_.find(caller); found != by_caller_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second);
    recent_.front().second->set_limits(limits, now);
    return recent_.front().second;
  }
  recent_.emplace_front(caller, std::make_shared<Account>(limits, now));
  by_caller_[caller] = recent_.begin();
  if (recent_.size() > most_) {
    by_caller_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return recent_.front().second;
}

size_t Accounts::size() const {
  const std::lock_guard lock(mutex_);
  return recent_.size();
}

}  // namespace tern
