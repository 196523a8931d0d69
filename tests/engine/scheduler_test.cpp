// Who runs when, step by step and without threads.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <set>
#include <stdexcept>

#include "tests/engine/bench.h"

namespace tern {
namespace {

using namespace fake;

GenerateRequest ask(size_t prompt, int max_tokens, int salt = 0) {
  GenerateRequest request;
  for (size_t i = 0; i < prompt; ++i) request.prompt.push_back(static_cast<int32_t>((i * 7 + salt) % 256));
  request.max_tokens = max_tokens;
  return request;
}

GenerateRequest seeded(GenerateRequest request, uint64_t seed) {
  request.sampling.temperature = 0.9f;
  request.sampling.top_p = 0.95f;
  request.sampling.seed = seed;
  return request;
}

TEST(Scheduler, DecodesAllStreamsInOneForwardAStep) {
  Bench bench({8, 64, 128, 0});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 8; ++i) sinks.push_back(bench.add(ask(3 + i, 10, i)));
  bench.run_all();
  const auto calls = bench.model.calls();
  ASSERT_EQ(calls.size(),
            10u);  // 52 prompt tokens fit into the first step, whose logits give the first tokens
  EXPECT_EQ(calls[0].tokens, 52u);
  for (size_t i = 1; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i].tokens, 8u);
    EXPECT_EQ(calls[i].decodes, 8u);
  }
  for (const auto& sink : sinks) EXPECT_EQ(sink->tokens().size(), 10u);
}

TEST(Scheduler, PromptsGoInPiecesBesideTheDecodes) {
  Bench bench({4, 16, 128, 0});
  const auto first = bench.add(ask(5, 30));
  bench.step();
  const auto second = bench.add(ask(40, 2));
  for (int i = 0; i < 3; ++i) bench.step();
  const auto calls = bench.model.calls();
  std::vector<std::vector<size_t>> pieces;
  for (const auto& call : calls) pieces.push_back(call.pieces);
  EXPECT_EQ(pieces, (std::vector<std::vector<size_t>>{{5}, {1}, {16}, {1}, {16}, {1}, {8}}));
  EXPECT_EQ(first->tokens().size(), 4u);  // one a step, never stalled
  EXPECT_EQ(second->tokens().size(), 1u);
}

/// The longest time between two tokens of a stream, and the time to the first one.
class Gaps {
 public:
  Gaps(Bench& bench, Recorder& sink) : bench_(bench), last_(bench.now) {
    sink.on_token_do = [this](size_t n) {
      const double gap = seconds_between(std::exchange(last_, bench_.now), bench_.now);
      (n == 1 ? first : longest) = std::max(n == 1 ? first : longest, gap);
    };
  }
  double first = 0, longest = 0;

 private:
  Bench& bench_;
  TimePoint last_;
};

TEST(Scheduler, PromptsPauseBetweenLayersSoThatStreamsGoOn) {
  Bench bench({4, 64, 1024, 0});
  bench.take_time(0.002, 0.0003);  // a stream's step 4.6 ms, a pass of 64 tokens 42 ms
  const auto stream = bench.add(ask(5, 60));
  Gaps gaps(bench, *stream);
  bench.step();
  const auto prompt = bench.add(ask(900, 2, 7));
  const TimePoint came = bench.now;
  Gaps latency(bench, *prompt);
  while (prompt->tokens().empty()) bench.step();
  EXPECT_LE(gaps.longest, kGap);
  EXPECT_GT(stream->tokens().size(), 10u);
  // Alone: 15 passes of 42 ms, the last one shorter. The streams take a tenth.
  EXPECT_LE(latency.first, 1.25 * 15 * 0.042);
  EXPECT_GE(seconds_between(came, bench.now), 14 * 0.042);
}

TEST(Scheduler, ALayerLongerThanTheGapIsTakenAlone) {
  Bench bench({4, 64, 256, 0});
  bench.take_time(0, 0.002);  // a layer of 64 tokens takes 128 ms
  const auto stream = bench.add(ask(5, 60));
  Gaps gaps(bench, *stream);
  bench.step();
  const auto prompt = bench.add(ask(128, 2, 7));
  while (prompt->tokens().empty()) bench.step();
  EXPECT_NEAR(gaps.longest, 0.128 + 0.004, 1e-6);
  EXPECT_EQ(stream->tokens().size(), 5u);  // one of its own prompt, then one a layer
}

