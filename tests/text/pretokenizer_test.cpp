#include "text/pretokenizer.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/error.h"
#include "files/gguf.h"
#include "tests/text/fixtures.h"

namespace tern {
namespace {

// "llama3" is another name of "llama-bpe".
const std::vector<std::string> kNames = {"gpt-2",        "llama-bpe",      "qwen2",
                                         "deepseek-llm", "deepseek-coder", "deepseek-v3"};

std::vector<std::string> pieces(const std::string& name, std::string_view text) {
  const std::vector<std::string_view> views = PreTokenizer(name).split(text);
  return {views.begin(), views.end()};
}

using Pieces = std::vector<std::string>;

TEST(PreTokenizer, CutsAsGpt2) {
  EXPECT_EQ(pieces("gpt-2", ""), Pieces{});
  EXPECT_EQ(pieces("gpt-2", "don't pay 42€!"), (Pieces{"don", "'t", " pay", " 42", "€!"}));
  EXPECT_EQ(pieces("gpt-2", "a   b \n"), (Pieces{"a", "  ", " b", " \n"}));
  // U+180E is no white space, U+00A0 and U+3000 are.
  EXPECT_EQ(pieces("gpt-2", "a\u180E\u00A0\u3000b"), (Pieces{"a", "\u180E", "\u00A0", "\u3000", "b"}));
}

TEST(PreTokenizer, CutsAtBytesThatAreNoText) {
  EXPECT_EQ(pieces("gpt-2", "ab\xFF\xC3(c\xF0\x9F\x98"),
            (Pieces{"ab", "\xFF", "\xC3", "(", "c", "\xF0", "\x9F", "\x98"}));
  EXPECT_EQ(pieces("deepseek-coder", "\xFF 12\xFF"), (Pieces{"\xFF", " ", "1", "2", "\xFF"}));
}

TEST(PreTokenizer, CutsAsTheOthers) {
  EXPECT_EQ(pieces("llama3", "I'LL pay 12345!\n\n  x"),
            (Pieces{"I", "'LL", " pay", " ", "123", "45", "!\n\n", " ", " x"}));
  EXPECT_EQ(pieces("qwen2", "12 (a)"), (Pieces{"1", "2", " (", "a", ")"}));
  // Its punctuation from ':' to '~' has the letters in it, so they part from "Ä": the model was trained so.
  EXPECT_EQ(pieces("deepseek-llm", "Äpfel 12\n  日本  "),
            (Pieces{"Ä", "pfel", " ", "1", "2", "\n", "  ", "日本", "  "}));
  EXPECT_EQ(pieces("deepseek-v3", "a_b 1234日本x"), (Pieces{"a", "_b", " ", "123", "4", "日本", "x"}));
}

TEST(PreTokenizer, RefusesUnknownNames) {
  try {
    PreTokenizer("nonsense");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(std::string_view(error.what()).find("\"nonsense\""), std::string_view::npos) << error.what();
  }
}

TEST(PreTokenizer, PiecesAreTheText) {
  for (const std::string& name : kNames) {
    Rng rng(2);
    const PreTokenizer pre_tokenizer(name);
    for (int i = 0; i < 500; ++i) {
      const std::string text = random_bytes(rng, 60);
      std::string joined;
      for (const std::string_view piece : pre_tokenizer.split(text)) {
        ASSERT_FALSE(piece.empty());
        joined += piece;
      }
      ASSERT_EQ(joined, text) << name;
    }
  }
}

TEST(PreTokenizer, IsLinear) {
  for (const std::string& name : kNames) {
    const PreTokenizer pre_tokenizer(name);
    for (const char* unit : {" ", "\n", " \n", "a", "1", "!", "'", "日", "\u00A0", "\u0301"}) {
      std::string text;
      while (text.size() < (1 << 20)) text += unit;
      text += 'x';
      const std::clock_t begin = std::clock();
      pre_tokenizer.split(text);
      EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, kMegabyteSeconds)
          << name << " on " << nlohmann::json(unit);
    }
  }
}

class PreTokenizerBesideHuggingFace : public testing::TestWithParam<std::string> {};

// Merges of text of all scripts, so that a piece cut elsewhere shows in the ids.
const Vocabulary& wide_vocabulary() {
  static const Vocabulary vocabulary = [] {
    Rng rng(6);
    std::vector<std::string> lines = training_lines();
    for (int i = 0; i < 2000; ++i) lines.push_back(random_text(rng, 30));
    return tern_vocabulary(lines, 2000);
  }();
  return vocabulary;
}

TEST_P(PreTokenizerBesideHuggingFace, GivesTheSameIds) {
  TERN_NEEDS_PYTHON("tokenizers");
  Rng rng(5);
  Vocabulary vocabulary = wide_vocabulary();
  vocabulary.pre = GetParam();
  const Tokenizer tokenizer(vocabulary);
  nlohmann::json texts = nlohmann::json::array();
  for (int i = 0; i < 500; ++i) texts.push_back(random_text(rng, rng.below(80)));
  for (const char* text : {"<|user|>hi<|end|>", "a <think>b</think> c", "<|begin|><|begin|>", "<|begin", "",
                           "We'Ve I'\u017F '\u212A", "\u180E x\u180E", "  \n \n  x \r\n\r\n y  "}) {
    texts.push_back(text);
  }
  const nlohmann::json answers =
      run_python("tokenize_reference.py", {{"tokenizer", tokenizer_json(vocabulary)}, {"texts", texts}});
  ASSERT_EQ(answers.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    std::vector<int32_t> ids = tokenizer.encode(text, true);
    ASSERT_EQ(answers[i]["ids"], ids) << nlohmann::json(text);
    ASSERT_EQ(answers[i]["text"], text);
    ids.insert(ids.begin(), *vocabulary.bos);
    ASSERT_EQ(answers[i]["with_begin"], ids);
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Names, PreTokenizerBesideHuggingFace, testing::ValuesIn(kNames), test_name);

// Vocabularies of real models with texts and the ids that their own tokenizers give.
class SharedVocabulary : public testing::TestWithParam<std::string> {};

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> split_texts(const std::string& all) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  size_t begin = 0;
  for (size_t at = 0; (at = all.find(separator, begin)) != std::string::npos; begin = at + separator.size()) {
    texts.push_back(all.substr(begin, at - begin));
  }
  if (begin < all.size()) texts.push_back(all.substr(begin));
  return texts;
}

TEST_P(SharedVocabulary, GivesTheIdsOfItsModel) {
  const std::string base =
      std::string(TERN_SOURCE_DIR) + "/../shared/vocab/ggml-vocab-" + GetParam() + ".gguf";
  if (!std::filesystem::exists(base)) {
    const char* ci = std::getenv("CI");
    ASSERT_FALSE(ci && std::string_view(ci) == "true") << "CI=true, and " << base << " is not there";
    GTEST_SKIP() << base << " is not there";
  }
  const GgufFile file = GgufFile::open(base);
  const Tokenizer tokenizer(read_vocabulary(file));
  const std::vector<std::string> texts = split_texts(read_text(base + ".inp"));
  std::istringstream lines(read_text(base + ".out"));
  std::string line;
  size_t read = 0;
  for (; std::getline(lines, line); ++read) {
    ASSERT_LT(read, texts.size());
    std::istringstream numbers(line);
    const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(texts[read]), expected) << nlohmann::json(texts[read]);
    EXPECT_EQ(tokenizer.decode(expected), texts[read]);
  }
  EXPECT_GT(read, 40u);
  EXPECT_EQ(read, texts.size());
}

INSTANTIATE_TEST_SUITE_P(Names, SharedVocabulary,
                         testing::Values("llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder"), test_name);

}  // namespace
}  // namespace tern
