// Any bytes as a request of proto/tern/v1: refused by an ApiError, or mapped to numbers inside their limits.
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "serve/grpc/requests.h"
#include "tests/fuzz/require.h"

namespace tern {
namespace {

void check_common(const CommonFields& fields) {
  require(fields.n == 1 && !fields.stream, "one answer");
  require(!fields.max_tokens || *fields.max_tokens >= 1, "max_tokens");
  require(!fields.temperature || (std::isfinite(*fields.temperature) && *fields.temperature >= 0),
          "temperature");
  require(fields.top_p >= 0 && fields.top_p <= 1, "top_p");
  require(fields.min_p >= 0 && fields.min_p <= 1, "min_p");
  require(fields.top_k >= 0, "top_k");
  require(fields.repetition_penalty > 0, "repetition_penalty");
  require(fields.top_logprobs >= -1 && fields.top_logprobs <= kMaxTopLogprobs, "top_logprobs");
  require(fields.stop.size() <= kMaxStops, "stop");
  require(fields.logit_bias.size() <= kMaxBiases, "logit_bias");
  require(fields.answer_reserve >= 0, "answer_reserve");
}

void check(const ChatRequest& request) {
  check_common(request);
  require(!request.messages.empty(), "messages");
  require(!request.thinking_budget || *request.thinking_budget >= 0, "thinking_budget");
}

void check(const CompletionRequest& request) {
  check_common(request);
  require(request.prompts.size() == 1, "one prompt");
}

template <typename Message>
void map_or_refuse(const uint8_t* data, size_t size) {
  Message message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return;
  try {
    std::visit([](const auto& request) { check(request); }, read_request(message));
  } catch (const ApiError& error) {
    require(error.status() == 400, "the client's fault");
    require(!error.param().empty(), "a field that is wrong is named");
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tern::map_or_refuse<tern::v1::GenerateRequest>(data, size);
  tern::map_or_refuse<tern::v1::TokenizeRequest>(data, size);
  int64_t left = 0;
  for (size_t i = 0; i < size && i < 8; ++i)
    left = static_cast<int64_t>(static_cast<uint64_t>(left) << 8 | data[i]);
  const int ms = tern::deadline_ms_of(std::chrono::nanoseconds(left));
  tern::require(ms >= 1 && ms <= tern::kMaxDeadlineMs, "deadline_ms");
  return 0;
}
