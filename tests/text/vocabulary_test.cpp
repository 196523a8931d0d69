#include "text/vocabulary.h"

#include <functional>

#include "base/error.h"
#include "files/gguf.h"
#include "tests/text/fixtures.h"
#include "text/byte_unicode.h"

namespace tern {
namespace {

constexpr uint64_t kStrange = 4000000000;

void expect_equal(const Vocabulary& a, const Vocabulary& b) {
  EXPECT_EQ(a.pre, b.pre);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.types, b.types);
  EXPECT_EQ(a.merges, b.merges);
  EXPECT_EQ(a.bos, b.bos);
  EXPECT_EQ(a.eos, b.eos);
  EXPECT_EQ(a.ends, b.ends);
  EXPECT_EQ(a.add_bos, b.add_bos);
  EXPECT_EQ(a.chat_template, b.chat_template);
}

Vocabulary read_back(const GgufWriter& writer) {
  const std::vector<std::byte> bytes = writer.bytes();
  return read_vocabulary(GgufFile::parse(bytes, "test.gguf"));
}

// The message of what `act` throws; empty where it throws nothing.
std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Vocabulary, ComesBackFromGguf) {
  for (const bool add_bos : {false, true}) {
    Vocabulary vocabulary = small_vocabulary();
    vocabulary.add_bos = add_bos;
    GgufWriter writer;
    write_vocabulary(vocabulary, writer);
    expect_equal(read_back(writer), vocabulary);
  }
  Vocabulary bare = train_bpe(training_lines(), {.size = 300, .specials = {"<日本>"}});
  bare.types.back() = TokenType::user_defined;
  GgufWriter writer;
  write_vocabulary(bare, writer);
  expect_equal(read_back(writer), bare);
}

