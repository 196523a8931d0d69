#include "serve/grpc/service.h"

#include "serve/grpc/requests.h"
#include "serve/grpc/status.h"
#include "serve/json_fields.h"
#include "text/stream.h"

namespace tern {

/// A call whose response `work` makes at once; what it throws becomes the status.
template <typename Work>
grpc::ServerUnaryReactor* GrpcService::answer(grpc::CallbackServerContext& context, Cost cost, Work work) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  try {
    const Caller caller = hub_.admit(context);
    if (cost == Cost::a_request) Guard::count(caller);
    work();
    reactor->Finish(grpc::Status::OK);
  } catch (const std::exception& error) {
    reactor->Finish(status_of(error, context));
  }
  return reactor;
}

grpc::ServerWriteReactor<v1::GenerateEvent>* GrpcService::Generate(grpc::CallbackServerContext* context,
                                                                   const v1::GenerateRequest* request) {
  return GenerateCall::start(hub_, *context, *request);
}

grpc::ServerUnaryReactor* GrpcService::Tokenize(grpc::CallbackServerContext* context,
                                                const v1::TokenizeRequest* request,
                                                v1::TokenizeResponse* response) {
  return answer(*context, Cost::a_request, [&] {
    const Plan plan = hub_.planner.plan(read_request(*request), Clock::now());
    const std::vector<int32_t>& ids = plan.requests.at(0).prompt;
    response->mutable_token_ids()->Add(ids.begin(), ids.end());
    response->set_context(hub_.engine.context());
  });
}

grpc::ServerUnaryReactor* GrpcService::Detokenize(grpc::CallbackServerContext* context,
                                                  const v1::DetokenizeRequest* request,
                                                  v1::DetokenizeResponse* response) {
  return answer(*context, Cost::a_request, [&] {
    if (request->has_model()) hub_.planner.check_model(request->model());
    response->set_text(detokenized(*request));
  });
}

std::string GrpcService::detokenized(const v1::DetokenizeRequest& request) const {
  const Tokenizer& tokenizer = hub_.engine.tokenizer();
  const auto& given = request.token_ids();
  if (given.size() > kMaxJsonValues) {
    refuse("token_ids", "invalid_value",
           "Invalid value for 'token_ids': expected at most {} ids, but got {}.", kMaxJsonValues,
           given.size());
  }
  std::vector<int32_t> ids;
  size_t bytes = 0;
  for (const uint32_t id : given) {
    if (id >= static_cast<uint32_t>(tokenizer.size())) {
      refuse("token_ids", "invalid_value", "Token id {} is not below the vocabulary's {}.", id,
             tokenizer.size());
    }
    ids.push_back(static_cast<int32_t>(id));
    bytes += tokenizer.bytes(ids.back()).size();
    if (bytes > hub_.options.body_limit)
      refuse("token_ids", "invalid_value", "The text is longer than {} bytes.", hub_.options.body_limit);
  }
  Utf8Stream characters;
  std::string text = characters.push(tokenizer.decode(ids, request.with_special()));
  return text + characters.finish();
}

v1::Model GrpcService::model() const {
  v1::Model model;
  model.set_id(hub_.options.alias);
  model.set_created(created_);
  model.set_context(hub_.engine.context());
  model.set_vocabulary(hub_.engine.tokenizer().size());
  return model;
}

grpc::ServerUnaryReactor* GrpcService::ListModels(grpc::CallbackServerContext* context,
                                                  const v1::ListModelsRequest*,
                                                  v1::ListModelsResponse* response) {
  return answer(*context, Cost::nothing, [&] { *response->add_models() = model(); });
}

grpc::ServerUnaryReactor* GrpcService::GetModel(grpc::CallbackServerContext* context,
                                                const v1::GetModelRequest* request, v1::Model* response) {
  return answer(*context, Cost::nothing, [&] {
    hub_.planner.check_model(request->id());
    *response = model();
  });
}

}  // namespace tern
