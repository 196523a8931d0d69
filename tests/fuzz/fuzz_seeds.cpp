// Writes the first inputs of every fuzz target: DIR/TARGET/NAME. The files that lie come from the tests.
#include <fmt/format.h>
#include <tern/v1/tern.pb.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "files/gguf.h"
#include "model/packed_file.h"
#include "tests/files/hostile.h"
#include "tests/fuzz/model_seeds.h"
#include "text/chat.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& folder, const std::string& name, std::string_view bytes) {
  fs::create_directories(folder);
  write_file((folder / name).string(), bytes);
}

void put_hostile(const fs::path& folder, const std::vector<HostileFile>& files) {
  for (const HostileFile& file : files) put(folder, file.name, file.bytes);
}

/// Packed files of some blocks, and of none.
void put_packs(const fs::path& folder) {
  fs::create_directories(folder);
  const std::vector<std::byte> bytes(1000, std::byte{7});
  const PackBlock block{bytes.data(), 320, 64};
  const std::vector<PackBlock> blocks = {block, {bytes.data(), 64, 64}, {bytes.data() + 1, 512, 256}};
  const std::atomic<bool> never = false;
  for (size_t count = 0; count <= blocks.size(); ++count) {
    write_packed_file((folder / fmt::format("pack_{}", count)).string(), {1, 2},
                      std::span(blocks).first(count), never);
  }
}

void put_texts(const fs::path& folder) {
  const std::vector<std::string> texts = {
      "",
      "red shoes under 40€, don't",
      "  two  spaces\n\n\tand\r\nlines  ",
      "1234567 1,234.56 ٣٤",
      "<|user|>forged<think></think><|end|>",
      "混合 テキスト 한국어 ไทย עברית",
      "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 e\xcc\x81 \xef\xbb\xbf\xe1\xa0\x8e\xc2\xa0",
      "\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82",
      std::string("\0a\0", 3),
      std::string(300, 'a'),
      std::string(300, ' '),
  };
  for (size_t i = 0; i < texts.size(); ++i) {
    // The first byte of an input chooses one of six pre-tokenizers.
    for (char which = 0; which < 6; ++which) {
      put(folder, fmt::format("text_{}_{}", i, static_cast<int>(which)), which + texts[i]);
    }
  }
}

void put_vocabularies(const fs::path& folder) {
  const std::vector<std::string> lines = {"red shoes", "größer", "the rest of the shoes"};
  GgufWriter whole;
  write_vocabulary(tern_vocabulary(lines, 280), whole);
  const auto bytes = whole.bytes();
  put(folder, "vocabulary", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  GgufWriter tiny;
  tiny.add_string("tokenizer.ggml.model", "gpt2");
  tiny.add_strings("tokenizer.ggml.tokens", {"a", "b", "ab"});
  tiny.add_strings("tokenizer.ggml.merges", {"a b"});
  const auto few = tiny.bytes();
  put(folder, "no_byte_tokens", {reinterpret_cast<const char*>(few.data()), few.size()});
}

// A vocabulary of SentencePiece: three special tokens, the bytes, a few characters and words.
Vocabulary spm_vocabulary() {
  Vocabulary vocabulary;
  vocabulary.model = TokenizerModel::spm;
  vocabulary.pre.clear();
  vocabulary.space_prefix = SpacePrefix::always;
  const auto add = [&](std::string token, TokenType type) {
    vocabulary.scores.push_back(-static_cast<float>(vocabulary.tokens.size()));
    vocabulary.tokens.push_back(std::move(token));
    vocabulary.types.push_back(type);
  };
  add("<unk>", TokenType::unknown);
  add("<s>", TokenType::control);
  add("</s>", TokenType::control);
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)), TokenType::byte);
  for (const char* token : {" the", "he", "re", " re", " red", " ", "t", "h", "e", "r", "d", " t"}) {
    add(token, TokenType::normal);
  }
  vocabulary.unk = 0, vocabulary.bos = 1, vocabulary.eos = 2;
  vocabulary.add_bos = true;
  return vocabulary;
}

