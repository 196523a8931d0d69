// tokenizer.json and the files beside it: read back as written, refused by name, within bounds.
#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "files/gguf.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"
#include "tests/text/fixtures.h"
#include "text/byte_unicode.h"
#include "text/patterns.h"

namespace tern {
namespace {

using Json = nlohmann::ordered_json;

Json small_json() {
  return Json::parse(tokenizer_json(small_vocabulary()));
}

Vocabulary parse(const Json& json) {
  return parse_tokenizer_json(json.dump(), "t.json");
}

TEST(TokenizerJson, ReadsWhatTernWrites) {
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3",
                          "gpt-4o", "kimi-k2", "tekken", "qwen35"}) {
    Vocabulary vocabulary = small_vocabulary();
    vocabulary.pre = pre;
    const Vocabulary back = parse_tokenizer_json(tokenizer_json(vocabulary), "t.json");
    EXPECT_EQ(back.pre, pre);
    EXPECT_EQ(back.tokens, vocabulary.tokens);
    EXPECT_EQ(back.types, vocabulary.types);
    EXPECT_EQ(back.merges, vocabulary.merges);
    EXPECT_EQ(back.bos, vocabulary.bos);
    EXPECT_EQ(back.add_bos, vocabulary.add_bos);
    EXPECT_FALSE(back.add_eos);
    EXPECT_FALSE(back.nfc);
  }
}

// A begin token may be any token: one of the bytes above 127 alone is no UTF-8, and is written as it is
// spelled.
TEST(TokenizerJson, WritesABeginTokenOfOneByte) {
  Vocabulary vocabulary = small_vocabulary();
  const auto byte = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), "\xCD");
  ASSERT_NE(byte, vocabulary.tokens.end());
  vocabulary.bos = static_cast<int32_t>(byte - vocabulary.tokens.begin());
  vocabulary.add_bos = true;
  const Vocabulary back = parse_tokenizer_json(tokenizer_json(vocabulary), "t.json");
  EXPECT_EQ(back.bos, vocabulary.bos);
  EXPECT_TRUE(back.add_bos);
}

TEST(TokenizerJson, ReadsMergesInBothSpellings) {
  Json json = small_json();
  for (Json& merge : json["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  EXPECT_EQ(parse(json).merges, small_vocabulary().merges);
}

TEST(TokenizerJson, KeepsPatternsWithoutAName) {
  Json json = small_json();
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = R"(\p{L}{1,3}|\s)";
  const Vocabulary vocabulary = parse(json);
  EXPECT_EQ(vocabulary.pre, "");
  EXPECT_EQ(vocabulary.patterns, (std::vector<std::string>{R"(\p{L}{1,3}|\s)"}));
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("running shoes")), "running shoes");
  GgufWriter writer;
  expect_error(ErrorKind::unsupported, {"no name in GGUF", R"(\p{L}{1,3}|\s)"},
               [&] { write_vocabulary(vocabulary, writer); });
  EXPECT_EQ(parse_tokenizer_json(tokenizer_json(vocabulary), "t.json").patterns, vocabulary.patterns);
}

TEST(TokenizerJson, TellsTheRulesOfOnePatternApart) {
  Vocabulary vocabulary = small_vocabulary();
  vocabulary.pre = "llama-bpe";
  Json json = Json::parse(tokenizer_json(vocabulary));
  EXPECT_EQ(parse(json).pre, "llama-bpe");
  json["model"]["ignore_merges"] = false;
  EXPECT_EQ(parse(json).pre, "smaug-bpe");
}

// gpt-oss's file may say either: where merges make every token it is the same rule.
TEST(TokenizerJson, NamesARuleThatIgnoresMergesOrNot) {
  Vocabulary vocabulary = small_vocabulary();
  vocabulary.pre = "gpt-4o";
  Json json = Json::parse(tokenizer_json(vocabulary));
  json["model"]["ignore_merges"] = false;
  EXPECT_EQ(parse(json).pre, "gpt-4o");
  EXPECT_TRUE(parse(json).patterns.empty());
  json["model"]["merges"].erase(json["model"]["merges"].size() - 1);
  EXPECT_EQ(parse(json).pre, "");
  EXPECT_EQ(parse(json).patterns, (std::vector<std::string>{kGpt4o}));
  EXPECT_FALSE(parse(json).ignore_merges);
}

