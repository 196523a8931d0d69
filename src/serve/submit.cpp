#include "serve/submit.h"

#include <new>

namespace tern {

ApiError api_error_of(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error)) return *api;
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    const bool internal = ours->kind() == ErrorKind::internal || ours->kind() == ErrorKind::io;
    return ApiError(internal ? 500 : 400, ours->what());
  }
  if (dynamic_cast<const std::bad_alloc*>(&error)) return ApiError(503, "Not enough memory right now.");
  return ApiError(500, "The server failed on this request.");
}

void check_room(int active, size_t more, int most) {
  if (static_cast<size_t>(active) + more <= static_cast<size_t>(most)) return;
  throw ApiError(429, "Too many requests are waiting; try again soon.", "", "queue_full").retry_after(1);
}

RequestId submit(Engine& engine, GenerateRequest request, std::shared_ptr<EventSink> sink,
                 std::atomic<int>& active) {
  active.fetch_add(1);
  try {
    return engine.submit(std::move(request), std::move(sink));
  } catch (const DeadlineRefused& late) {
    active.fetch_sub(1);
    ApiError refused(429, late.what(), "deadline_ms", "deadline_infeasible");
    throw late.retry_s() > 0 ? std::move(refused).retry_after(late.retry_s()) : refused;
  } catch (const Error& error) {
    active.fetch_sub(1);
    // Sizes were checked before: what is beyond a limit here is the engine's queue.
    if (error.kind() == ErrorKind::limit) throw ApiError(429, error.what(), "", "queue_full").retry_after(1);
    throw;
  } catch (...) {
    active.fetch_sub(1);
    throw;
  }
}

}  // namespace tern