TEST(Scheduler, AStepThatWasHeldUpIsNotDoubled) {
  Bench bench({4, 64, 1024, 0});
  bench.take_time(0.02, 0.0003);  // a stream's step about 40 ms: the gap is two of them
  bench.scheduler.calibrate(2);
  const auto stream = bench.add(ask(5, 60));
  Gaps gaps(bench, *stream);
  bench.step();
  const auto prompt = bench.add(ask(900, 2, 7));
  const auto usual = bench.model.on_layer;
  bench.model.on_layer = [&](std::span<const BatchToken> batch, int layer) {
    usual(batch, layer);
    if (batch.size() == 1 && stream->tokens().size() == 5 && layer == 0) bench.pass(0.3);
  };
  while (prompt->tokens().empty()) bench.step();
  EXPECT_GE(gaps.longest, 0.34);
  EXPECT_LE(gaps.longest, 0.34 + 0.0405) << "and one layer";
}

TEST(Scheduler, WithoutStreamsAPassStillPausesForNewsToBeRead) {
  Bench bench({4, 64, 256, 0});
  bench.take_time(0.04, 0);
  const auto prompt = bench.add(ask(64, 2));
  bench.step();
  EXPECT_TRUE(prompt->tokens().empty());
  bench.step();
  EXPECT_EQ(prompt->tokens().size(), 1u);
}

TEST(Scheduler, AShortPromptPassesALongOne) {
  Bench bench({4, 16, 512, 0});
  const auto length = bench.add(ask(400, 2));
  bench.step();
  const auto brief = bench.add(ask(12, 2, 3));
  bench.step();
  EXPECT_EQ(brief->tokens().size(), 1u);
  EXPECT_TRUE(length->tokens().empty());
}

TEST(Scheduler, ALongPromptIsNotStarvedByShortOnes) {
  Bench bench({4, 16, 512, 0});
  const auto length = bench.add(ask(160, 1));
  int steps = 0;
  for (; length->tokens().empty(); ++steps) {
    ASSERT_LT(steps, 100);
    for (int i = 0; i < 2; ++i) bench.add(ask(16, 1, steps));
    bench.step();
  }
  // Ten passes of its own, and no more than its own length of others'.
  EXPECT_LE(steps, 10 + 10 + 1);
}

TEST(Scheduler, WhoIsCancelledInAPausedPassKeepsItsPagesUntilThePassIsOver) {
  Bench bench({3, 64, 64, 4});
  bench.take_time(0.06, 0);
  const auto gone = bench.add(ask(30, 2, 1)), stays = bench.add(ask(30, 2, 2));
  bench.step();
  bench.scheduler.cancel(1);
  EXPECT_EQ(gone->wait().reason, FinishReason::cancelled);
  EXPECT_EQ(bench.scheduler.available_pages(), 2);
  bench.step();
  EXPECT_EQ(bench.scheduler.available_pages(), 3);
  EXPECT_TRUE(gone->tokens().empty());
  EXPECT_EQ(stays->tokens().size(), 1u);
}

TEST(Scheduler, APassThatNobodyWaitsForIsLeft) {
  Bench bench({3, 64, 64, 4});
  bench.take_time(0.06, 0);
  bench.add(ask(30, 2, 1));
  bench.step();
  bench.scheduler.cancel(1);
  EXPECT_EQ(bench.scheduler.running(), 0);
  EXPECT_EQ(bench.scheduler.available_pages(), 4);
  const auto next = bench.add(ask(30, 2, 2));
  bench.run_all();
  EXPECT_EQ(next->tokens().size(), 2u);
  Bench calm({3, 64, 64, 4});
  const auto alone = calm.add(ask(30, 2, 2));
  calm.run_all();
  EXPECT_EQ(next->tokens(), alone->tokens());
}

TEST(Scheduler, NoStepTakesMorePromptThanItsPiece) {
  Bench bench({6, 16, 128, 0});
  for (int i = 0; i < 12; ++i) bench.add(ask(1 + i * 9, 5, i));
  bench.run_all();
  for (const auto& call : bench.model.calls()) EXPECT_LE(call.tokens - call.decodes, 16u);
}