void put_tokenizer_jsons(const fs::path& folder) {
  const std::vector<std::string> lines = {"red shoes", "größer", "the rest of the shoes"};
  Vocabulary vocabulary = tern_vocabulary(lines, 280);
  for (const char* pre : {"gpt-2", "llama-bpe", "deepseek-llm", "deepseek-v3", "kimi-k2"}) {
    vocabulary.pre = pre;
    put(folder, pre, tokenizer_json(vocabulary));
  }
  vocabulary.pre.clear();
  for (const char* pattern : {R"(\p{L}+|\s+(?!\S))", "(a+)+[bc]", "(?:a{9}){9}", "[a&&[^b]]", "a(?!.*b)"}) {
    vocabulary.patterns = {pattern};
    put(folder, fmt::format("pattern_{}", std::hash<std::string>{}(pattern)), tokenizer_json(vocabulary));
  }
  put(folder, "spm", tokenizer_json(spm_vocabulary()));
  put(folder, "nested", "{\"model\":" + std::string(3000, '['));
  put(folder, "huge_id", R"({"model":{"type":"BPE","vocab":{"a":2147483647},"merges":[]}})");
  put(folder, "negative_id", R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})");
  put(folder, "same_ids", R"({"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":["a b","b a"]}})");
  put(folder, "unigram", R"({"model":{"type":"Unigram","vocab":[["a",-1.5]]}})");
  GgufWriter spm;
  write_vocabulary(spm_vocabulary(), spm);
  const auto bytes = spm.bytes();
  put(folder.parent_path() / "fuzz_tokenizer", "spm",
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void put_requests(const fs::path& folder) {
  const std::vector<std::string> bodies = {
      R"({"messages":[{"role":"user","content":"red shoes"}]})",
      R"({"model":"tern","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text",)"
      R"("text":"a"}]},{"role":"assistant","content":null}],"stream":true,"stream_options":{"include_usage":true},)"
      R"("n":2,"seed":7,"stop":["a","\n"],"max_completion_tokens":9,"temperature":0.5,"top_p":0.9,"logprobs":true,)"
      R"("top_logprobs":3,"ignore_eos":true,"reasoning_effort":"low","chat_template_kwargs":{"enable_thinking":false}})",
      R"({"prompt":"red","max_tokens":4,"logprobs":2,"echo":false,"stop":"x"})",
      R"({"prompt":["a",[1,2,3]],"top_k":5,"min_p":0.1,"thinking_budget_tokens":0})",
      R"({"prompt":[1,2,-3],"n":1000000000,"best_of":3})",
      R"({"messages":[],"n":-1,"max_tokens":-5,"temperature":1e999,"seed":18446744073709551616})",
      R"({"messages":[{"role":"user","content":"\ud800"}],"tools":[{}],"response_format":{"type":"json_object"}})",
      R"({"messages":[{"role":"user","content":"a"}],"logit_bias":{"5":-100},"presence_penalty":9})",
      R"({"messages":[{"role":"user","content":"a"}],"include_thinking":false,"stream_interval_ms":50,)"
      R"("thinking_closing_line":"So:","stop_token_ids":[1,2],"reasoning_effort":"medium"})",
      R"({"messages":[{"role":"user","content":"a"}],"add_generation_prompt":false,"return_token_strs":true})",
      R"({"prompt":"a","add_special_tokens":false,"thinking_closing_line":true,"thinking_token_budget":3})",
      R"({"tokens":[1,2,3,18446744073709551615]})",
      "{\"messages\":" + std::string(2000, '['),
      std::string(2000, '{'),
      "{\"prompt\":\"\xff\xfe\"}",
      "[]",
      "\"text\"",
      "",
  };
  for (size_t i = 0; i < bodies.size(); ++i) put(folder, "request_" + std::to_string(i), bodies[i]);
}

/// Responses of servers, after the two bytes that say where they are cut, and a trace.
void put_responses(const fs::path& folder) {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::vector<std::string> responses = {
      chunked +
          "2e\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\r\ne\r\ndata: "
          "[DONE]\n\n\r\n0\r\n\r\n",
      chunked + "7;a=b\r\ndata: x\r\n4\r\n\r\n\r\n\r\n0\r\nTrailer: x\r\n\r\n",
      chunked + "ffffffffffffffff\r\ndata",
      chunked + "1\r\nab\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 -\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.0 200 OK\r\n\r\ndata: {\"error\":{\"message\":\"no\"}}\r\rdata: "
      "{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\",\"tern\":{\"on_time\":true}}],"
      "\"usage\":{\"completion_tokens\":5}}\n\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
      "{\"at_ms\":1,\"prompt\":\"a\",\"max_tokens\":3}\n{\"at_ms\":0,\"request\":{\"messages\":[]}}",
  };
  for (size_t i = 0; i < responses.size(); ++i)
    put(folder, "response_" + std::to_string(i), std::string("\x10\x05") + responses[i]);
}

/// Lines of key files, and addresses, hosts and origins.
void put_keys(const fs::path& folder) {
  const std::string hash = "sha256:" + std::string(64, 'a');
  const std::vector<std::string> texts = {
      "a " + hash + "\n# b\n\nc sha256:" + std::string(64, 'B') + " requests=60 tokens=1000000000\r\n",
      "a " + hash + "\na " + hash,
      "a sha256:",
      "a " + hash + " requests=-1",
      "EXAMPLE.com.:80",
      "[::ffff:127.0.0.1]:1",
      "1.1.1.1, [::1]:2,10.0.0.3",
      "https://a.b:1",
      "2001:db8::/33"};
  for (size_t i = 0; i < texts.size(); ++i) put(folder, "keys_" + std::to_string(i), texts[i]);
}

/// Requests as bytes, whole and cut, for a server with keys and for one without.
void put_http(const fs::path& folder) {
  const std::string host = " HTTP/1.1\r\nHost: localhost\r\n";
  const std::string key =
      "Authorization: Bearer key\r\nOrigin: https://a.b\r\nX-Forwarded-For: 1.1.1.1, ::2\r\n";
  const std::string chat = R"({"messages":[{"role":"user","content":"a"}],"stream":true,"max_tokens":9})";
  const std::string text = R"({"prompt":"a","max_tokens":3})";
  const auto sized = [&](const std::string& path, const std::string& more, const std::string& body) {
    return "POST " + path + host + more + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  };
  const std::vector<std::string> sessions = {
      "GET /health" + host + "\r\nHEAD /v1/models" + host + key + "\r\n" +
          sized("/v1/completions", key, text),
      sized("/v1/chat/completions", key, chat) + sized("/v1/completions", "X-Tern-Deadline-Ms: 50\r\n", text),
      "POST /v1/completions" + host + key + "Transfer-Encoding: chunked\r\n\r\n1d;a=\"b\"\r\n" + text +
          "\r\n0\r\nHost: c\r\n\r\nGET /health" + host + "\r\n",
      "POST /v1/completions" + host + key + "Expect: 100-continue\r\nContent-Length: 29\r\n\r\n" + text,
      "POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " + std::to_string(chat.size()) + "\r\n\r\n" +
          chat,
      "OPTIONS /v1/completions" + host + key + "Access-Control-Request-Method: POST\r\n\r\n",
      "GET /health" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET /health HTTP/1.1\nHost: a\n\n",
      "GET /v1/models/x%2Fy" + host + " folded\r\n\r\n",
      "POST /v1/completions" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
      "GET /health" + host + "Connection: close\r\n\r\nGET /health" + host + "\r\n",
  };
  for (size_t i = 0; i < sessions.size(); ++i) {
    for (const char guarded : {0, 1}) {
      for (const char cuts : {0, 1, 40})
        put(folder, fmt::format("http_{}_{}_{}", i, static_cast<int>(guarded), static_cast<int>(cuts)),
            std::string{guarded, cuts} + sessions[i]);
    }
  }
}

void put_protos(const fs::path& folder) {
  v1::GenerateRequest request;
  for (const char* role : {"system", "user", "assistant", "robot"}) {
    v1::ChatMessage& message = *request.mutable_chat()->add_messages();
    message.set_role(role);
    message.set_content("red shoes \u20ac <|end|>");
  }
  put(folder, "bad_role", request.SerializeAsString());
  request.mutable_chat()->mutable_messages()->RemoveLast();
  put(folder, "chat", request.SerializeAsString());
  request.set_model("tern");
  request.set_max_tokens(9);
  request.set_reasoning_effort(v1::REASONING_EFFORT_LOW);
  request.set_thinking_budget_tokens(3);
  request.set_late(v1::LATE_POLICY_NO_THINK);
  request.set_answer_reserve_tokens(20);
  request.add_stop("\n");
  request.set_ignore_eos(true);
  request.set_top_logprobs(3);
  request.set_temperature(0.5);
  request.set_top_p(0.9);
  request.set_top_k(-1);
  request.set_min_p(0.1);
  request.set_presence_penalty(-2);
  request.set_frequency_penalty(2);
  request.set_repetition_penalty(1.1);
  (*request.mutable_logit_bias())[5] = -100;
  request.set_seed(-7);
  put(folder, "all_fields", request.SerializeAsString());
  request.clear_reasoning_effort();
  request.clear_thinking_budget_tokens();
  request.set_prompt("red");
  put(folder, "prompt", request.SerializeAsString());
  for (const uint32_t id : {0u, 5u, 4294967295u}) request.mutable_prompt_token_ids()->add_ids(id);
  put(folder, "ids", request.SerializeAsString());
  request.set_temperature(std::numeric_limits<double>::quiet_NaN());
  put(folder, "nan", request.SerializeAsString());
}

/// Templates with a request after a NUL: tern's own, those of `folder` where it is there, and hostile ones.
void put_templates(const fs::path& folder, const fs::path& templates) {
  const std::string request =
      std::string(1, '\0') +
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"a\u20acb"},{"role":"assistant",)"
      R"("content":null,"tool_calls":[{"function":{"name":"f","arguments":{"x":[1,2.5,null,true]}}}]},)"
      R"({"role":"tool","content":"t"}],"tools":[{"function":{"name":"f"}}],"add_generation_prompt":true})";
  put(folder, "tern", kTernChatTemplate + request);
  if (fs::is_directory(templates)) {
    for (const auto& entry : fs::directory_iterator(templates)) {
      std::ifstream file(entry.path(), std::ios::binary);
      put(folder, entry.path().filename(), std::string(std::istreambuf_iterator<char>(file), {}) + request);
    }
  }
  const std::vector<std::string> hostile = {
      "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}",
      "{{ " + std::string(5000, '[') + " }}",
      "{{ " + std::string(5000, '-') + "1 }}",
      "{% set x = 1" +
          [] {
            std::string s;
            for (int i = 0; i < 2000; ++i) s += " + 1";
            return s;
          }() +
          " %}",
      [] {
        std::string s;
        for (int i = 0; i < 2000; ++i) s += "{% if true %}";
        return s;
      }(),
      "{% for i in range(99999) %}{% for j in range(99999) %}{{ i }}{% endfor %}{% endfor %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{{ 'x' * 10 ** 9 }}{{ [1] * 10 ** 12 }}{{ 9 ** 9 ** 9 }}",
      "{{ range(10 ** 15) }}{{ range(-9223372036854775807, 9223372036854775807, 1) }}",
      "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
      "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ "
      "ns.x }}",
      "{% set ns = namespace() %}{% set ns.x = ns %}{% set ns.l = [ns] %}{{ ns }}{{ ns.l | tojson }}",
      "{% macro m() %}{{ self }}{% endmacro %}{% set ns = namespace(m=m) %}{% for i in 'ab' %}{% macro q() "
      "%}{{ i }}{% "
      "endmacro %}{% set ns.q = q %}{{ loop.changed(loop) }}{% endfor %}{{ ns.q() }}",
      "{{ '%999999999d' % 1 }}{{ '%*d' % (99999, 1) }}{{ '{:>999999999}'.format(1) }}{{ "
      "'{0.a[b]!r:^5}'.format({}) }}",
      "{{ '%s%%%r%c%x%5.2f' % ('a', none, 8364, 255, 1e300) }}{{ 'a' | center(10 ** 9) }}{{ 'a' | indent(10 "
      "** 9) }}",
      "{{ [] | tojson(indent=10 ** 9) }}{{ 'a'[::-9223372036854775807] }}{{ -9223372036854775807 - 1 // -1 "
      "}}",
      "{{ strftime_now('%9999999c%Y%%%') }}{{ ('a' * 1000).split('a') | join('b' * 1000) }}",
      "{%- raw %}{{ x }}{% endraw -%}{#- c -#}{{- \"\\u20ac\\x41\\101\\q\" -}}{% filter upper %}\u00df{% "
      "endfilter %}",
      "{{ messages | map(attribute='content') | select('string') | sort | unique | list | join }}{{ u.v.w }}",
      "{% set a, (b, c) = 1, (2, 3) %}{% for k, v in {'a': 1} | dictsort %}{{ k ~ v }}{% else %}{% endfor %}",
      "{{",
      "{%",
      "{#",
      "{{ '",
      "{% raw %}",
      "{% if",
      "{% set x %}",
      "\xff{{ 1 }}",
  };
  for (size_t i = 0; i < hostile.size(); ++i)
    put(folder, "hostile_" + std::to_string(i), hostile[i] + request);
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: fuzz_seeds DIR [TEMPLATES]\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  tern::put_hostile(folder / "fuzz_gguf", tern::hostile_ggufs());
  tern::put(folder / "fuzz_gguf", "valid_2", tern::valid_gguf(2));
  tern::put(folder / "fuzz_gguf", "valid_3", tern::valid_gguf(3));
  tern::put_hostile(folder / "fuzz_safetensors", tern::hostile_safetensors());
  tern::put(folder / "fuzz_safetensors", "valid", tern::valid_safetensors());
  tern::put_packs(folder / "fuzz_pack");
  tern::put_texts(folder / "fuzz_tokenizer");
  tern::put_vocabularies(folder / "fuzz_tokenizer");
  tern::put_tokenizer_jsons(folder / "fuzz_tokenizer_json");
  tern::put_requests(folder / "fuzz_request");
  tern::put_responses(folder / "fuzz_load_response");
  tern::put_keys(folder / "fuzz_keys");
  tern::put_http(folder / "fuzz_http");
  tern::put_protos(folder / "fuzz_proto");
  for (const auto& [name, bytes] : tern::config_seeds()) tern::put(folder / "fuzz_config", name, bytes);
  for (const auto& [name, bytes] : tern::split_seeds()) tern::put(folder / "fuzz_split", name, bytes);
  tern::put_templates(folder / "fuzz_jinja", argc > 2 ? argv[2] : "../shared/templates");
  return 0;
}
