// Requests as data: every field, and for every wrong one an error that names it.
#include "serve/openai.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "serve/json_fields.h"

namespace tern {
namespace {

constexpr const char* kMessages = R"("messages": [{"role": "user", "content": "hi"}])";

std::string chat_with(const std::string& field) {
  return fmt::format("{{{}, {}}}", kMessages, field);
}

ChatRequest parse_with(const std::string& field) {
  return parse_chat_request(chat_with(field));
}

/// The error's param, and its code in front of it; "accepted" where there is none.
template <typename Parse>
std::string refusal(Parse parse, const std::string& body) {
  try {
    parse(body);
    return "accepted";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    const auto json = nlohmann::json::parse(error.json())["error"];
    EXPECT_EQ(json["type"], "invalid_request_error");
    EXPECT_FALSE(json["message"].get<std::string>().empty());
    return error.code() + " " + error.param();
  }
}

std::string chat_refusal(const std::string& field) {
  return refusal(parse_chat_request, chat_with(field));
}
std::string completion_refusal(const std::string& body) {
  return refusal(parse_completion_request, body);
}

TEST(ChatRequest, DefaultsAreThoseOfAnEmptyRequest) {
  const ChatRequest request = parse_with(R"("unknown_field": {"a": [1]})");
  EXPECT_FALSE(request.model || request.max_tokens || request.temperature || request.seed ||
               request.thinking);
  EXPECT_FALSE(request.stream || request.include_usage || request.ignore_eos || request.thinking_budget);
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.top_p, 1.0f);
  EXPECT_EQ(request.top_k, 0);
  EXPECT_EQ(request.min_p, 0.0f);
  EXPECT_EQ(request.top_logprobs, -1);
  EXPECT_TRUE(request.stop.empty());
  ASSERT_EQ(request.messages.size(), 1u);
  EXPECT_EQ(request.messages[0].content, "hi");
}

TEST(ChatRequest, ReadsEveryField) {
  const ChatRequest request = parse_with(
      R"("model": "m", "stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true},
         "n": 3, "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.25, "top_k": 9,
         "min_p": 0.125, "seed": -1, "stop": ["a", "b"], "ignore_eos": true, "logprobs": true, "top_logprobs": 4,
         "reasoning_effort": "low", "thinking_budget_tokens": 0, "presence_penalty": 0.5,
         "frequency_penalty": -1.5, "repetition_penalty": 1.25, "logit_bias": {"17": -100, "5": 0.5},
         "deadline_ms": 250, "late": "no_think", "answer_reserve_tokens": 40, "include_thinking": false,
         "stream_interval_ms": 40, "stop_token_ids": [3, 9], "thinking_closing_line": "So:")");
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(request.stream && request.include_usage && request.continuous_usage && request.ignore_eos);
  EXPECT_EQ(request.n, 3);
  EXPECT_EQ(request.max_tokens, 7) << "the newer name wins";
  EXPECT_EQ(request.temperature, 0.5f);
  EXPECT_EQ(request.top_p, 0.25f);
  EXPECT_EQ(request.top_k, 9);
  EXPECT_EQ(request.min_p, 0.125f);
  EXPECT_EQ(request.deadline_ms, 250);
  EXPECT_EQ(request.late, LatePolicy::no_think);
  EXPECT_EQ(request.answer_reserve, 40);
  EXPECT_FALSE(request.include_thinking);
  EXPECT_EQ(request.stream_interval_ms, 40);
  EXPECT_EQ(request.stop_tokens, (std::vector<int32_t>{3, 9}));
  EXPECT_EQ(request.effort, Effort::low);
  EXPECT_EQ(request.closing_line, "So:");
  EXPECT_EQ(request.presence_penalty, 0.5f);
  EXPECT_EQ(request.frequency_penalty, -1.5f);
  EXPECT_EQ(request.repetition_penalty, 1.25f);
  EXPECT_EQ(request.logit_bias, (std::vector<std::pair<int32_t, float>>{{5, 0.5f}, {17, -100.0f}}));
  EXPECT_EQ(request.seed, UINT64_MAX);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.top_logprobs, 4);
  EXPECT_EQ(request.thinking, Thinking::on);
  EXPECT_EQ(request.thinking_budget, 0);
}