TEST(Scheduler, FirstComeFirstServed) {
  Bench bench({2, 16, 128, 0});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 6; ++i) sinks.push_back(bench.add(ask(4, 3, i)));
  std::vector<size_t> order;
  while (bench.scheduler.running() + bench.scheduler.waiting() > 0) {
    bench.step();
    EXPECT_LE(bench.scheduler.running(), 2);
    for (size_t i = 0; i < sinks.size(); ++i) {
      const bool known = std::find(order.begin(), order.end(), i) != order.end();
      if (!known && !sinks[i]->tokens().empty()) order.push_back(i);
    }
  }
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 3, 4, 5}));
}

TEST(Scheduler, TextDependsOnTheRequestAlone) {
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 12; ++i) {
    GenerateRequest request = ask(1 + i * 8, 20 + i, i);
    requests.push_back(i % 2 ? seeded(request, 40 + i) : request);
  }
  std::vector<std::vector<int32_t>> alone;
  for (const auto& request : requests) {
    Bench bench({1, 16, 128, 0});
    const auto sink = bench.add(request);
    bench.run_all();
    alone.push_back(sink->tokens());
    EXPECT_EQ(alone.back().size(), static_cast<size_t>(request.max_tokens));
  }
  EXPECT_NE(alone[1], alone[3]);
  for (const int parallel : {2, 5, 12, -5}) {
    Bench bench({std::abs(parallel), 16, 128, 0});
    if (parallel < 0) bench.take_time(0.03, 0.001);  // every pass pauses
    std::vector<std::shared_ptr<Recorder>> sinks;
    for (const auto& request : requests) {
      sinks.push_back(bench.add(request));
      if (sinks.size() % 3 == 0) bench.step();  // arrivals in the middle of others
    }
    bench.run_all();
    for (size_t i = 0; i < sinks.size(); ++i)
      EXPECT_EQ(sinks[i]->tokens(), alone[i]) << i << " of " << parallel;
  }
}

TEST(Scheduler, PromptPiecesEndAtTheSamePlacesInCompany) {
  const auto pieces_of_last = [](int strangers) {
    Bench bench({4, 16, 128, 0});
    for (int i = 0; i < strangers; ++i) bench.add(ask(10 + 13 * i, 2, i));
    const auto sink = bench.add(ask(45, 1, 99));
    bench.run_all();
    std::vector<size_t> pieces;
    for (const auto& call : bench.model.calls()) {
      // The last request's pieces stand last; the decodes and the others' pieces are before.
      if (call.pieces.back() == 16 || call.pieces.back() == 13) pieces.push_back(call.pieces.back());
    }
    return pieces;
  };
  EXPECT_EQ(pieces_of_last(0), (std::vector<size_t>{16, 16, 13}));
  EXPECT_EQ(pieces_of_last(1), (std::vector<size_t>{16, 16, 13}));
}

std::vector<std::vector<size_t>> pieces_of_calls(const Bench& bench) {
  std::vector<std::vector<size_t>> pieces;
  for (const auto& call : bench.model.calls()) pieces.push_back(call.pieces);
  return pieces;
}

TEST(Scheduler, OnePromptTakesSeveralPiecesOfAPassWhereNobodyDecodes) {
  Bench bench({.parallel = 4, .prompt_piece = 16, .context = 128, .prompt_pass = 64});
  bench.add(ask(100, 1));
  bench.run_all();
  EXPECT_EQ(pieces_of_calls(bench), (std::vector<std::vector<size_t>>{{64}, {36}}));
}

TEST(Scheduler, SeveralPromptsShareAPassOfOnePieceOnly) {
  Bench bench({.parallel = 4, .prompt_piece = 16, .context = 128, .prompt_pass = 64});
  for (int i = 0; i < 3; ++i) bench.add(ask(8, 1, i));
  bench.run_all();
  EXPECT_EQ(pieces_of_calls(bench), (std::vector<std::vector<size_t>>{{8, 8}, {8}}));
}

