// One request's way from logits to events, without an engine around it.
#include "engine/generation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/fakes.h"

namespace tern {
namespace {

using namespace fake;

const GenerationLimits kLimits{kVocab, 64, 16};
constexpr const char* kReplacement = "\xEF\xBF\xBD";

/// Feeds a scripted reply to one request and keeps what came out.
struct Told {
  std::shared_ptr<Recorder> sink = std::make_shared<Recorder>();
  FinishEvent finish;
};

GenerateRequest ask(const std::string& prompt = "q") {
  GenerateRequest request;
  request.prompt = bytes(prompt);
  return request;
}

Told tell(const GenerateRequest& request, const std::vector<int32_t>& reply) {
  static const Tokenizer words = fake::tokenizer();
  static const ChatFormat vocabulary(words);
  Told told;
  Generation generation(1, request, told.sink, vocabulary, kLimits);
  const Script script = says(0, reply);
  std::vector<int32_t> prefix;
  while (!generation.done()) {
    const size_t fed = generation.next().size();
    const bool wants_logits = generation.wants_logits(fed);
    generation.advance(fed);
    if (!wants_logits) continue;
    std::vector<float> logits(kVocab);
    script(prefix, logits);
    generation.choose(logits);
    prefix.push_back(told.sink->tokens().back());
  }
  generation.finish(*generation.done());
  told.finish = told.sink->wait();
  return told;
}

template <typename... Lists>
std::vector<int32_t> joined(const Lists&... lists) {
  std::vector<int32_t> all;
  (all.insert(all.end(), lists.begin(), lists.end()), ...);
  return all;
}
std::vector<int32_t> one(int32_t token) {
  return {token};
}

TEST(Generation, GivesEveryTokenAnEventAndEndsAtTheEnd) {
  const Told told = tell(ask(), {'h', 'i'});
  EXPECT_EQ(told.sink->text(), "hi");
  EXPECT_EQ(told.sink->tokens(), (std::vector<int32_t>{'h', 'i', kEos}));
  EXPECT_EQ(told.finish.reason, FinishReason::stop);
  EXPECT_EQ(told.finish.usage.prompt_tokens, 1);
  EXPECT_EQ(told.finish.usage.completion_tokens, 3);
  EXPECT_EQ(told.finish.usage.reasoning_tokens, 0);
  EXPECT_FALSE(told.sink->events()[0].logprobs);
}

TEST(Generation, FeedsThePromptInPiecesThenOneByOne) {
  static const Tokenizer words = fake::tokenizer();
  static const ChatFormat vocabulary(words);
  Generation generation(1, ask(std::string(40, 'x')), std::make_shared<Recorder>(), vocabulary, kLimits);
  EXPECT_EQ(generation.most_cached(), 63);
  std::vector<size_t> pieces;
  while (generation.in_prompt()) {
    EXPECT_EQ(generation.wants_logits(generation.next().size()), pieces.size() == 2);
    pieces.push_back(generation.next().size());
    generation.advance(pieces.back());
  }
  EXPECT_EQ(pieces, (std::vector<size_t>{16, 16, 8}));
  std::vector<float> logits(kVocab);
  says(0, {'z'})({}, logits);
  generation.choose(logits);
  ASSERT_EQ(generation.next().size(), 1u);
  EXPECT_EQ(generation.next()[0], 'z');
  EXPECT_EQ(generation.cached(), 40);
  EXPECT_TRUE(generation.wants_logits(1));
}

TEST(Generation, TakesAsManyPiecesAsFit) {
  static const Tokenizer words = fake::tokenizer();
  static const ChatFormat vocabulary(words);
  Generation generation(1, ask(std::string(60, 'x')), std::make_shared<Recorder>(), vocabulary, kLimits);
  const auto fits = [&](size_t most) { return generation.next(most).size(); };
  EXPECT_EQ(fits(0), 16u);  // a piece is fed in any case
  EXPECT_EQ(fits(31), 16u);
  EXPECT_EQ(fits(32), 32u);
  EXPECT_EQ(fits(59), 48u);
  EXPECT_EQ(fits(60), 60u);
  EXPECT_EQ(fits(1000), 60u);
  generation.skip(20);  // what was there already; cuts stay where they were
  EXPECT_EQ(fits(0), 12u);
  EXPECT_EQ(fits(27), 12u);
  EXPECT_EQ(fits(28), 28u);
  EXPECT_EQ(fits(39), 28u);
  EXPECT_EQ(fits(40), 40u);
}

TEST(Generation, MaxTokensIsExact) {
  for (const int most : {1, 2, 5}) {
    GenerateRequest request = ask();
    request.max_tokens = most;
    const Told told = tell(request, bytes("0123456789"));
    EXPECT_EQ(told.sink->text(), std::string("0123456789").substr(0, most));
    EXPECT_EQ(told.finish.usage.completion_tokens, most);
    EXPECT_EQ(told.finish.reason, FinishReason::length);
  }
}

TEST(Generation, AnEndInTheLastAllowedTokenIsAStop) {
  GenerateRequest request = ask();
  request.max_tokens = 3;
  EXPECT_EQ(tell(request, {'a', 'b'}).finish.reason, FinishReason::stop);
}

TEST(Generation, WithoutMaxTokensGoesAsFarAsTheContext) {
  GenerateRequest request = ask(std::string(60, 'x'));
  EXPECT_EQ(tell(request, bytes("0123456789")).sink->text(), "0123");
  request.max_tokens = 1 << 30;
  EXPECT_EQ(tell(request, bytes("0123456789")).sink->text(), "0123");
}

TEST(Generation, IgnoreEosCountsEndsAndShowsNothingOfThem) {
  GenerateRequest request = ask();
  request.ignore_eos = true;
  request.max_tokens = 4;
  const Told told = tell(request, {'a', kEos, 'b', kEos});
  EXPECT_EQ(told.sink->text(), "ab");
  EXPECT_EQ(told.finish.usage.completion_tokens, 4);
  EXPECT_EQ(told.finish.reason, FinishReason::length);
}

TEST(Generation, SpecialTokensNeverShow) {
  const Told told = tell(ask(), {'a', kUser, 'b', kEndThink, kBos, 'c'});
  EXPECT_EQ(told.sink->text(), "abc");
}

TEST(Generation, SplitsThinkingFromTheAnswer) {
  GenerateRequest request = ask();
  request.starts_thinking = true;
  const Told told = tell(request, joined(bytes("hmm"), one(kEndThink), bytes("yes")));
  EXPECT_EQ(told.sink->text(true), "hmm");
  EXPECT_EQ(told.sink->text(false), "yes");
  EXPECT_EQ(told.finish.usage.reasoning_tokens, 3);
  EXPECT_EQ(told.finish.usage.completion_tokens, 8);
  const auto events = told.sink->events();
  EXPECT_TRUE(events[3].thinking);  // the marker
  EXPECT_EQ(events[3].text, "");
  EXPECT_FALSE(events[4].thinking);
}

TEST(Generation, CountsTheTokensOfTheAnswer) {
  GenerateRequest request = ask();
  request.starts_thinking = true;
  const Told told = tell(request, joined(bytes("hm"), one(kEndThink), bytes("yes")));
  EXPECT_EQ(told.finish.answer_tokens, 4) << "the end included";
  EXPECT_EQ(told.finish.usage.completion_tokens, 7);
}

TEST(Generation, AReplyMayOpenItsThinkingItself) {
  const Told told = tell(ask(), joined(one(kThink), bytes("hm"), one(kEndThink), bytes("ok")));
  EXPECT_EQ(told.sink->text(true), "hm");
  EXPECT_EQ(told.sink->text(false), "ok");
  EXPECT_EQ(told.finish.usage.reasoning_tokens, 2);
}

TEST(Generation, APromptThatClosedThinkingStartsWithTheAnswer) {
  GenerateRequest request = ask();
  request.prompt = {'q', kThink, kEndThink};
  const Told told = tell(request, joined(one(kThink), bytes("ok")));
  EXPECT_NE(told.sink->tokens().at(0), kThink);
  EXPECT_EQ(told.sink->text(true), "");
}

TEST(Generation, BudgetsHold) {
  for (const int budget : {0, 1, 3}) {
    GenerateRequest request = ask();
    request.starts_thinking = true;
    request.thinking_budget = budget;
    request.max_tokens = 8;
    // Tries to think on and on, and to open the thinking again.
    const Told told = tell(request, {'a', 'b', 'c', 'd', kThink, 'e', kThink, 'f', 'g'});
    EXPECT_EQ(told.sink->tokens().at(budget), kEndThink);
    EXPECT_EQ(told.sink->text(true), std::string("abc").substr(0, budget));
    EXPECT_EQ(told.finish.usage.reasoning_tokens, budget);
    for (size_t i = budget + 1; i < 8; ++i) {
      EXPECT_NE(told.sink->tokens().at(i), kThink);
      EXPECT_FALSE(told.sink->events().at(i).thinking);
    }
  }
}

TEST(Generation, ABudgetThatIsNotReachedChangesNothing) {
  GenerateRequest request = ask();
  request.starts_thinking = true;
  const auto reply = joined(bytes("hmm"), one(kEndThink), bytes("yes"));
  const auto free = tell(request, reply).sink->tokens();
  request.thinking_budget = 4;
  EXPECT_EQ(tell(request, reply).sink->tokens(), free);
}

TEST(Generation, ThinkingCutByMaxTokensStaysThinking) {
  GenerateRequest request = ask();
  request.starts_thinking = true;
  request.max_tokens = 2;
  const Told told = tell(request, bytes("hmm"));
  EXPECT_EQ(told.finish.reason, FinishReason::length);
  EXPECT_TRUE(told.finish.thinking);
  EXPECT_EQ(told.finish.usage.reasoning_tokens, 2);
}

TEST(Generation, StopStringsReachOverTokens) {
  GenerateRequest request = ask();
  request.stop = {"o wo"};
  const Told told = tell(request, {kHel, kLoWor, 'l', 'd'});
  EXPECT_EQ(told.sink->text(), "hell");
  EXPECT_EQ(told.finish.reason, FinishReason::stop);
  EXPECT_EQ(told.finish.usage.completion_tokens, 2);

  request.stop = {"\n\n", "lo!"};
  const Told other = tell(request, bytes("hello? hello!?"));
  EXPECT_EQ(other.sink->text(), "hello? hel");
}

TEST(Generation, StopTokensEndAndDoNotShow) {
  GenerateRequest request = ask();
  request.stop_tokens = {kLoWor, 'z'};
  request.ignore_eos = true;
  const Told told = tell(request, joined(one(kHel), one(kEos), one(kLoWor), bytes("more")));
  EXPECT_EQ(told.sink->text(), "hel");
  EXPECT_EQ(told.finish.reason, FinishReason::stop);
  EXPECT_EQ(told.finish.usage.completion_tokens, 3);
}

TEST(Generation, TextThatCouldBecomeAStopIsHeldBackThenGiven) {
  GenerateRequest request = ask();
  request.stop = {"END"};
  const Told told = tell(request, bytes("xENx EN"));
  EXPECT_EQ(told.sink->text(), "xENx EN");
  EXPECT_EQ(told.finish.text, "EN");
  const auto events = told.sink->events();
  EXPECT_EQ(events[1].text, "");
  EXPECT_EQ(events[3].text, "ENx");
}

TEST(Generation, StopStringsDoNotCountInTheThinking) {
  GenerateRequest request = ask();
  request.starts_thinking = true;
  request.stop = {"ab"};
  // Neither inside it, nor half on each side.
  const Told told = tell(request, joined(bytes("xaba"), one(kEndThink), bytes("b cab")));
  EXPECT_EQ(told.sink->text(true), "xaba");
  EXPECT_EQ(told.sink->text(false), "b c");
  EXPECT_EQ(told.finish.reason, FinishReason::stop);
}

TEST(Generation, CharactersAreNeverHalf) {
  const std::string text = "a\u20ac\U0001F600\u00fc";
  const Told told = tell(ask(), bytes(text));
  EXPECT_EQ(told.sink->text(), text);
  std::vector<std::string> parts;
  for (const auto& event : told.sink->events()) parts.push_back(event.text);
  EXPECT_EQ(parts,
            (std::vector<std::string>{"a", "", "", "\u20ac", "", "", "", "\U0001F600", "", "\u00fc", ""}));
}

TEST(Generation, AnUnfinishedCharacterIsReplacedAtTheEnd) {
  GenerateRequest request = ask();
  request.max_tokens = 2;
  const Told told = tell(request, {'a', 0xE2, 0x82, 0xAC});
  EXPECT_EQ(told.finish.text, kReplacement);
}

TEST(Generation, ACharacterCutByTheMarkerStaysInTheThinking) {
  GenerateRequest request = ask();
  request.starts_thinking = true;
  const Told told = tell(request, {'a', 0xE2, 0x82, kEndThink, 'b'});
  EXPECT_EQ(told.sink->text(true), std::string("a") + kReplacement);
  EXPECT_EQ(told.sink->text(false), "b");
}

TEST(Generation, LogprobsComeWithTheirTokens) {
  GenerateRequest request = ask();
  request.top_logprobs = kVocab;
  const Told told = tell(request, {'a'});
  for (const auto& event : told.sink->events()) {
    ASSERT_TRUE(event.logprobs);
    EXPECT_EQ(event.logprobs->token, event.token);
    EXPECT_EQ(event.logprobs->top.front().token, event.token);
    double sum = 0;
    for (const auto& entry : event.logprobs->top) sum += std::exp(static_cast<double>(entry.logprob));
    EXPECT_NEAR(sum, 1, 1e-5);
  }
  request.top_logprobs = 0;
  const Told chosen = tell(request, {'a'});
  EXPECT_TRUE(chosen.sink->events()[0].logprobs->top.empty());
  EXPECT_NEAR(chosen.sink->events()[0].logprobs->logprob, 0, 1e-5);
}

TEST(Generation, TimesCountFromTheArrival) {
  GenerateRequest request = ask();
  request.arrived = Clock::now() - std::chrono::seconds(3);
  const Told told = tell(request, {'a'});
  EXPECT_GE(told.finish.timings.first_token_s, 3);
  EXPECT_GE(told.finish.timings.total_s, told.finish.timings.first_token_s);
  EXPECT_LT(told.finish.timings.total_s, 60);
}

TEST(Generation, WaitsForItsPlaceUntilItBegins) {
  const Tokenizer words = fake::tokenizer();
  const ChatFormat vocabulary(words);
  TimePoint now = Clock::now();
  GenerationLimits limits = kLimits;
  limits.clock = [&now] { return now; };
  GenerateRequest request = ask();
  request.arrived = now;
  const auto sink = std::make_shared<Recorder>();
  Generation generation(1, request, sink, vocabulary, limits);
  now += std::chrono::milliseconds(250);
  generation.predict(2);
  generation.admit();
  now += std::chrono::milliseconds(250);
  generation.finish(FinishReason::cancelled);
  EXPECT_DOUBLE_EQ(sink->wait().timings.queue_s, 0.25);
  EXPECT_DOUBLE_EQ(sink->wait().timings.total_s, 0.5);
  EXPECT_DOUBLE_EQ(sink->wait().predicted_s.value_or(0), 2.25) << "from the arrival, too";
}

std::string refusal(const GenerateRequest& request, bool thinks = true) {
  const Tokenizer words = fake::tokenizer(thinks);
  const ChatFormat vocabulary(words);
  try {
    Generation generation(1, request, std::make_shared<Recorder>(), vocabulary, kLimits);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Generation, RefusesByName) {
  const auto with = [](auto&& change) {
    GenerateRequest request = ask();
    change(request);
    return refusal(request);
  };
  const auto names = [](const std::string& message, const char* field) { return message.find(field) == 0; };
  EXPECT_EQ(with([](auto&) {}), "accepted");
  EXPECT_TRUE(names(with([](auto& r) { r.prompt.clear(); }), "prompt"));
  EXPECT_TRUE(names(with([](auto& r) { r.prompt = {-1}; }), "prompt"));
  EXPECT_TRUE(names(with([](auto& r) { r.prompt = {kVocab}; }), "prompt"));
  EXPECT_TRUE(names(with([](auto& r) { r.prompt.assign(64, 'x'); }), "prompt"));
  EXPECT_EQ(with([](auto& r) { r.prompt.assign(63, 'x'); }), "accepted");
  EXPECT_TRUE(names(with([](auto& r) { r.max_tokens = -1; }), "max_tokens"));
  EXPECT_TRUE(names(with([](auto& r) { r.thinking_budget = -1; }), "thinking_budget"));
  EXPECT_TRUE(names(with([](auto& r) { r.stop = {""}; }), "stop"));
  EXPECT_TRUE(names(with([](auto& r) { r.stop.assign(65, "x"); }), "stop"));
  EXPECT_TRUE(names(with([](auto& r) { r.stop = {std::string(1025, 'x')}; }), "stop"));
  EXPECT_TRUE(names(with([](auto& r) { r.sampling.top_p = 2; }), "top_p"));
  EXPECT_TRUE(names(with([](auto& r) { r.top_logprobs = -2; }), "top_logprobs"));

  GenerateRequest thinks = ask();
  thinks.starts_thinking = true;
  EXPECT_EQ(refusal(thinks), "accepted");
  EXPECT_TRUE(names(refusal(thinks, false), "thinking"));
}

}  // namespace
}  // namespace tern