TEST(ChatRequest, NullIsAbsent) {
  const ChatRequest request = parse_with(
      R"("model": null, "stream": null, "stream_options": null, "n": null, "max_tokens": null, "temperature": null,
         "top_p": null, "seed": null, "stop": null, "logprobs": null, "top_logprobs": null, "tools": null,
         "response_format": null, "reasoning_effort": null, "logit_bias": null, "tool_choice": null)");
  EXPECT_EQ(request.n, 1);
  EXPECT_FALSE(request.stream || request.seed || request.thinking);
}

TEST(ChatRequest, KnownFieldsThatAskNothingMayStand) {
  EXPECT_EQ(
      chat_refusal(
          R"("tools": [], "tool_choice": "none", "functions": [], "function_call": "none", "logit_bias": {},
                   "presence_penalty": 0, "frequency_penalty": 0.0, "repetition_penalty": 1.0,
                   "response_format": {"type": "text"}, "modalities": ["text"], "best_of": 1, "min_tokens": 0,
                   "user": "u", "store": false, "metadata": {}, "parallel_tool_calls": true, "service_tier": "auto")"),
      "accepted");
}

/// A field that is known but can't be honoured, and a value that asks for something.
struct Unsupported {
  const char *field, *value;
};

constexpr Unsupported kUnsupported[] = {
    {"tool_choice", R"("required")"},
    {"functions", "[{}]"},
    {"function_call", R"({"name": "f"})"},
    {"response_format", R"({"type": "json_object"})"},
    {"response_format", "{}"},
    {"best_of", "2"},
    {"modalities", R"(["text", "audio"])"},
    {"audio", R"({"voice": "x"})"},
    {"prediction", R"({"type": "content"})"},
    {"web_search_options", R"({"search_context_size": "low"})"},
    {"guided_json", R"({"type": "object"})"},
    {"guided_regex", R"("a*")"},
    {"min_tokens", "3"},
    {"truncate_prompt_tokens", "5"},
    {"include_stop_str_in_output", "true"},
    {"return_tokens_as_token_ids", "true"},
    {"skip_special_tokens", "false"},
    {"use_beam_search", "true"},
};

constexpr Unsupported kUnsupportedInChat[] = {
    {"continue_final_message", "true"}, {"add_generation_prompt", "false"},
    {"chat_template", R"("{{ x }}")"},  {"echo", "true"},
    {"add_special_tokens", "true"},
};

constexpr Unsupported kUnsupportedInCompletions[] = {
    {"echo", "true"},
    {"tools", R"([{"type": "function"}])"},
    {"tool_choice", R"("auto")"},
    {"suffix", R"("b")"},
    {"thinking_budget_tokens", "0"},
    {"thinking_budget_tokens", "5"},
    {"thinking_token_budget", "5"},
    {"thinking_closing_line", "true"},
    {"thinking_closing_line", R"("So:")"},
};

void expect_unsupported(const std::string& found, const Unsupported& asked) {
  EXPECT_EQ(found, fmt::format("unsupported_parameter {}", asked.field)) << asked.value;
}

TEST(ChatRequest, NamesTheFieldThatIsNotSupported) {
  const auto expect = [](const Unsupported& asked) {
    expect_unsupported(chat_refusal(fmt::format("\"{}\": {}", asked.field, asked.value)), asked);
  };
  for (const Unsupported& asked : kUnsupported) expect(asked);
  for (const Unsupported& asked : kUnsupportedInChat) expect(asked);
}

