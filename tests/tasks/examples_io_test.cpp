#include "tasks/search/examples_io.h"

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "tasks/search/world.h"
#include "tests/temporary_folder.h"

namespace tern::search {
namespace {

TEST(ExamplesIo, RoundTrip) {
  const World world;
  const Generator generator(world, {Split::dev, 1, true});
  std::vector<Example> examples;
  for (uint64_t i = 0; i < 200; ++i) examples.push_back(generator.at(i, static_cast<int>(i % 5)));
  const TemporaryFolder folder;
  const std::string path = folder / "examples.jsonl";
  write_examples(path, examples);
  const auto back = read_examples(path);
  ASSERT_EQ(back.size(), examples.size());
  for (size_t i = 0; i < back.size(); ++i) {
    EXPECT_EQ(back[i].query, examples[i].query);
    EXPECT_EQ(back[i].clean, examples[i].clean);
    EXPECT_EQ(back[i].answer, examples[i].answer);
    EXPECT_EQ(back[i].noise, examples[i].noise);
    EXPECT_EQ(back[i].index, examples[i].index);
    EXPECT_EQ(back[i].thinking, examples[i].thinking);
    EXPECT_EQ(back[i].truth_hash, examples[i].truth_hash);
    EXPECT_EQ(back[i].phrasing_hash, examples[i].phrasing_hash);
    EXPECT_EQ(example_line(back[i]), example_line(examples[i]));
  }
}

TEST(ExamplesIo, UnseenNoiseIsKnownByItsStepsOnceReadBack) {
  const World world;
  for (const bool unseen : {false, true}) {
    const Generator generator(world, {Split::dev, 1, unseen});
    for (uint64_t i = 0; i < 200; ++i) {
      const Example example = generator.at(i, static_cast<int>(i % 5));
      const Example back = parse_example(example_line(example), "x");
      EXPECT_EQ(has_unseen_noise(back), unseen && example.noise > 0) << example_line(example);
    }
  }
}

TEST(ExamplesIo, QueryAndAnswerAreEnough) {
  const auto example = parse_example(
      "{\"query\":\"boots\",\"answer\":{\"intent\":\"find\",\"types\":[\"boot\"]},\"mine\":1}", "x");
  EXPECT_EQ(example.query, "boots");
  EXPECT_EQ(example.noise, 0);
  EXPECT_TRUE(example.thinking.empty());
}

TEST(ExamplesIo, ComplaintsNameFileLineAndKey) {
  const TemporaryFolder folder;
  const std::string path = folder / "bad.jsonl";
  const std::string good = "{\"query\":\"boots\",\"answer\":{\"intent\":\"find\"}}\n";
  const auto complaint = [&](const std::string& line) -> std::string {
    write_file(path, good + "\r\n" + line + "\n");
    try {
      read_examples(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      return error.what();
    }
    return "";
  };
  const std::pair<const char*, const char*> cases[] = {
      {"{", "not JSON"},
      {"[]", "object"},
      {"{\"answer\":{\"intent\":\"find\"}}", "\"query\" is missing"},
      {"{\"query\":3,\"answer\":{\"intent\":\"find\"}}", "\"query\""},
      {"{\"query\":\"a\"}", "\"answer\" is missing"},
      {"{\"query\":\"a\",\"answer\":{\"intent\":\"buy\"}}", "\"answer\""},
      {"{\"query\":\"a\",\"answer\":\"find\"}", "\"answer\""},
      {"{\"query\":\"a\",\"answer\":{\"intent\":\"find\"},\"noise\":5}", "\"noise\""},
      {"{\"query\":\"a\",\"answer\":{\"intent\":\"find\"},\"noise\":-1}", "\"noise\""},
      {"{\"query\":\"a\",\"answer\":{\"intent\":\"find\"},\"thinking\":[1]}", "\"thinking\""},
      {"{\"query\":\"a\",\"answer\":{\"intent\":\"find\"},\"steps\":[1]}", "\"steps\""},
      {"{\"query\":\"a\",\"answer\":{\"intent\":\"find\"},\"truth_hash\":\"zz\"}", "\"truth_hash\""},
  };
  for (const auto& [line, part] : cases) {
    const std::string message = complaint(line);
    EXPECT_TRUE(message.starts_with(path + ":3: ")) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  write_file(path, "\n\n");
  EXPECT_THROW(read_examples(path), Error);
  EXPECT_THROW(read_examples(folder / "missing.jsonl"), Error);
}

}  // namespace
}  // namespace tern::search