TEST(TokenizerJson, AppliesNfc) {
  Json json = small_json();
  json["normalizer"] = {{"type", "NFC"}};
  const Vocabulary vocabulary = parse(json);
  EXPECT_TRUE(vocabulary.nfc);
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode("gro\u0308ße"), tokenizer.encode("größe"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("o\u0308<|user|>", true), true), "ö<|user|>");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("o\xFF\u0308")), "o\xFF\u0308");
}

TEST(TokenizerJson, NfcIsLinear) {
  Json json = small_json();
  json["normalizer"] = {{"type", "NFC"}};
  const Tokenizer tokenizer(parse(json));
  for (const char* unit : {"\u0301\u0316", "o\u0308", "\u1100\u1161\u11A8", "日"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    const std::clock_t begin = std::clock();
    tokenizer.encode(text);
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, kMegabyteSeconds) << unit;
  }
}

TEST(TokenizerJson, RefusesByName) {
  const auto added = [](const char* key, const Json& value) {
    return [key, value](Json& json) { json["added_tokens"][0][key] = value; };
  };
  const auto model = [](const char* key, const Json& value) {
    return [key, value](Json& json) { json["model"][key] = value; };
  };
  const auto pre = [](const Json& step) {
    return [step](Json& json) { json["pre_tokenizer"]["pretokenizers"][0] = step; };
  };
  const std::pair<const char*, std::function<void(Json&)>> cases[] = {
      {"WordPiece", model("type", "WordPiece")},
      {"Unigram", model("type", "Unigram")},
      {"continuing_subword_prefix", model("continuing_subword_prefix", "##")},
      {"end_of_word_suffix", model("end_of_word_suffix", "</w>")},
      {"dropout", model("dropout", 0.1)},
      {"Lowercase",
       [](Json& json) {
         json["normalizer"] = {{"type", "Lowercase"}};
       }},
      {"NFKC",
       [](Json& json) {
         json["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFKC"}}}}};
       }},
      {"Whitespace", pre({{"type", "Whitespace"}})},
      {"Removed", pre({{"type", "Split"}, {"pattern", {{"Regex", " "}}}, {"behavior", "Removed"}})},
      {"String", pre({{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "Isolated"}})},
      {"add_prefix_space",
       [](Json& json) { json["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; }},
      {"without ByteLevel", [](Json& json) { json["pre_tokenizer"] = nullptr; }},
      {"single_word", added("single_word", true)},
      {"lstrip", added("lstrip", true)},
      {"rstrip", added("rstrip", true)},
      {"BertProcessing",
       [](Json& json) {
         json["post_processor"] = {{"type", "BertProcessing"}};
       }},
  };
  for (const auto& [name, change] : cases) {
    Json json = small_json();
    change(json);
    expect_error(ErrorKind::unsupported, {"t.json", name}, [&] { parse(json); });
  }
}

TEST(TokenizerJson, RefusesHostileFiles) {
  const auto vocab = [](const char* token, const Json& id) {
    return [token, id](Json& json) { json["model"]["vocab"][token] = id; };
  };
  const auto merge = [](const Json& pair) {
    return [pair](Json& json) { json["model"]["merges"].push_back(pair); };
  };
  struct Case {
    ErrorKind kind;
    const char* mention;
    std::function<void(Json&)> change;
  };
  const Case cases[] = {
      {ErrorKind::bad_input, "model.vocab", vocab("new", -1)},
      {ErrorKind::bad_input, "model.vocab", vocab("new", 1.5)},
      {ErrorKind::bad_input, "model.vocab", vocab("new", "7")},
      {ErrorKind::bad_input, "model.vocab", vocab("new", Json::array())},
      {ErrorKind::bad_input, "model.vocab", vocab("new", 4000000000)},
      {ErrorKind::bad_input, "id 5 is there twice", vocab("new", 5)},
      {ErrorKind::limit, "token id 2000000000", vocab("new", 2000000000)},
      {ErrorKind::bad_input, "merges", merge("a")},
      {ErrorKind::bad_input, "merges", merge("a b c")},
      {ErrorKind::bad_input, "merges", merge({"a"})},
      {ErrorKind::bad_input, "merges", merge({"a", "b", "c"})},
      {ErrorKind::bad_input, "merges", merge({"a", 1})},
      {ErrorKind::bad_input, "merges", merge({"a", {"b"}})},
      {ErrorKind::bad_input, "no tokens in bytes", merge({"a", "日"})},
      {ErrorKind::bad_input, "not of tokens that are there", merge({"zq", "qz"})},
      {ErrorKind::bad_input, "expected an id", [](Json& json) { json["added_tokens"][0]["id"] = -3; }},
      {ErrorKind::bad_input, "in another place", [](Json& json) { json["added_tokens"][0]["id"] = 7; }},
      {ErrorKind::limit, "2000000000", [](Json& json) { json["added_tokens"][0]["id"] = 2000000000; }},
      {ErrorKind::limit, "levels",
       [](Json& json) {
         Json deep;
         for (int i = 0; i < 100; ++i) deep = Json::array({deep});
         json["extra"] = deep;
       }},
  };
  for (const Case& c : cases) {
    Json json = small_json();
    c.change(json);
    expect_error(c.kind, {c.mention}, [&] { Tokenizer{parse(json)}; });
  }
  expect_error(ErrorKind::bad_input, {"t.json", "no JSON"},
               [] { parse_tokenizer_json("{\"model\":", "t.json"); });
  expect_error(ErrorKind::limit, {"levels"},
               [] { parse_tokenizer_json(std::string(1 << 20, '['), "t.json"); });
  expect_error(ErrorKind::unsupported, {"model.type"}, [] { parse_tokenizer_json("[]", "t.json"); });
}

// A folder with the tokenizer of the small vocabulary and what the test puts beside it.
class HuggingFaceFolder : public testing::Test {
 protected:
  HuggingFaceFolder() { put("tokenizer.json", tokenizer_json(small_vocabulary())); }
  void put(const char* name, const std::string& text) { write_file(folder_ / name, text); }
  Vocabulary read() { return read_hf_vocabulary(folder_.path().string()); }

  TemporaryFolder folder_;
};

TEST_F(HuggingFaceFolder, NeedsNoMoreThanTheTokenizer) {
  const Vocabulary vocabulary = read();
  EXPECT_EQ(vocabulary.tokens, small_vocabulary().tokens);
  EXPECT_EQ(vocabulary.eos, std::nullopt);
  std::filesystem::remove(folder_ / "tokenizer.json");
  expect_error(ErrorKind::unsupported, {"tokenizer.json is missing"}, [&] { read(); });
}

TEST_F(HuggingFaceFolder, SaysWhatBeginsAndEnds) {
  put("tokenizer_config.json",
      R"({"bos_token": {"content": "<|begin|>", "lstrip": false}, "eos_token": "<|end|>",
      "pad_token": null, "add_bos_token": false, "chat_template": "{{ messages }}"})");
  put("generation_config.json", R"({"eos_token_id": [340, 341]})");
  put("config.json", R"({"vocab_size": 350, "eos_token_id": 342})");
  const Vocabulary vocabulary = read();
  EXPECT_EQ(vocabulary.bos, 339);
  EXPECT_EQ(vocabulary.eos, 340);
  EXPECT_EQ(vocabulary.ends, (std::vector<int32_t>{341}));
  EXPECT_FALSE(vocabulary.add_bos);
  EXPECT_EQ(vocabulary.chat_template, "{{ messages }}");
  EXPECT_EQ(vocabulary.size(), 350);
  EXPECT_EQ(vocabulary.tokens[349], "[PAD349]");
  EXPECT_EQ(vocabulary.types[349], TokenType::unused);
  const Tokenizer tokenizer(vocabulary);
  EXPECT_TRUE(tokenizer.is_end_of_generation(340));
  EXPECT_TRUE(tokenizer.is_end_of_generation(341));
  EXPECT_FALSE(tokenizer.is_end_of_generation(342));
  GgufWriter writer;
  write_vocabulary(vocabulary, writer);
  const std::vector<std::byte> bytes = writer.bytes();
  const Tokenizer converted(read_vocabulary(GgufFile::parse(bytes, "test.gguf")));
  EXPECT_EQ(converted.vocabulary().ends, vocabulary.ends);
  EXPECT_TRUE(converted.is_end_of_generation(341));
  EXPECT_FALSE(converted.is_end_of_generation(342));
  EXPECT_EQ(converted.encode("red <|user|>", true), tokenizer.encode("red <|user|>", true));
}