TEST(ChatRequest, TypesAreStrict) {
  const std::pair<const char*, const char*> fields[] = {
      {"model", "5"},
      {"stream", "1"},
      {"stream", R"("true")"},
      {"n", "1.5"},
      {"n", R"("2")"},
      {"n", "true"},
      {"max_tokens", "1e3"},
      {"max_tokens", "[]"},
      {"seed", "0.5"},
      {"seed", R"("a")"},
      {"temperature", R"("1")"},
      {"top_p", "{}"},
      {"top_k", "2.0"},
      {"min_p", "[0]"},
      {"stop", "5"},
      {"ignore_eos", "0"},
      {"logprobs", "5"},
      {"top_logprobs", "1.5"},
      {"reasoning_effort", "3"},
      {"response_format", R"("text")"},
      {"chat_template_kwargs", "[]"},
      {"thinking_budget_tokens", "0.5"},
      {"include_thinking", "0"},
      {"include_reasoning", R"("no")"},
      {"stream_interval_ms", "2.5"},
      {"thinking_closing_line", "5"},
      {"stop_token_ids", "5"},
      {"stop_token_ids", R"(["a"])"},
      {"skip_special_tokens", "1"},
  };
  for (const auto& [field, value] : fields) {
    EXPECT_EQ(chat_refusal(fmt::format("\"{}\": {}", field, value)), fmt::format("invalid_type {}", field))
        << value;
  }
  EXPECT_EQ(chat_refusal(R"("stream": true, "stream_options": {"include_usage": 1})"),
            "invalid_type stream_options.include_usage");
  EXPECT_EQ(chat_refusal(R"("chat_template_kwargs": {"enable_thinking": "no"})"),
            "invalid_type chat_template_kwargs.enable_thinking");
  EXPECT_EQ(chat_refusal(R"("stop": ["a", 5])"), "invalid_type stop[1]");
}

TEST(ChatRequest, RangesAreChecked) {
  const std::pair<const char*, const char*> fields[] = {
      {"n", "0"},
      {"n", "-1"},
      {"n", "17"},
      {"n", "18446744073709551615"},
      {"max_tokens", "0"},
      {"max_tokens", "-5"},
      {"max_tokens", "9223372036854775808"},
      {"max_completion_tokens", "2147483648"},
      {"temperature", "-0.1"},
      {"temperature", "2.5"},
      {"temperature", "1e300"},
      {"top_p", "1.01"},
      {"top_p", "-1"},
      {"top_k", "-2"},
      {"min_p", "2"},
      {"deadline_ms", "0"},
      {"deadline_ms", "3600001"},
      {"late", R"("never")"},
      {"answer_reserve_tokens", "0"},
      {"presence_penalty", "2.1"},
      {"frequency_penalty", "-3"},
      {"repetition_penalty", "0"},
      {"logit_bias", R"({"five": 1})"},
      {"logit_bias", R"({"-1": 1})"},
      {"logit_bias", R"({"4294967296": 1})"},
      {"stop", R"("")"},
      {"stop", R"(["a","b","c","d","e"])"},
      {"reasoning_effort", R"("extreme")"},
      {"thinking_budget_tokens", "-1"},
      {"stream_interval_ms", "-1"},
      {"stream_interval_ms", "10001"},
      {"stop_token_ids", "[-1]"},
      {"stream_options", "{}"},
  };
  for (const auto& [field, value] : fields) {
    const std::string param = std::string(field) == "stop" && value[0] == '"' ? "stop" : field;
    EXPECT_EQ(chat_refusal(fmt::format("\"{}\": {}", field, value)), "invalid_value " + param) << value;
  }
  EXPECT_EQ(chat_refusal(R"("logprobs": true, "top_logprobs": 21)"), "invalid_value top_logprobs");
  EXPECT_EQ(chat_refusal(R"("top_logprobs": 2)"), "invalid_value top_logprobs");
  EXPECT_EQ(chat_refusal(R"("logit_bias": {"5": 101})"), "invalid_value logit_bias.5");
  std::string many = R"("logit_bias": {"0": 1)";
  for (int i = 1; i <= kMaxBiases; ++i) many += fmt::format(R"(, "{}": 1)", i);
  EXPECT_EQ(chat_refusal(many + "}"), "invalid_value logit_bias");
  EXPECT_EQ(chat_refusal(fmt::format(R"("stop": "{}")", std::string(1025, 's'))), "invalid_value stop");
  EXPECT_EQ(parse_with(R"("seed": 18446744073709551615)").seed, UINT64_MAX);
  std::string stops = R"("stop_token_ids": [0)";
  for (int i = 0; i < kMaxStopTokens; ++i) stops += ",1";
  EXPECT_EQ(chat_refusal(stops + "]"), "invalid_value stop_token_ids");
}

