#include "serve/telemetry.h"

namespace tern {

void DoorMetrics::count_response(const std::string& route, int code) {
  const std::lock_guard lock(mutex_);
  ++responses_[{route, code}];
}

std::map<std::pair<std::string, int>, uint64_t> DoorMetrics::responses() const {
  const std::lock_guard lock(mutex_);
  return responses_;
}

const char* finished_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "abort";
    case FinishReason::error:
      break;
  }
  return "error";
}

Telemetry::Telemetry(LogFormat format, bool with_prompts, int log_fd)
    : log(format == LogFormat::none ? nullptr : std::make_unique<RequestLog>(format, log_fd)),
      log_prompts(with_prompts) {}

}  // namespace tern
