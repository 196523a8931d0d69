// The service of proto/tern/v1: who answers which call.
#pragma once

#include <ctime>

#include <tern/v1/tern.grpc.pb.h>

#include "serve/grpc/call.h"

namespace tern {

/// All but Generate answer before their handler returns. Handlers run on gRPC's threads.
class GrpcService : public v1::Tern::CallbackService {
 public:
  explicit GrpcService(CallHub& hub) : hub_(hub) {}

  grpc::ServerWriteReactor<v1::GenerateEvent>* Generate(grpc::CallbackServerContext* context,
                                                        const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context, const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const v1::DetokenizeRequest* request,
                                       v1::DetokenizeResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context, const v1::GetModelRequest* request,
                                     v1::Model* response) override;

 private:
  enum class Cost { nothing, a_request };  ///< of the caller's rate
  template <typename Work>
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext& context, Cost cost, Work work);
  std::string detokenized(const v1::DetokenizeRequest& request) const;
  v1::Model model() const;

  CallHub& hub_;
  const int64_t created_ = std::time(nullptr);
};

}  // namespace tern
