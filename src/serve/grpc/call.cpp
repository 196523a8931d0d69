#include "serve/grpc/call.h"

#include <grpc/support/time.h>

#include "serve/grpc/requests.h"
#include "serve/grpc/status.h"
#include "serve/submit.h"

namespace tern {
namespace {

const grpc::Status kCancelled(grpc::StatusCode::CANCELLED, "The call was cancelled.");

/// The milliseconds of the call's own deadline, where it has one. In gRPC's own time, which doesn't overflow.
std::optional<int> own_deadline_ms(const grpc::ServerContextBase& context) {
  const gpr_timespec deadline = context.raw_deadline();
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return std::nullopt;
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  return deadline_ms_of(std::chrono::milliseconds(gpr_time_to_millis(left)));
}

constexpr const char* kRoute = "/tern.v1.Tern/Generate";

/// What HTTP would have said.
int http_status(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return 200;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return 400;
    case grpc::StatusCode::UNAUTHENTICATED:
      return 401;
    case grpc::StatusCode::NOT_FOUND:
      return 404;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return 429;
    case grpc::StatusCode::CANCELLED:
      return RequestMeter::kClosedByClient;
    case grpc::StatusCode::UNAVAILABLE:
      return 503;
    default:
      return 500;
  }
}

RequestMeter::Head head_of(const grpc::ServerContextBase& context, TimePoint arrived) {
  const auto text = [&](const char* key) { return std::string(metadata_of(context, key)); };
  return {"POST", kRoute, text("traceparent"), text("x-request-id"), arrived};
}

}  // namespace

GenerateCall::GenerateCall(CallHub& hub, grpc::CallbackServerContext& context, bool raw)
    : hub_(hub), context_(context), meter_(hub.telemetry, head_of(context, arrived_)), queue_(raw) {
  meter_.set_route(kRoute);
}

// ---- From the engine

/// Copies events out of the engine's thread.
class GenerateCall::Sink : public EventSink {
 public:
  Sink(const CallHub& hub, std::weak_ptr<GenerateCall> to)
      : mailbox_(hub.mailbox), active_(hub.active), to_(std::move(to)) {}

  void on_token(const TokenEvent& event) override {
    mailbox_->post([to = to_, event] {
      if (const auto call = to.lock()) call->on_token(event);
    });
  }
  void on_finish(const FinishEvent& event) override {
    active_->fetch_sub(1);
    mailbox_->post([to = to_, event] {
      if (const auto call = to.lock()) call->on_finish(event);
    });
  }

 private:
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<std::atomic<int>> active_;
  std::weak_ptr<GenerateCall> to_;
};

GenerateCall* GenerateCall::start(CallHub& hub, grpc::CallbackServerContext& context,
                                  const v1::GenerateRequest& request) {
  const auto call = std::make_shared<GenerateCall>(hub, context, !request.has_chat());
  hub.calls.add(call);
  const std::lock_guard lock(call->mutex_);
  try {
    const Caller caller = hub.admit(context);
    Guard::count(caller);
    call->account_ = caller.account;
    call->submit(request);
  } catch (const std::exception& error) {
    call->end(status_of(error, context));
  }
  return call.get();
}

void GenerateCall::submit(const v1::GenerateRequest& request) {
  auto fields = read_request(request);
  std::visit([&](CommonFields& common) { common.deadline_ms = own_deadline_ms(context_); }, fields);
  Plan plan = hub_.planner.plan(fields, arrived_);
  check_room(hub_.active->load(), 1, hub_.options.max_choices);
  meter_.submitted(plan.head.id, plan.requests, hub_.engine.tokenizer());
  try {
    id_ = tern::submit(hub_.engine, std::move(plan.requests.at(0)),
                       std::make_shared<Sink>(hub_, weak_from_this()), *hub_.active);
  } catch (...) {
    meter_.refused();
    throw;
  }
  running_ = true;
  if (account_) account_->spend(plan.prompt_tokens, Clock::now());
  StartSendInitialMetadata();
}

void GenerateCall::on_token(const TokenEvent& event) {
  const std::lock_guard lock(mutex_);
  meter_.on_token(0, event);
  if (account_) account_->spend(1, Clock::now());
  if (end_) return;
  queue_.add(event);
  if (queue_.bytes() > hub_.options.unsent_limit) return abort_locked();
  write_next();
}

void GenerateCall::on_finish(const FinishEvent& event) {
  const std::lock_guard lock(mutex_);
  running_ = false;
  meter_.on_finish(0, event);
  if (end_) return;
  switch (event.reason) {
    case FinishReason::error:
      return end(grpc::Status(grpc::StatusCode::INTERNAL, event.error));
    case FinishReason::cancelled:
      return end(grpc::Status(grpc::StatusCode::UNAVAILABLE, "The server is shutting down."));
    case FinishReason::stop:
    case FinishReason::length:
      queue_.add(event);
      return end(grpc::Status::OK);
  }
}

// ---- To gRPC

/// One write is with gRPC at a time; the status goes with the last one, or after it.
void GenerateCall::write_next() {
  if (in_flight_ || ended_) return;
  if (queue_.empty()) {
    if (end_) finish(*end_);
    return;
  }
  writing_ = queue_.pop();
  sent_ += writing_.ByteSizeLong();
  in_flight_ = Clock::now();
  // gRPC drops a message that comes with an error.
  if (!end_ || !end_->ok() || !queue_.empty()) return StartWrite(&writing_);
  ended_ = true;
  meter_.end(http_status(end_->error_code()), sent_, false);
  StartWriteAndFinish(&writing_, {}, *end_);
}

void GenerateCall::finish(const grpc::Status& status) {
  ended_ = true;
  meter_.end(http_status(status.error_code()), sent_, status.error_code() == grpc::StatusCode::CANCELLED);
  Finish(status);
}

void GenerateCall::end(grpc::Status status) {
  if (!end_) end_ = std::move(status);
  write_next();
}

void GenerateCall::drop_work() {
  queue_.clear();
  if (running_) hub_.engine.cancel(id_);
  running_ = false;
}

void GenerateCall::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  in_flight_.reset();
  if (ok) return write_next();
  drop_work();
  end(kCancelled);
}

/// The client has cancelled or is gone, or the deadline is over.
void GenerateCall::OnCancel() {
  const std::lock_guard lock(mutex_);
  drop_work();
  end(kCancelled);
}

void GenerateCall::OnDone() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  CallHub& hub = hub_;
  hub.calls.remove(this);  // which may end us
  hub.mailbox->post(hub.on_left);
}

void GenerateCall::abort() {
  const std::lock_guard lock(mutex_);
  abort_locked();
}

void GenerateCall::abort_locked() {
  drop_work();
  if (!end_) end_ = kCancelled;
  if (!done_) context_.TryCancel();
}

void GenerateCall::abort_if_stuck(TimePoint longest_ago) {
  const std::lock_guard lock(mutex_);
  if (in_flight_ && *in_flight_ < longest_ago) abort_locked();
}

}  // namespace tern