TEST(Scheduler, APassIsShorterWhereItsLayersWouldHoldStreamsUp) {
  Bench bench({.parallel = 4, .prompt_piece = 16, .context = 1024, .prompt_pass = 256});
  bench.take_time(0.001, 0.0006);  // 16 tokens 21 ms, a layer of 64 is 39 ms, one of 80 is 49
  bench.scheduler.calibrate(5);
  const auto stream = bench.add(ask(5, 200));
  Gaps gaps(bench, *stream);
  bench.step();
  const auto prompt = bench.add(ask(900, 2, 7));
  while (prompt->tokens().empty()) bench.step();
  EXPECT_LE(gaps.longest, kGap * 1.05);
  size_t longest = 0;
  for (const auto& call : bench.model.calls()) longest = std::max(longest, call.tokens - call.decodes);
  EXPECT_GE(longest, 48u);
  EXPECT_LE(longest, 80u);
}

TEST(Scheduler, AShortPromptPassesAPassThatIsUnderWay) {
  Bench bench({.parallel = 4, .prompt_piece = 16, .context = 1024, .prompt_pass = 512});
  bench.take_time(0.03, 0.0001);
  const auto length = bench.add(ask(512, 2));
  bench.step();  // its first layer
  EXPECT_TRUE(length->tokens().empty());
  const auto brief = bench.add(ask(12, 1, 3));
  while (brief->tokens().empty()) bench.step();
  EXPECT_TRUE(length->tokens().empty());
  bench.run_all();
  Bench calm({.parallel = 4, .prompt_piece = 16, .context = 1024, .prompt_pass = 512});
  const auto alone = calm.add(ask(512, 2));
  calm.run_all();
  EXPECT_EQ(length->tokens(), alone->tokens());
}

TEST(Scheduler, APromisedPromptPassesAPassThatIsUnderWay) {
  Bench bench({.parallel = 4, .prompt_piece = 16, .context = 1024, .prompt_pass = 512});
  bench.take_time(0.03, 0.0001);
  const auto others = bench.add(ask(30, 2));
  bench.step();  // its first layer
  GenerateRequest urgent = ask(40, 1, 3);
  urgent.deadline = Deadline{bench.now + std::chrono::seconds(5)};
  const auto promised = bench.add(urgent, true);
  while (promised->tokens().empty()) bench.step();
  EXPECT_TRUE(others->tokens().empty());
  bench.run_all();
  EXPECT_EQ(others->tokens().size(), 2u);
}

TEST(Scheduler, SamePromptsDoNotDisturbEachOther) {
  Bench bench({4, 16, 128, 0});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(bench.add(seeded(ask(9, 30), 7)));
  sinks.push_back(bench.add(seeded(ask(9, 30), 8)));
  bench.run_all();
  for (int i = 1; i < 4; ++i) EXPECT_EQ(sinks[i]->tokens(), sinks[0]->tokens());
  EXPECT_NE(sinks[4]->tokens(), sinks[0]->tokens());
}

/// Prompt tokens that the model was given.
size_t prompted(const Bench& bench) {
  size_t tokens = 0;
  for (const auto& call : bench.model.calls()) tokens += call.tokens - call.decodes;
  return tokens;
}

TEST(Scheduler, WhoBeginsAlikeIsNotPromptedTwice) {
  Bench bench({4, 64, 256, 0});
  const auto first = bench.add(ask(100, 3));
  bench.run_all();
  EXPECT_EQ(prompted(bench), 100u);
  // The same again: three whole pages are there; then one that differs in its second page.
  const auto again = bench.add(ask(100, 3));
  bench.run_all();
  EXPECT_EQ(again->tokens(), first->tokens());
  EXPECT_EQ(prompted(bench), 104u);
  GenerateRequest other = ask(100, 3);
  ++other.prompt[40];
  bench.add(other);
  bench.run_all();
  EXPECT_EQ(prompted(bench), 172u);
  EXPECT_EQ(bench.scheduler.statistics().prefix_query_tokens, 300u);
  EXPECT_EQ(bench.scheduler.statistics().prefix_hit_tokens, 128u);
}

TEST(Scheduler, ATurnGoesOnFromTheLastOnesReply) {
  for (const int same_rows_from : {0, 90, 91}) {
    Bench bench({2, 64, 512, 0});
    bench.model.change_shape().same_rows_from = same_rows_from;
    GenerateRequest turn = ask(90, 60);
    const auto reply = bench.add(turn);
    bench.run_all();
    for (const int32_t token : reply->tokens()) turn.prompt.push_back(token);
    turn.prompt.push_back('?');
    bench.add(turn);
    const size_t before = prompted(bench);
    bench.run_all();
    // 151 tokens. What was said is known, too (but for its last token), unless its rows may differ.
    EXPECT_EQ(prompted(bench) - before, same_rows_from == 91 ? 151u - 64 : 151u - 128) << same_rows_from;
  }
}

