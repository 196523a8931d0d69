// What the gRPC door refuses, and how; and its calls that answer at once.
#include <grpcpp/support/status.h>

#include <functional>
#include <limits>

#include "base/atomic_file.h"
#include "serve/keys.h"
#include "tests/serve/grpc_fixture.h"
#include "tests/temporary_folder.h"

namespace tern::serve_test {
namespace {

struct Wrong {
  const char* field;
  std::function<void(v1::GenerateRequest&)> spoil;
};

TEST(GrpcErrors, EachWrongFieldIsNamed) {
  Grpc grpc;
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const Wrong wrongs[] = {
      {"input", [](auto& r) { r.clear_input(); }},
      {"messages", [](auto& r) { r.mutable_chat()->clear_messages(); }},
      {"messages[0].role", [](auto& r) { r.mutable_chat()->mutable_messages(0)->set_role("robot"); }},
      {"prompt_token_ids", [](auto& r) { r.mutable_prompt_token_ids(); }},
      {"prompt", [](auto& r) { r.mutable_prompt_token_ids()->add_ids(100000); }},
      {"prompt", [](auto& r) { r.mutable_prompt_token_ids()->add_ids(4294967295u); }},
      {"max_tokens", [](auto& r) { r.set_max_tokens(0); }},
      {"max_tokens", [](auto& r) { r.set_max_tokens(-5); }},
      {"reasoning_effort", [](auto& r) { r.set_reasoning_effort(static_cast<v1::ReasoningEffort>(77)); }},
      {"reasoning_effort",
       [](auto& r) {
         r.set_prompt("a");
         r.set_reasoning_effort(v1::REASONING_EFFORT_LOW);
       }},
      {"thinking_budget_tokens", [](auto& r) { r.set_thinking_budget_tokens(-1); }},
      {"thinking_budget_tokens",
       [](auto& r) {
         r.set_prompt("a");
         r.set_thinking_budget_tokens(5);
       }},
      {"late", [](auto& r) { r.set_late(static_cast<v1::LatePolicy>(-3)); }},
      {"answer_reserve_tokens", [](auto& r) { r.set_answer_reserve_tokens(0); }},
      {"stop",
       [](auto& r) {
         for (int i = 0; i < 5; ++i) r.add_stop("a");
       }},
      {"stop[0]", [](auto& r) { r.add_stop(""); }},
      {"top_logprobs", [](auto& r) { r.set_top_logprobs(21); }},
      {"temperature", [](auto& r) { r.set_temperature(2.5); }},
      {"temperature", [nan](auto& r) { r.set_temperature(nan); }},
      {"top_p", [inf](auto& r) { r.set_top_p(inf); }},
      {"top_p", [](auto& r) { r.set_top_p(-0.5); }},
      {"top_k", [](auto& r) { r.set_top_k(-2); }},
      {"min_p", [](auto& r) { r.set_min_p(1.5); }},
      {"presence_penalty", [](auto& r) { r.set_presence_penalty(3); }},
      {"frequency_penalty", [](auto& r) { r.set_frequency_penalty(-3); }},
      {"repetition_penalty", [](auto& r) { r.set_repetition_penalty(0); }},
      {"logit_bias.97", [](auto& r) { (*r.mutable_logit_bias())[97] = 101; }},
      {"logit_bias", [](auto& r) { (*r.mutable_logit_bias())[4294967295u] = 1; }},
      {"logit_bias", [nan](auto& r) { (*r.mutable_logit_bias())[97] = nan; }},
      {"logit_bias",
       [](auto& r) {
         for (uint32_t i = 0; i < 301; ++i) (*r.mutable_logit_bias())[i] = 1;
       }},
  };
  for (const Wrong& wrong : wrongs) {
    v1::GenerateRequest request = asked("hello");
    wrong.spoil(request);
    const Said said = say(*grpc.stub, request);
    EXPECT_EQ(said.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << wrong.field;
    EXPECT_EQ(said.trailer("tern-error-param"), wrong.field) << said.status.error_message();
    EXPECT_NE(said.status.error_message(), "");
  }
  v1::GenerateRequest request = asked("hello");
  request.set_model("gpt-4");
  EXPECT_EQ(say(*grpc.stub, request).status.error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_model(std::string(100'000, 'x'));
  EXPECT_EQ(say(*grpc.stub, request).status.error_code(), grpc::StatusCode::NOT_FOUND)
      << "the name doesn't come back whole";
  EXPECT_EQ(say(*grpc.stub, asked(std::string(100'000, 'x'))).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT)
      << "longer than the context";
  EXPECT_EQ(say(*grpc.stub, asked(std::string(5 << 20, 'x'))).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED)
      << "longer than a message may be";
  EXPECT_EQ(say(*grpc.stub, asked("hello")).text, "hello");
}

TEST(GrpcErrors, AStepThatFailsIsInternal) {
  Grpc grpc;
  const Said said = say(*grpc.stub, asked("broken"));
  EXPECT_EQ(said.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(say(*grpc.stub, asked("hello")).text, "hello");
}

TEST(GrpcErrors, AFullQueueSaysWhenToComeAgain) {
  ServeOptions options;
  options.max_choices = 1;
  Grpc grpc(options);
  grpc.server.gate().close();
  Stream first(*grpc.stub, asked("one"));
  first.accepted();
  const Said refused = say(*grpc.stub, asked("two"));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.trailer("retry-after-ms"), "1000");
  EXPECT_EQ(refused.trailer("grpc-retry-pushback-ms"), "1000");
  EXPECT_EQ(chat(grpc.server, ask("three")).status, 429) << "both doors count together";
  grpc.server.gate().open();
  EXPECT_EQ(first.rest().text, "one");
}

TEST(GrpcErrors, WithoutAKeyNothingIsAnswered) {
  const TemporaryFolder folder;
  const std::string key = new_key();
  ServeOptions options;
  options.key_file = folder / "keys";
  write_file(options.key_file, key_line(key, {"shop", {4, 0}}));
  Grpc grpc(options);
  EXPECT_EQ(say(*grpc.stub, asked("hello")).status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  const auto list = [&](const std::string& authorization) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", authorization);
    v1::ListModelsResponse models;
    return grpc.stub->ListModels(&context, {}, &models).error_code();
  };
  EXPECT_EQ(list("Bearer wrong"), grpc::StatusCode::UNAUTHENTICATED);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(list("Bearer " + key), grpc::StatusCode::OK);
  const auto detokenize = [&] {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "bearer " + key);
    v1::DetokenizeResponse response;
    return grpc.stub->Detokenize(&context, {}, &response).error_code();
  };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(detokenize(), grpc::StatusCode::OK);
  EXPECT_EQ(detokenize(), grpc::StatusCode::RESOURCE_EXHAUSTED);  // four a minute; looking up is free
}

TEST(GrpcErrors, CallsAreMeasuredAsRequestsAre) {
  Grpc grpc;
  EXPECT_EQ(say(*grpc.stub, asked("hello")).text, "hello");
  v1::GenerateRequest wrong = asked("hello");
  wrong.set_temperature(9);
  EXPECT_FALSE(say(*grpc.stub, wrong).status.ok());
  Client client(grpc.server.port());
  client.get("/metrics");
  const std::string metrics = client.response().body;
  for (const std::string code : {"200", "400"}) {
    const std::string counted = "route=\"/tern.v1.Tern/Generate\",code=\"" + code + "\"} 1\n";
    EXPECT_NE(metrics.find(counted), std::string::npos) << metrics;
  }
}

// ---- The other calls

TEST(GrpcTokens, TokenizeGivesThePromptsIdsAndDetokenizeTheirText) {
  Grpc grpc;
  const auto ids_of = [&](const v1::TokenizeRequest& request) {
    grpc::ClientContext context;
    v1::TokenizeResponse response;
    EXPECT_TRUE(grpc.stub->Tokenize(&context, request, &response).ok());
    EXPECT_EQ(response.context(), 512);
    return std::vector<uint32_t>(response.token_ids().begin(), response.token_ids().end());
  };
  v1::TokenizeRequest request;
  request.set_prompt("hé");
  EXPECT_EQ(ids_of(request), (std::vector<uint32_t>{256, 'h', 0xc3, 0xa9}));
  *request.mutable_chat() = asked("a").chat();
  EXPECT_EQ(ids_of(request), (std::vector<uint32_t>{256, 258, 'a', 259, 260}));
  request.set_reasoning_effort(v1::REASONING_EFFORT_NONE);
  EXPECT_EQ(ids_of(request), (std::vector<uint32_t>{256, 258, 'a', 259, 260, 261}));

  const auto text_of = [&](std::vector<uint32_t> ids, bool special) {
    grpc::ClientContext context;
    v1::DetokenizeRequest detokenize;
    detokenize.mutable_token_ids()->Add(ids.begin(), ids.end());
    detokenize.set_with_special(special);
    v1::DetokenizeResponse response;
    const grpc::Status status = grpc.stub->Detokenize(&context, detokenize, &response);
    return status.ok() ? response.text() : std::to_string(status.error_code());
  };
  EXPECT_EQ(text_of({256, 'h', 0xc3, 0xa9}, false), "hé");
  EXPECT_EQ(text_of({256, 'h'}, true), "<|begin|>h");
  EXPECT_EQ(text_of({'h', 0xc3}, false), "h\xef\xbf\xbd") << "half a character";
  EXPECT_EQ(text_of({100000}, false), std::to_string(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_EQ(text_of(std::vector<uint32_t>(300000, 'h'), false),
            std::to_string(grpc::StatusCode::INVALID_ARGUMENT));
}

TEST(GrpcModels, TheOneModel) {
  ServeOptions options;
  options.alias = "shop";
  Grpc grpc(options);
  v1::ListModelsResponse models;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(grpc.stub->ListModels(&context, {}, &models).ok());
  }
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).id(), "shop");
  EXPECT_EQ(models.models(0).context(), 512);
  EXPECT_EQ(models.models(0).vocabulary(), 262);
  for (const char* id : {"shop", "", "other"}) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_id(id);
    v1::Model model;
    const grpc::StatusCode code = grpc.stub->GetModel(&context, request, &model).error_code();
    EXPECT_EQ(code, id == std::string("shop") ? grpc::StatusCode::OK : grpc::StatusCode::NOT_FOUND) << id;
  }
}

}  // namespace
}  // namespace tern::serve_test
