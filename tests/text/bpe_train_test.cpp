#include <algorithm>
#include <map>

#include "base/error.h"
#include "tests/text/fixtures.h"
#include "text/byte_unicode.h"
#include "text/tokenizer.h"

namespace tern {
namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

// Sennrich et al.'s algorithm word for word: counts all pairs anew for each merge.
Merges naive_merges(const std::vector<std::string>& words, size_t n) {
  std::array<int, 256> rank{};
  for (int i = 0; i < 256; ++i) rank[bytes_in_spelling_order()[i]] = i;
  std::map<std::string, int> ids;
  for (int byte = 0; byte < 256; ++byte) ids[std::string(1, static_cast<char>(byte))] = rank[byte];
  std::vector<std::vector<std::string>> split;
  for (const std::string& word : words) {
    split.emplace_back();
    for (const char c : word) split.back().emplace_back(1, c);
  }
  Merges merges;
  while (ids.size() < 256 + n) {
    std::map<std::pair<int, int>, int> counts;
    std::map<std::pair<int, int>, std::pair<std::string, std::string>> names;
    for (const auto& word : split) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        const std::pair<int, int> pair = {ids[word[i]], ids[word[i + 1]]};
        ++counts[pair];
        names[pair] = {word[i], word[i + 1]};
      }
    }
    if (counts.empty()) break;
    const auto best = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second < b.second : a.first > b.first;
    });
    const auto [left, right] = names[best->first];
    merges.emplace_back(left, right);
    ids.emplace(left + right, static_cast<int>(ids.size()));
    for (auto& word : split) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != left || word[i + 1] != right) continue;
        word[i] += right;
        word.erase(word.begin() + static_cast<ptrdiff_t>(i) + 1);
      }
    }
  }
  return merges;
}

TEST(BpeTraining, IsTheSameEveryTime) {
  const Vocabulary vocabulary = train_bpe(training_lines(), {.size = 266, .specials = {"<x>"}});
  const Merges golden = {{"n", "i"}, {"w", "e"},  {"h", "e"}, {"u", "n"}, {"a", "p"},
                         {"k", "e"}, {" ", "ni"}, {" ", "r"}, {" ", "s"}};
  EXPECT_EQ(vocabulary.merges, golden);
  EXPECT_EQ(train_bpe(training_lines(), {.size = 266, .specials = {"<x>"}}).merges, vocabulary.merges);
}

TEST(BpeTraining, LaysOutIds) {
  const Vocabulary vocabulary = train_bpe(training_lines(), {.size = 300, .specials = {"<x>", "<y>"}});
  ASSERT_EQ(vocabulary.size(), 300);
  ASSERT_EQ(vocabulary.merges.size(), 300u - 256 - 2);
  for (int32_t id = 0; id < 256; ++id) {
    EXPECT_EQ(vocabulary.tokens[id], std::string(1, static_cast<char>(bytes_in_spelling_order()[id])));
  }
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    EXPECT_EQ(vocabulary.tokens[256 + i], vocabulary.merges[i].first + vocabulary.merges[i].second);
  }
  EXPECT_EQ(vocabulary.tokens[298], "<x>");
  EXPECT_EQ(vocabulary.types[297], TokenType::normal);
  EXPECT_EQ(vocabulary.types[299], TokenType::control);
}

TEST(BpeTraining, FollowsTheDefinition) {
  Rng rng(11);
  for (int i = 0; i < 60; ++i) {
    // Words of two or three letters, so that runs, ties and the same token from two pairs come up.
    std::vector<std::string> words;
    const uint64_t letters = 1 + rng.below(3);
    for (uint64_t n = 1 + rng.below(12); n > 0; --n) {
      std::string word;
      for (uint64_t length = 1 + rng.below(14); length > 0; --length)
        word += static_cast<char>('a' + rng.below(letters));
      words.push_back(word);
    }
    ASSERT_EQ(train_bpe(words, {.size = 256 + 20}).merges, naive_merges(words, 20)) << "case " << i;
  }
}

TEST(BpeTraining, EndsWhereNoPairIsLeft) {
  const std::vector<std::string> lines = {"ab ab"};
  const Vocabulary vocabulary = train_bpe(lines, {.size = 1000, .specials = {"<x>"}});
  EXPECT_EQ(vocabulary.merges, (Merges{{"a", "b"}, {" ", "ab"}}));
  EXPECT_EQ(vocabulary.size(), 259);
}

TEST(BpeTraining, NeedsRoomForBytesAndSpecials) {
  EXPECT_THROW(train_bpe({}, {.size = 256, .specials = {"<x>"}}), Error);
  EXPECT_THROW(train_bpe({}, {.size = 400, .pre = "nonsense"}), Error);
  EXPECT_EQ(train_bpe({}, {.size = 256}).size(), 256);
}

TEST(BpeTraining, AgreesWithHuggingFace) {
  TERN_NEEDS_PYTHON("tokenizers");
  Rng rng(12);
  nlohmann::json lines = nlohmann::json::array();
  for (int i = 0; i < 3000; ++i) lines.push_back(random_text(rng, rng.below(60)));
  const auto texts = lines.get<std::vector<std::string>>();
  const nlohmann::json merges = run_python("train_reference.py", {{"lines", lines}, {"size", 900}});
  nlohmann::json spelled = nlohmann::json::array();
  for (const auto& [left, right] : train_bpe(texts, {.size = 900}).merges) {
    spelled.push_back({spell_bytes(left), spell_bytes(right)});
  }
  EXPECT_EQ(spelled, merges);
}

}  // namespace
}  // namespace tern