TEST(Scheduler, SamePromptsThatComeTogetherAreMadeOnce) {
  Bench bench({4, 64, 256, 0});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(bench.add(ask(193, 2)));
  bench.run_all();
  for (const auto& sink : sinks) EXPECT_EQ(sink->tokens(), sinks[0]->tokens());
  EXPECT_EQ(prompted(bench), 192u + 4);  // the pieces of one, and everybody's last token
}

TEST(Scheduler, PagesThatAreOnlyKeptGiveWayTheOldestFirst) {
  Bench bench({1, 64, 96, 4});
  for (const int salt : {1, 2, 3}) {
    bench.add(ask(33, 2, salt));  // one page is kept of each
    bench.run_all();
  }
  EXPECT_EQ(bench.scheduler.available_pages(), 4);
  bench.add(ask(33, 2, 1));  // now 2 is the oldest
  bench.run_all();
  bench.add(ask(33, 30, 4));  // needs two pages; one is free
  bench.run_all();
  const auto reused = [&](int salt) {
    const uint64_t before = bench.scheduler.statistics().prefix_hit_tokens;
    bench.add(ask(33, 1, salt));
    bench.run_all();
    return bench.scheduler.statistics().prefix_hit_tokens - before;
  };
  EXPECT_EQ(reused(1), 32u);
  EXPECT_EQ(reused(3), 32u);
  EXPECT_EQ(reused(2), 0u);
}

TEST(Scheduler, WithoutSharingEveryPromptIsMade) {
  FakeModel model(hashed(), 128, 64);
  const Tokenizer words = fake::tokenizer();
  const ChatFormat format(words);
  Scheduler scheduler(model, {.parallel = 2,
                              .prompt_piece = 64,
                              .prompt_pass = 64,
                              .cache = {.layers = 2,
                                        .layer_bytes = FakeModel::kLayerBytes,
                                        .pages = 8,
                                        .max_sequences = 2,
                                        .max_tokens = 128},
                              .share_prefixes = false});
  for (int i = 0; i < 2; ++i) {
    scheduler.add(std::make_unique<Generation>(i + 1, ask(100, 1), std::make_shared<Recorder>(), format,
                                               GenerationLimits{kVocab, 128, 64}));
    while (scheduler.running() + scheduler.waiting() > 0) scheduler.step();
  }
  EXPECT_EQ(scheduler.statistics().prefix_hit_tokens, 0u);
  EXPECT_EQ(scheduler.cache().free_pages(), 8);
}

TEST(Scheduler, WhoseReplyMayNotFitWaitsAndNothingRunsOut) {
  Bench bench({4, 64, 128, 5});                // 5 pages of 32 tokens
  const auto big = bench.add(ask(60, 40));     // 99 tokens: 4 pages
  const auto second = bench.add(ask(30, 10));  // 39 tokens: 2 pages
  const auto small = bench.add(ask(4, 4));     // 1 page, but not before those who came first
  bench.step();
  EXPECT_EQ(bench.scheduler.running(), 1);
  EXPECT_EQ(bench.scheduler.waiting(), 2);
  while (!big->finished()) {
    EXPECT_TRUE(second->tokens().empty());
    EXPECT_TRUE(small->tokens().empty());
    bench.step();
  }
  bench.run_all();
  for (const auto& sink : {big, second, small}) EXPECT_EQ(sink->wait().reason, FinishReason::length);
  EXPECT_EQ(bench.scheduler.available_pages(), 5);
}

TEST(Scheduler, AReplyOfTheWholeCacheRuns) {
  Bench bench({2, 64, 128, 4});
  const auto sink = bench.add(ask(28, 100));
  EXPECT_EQ(PagedCache::pages_for(127), 4);
  bench.run_all();
  EXPECT_EQ(sink->tokens().size(), 100u);
}

