#include "measure/load/record.h"

#include <algorithm>

namespace tern::load {
namespace {

constexpr size_t kMostReasons = 32;

}  // namespace

void LoadReport::add_reason(const std::string& why, uint64_t count) {
  const bool room = failures.size() < kMostReasons || failures.contains(why);
  failures[room ? why : "other reasons"] += count;
}

void LoadReport::add(const LoadReport& other) {
  for (const auto count :
       {&LoadReport::sent, &LoadReport::done, &LoadReport::complete, &LoadReport::with_deadline,
        &LoadReport::on_time, &LoadReport::late, &LoadReport::refused, &LoadReport::failed,
        &LoadReport::server_said, &LoadReport::server_on_time, &LoadReport::completed_in_time,
        &LoadReport::tokens, &LoadReport::reasoning_tokens, &LoadReport::prompt_tokens,
        &LoadReport::tokens_in_time, &LoadReport::estimated, &LoadReport::bytes})
    this->*count += other.*count;
  for (const auto time : {&LoadReport::seconds, &LoadReport::client_cpu_s, &LoadReport::client_wall_s})
    this->*time += other.*time;
  for (const auto times : {&LoadReport::ttfb, &LoadReport::ttft, &LoadReport::ttfa, &LoadReport::itl,
                           &LoadReport::e2e, &LoadReport::refusal, &LoadReport::lag})
    (this->*times).add(other.*times);
  for (const auto& [why, count] : other.failures) add_reason(why, count);
  const size_t room = kMostRecords - std::min(kMostRecords, records.size());
  const auto more = static_cast<ptrdiff_t>(std::min(room, other.records.size()));
  records.insert(records.end(), other.records.begin(), other.records.begin() + more);
}

}  // namespace tern::load
