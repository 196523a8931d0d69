// OpenAI's fields as those of tern's own API.
#include "measure/load/grpc_request.h"

#include <gtest/gtest.h>

#include <google/protobuf/util/message_differencer.h>

#include "tests/expect_error.h"

namespace tern::load {
namespace {

using Json = nlohmann::ordered_json;

v1::GenerateRequest read(const char* body) {
  LoadRequest request;
  request.body = Json::parse(body);
  return to_generate_request(request);
}

TEST(GrpcRequest, CarriesWhatOptionsAskFor) {
  LoadOptions options;
  options.request.prompts = {"hello"};
  options.request.max_tokens = 7;
  options.request.deadline_ms = {50, 60};
  options.request.late = "no_think";
  options.request.think = false;
  options.request.effort = "low";
  options.request.temperature = 0.5;
  options.request.sampling_seed = -9;
  options.request.extra = {{"top_k", 3}, {"stop", {"a", "b"}}};
  v1::GenerateRequest right;
  right.mutable_chat()->add_messages()->set_role("user");
  right.mutable_chat()->mutable_messages(0)->set_content("hello");
  right.set_model("m");
  right.set_max_tokens(7);
  right.set_late(v1::LATE_POLICY_NO_THINK);
  right.set_reasoning_effort(v1::REASONING_EFFORT_NONE);
  right.set_temperature(0.5);
  right.set_seed(-9);
  right.set_top_k(3);
  right.add_stop("a");
  right.add_stop("b");
  const v1::GenerateRequest made = to_generate_request(RequestMaker(options, "m").make(0));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(made, right)) << made.DebugString();

  options.request = {};
  options.request.chat = false;
  options.request.prompts = {"hello"};
  right.Clear();
  right.set_prompt("hello");
  right.set_model("m");
  const v1::GenerateRequest raw = to_generate_request(RequestMaker(options, "m").make(0));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(raw, right)) << raw.DebugString();
}

TEST(GrpcRequest, WhatWinsOverHttpWinsHere) {
  EXPECT_EQ(read(R"({"max_completion_tokens":5,"max_tokens":9})").max_tokens(), 5);
  const auto effort = [](const char* body) { return read(body).reasoning_effort(); };
  EXPECT_EQ(effort(R"({"chat_template_kwargs":{"enable_thinking":true}})"), v1::REASONING_EFFORT_XHIGH);
  EXPECT_EQ(effort(R"({"chat_template_kwargs":{"thinking":true},"reasoning_effort":"low"})"),
            v1::REASONING_EFFORT_LOW);
  EXPECT_EQ(effort(R"({"chat_template_kwargs":{"enable_thinking":false},"reasoning_effort":"high"})"),
            v1::REASONING_EFFORT_NONE);
  EXPECT_EQ(effort(R"({"reasoning_effort":null})"), v1::REASONING_EFFORT_UNSPECIFIED);
}

TEST(GrpcRequest, CarriesTheRest) {
  const v1::GenerateRequest request = read(R"({"prompt":[1,2],"top_p":0.5,"min_p":0.25,"ignore_eos":true,
      "presence_penalty":1,"frequency_penalty":-1,"repetition_penalty":1.5,"logit_bias":{"7":-3},
      "thinking_budget_tokens":4,"answer_reserve_tokens":5,"logprobs":true,"top_logprobs":2,"stop":"x"})");
  EXPECT_EQ(request.prompt_token_ids().ids(1), 2u);
  EXPECT_EQ(request.top_p(), 0.5);
  EXPECT_EQ(request.min_p(), 0.25);
  EXPECT_TRUE(request.ignore_eos());
  EXPECT_EQ(request.presence_penalty(), 1);
  EXPECT_EQ(request.frequency_penalty(), -1);
  EXPECT_EQ(request.repetition_penalty(), 1.5);
  EXPECT_EQ(request.logit_bias().at(7), -3);
  EXPECT_EQ(request.thinking_budget_tokens(), 4);
  EXPECT_EQ(request.answer_reserve_tokens(), 5);
  EXPECT_EQ(request.top_logprobs(), 2);
  EXPECT_EQ(request.stop(0), "x");
  EXPECT_TRUE(read(R"({"logprobs":true})").has_top_logprobs());
  EXPECT_FALSE(read(R"({"logprobs":false})").has_top_logprobs());
}

TEST(GrpcRequest, WhatHasNoPlaceOrIsWrongIsNamed) {
  for (const auto& [body, said] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"n":2})", "\"n\": tern's gRPC API has no such field"},
           {R"({"tools":[]})", "\"tools\""},
           {R"({"messages":[{"role":"tool","tool_call_id":"x"}]})", "\"messages.tool_call_id\""},
           {R"({"chat_template_kwargs":{"date":"x"}})", "\"chat_template_kwargs.date\""},
       })
    expect_error(ErrorKind::unsupported, {said}, [text = body] { read(text); });
  for (const auto& [body, said] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"max_tokens":"7"})", "\"max_tokens\": expected an integer"},
           {R"({"max_tokens":3000000000})", "\"max_tokens\": expected an integer in its range"},
           {R"({"seed":18446744073709551615})", "\"seed\": expected an integer in its range"},
           {R"({"temperature":true})", "\"temperature\": expected a number"},
           {R"({"ignore_eos":1})", "\"ignore_eos\": expected a boolean"},
           {R"({"messages":{}})", "\"messages\": expected a list"},
           {R"({"messages":[1]})", "\"messages\": expected an object"},
           {R"({"messages":[{"content":[]}]})", "\"messages.content\": expected a string"},
           {R"({"prompt":[-1]})", "\"prompt\": expected an integer in its range"},
           {R"({"reasoning_effort":"max"})", "\"reasoning_effort\": expected none, minimal"},
           {R"({"late":"maybe"})", "\"late\": expected refuse"},
           {R"({"logit_bias":{"x":1}})", "\"logit_bias\": expected token ids"},
           {R"({"logit_bias":{"1":"x"}})", "\"logit_bias.1\": expected a number"},
       })
    expect_error(ErrorKind::bad_input, {said}, [text = body] { read(text); });
}

}  // namespace
}  // namespace tern::load