TEST(Scheduler, CancelEndsARunningRequestBeforeTheNextStep) {
  Bench bench({4, 64, 128, 0});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(bench.add(ask(5, 50, i)));
  for (int i = 0; i < 3; ++i) bench.step();
  bench.scheduler.cancel(2);
  EXPECT_TRUE(sinks[1]->finished());
  EXPECT_EQ(sinks[1]->wait().reason, FinishReason::cancelled);
  EXPECT_EQ(sinks[1]->wait().usage.completion_tokens, 3);
  bench.step();
  EXPECT_EQ(bench.model.calls().back().tokens, 3u);
  EXPECT_EQ(sinks[1]->tokens().size(), 3u);
  bench.run_all();
  for (const int i : {0, 2, 3}) EXPECT_EQ(sinks[i]->tokens().size(), 50u);
  EXPECT_EQ(bench.scheduler.available_pages(), 16);
}

TEST(Scheduler, CancelEndsAWaitingRequestAndUnknownIdsAreIgnored) {
  Bench bench({1, 64, 128, 0});
  const auto first = bench.add(ask(5, 5));
  const auto second = bench.add(ask(5, 5));
  const auto third = bench.add(ask(5, 5));
  bench.step();
  bench.scheduler.cancel(2);
  bench.scheduler.cancel(77);
  EXPECT_EQ(second->wait().reason, FinishReason::cancelled);
  EXPECT_EQ(second->wait().usage.completion_tokens, 0);
  EXPECT_EQ(bench.scheduler.waiting(), 1);
  bench.run_all();
  bench.scheduler.cancel(1);  // long done
  EXPECT_EQ(first->tokens().size(), 5u);
  EXPECT_EQ(third->tokens().size(), 5u);
  for (const auto& sink : {first, second, third}) EXPECT_EQ(sink->after_finish(), 0);
}

TEST(Scheduler, CancelInThePromptGivesItsPagesBack) {
  Bench bench({2, 16, 128, 4});
  const auto sink = bench.add(ask(100, 4));
  bench.step();
  bench.scheduler.cancel(1);
  EXPECT_EQ(sink->wait().reason, FinishReason::cancelled);
  EXPECT_EQ(bench.scheduler.available_pages(), 4);
  const auto next = bench.add(ask(100, 4));
  bench.run_all();
  EXPECT_EQ(next->tokens().size(), 4u);
}

TEST(Scheduler, AFailingForwardEndsOnlyTheGuilty) {
  Bench bench({4, 64, 128, 0});
  bench.model.before = [](std::span<const BatchToken> batch) {
    for (const BatchToken& at : batch) {
      if (at.position == 9 && at.sequence == 1) fail(ErrorKind::internal, "expert 3 is on fire");
    }
  };
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(bench.add(ask(5, 12, i)));
  bench.run_all();
  EXPECT_EQ(sinks[1]->wait().reason, FinishReason::error);
  EXPECT_EQ(sinks[1]->wait().error, "expert 3 is on fire");
  EXPECT_EQ(sinks[1]->tokens().size(), 5u);
  Bench calm({4, 64, 128, 0});
  for (const int i : {0, 2, 3}) {
    const auto alone = calm.add(ask(5, 12, i));
    calm.run_all();
    EXPECT_EQ(sinks[i]->tokens(), alone->tokens());
  }
  EXPECT_EQ(bench.scheduler.available_pages(), 16);
}

TEST(Scheduler, NanLogitsEndTheirRequestOnly) {
  const Script good = hashed();
  Bench bench({4, 64, 128, 0}, [good](std::span<const int32_t> prefix, std::span<float> logits) {
    good(prefix, logits);
    if (prefix[0] == 1 && prefix.size() == 8) logits[77] = std::numeric_limits<float>::quiet_NaN();
  });
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 3; ++i) sinks.push_back(bench.add(ask(5, 12, i)));
  bench.run_all();
  EXPECT_EQ(sinks[0]->wait().reason, FinishReason::length);
  EXPECT_EQ(sinks[1]->wait().reason, FinishReason::error);
  EXPECT_NE(sinks[1]->wait().error.find("NaN"), std::string::npos);
  EXPECT_EQ(sinks[1]->wait().usage.completion_tokens, 3);
  EXPECT_EQ(sinks[2]->wait().reason, FinishReason::length);
}

