// One Generate call: from its request to its status.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include <grpcpp/support/server_callback.h>

#include "serve/grpc/events.h"
#include "serve/grpc/hub.h"
#include "serve/request_meter.h"

namespace tern {

/// The engine's events come through the mailbox, gRPC's reactions on its own threads. The hub keeps it
/// until gRPC is done with it.
class GenerateCall : public grpc::ServerWriteReactor<v1::GenerateEvent>,
                     public std::enable_shared_from_this<GenerateCall> {
 public:
  /// Starts to answer; what is wrong becomes the call's status. `context` lives until OnDone.
  static GenerateCall* start(CallHub& hub, grpc::CallbackServerContext& context,
                             const v1::GenerateRequest& request);
  GenerateCall(CallHub& hub, grpc::CallbackServerContext& context, bool raw);

  /// Ends it now: the engine's work, and the call with CANCELLED.
  void abort();
  /// abort() where the reader has not taken what one write holds since `longest_ago`.
  void abort_if_stuck(TimePoint longest_ago);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  class Sink;
  void submit(const v1::GenerateRequest& request);
  void on_token(const TokenEvent& event);
  void on_finish(const FinishEvent& event);
  void write_next();
  void end(grpc::Status status);
  void finish(const grpc::Status& status);
  void drop_work();
  void abort_locked();

  CallHub& hub_;
  grpc::CallbackServerContext& context_;
  std::mutex mutex_;  ///< of all below
  const TimePoint arrived_ = Clock::now();
  RequestMeter meter_;
  uint64_t sent_ = 0;                 ///< bytes of messages
  std::shared_ptr<Account> account_;  ///< whom its tokens are counted for, if anybody
  RequestId id_ = 0;
  bool running_ = false;  ///< the engine has it
  EventQueue queue_;
  v1::GenerateEvent writing_;           ///< with gRPC while in_flight_
  std::optional<TimePoint> in_flight_;  ///< since when
  std::optional<grpc::Status> end_;     ///< its status, once nothing more is to come
  bool ended_ = false;                  ///< gRPC has its status
  bool done_ = false;                   ///< the context is gone
};

}  // namespace tern