TEST(ChatRequest, TheClosingLineIsTextOrTernsOwn) {
  const auto line = [](const std::string& value) {
    return parse_with(R"("thinking_closing_line": )" + value).closing_line;
  };
  EXPECT_EQ(line("true"), kClosingLine);
  EXPECT_EQ(line("false"), "");
  EXPECT_EQ(line("null"), "");
  EXPECT_EQ(line(R"("Well.")"), "Well.");
  EXPECT_EQ(line('"' + std::string(256, 'w') + '"').size(), 256u);
  EXPECT_EQ(chat_refusal(R"("thinking_closing_line": ")" + std::string(257, 'w') + '"'),
            "invalid_value thinking_closing_line");
}

TEST(ChatRequest, OfTheNamesOfTheBudgetTernsOwnWins) {
  EXPECT_EQ(parse_with(R"("chat_template_kwargs": {"thinking_budget": 5})").thinking_budget, 5);
  EXPECT_EQ(parse_with(R"("chat_template_kwargs": {"thinking_budget": 5}, "thinking_token_budget": 6)")
                .thinking_budget,
            6);
  EXPECT_EQ(parse_with(R"("thinking_budget_tokens": 7, "thinking_token_budget": 6)").thinking_budget, 7);
  EXPECT_EQ(chat_refusal(R"("chat_template_kwargs": {"thinking_budget": "5"})"),
            "invalid_type chat_template_kwargs.thinking_budget");
}

TEST(ChatRequest, MessagesAreChecked) {
  const auto refused = [](const std::string& messages) {
    return refusal(parse_chat_request, R"({"messages": )" + messages + "}");
  };
  EXPECT_EQ(refusal(parse_chat_request, "{}"), "missing_required_parameter messages");
  EXPECT_EQ(refused("[]"), "invalid_value messages");
  EXPECT_EQ(refused(R"("hi")"), "invalid_type messages");
  EXPECT_EQ(refused("[5]"), "invalid_type messages[0]");
  EXPECT_EQ(refused(R"([{"content": "x"}])"), "invalid_value messages[0].role");
  EXPECT_EQ(refused(R"([{"role": "narrator", "content": "x"}])"), "invalid_value messages[0].role");
  EXPECT_EQ(refused(R"([{"role": "user"}])"), "missing_required_parameter messages[0].content");
  EXPECT_EQ(refused(R"([{"role": "user", "content": 7}])"), "invalid_type messages[0].content");
  EXPECT_EQ(refused(R"([{"role": "user", "content": ["x"]}])"), "invalid_type messages[0].content[0]");
  EXPECT_EQ(refused(R"([{"role": "user", "content": [{"type": "image_url"}]}])"),
            "unsupported_content messages[0].content[0].type");
  EXPECT_EQ(refused(R"([{"role": "user", "content": [{"type": "text"}]}])"),
            "missing_required_parameter messages[0].content[0].text");
  EXPECT_EQ(
      refused(R"([{"role": "user", "content": "x"}, {"role": "assistant", "function_call": {"name": "f"}}])"),
      "unsupported_parameter messages[1].function_call");
}

