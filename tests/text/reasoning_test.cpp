#include "text/reasoning.h"

#include "tests/text/fixtures.h"

namespace tern {
namespace {

using Side = ReasoningSplit::Side;
using Piece = ReasoningSplit::Piece;

/// tern's small vocabulary with more special tokens and another template.
Tokenizer tokenizer_with(const std::vector<std::string>& specials, const std::string& chat_template,
                         bool tags = true) {
  Vocabulary vocabulary = small_vocabulary();
  for (size_t i = 0; !tags && i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.tokens[i] == kThinkToken) vocabulary.tokens[i] = "<a>";
    if (vocabulary.tokens[i] == kEndThinkToken) vocabulary.tokens[i] = "</a>";
  }
  for (const std::string& name : specials) {
    vocabulary.tokens.push_back(name);
    vocabulary.types.push_back(TokenType::control);
  }
  vocabulary.chat_template = chat_template;
  return Tokenizer(vocabulary);
}

Tokenizer channel_tokenizer() {
  return tokenizer_with({"<|start|>", "<|channel|>", "<|message|>", "<|return|>"}, "<|channel|>");
}

struct Split {
  std::string thinking, answer, markers;
  int thought = 0;
  bool ended = false;
  bool operator==(const Split&) const = default;
};

void collect(const std::vector<Piece>& pieces, Split& split) {
  for (const Piece& piece : pieces) {
    std::string& side = piece.kind == Piece::Kind::thinking ? split.thinking
                        : piece.kind == Piece::Kind::answer ? split.answer
                                                            : split.markers;
    side += piece.text;
  }
}

/// A reply given token by token; control tokens have no bytes, as in a generation.
Split run(const Tokenizer& tokenizer, const std::vector<int32_t>& reply, Side start) {
  const ReasoningFormat format = reasoning_format(tokenizer);
  ReasoningSplit split(format, start);
  Split found;
  for (const int32_t id : reply) {
    std::vector<Piece> pieces;
    const bool control = tokenizer.vocabulary().types[static_cast<size_t>(id)] == TokenType::control;
    split.push(id, control ? std::string_view() : tokenizer.bytes(id), pieces);
    collect(pieces, found);
  }
  found.thought = split.thought();
  found.ended = split.ended();
  std::vector<Piece> rest;
  split.finish(rest);
  collect(rest, found);
  return found;
}

Split split_text(const Tokenizer& tokenizer, const std::string& reply, Side start) {
  return run(tokenizer, tokenizer.encode(reply, true), start);
}

TEST(Reasoning, SchemesAreKnownByTemplateAndVocabulary) {
  EXPECT_EQ(reasoning_format(small_tokenizer()).scheme, ReasoningScheme::think_tags);
  EXPECT_EQ(reasoning_format(channel_tokenizer()).scheme, ReasoningScheme::channels);
  EXPECT_EQ(reasoning_format(tokenizer_with({}, "{{ messages }}", false)).scheme, ReasoningScheme::none);
  const ReasoningFormat text = reasoning_format(tokenizer_with({}, "{{ '</think>' }}", false));
  EXPECT_EQ(text.scheme, ReasoningScheme::think_tags);
  EXPECT_FALSE(text.close.id.has_value());
  EXPECT_GT(text.closing.size(), 1u);
  EXPECT_EQ(reasoning_format(small_tokenizer()).closing.size(), 1u);
  EXPECT_EQ(reasoning_format(tokenizer_with({}, "[/THINK]", false)).close.text, "[/THINK]");
}

TEST(Reasoning, TagsAsSpecialTokens) {
  const Tokenizer& words = small_tokenizer();
  EXPECT_EQ(split_text(words, "<think>hm</think>\nred", Side::unsaid).thinking, "hm");
  EXPECT_EQ(split_text(words, "<think>hm</think>\nred", Side::unsaid).answer, "\nred");
  EXPECT_EQ(split_text(words, "hm</think>red", Side::thinking).thinking, "hm");
  EXPECT_EQ(split_text(words, "\n <think>hm</think>red", Side::unsaid).thinking, "hm");
  EXPECT_EQ(split_text(words, " red", Side::unsaid).answer, " red");
  EXPECT_EQ(split_text(words, " \n", Side::unsaid).answer, " \n");
  EXPECT_EQ(split_text(words, "red<think>x</think>y", Side::unsaid).answer, "redxy");
  EXPECT_EQ(split_text(words, "red</think>y", Side::answer).answer, "redy");
  // The letters of a marker that is one token are only letters.
  std::vector<int32_t> spelled = words.encode("a</think>b");
  EXPECT_EQ(run(words, spelled, Side::thinking).thinking, "a</think>b");
}

TEST(Reasoning, TagsAsTextAreNeverShownHoweverTheyAreCut) {
  const Tokenizer words = tokenizer_with({}, "</think>", false);
  const std::string reply = "<think>\nthe shoe < </ </thin red€</think>\n\nbl</think>ue <think>";
  const std::string thinking = "\nthe shoe < </ </thin red€", answer = "\n\nbl</think>ue <think>";
  const ReasoningFormat format = reasoning_format(words);
  Rng rng(5);
  for (int i = 0; i < 300; ++i) {
    ReasoningSplit split(format, i % 2 ? Side::unsaid : Side::thinking);
    Split found;
    std::string_view text = reply;
    if (i % 2 == 0) text.remove_prefix(7);
    for (const std::string_view cut : random_cuts(rng, text)) {
      std::vector<Piece> pieces;
      split.push(0, cut, pieces);
      collect(pieces, found);
    }
    std::vector<Piece> rest;
    split.finish(rest);
    collect(rest, found);
    ASSERT_EQ(found.thinking, thinking);
    ASSERT_EQ(found.answer, answer);
  }
}

TEST(Reasoning, MarkersOfSeveralTokensAreNotCounted) {
  const Tokenizer words = tokenizer_with({}, "</think>", false);
  std::vector<int32_t> reply;
  for (const char c : std::string("abc</think>x")) reply.push_back(words.encode({&c, 1})[0]);
  EXPECT_EQ(run(words, reply, Side::thinking).thought, 3);
}

TEST(Reasoning, ChannelsAreToldApart) {
  const Tokenizer words = channel_tokenizer();
  const Split found = split_text(words,
                                 "<|channel|>analysis<|message|>hm €<|end|><|start|>assistant<|channel|>final"
                                 "<|message|>red<|return|>",
                                 Side::unsaid);
  EXPECT_EQ(found.thinking, "hm €");
  EXPECT_EQ(found.answer, "red");
  EXPECT_EQ(found.thought, static_cast<int>(words.encode("hm €").size()));
  EXPECT_FALSE(found.ended);
  EXPECT_EQ(found.markers, "<|channel|>analysis<|message|><|end|><|start|><|channel|>final<|message|>");
  EXPECT_EQ(split_text(words, "<|channel|>commentary to=f<|message|>{}", Side::unsaid).answer, "{}");
  EXPECT_TRUE(split_text(words, "<|channel|>final<|message|>red<|end|>", Side::unsaid).ended);
  EXPECT_EQ(
      split_text(words, "a<|end|><|start|>assistant<|channel|>final<|message|>b", Side::thinking).thinking,
      "a");
  EXPECT_EQ(split_text(words, "<|channel|>anal", Side::unsaid), Split({"", "", "<|channel|>", 0, false}));
  // Without a header, what is no header is soon an answer.
  EXPECT_EQ(split_text(words, std::string(300, 'a'), Side::unsaid).answer, std::string(300, 'a'));
}

TEST(Reasoning, TheEndOfAPromptOpensThinking) {
  const auto opens = [](const Tokenizer& words, const std::string& prompt) {
    return opens_thinking(reasoning_format(words), words, words.encode(prompt, true));
  };
  EXPECT_TRUE(opens(small_tokenizer(), "<|assistant|><think>\n"));
  EXPECT_TRUE(opens(small_tokenizer(), "<|assistant|><think>Let me"));
  EXPECT_FALSE(opens(small_tokenizer(), "<|assistant|><think>\n\n</think>\n\n"));
  EXPECT_FALSE(opens(small_tokenizer(), "<|assistant|>"));
  const Tokenizer text = tokenizer_with({}, "</think>", false);
  EXPECT_TRUE(opens(text, "<|assistant|><think>\n"));
  EXPECT_FALSE(opens(text, "<think> red<|assistant|>"));
  const Tokenizer channels = channel_tokenizer();
  EXPECT_TRUE(opens(channels, "<|start|>assistant<|channel|>analysis<|message|>Let"));
  EXPECT_FALSE(opens(channels, "<|start|>assistant"));
  EXPECT_FALSE(opens(channels, "<|start|>assistant<|channel|>final<|message|>"));
}

}  // namespace
}  // namespace tern