TEST(Scheduler, ASinkThatThrowsLosesOnlyItself) {
  Bench bench({2, 64, 128, 0});
  const auto bad = bench.add(ask(5, 12, 0));
  bad->on_token_do = [](size_t n) {
    if (n == 3) throw std::runtime_error("the client's buffer is full");
  };
  const auto good = bench.add(ask(5, 12, 1));
  bench.run_all();
  EXPECT_EQ(bad->wait().reason, FinishReason::error);
  EXPECT_EQ(bad->wait().error, "the client's buffer is full");
  EXPECT_EQ(good->tokens().size(), 12u);
}

TEST(Scheduler, EndAllTellsEverybodyOnce) {
  Bench bench({2, 64, 128, 0});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 5; ++i) sinks.push_back(bench.add(ask(5, 12, i)));
  bench.step();
  bench.scheduler.end_all(FinishReason::cancelled);
  EXPECT_EQ(bench.scheduler.running() + bench.scheduler.waiting(), 0);
  for (const auto& sink : sinks) {
    EXPECT_EQ(sink->wait().reason, FinishReason::cancelled);
    EXPECT_EQ(sink->after_finish(), 0);
  }
  EXPECT_EQ(bench.scheduler.available_pages(), 8);
  const auto sink = bench.add(ask(5, 12));
  bench.run_all();
  EXPECT_EQ(sink->tokens().size(), 12u);
}

/// A prompt of its own, or one that begins as an earlier one, perhaps with its reply.
GenerateRequest random_request(Rng& rng, const std::vector<GenerateRequest>& earlier,
                               const std::vector<std::shared_ptr<Recorder>>& sinks) {
  GenerateRequest request = ask(rng.between(1, 100), 0, static_cast<int>(rng.below(4)));
  if (!earlier.empty() && rng.chance(0.5)) {
    const size_t which = rng.below(earlier.size());
    request.prompt = earlier[which].prompt;
    if (rng.chance(0.5)) {
      for (const int32_t token : sinks[which]->tokens()) request.prompt.push_back(token);
    }
    request.prompt.resize(rng.between(1, 100), static_cast<int32_t>(rng.below(256)));
  }
  request.max_tokens = static_cast<int>(rng.between(1, 128 - static_cast<int>(request.prompt.size())));
  return request;
}

/// What the fake model says to it where nobody else is.
std::vector<int32_t> alone(const GenerateRequest& request) {
  std::vector<int32_t> all = request.prompt;
  std::vector<float> logits(kVocab);
  for (int i = 0; i < request.max_tokens; ++i) {
    hashed()(all, logits);
    all.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  return {all.begin() + static_cast<ptrdiff_t>(request.prompt.size()), all.end()};
}

TEST(Scheduler, RandomLoadsKeepTheirPromises) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng(seed);
    const int parallel = static_cast<int>(rng.between(1, 6));
    const int pages = static_cast<int>(rng.between(4, 12));
    const int piece = static_cast<int>(rng.between(1, 40));
    Bench bench({parallel, piece, 128, pages, static_cast<int>(rng.between(0, 128))});
    if (rng.chance(0.5)) bench.take_time(0.04 * rng.uniform(), 0.002 * rng.uniform());
    std::vector<std::shared_ptr<Recorder>> sinks;
    std::vector<GenerateRequest> requests;
    std::set<size_t> cancelled;
    for (int round = 0; round < 60; ++round) {
      if (rng.chance(0.5)) {
        requests.push_back(random_request(rng, requests, sinks));
        sinks.push_back(bench.add(requests.back()));
      }
      if (!sinks.empty() && rng.chance(0.1)) {
        const size_t who = rng.below(sinks.size());
        if (!sinks[who]->finished()) cancelled.insert(who);
        bench.scheduler.cancel(who + 1);
      }
      bench.step();
    }
    bench.run_all();
    for (size_t i = 0; i < sinks.size(); ++i) {
      const FinishEvent& finish = sinks[i]->wait();
      const bool was_cancelled = cancelled.count(i) > 0;
      EXPECT_EQ(finish.reason, was_cancelled ? FinishReason::cancelled : FinishReason::length);
      EXPECT_TRUE(was_cancelled || sinks[i]->tokens() == alone(requests[i]));
      EXPECT_EQ(sinks[i]->tokens().size(), static_cast<size_t>(finish.usage.completion_tokens));
      EXPECT_EQ(sinks[i]->after_finish(), 0);
    }
    EXPECT_EQ(bench.scheduler.available_pages(), pages);
  }
}

}  // namespace
}  // namespace tern