TEST(ChatRequest, TheTemplateSeesTheRequestInItsOrder) {
  const ChatRequest request = parse_chat_request(
      R"({"messages": [{"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                       {"role": "assistant", "content": null, "reasoning_content": "r", "tool_calls": [
                         {"type": "function", "function": {"name": "f", "arguments": "{\"z\": 1, \"a\": 2}"}},
                         {"function": {"name": "g", "arguments": "no JSON"}}]},
                       {"role": "tool", "content": "x", "tool_call_id": "c", "name": "f"}],
          "tools": [{"z": 1, "a": {"y": 2, "b": 3}}], "tool_choice": "auto", "reasoning_effort": "high",
          "chat_template_kwargs": {"custom": "k", "messages": 5}})");
  const auto shown = [&](const char* text) { return jinja::Template(text).render(request.variables).text; };
  EXPECT_EQ(shown("{{ tools | tojson }}"), R"([{"z": 1, "a": {"y": 2, "b": 3}}])");
  EXPECT_EQ(shown("{{ messages[0].role }} {{ messages[0].content }}"), "system ab");
  EXPECT_EQ(shown("{{ messages[1].content }} {{ messages[1].reasoning_content }}"), "None r");
  EXPECT_EQ(shown("{{ messages[1].tool_calls[0].function.arguments | tojson }}"), R"({"z": 1, "a": 2})");
  EXPECT_EQ(shown("{{ messages[1].tool_calls[1].function.arguments }}"), "no JSON");
  EXPECT_EQ(shown("{{ messages[2].tool_call_id }}{{ messages[2].name }}"), "cf");
  EXPECT_EQ(shown("{{ custom }} {{ enable_thinking }} {{ thinking }} {{ reasoning_effort }} {{ documents }}"),
            "k True True high None");
  const ChatRequest plain = parse_with(R"("tools": [{"a": 1}], "tool_choice": "none")");
  EXPECT_EQ(jinja::Template("{{ tools }}{{ enable_thinking is defined }}").render(plain.variables).text,
            "NoneFalse");
  EXPECT_EQ(chat_refusal(R"("tools": [5])"), "invalid_type tools[0]");
  EXPECT_EQ(chat_refusal(R"("documents": "x")"), "invalid_type documents");
}

TEST(ChatRequest, OfTwoEqualKeysTheLastCounts) {
  EXPECT_EQ(parse_with(R"("n": 2, "n": 3)").n, 3);
}