TEST(Vocabulary, IsWrittenAsOthersReadIt) {
  GgufWriter writer;
  write_vocabulary(small_vocabulary(), writer);
  const std::vector<std::byte> bytes = writer.bytes();
  const GgufFile file = GgufFile::parse(bytes, "test.gguf");
  EXPECT_EQ(file.get_string("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(file.get_string("tokenizer.ggml.pre"), "gpt-2");
  const std::vector<std::string>& tokens = file.get_strings("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens.size(), 345u);
  EXPECT_EQ(tokens[0], "!");
  EXPECT_EQ(tokens[188], "Ā");
  EXPECT_EQ(tokens[339], "<|begin|>");
  EXPECT_EQ(file.get_ints("tokenizer.ggml.token_type")[339], 3);
  for (const std::string& merge : file.get_strings("tokenizer.ggml.merges")) {
    EXPECT_EQ(std::count(merge.begin(), merge.end(), ' '), 1) << merge;
  }
  EXPECT_EQ(file.get_uint("tokenizer.ggml.bos_token_id"), 339u);
  EXPECT_EQ(file.get_uint("tokenizer.ggml.eos_token_id"), 340u);
  EXPECT_TRUE(file.bool_or("tokenizer.ggml.add_bos_token", false));
  EXPECT_EQ(file.get_string("tokenizer.chat_template"), kTernChatTemplate);
}

TEST(Vocabulary, KeepsEveryEnd) {
  Vocabulary vocabulary = small_vocabulary();
  vocabulary.tokens.emplace_back("<|eot_id|>");
  vocabulary.types.push_back(TokenType::control);
  vocabulary.ends = {345, 342, 7, 341, 8};  // the first is known by its name
  GgufWriter writer;
  write_vocabulary(vocabulary, writer);
  const std::vector<std::byte> bytes = writer.bytes();
  const GgufFile file = GgufFile::parse(bytes, "test.gguf");
  EXPECT_EQ(file.get_uint("tokenizer.ggml.eot_token_id"), 342u);
  EXPECT_EQ(file.get_uint("tokenizer.ggml.eom_token_id"), 7u);
  const Vocabulary back = read_vocabulary(file);
  EXPECT_EQ(back.ends, vocabulary.ends);
  const Tokenizer before(vocabulary), after(back);
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    EXPECT_EQ(after.is_end_of_generation(id), before.is_end_of_generation(id)) << id;
}

TEST(Vocabulary, KeysThatAreTakenAreLeft) {
  Vocabulary vocabulary = small_vocabulary();
  vocabulary.eot = 342;
  vocabulary.ends = {342, 340, 7, 8};
  GgufWriter writer;
  write_vocabulary(vocabulary, writer);
  const Vocabulary back = read_back(writer);
  EXPECT_EQ(back.eot, 342);
  EXPECT_EQ(back.eom, 7);
  EXPECT_EQ(back.ends, (std::vector<int32_t>{342, 7, 8})) << "without eos";
}

// A file that is right but for what `change` does to its parts.
struct Parts {
  std::string model = "gpt2", pre = "gpt-2";
  std::vector<std::string> tokens, merges = {"a b"};
  std::vector<int32_t> types;
  uint64_t bos = 0, eos = 1;
  std::vector<int32_t> ends = {1, 2, 2};
};

Vocabulary read_parts(const std::function<void(Parts&)>& change) {
  Parts parts;
  for (const uint8_t byte : bytes_in_spelling_order()) {
    parts.tokens.push_back(spell_bytes(std::string(1, static_cast<char>(byte))));
  }
  parts.tokens.push_back("ab");
  parts.types.assign(parts.tokens.size(), 1);
  change(parts);
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", parts.model);
  writer.add_string("tokenizer.ggml.pre", parts.pre);
  writer.add_strings("tokenizer.ggml.tokens", parts.tokens);
  writer.add_i32s("tokenizer.ggml.token_type", parts.types);
  writer.add_strings("tokenizer.ggml.merges", parts.merges);
  writer.add_u64("tokenizer.ggml.bos_token_id", parts.bos);
  writer.add_u64("tokenizer.ggml.eos_token_id", parts.eos);
  writer.add_i32s("tokenizer.ggml.eos_token_ids", parts.ends);
  return read_back(writer);
}

TEST(Vocabulary, RefusesHostileFiles) {
  EXPECT_EQ(read_parts([](Parts&) {}).ends, (std::vector<int32_t>{2}));  // the file is right without a change
  Tokenizer(read_parts([](Parts&) {}));
  const std::pair<const char*, std::function<void(Parts&)>> cases[] = {
      {"tokenizer.ggml.model is \"bert\"", [](Parts& parts) { parts.model = "bert"; }},
      {"pre-tokenizer \"nonsense\"", [](Parts& parts) { parts.pre = "nonsense"; }},
      {"token_type has 256 entries, expected 257", [](Parts& parts) { parts.types.pop_back(); }},
      {"token_type[3] is 0, expected 1 to 6", [](Parts& parts) { parts.types[3] = 0; }},
      {"token_type[4] is -1", [](Parts& parts) { parts.types[4] = -1; }},
      {"bos_token_id is 257, expected less than 257", [](Parts& parts) { parts.bos = 257; }},
      {"eos_token_id is 4000000000", [](Parts& parts) { parts.eos = kStrange; }},
      {"eos_token_ids has 257, expected 0 to 256",
       [](Parts& parts) {
         parts.ends = {1, 257};
       }},
      {"eos_token_ids has -1", [](Parts& parts) { parts.ends = {-1}; }},
      {"merges[0] is \"ab\"", [](Parts& parts) { parts.merges = {"ab"}; }},
      {"merges[0] is \" b\"", [](Parts& parts) { parts.merges = {" b"}; }},
      {"merges[0] is \"a \"", [](Parts& parts) { parts.merges = {"a "}; }},
      {"merges[1] is \"a b c\"",
       [](Parts& parts) {
         parts.merges = {"a b", "a b c"};
       }},
      {"merge 0 (\"a\" and \"c\")", [](Parts& parts) { parts.merges = {"a c"}; }},
      {"merge 0 (\"ac\" and \"b\")", [](Parts& parts) { parts.merges = {"ac b"}; }},
      {"merge 1 (\"a\" and \"b\") is there twice",
       [](Parts& parts) {
         parts.merges = {"a b", "a b"};
       }},
      {"tokens 0 and 256 are the same", [](Parts& parts) { parts.tokens[256] = "!"; }},
      {"no token for byte 0x61", [](Parts& parts) { parts.tokens[64] = "zz"; }},
      {"tokens has 0 entries", [](Parts& parts) { parts.tokens.clear(), parts.types.clear(); }},
      {"special token 256 is empty", [](Parts& parts) { parts.tokens[256] = "", parts.types[256] = 3; }},
  };
  for (const auto& [expected, change] : cases) {
    const std::string message = message_of([&, change = change] { Tokenizer(read_parts(change)); });
    EXPECT_NE(message.find(expected), std::string::npos) << "expected " << expected << ", got " << message;
  }
}

TEST(Vocabulary, RefusesFilesWithoutKeys) {
  GgufWriter writer;
  EXPECT_NE(message_of([&] { read_back(writer); }).find("tokenizer.ggml.model"), std::string::npos);
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "gpt-2");
  EXPECT_NE(message_of([&] { read_back(writer); }).find("tokenizer.ggml.tokens"), std::string::npos);
}

TEST(Vocabulary, RefusesWhatNoFileCanHold) {
  Vocabulary vocabulary = small_vocabulary();
  vocabulary.tokens.back() = "\xFF";
  GgufWriter writer;
  EXPECT_THROW(write_vocabulary(vocabulary, writer), Error);
  EXPECT_THROW(tokenizer_json(vocabulary), Error);
  vocabulary = small_vocabulary();
  vocabulary.types.pop_back();
  EXPECT_THROW(Tokenizer{vocabulary}, Error);
  vocabulary = small_vocabulary();
  vocabulary.bos = -1;
  EXPECT_THROW(Tokenizer{vocabulary}, Error);
}

TEST(Vocabulary, FindsTokens) {
  EXPECT_EQ(small_vocabulary().find("<think>"), 343);
  EXPECT_EQ(small_vocabulary().find("!"), 0);
  EXPECT_EQ(small_vocabulary().find("not a token"), std::nullopt);
}

}  // namespace
}  // namespace tern