TEST_F(HuggingFaceFolder, TakesTheTemplateOfItsOwnFileFirst) {
  put("tokenizer_config.json",
      R"({"chat_template": [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]})");
  EXPECT_EQ(read().chat_template, "b");
  put("chat_template.jinja", "c\n");
  EXPECT_EQ(read().chat_template, "c\n");
}

TEST_F(HuggingFaceFolder, AddsTokensOfTheConfiguration) {
  put("tokenizer_config.json", R"({"added_tokens_decoder": {"345": {"content": "<new>", "special": true},
      "340": {"content": "<|end|>", "special": true}}, "eos_token": "<new>"})");
  const Vocabulary vocabulary = read();
  EXPECT_EQ(vocabulary.size(), 346);
  EXPECT_EQ(vocabulary.eos, 345);
  EXPECT_EQ(Tokenizer(vocabulary).encode("<new>", true), (std::vector<int32_t>{345}));
}

TEST_F(HuggingFaceFolder, RefusesWhatCantBe) {
  const std::pair<const char*, std::pair<const char*, const char*>> cases[] = {
      {"eos_token_id 345", {"generation_config.json", R"({"eos_token_id": 345})"}},
      {"eos_token_id -1", {"generation_config.json", R"({"eos_token_id": [-1]})"}},
      {"expected an object", {"config.json", "[]"}},
      {"vocab_size is 999999999", {"config.json", R"({"vocab_size": 999999999})"}},
      {"token 999", {"tokenizer_config.json", R"({"added_tokens_decoder": {"999": {"content": "<x>"}}})"}},
      {"token x", {"tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "<x>"}}})"}},
      {"lstrip",
       {"tokenizer_config.json", R"({"added_tokens_decoder": {"345": {"content": "<x>", "lstrip": true}}})"}},
      {"bos_token", {"special_tokens_map.json", R"({"bos_token": 7})"}},
  };
  for (const auto& [mention, file] : cases) {
    put(file.first, file.second);
    try {
      read();
      ADD_FAILURE() << mention;
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(mention), std::string_view::npos) << error.what();
      EXPECT_NE(std::string_view(error.what()).find(file.first), std::string_view::npos) << error.what();
    }
    std::filesystem::remove(folder_ / file.first);
  }
}

// gpt-oss: what ends a channel doesn't end the reply.
TEST(EndTokens, OfHarmonyAndOthers) {
  const auto ends = [](std::vector<std::string> specials) {
    const auto n = static_cast<int32_t>(specials.size());
    const Tokenizer tokenizer(train_bpe({}, {.size = 256 + n, .specials = std::move(specials)}));
    std::string found;
    for (int32_t id = 256; id < 256 + n; ++id) found += tokenizer.is_end_of_generation(id) ? 'e' : '.';
    return found;
  };
  EXPECT_EQ(ends({"<|end|>", "<|start|>"}), "e.");
  EXPECT_EQ(ends({"<|end|>", "<|return|>", "<|call|>", "<|channel|>"}), ".ee.");
  EXPECT_EQ(ends({"<|eot_id|>", "<|eom_id|>", "<|im_end|>", "[EOT]", "<｜end▁of▁sentence｜>", "<｜User｜>"}),
            "eeeee.");
}

}  // namespace
}  // namespace tern