TEST(RequestJson, WhatIsNoJsonObjectIsRefused) {
  const std::string deep_arrays(100'000, '[');
  std::string deep_objects;
  for (int i = 0; i < 1000; ++i) deep_objects += R"({"a":)";
  const std::string bodies[] = {"",
                                "null",
                                "[]",
                                "5",
                                "\"text\"",
                                "{",
                                "{\"a\": }",
                                "{\"a\": 1,}",
                                "{} {}",
                                "{\"a\": NaN}",
                                "{\"a\": Infinity}",
                                "{\"a\": 1e999}",
                                "{'a': 1}",
                                "{\"a\": \"\xff\"}",
                                "{\"a\": \"\xc3\"}",
                                "{\"a\": \"\xed\xa0\x80\"}",
                                "{\"a\": \"\\ud800\"}",
                                "{\"a\": \"new\nline\"}",
                                std::string("{\"a\": 1}\0{", 10),
                                "\xff\xfe{",
                                deep_arrays,
                                deep_objects};
  for (const std::string& body : bodies) {
    EXPECT_EQ(refusal(parse_chat_request, body), "invalid_json ") << body.substr(0, 50);
    EXPECT_EQ(completion_refusal(body), "invalid_json ") << body.substr(0, 50);
  }
}

TEST(RequestJson, DepthInsideOfStringsDoesNotCount) {
  const std::string brackets(1000, '[');
  EXPECT_EQ(chat_refusal(fmt::format(R"("user": "\"{}")", brackets)), "accepted");
}

TEST(RequestJson, ManyValuesAreReadInLittleTimeOrRefused) {
  std::string keys = R"({"prompt": "x")";
  for (int i = 0; i < kMaxJsonValues - 1; ++i) keys += fmt::format(",\"{}\":0", i);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(completion_refusal(keys + "}"), "accepted");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_EQ(completion_refusal(keys + R"(,"more":0})"), "invalid_json ");
  EXPECT_EQ(completion_refusal(R"({"prompt": [0)" + std::string(4 << 20, ',') + "]}"), "invalid_json ");
}

TEST(CompletionRequest, Prompts) {
  const auto prompts = [](const std::string& prompt) {
    return parse_completion_request(R"({"prompt": )" + prompt + "}").prompts;
  };
  EXPECT_EQ(prompts(R"("a")"), (std::vector<PromptInput>{"a"}));
  EXPECT_EQ(prompts(R"(["a", "b"])"), (std::vector<PromptInput>{"a", "b"}));
  EXPECT_EQ(prompts("[1, 2]"), (std::vector<PromptInput>{std::vector<int32_t>{1, 2}}));
  EXPECT_EQ(prompts(R"([[1], "b"])"), (std::vector<PromptInput>{std::vector<int32_t>{1}, "b"}));

  EXPECT_EQ(completion_refusal("{}"), "missing_required_parameter prompt");
  EXPECT_EQ(completion_refusal(R"({"prompt": []})"), "invalid_value prompt");
  EXPECT_EQ(completion_refusal(R"({"prompt": 5})"), "invalid_type prompt");
  EXPECT_EQ(completion_refusal(R"({"prompt": [1, "a"]})"), "invalid_type prompt[0]");
  EXPECT_EQ(completion_refusal(R"({"prompt": [[]]})"), "invalid_type prompt[0]");
  EXPECT_EQ(completion_refusal(R"({"prompt": [1.5]})"), "invalid_type prompt[0]");
  EXPECT_EQ(completion_refusal(R"({"prompt": [-1]})"), "invalid_value prompt");
  EXPECT_EQ(completion_refusal(R"({"prompt": [18446744073709551615]})"), "invalid_value prompt");
  EXPECT_EQ(completion_refusal(R"({"prompt": [4294967296]})"), "invalid_value prompt");
  std::string many = R"({"prompt": ["a")";
  for (int i = 0; i < kMaxPrompts; ++i) many += R"(,"a")";
  EXPECT_EQ(completion_refusal(many + "]}"), "invalid_value prompt");
}

TEST(CompletionRequest, NamesTheFieldThatIsNotSupported) {
  const auto expect = [](const Unsupported& asked) {
    expect_unsupported(
        completion_refusal(fmt::format(R"({{"prompt": "a", "{}": {}}})", asked.field, asked.value)), asked);
  };
  for (const Unsupported& asked : kUnsupported) expect(asked);
  for (const Unsupported& asked : kUnsupportedInCompletions) expect(asked);
}

TEST(CompletionRequest, KnownFieldsThatAskNothingMayStand) {
  EXPECT_EQ(
      completion_refusal(
          R"({"prompt": "a", "tools": [], "tool_choice": "none", "functions": [], "function_call": "none",
              "modalities": ["text"], "echo": false, "suffix": "", "thinking_budget_tokens": null,
              "thinking_closing_line": false, "skip_special_tokens": true, "include_stop_str_in_output": false})"),
      "accepted");
}

TEST(CompletionRequest, OfTheNamesOfMaxTokensTheNewerWins) {
  const auto most = [](const std::string& fields) {
    return parse_completion_request(R"({"prompt": "a")" + fields + "}").max_tokens;
  };
  EXPECT_EQ(most(""), std::nullopt);
  EXPECT_EQ(most(R"(, "max_tokens": 5)"), 5);
  EXPECT_EQ(most(R"(, "max_completion_tokens": 7)"), 7);
  EXPECT_EQ(most(R"(, "max_tokens": 5, "max_completion_tokens": 7)"), 7);
  EXPECT_EQ(completion_refusal(R"({"prompt": "a", "max_completion_tokens": 0})"),
            "invalid_value max_completion_tokens");
}

TEST(CompletionRequest, ItsOwnFields) {
  EXPECT_EQ(parse_completion_request(R"({"prompt": "a", "logprobs": 5})").top_logprobs, 5);
  EXPECT_EQ(parse_completion_request(R"({"prompt": "a", "logprobs": 0})").top_logprobs, 0);
  EXPECT_EQ(completion_refusal(R"({"prompt": "a", "logprobs": true})"), "invalid_type logprobs");
}

TEST(ApiError, IsAlwaysValidJson) {
  const ApiError error(400, "bad \xff byte \" and quote", "", "c");
  const auto json = nlohmann::json::parse(error.json())["error"];
  EXPECT_EQ(json["param"], nullptr);
  EXPECT_EQ(json["code"], "c");
}

}  // namespace
}  // namespace tern
