// The engine from outside: submit, cancel, drain, status, over a fake model and real threads.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "tests/engine/fakes.h"

namespace tern {
namespace {

using namespace fake;

/// Holds the model's forward back until it is told how many may pass.
class Gate {
 public:
  void pass(int n) {
    {
      const std::lock_guard lock(mutex_);
      allowed_ += n;
    }
    changed_.notify_all();
  }
  void open() { pass(1 << 30); }
  void wait() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return allowed_ > 0; });
    --allowed_;
  }
  /// Returns once the n-th forward stands at the gate.
  void wait_arrived(int n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= n; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int allowed_ = 0, arrived_ = 0;
};

struct Plan {
  EngineOptions options;
  Script script = hashed();
  int context = 256;
  bool thinks = true;
  Gate* gate = nullptr;
};

EngineOptions small_options() {
  EngineOptions options;
  options.parallel = 4;
  options.prompt_piece = 32;
  options.prompt_pass = 96;
  return options;
}

std::unique_ptr<Engine> make_engine(const Plan& plan, FakeModel** seen = nullptr) {
  auto model = std::make_unique<FakeModel>(plan.script, plan.context,
                                           std::max(plan.options.parallel, plan.options.prompt_pass));
  if (plan.gate) model->before = [gate = plan.gate](std::span<const BatchToken>) { gate->wait(); };
  if (seen) *seen = model.get();
  return std::make_unique<Engine>(std::move(model), fake::tokenizer(plan.thinks), plan.options);
}

GenerateRequest ask(size_t prompt, int max_tokens, int salt = 0) {
  GenerateRequest request;
  for (size_t i = 0; i < prompt; ++i) request.prompt.push_back(static_cast<int32_t>((i * 7 + salt) % 256));
  request.max_tokens = max_tokens;
  return request;
}

template <typename F>
ErrorKind refused(F&& what) {
  try {
    what();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "accepted";
  return ErrorKind::internal;
}

TEST(Engine, AnswersOne) {
  Plan plan{small_options(), says(3, {kHel, kLoWor, 'l', 'd'})};
  const auto engine = make_engine(plan);
  EXPECT_EQ(engine->context(), 256);
  EXPECT_EQ(engine->model_shape().architecture, "fake");
  EXPECT_EQ(engine->tokenizer().size(), kVocab);
  const auto sink = std::make_shared<Recorder>();
  EXPECT_GT(engine->submit(ask(3, 0), sink), 0u);
  EXPECT_EQ(sink->wait().reason, FinishReason::stop);
  EXPECT_EQ(sink->text(), "hello world");
}

TEST(Engine, RequestsInCompanySayWhatTheySayAlone) {
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 10; ++i) {
    requests.push_back(ask(2 + 11 * i, 25, i));
    if (i % 2) requests.back().sampling = {1.0f, 40, 0.9f, 0.01f, 5000u + i};
  }
  std::vector<std::vector<int32_t>> alone;
  {
    const auto engine = make_engine({small_options()});
    for (const auto& request : requests) {
      const auto sink = std::make_shared<Recorder>();
      engine->submit(request, sink);
      sink->wait();
      alone.push_back(sink->tokens());
    }
  }
  const auto engine = make_engine({small_options()});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (const auto& request : requests) {
    sinks.push_back(std::make_shared<Recorder>());
    engine->submit(request, sinks.back());
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    sinks[i]->wait();
    EXPECT_EQ(sinks[i]->tokens(), alone[i]) << i;
  }
}

TEST(Engine, CancelTakesEffectWithinOneStepAmongMany) {
  Gate gate;
  FakeModel* model = nullptr;
  Plan plan{small_options()};
  plan.gate = &gate;
  const auto engine = make_engine(plan, &model);
  std::vector<std::shared_ptr<Recorder>> sinks;
  std::vector<RequestId> ids;
  for (int i = 0; i < 4; ++i) {
    sinks.push_back(std::make_shared<Recorder>());
    ids.push_back(engine->submit(ask(4, 200, i), sinks.back()));
  }
  gate.pass(5);
  gate.wait_arrived(6);  // the sixth step is under way
  const size_t before = sinks[2]->tokens().size();
  engine->cancel(ids[2]);
  gate.pass(1);
  gate.wait_arrived(7);  // the step after it
  EXPECT_TRUE(sinks[2]->finished());
  EXPECT_EQ(sinks[2]->wait().reason, FinishReason::cancelled);
  EXPECT_LE(sinks[2]->tokens().size(), before + 1);
  EXPECT_EQ(model->calls().back().tokens, 3u);
  gate.open();
}

TEST(Engine, CancelOfAWaitingRequest) {
  Gate gate;
  Plan plan{small_options()};
  plan.options.parallel = 1;
  plan.gate = &gate;
  const auto engine = make_engine(plan);
  const auto running = std::make_shared<Recorder>(), waiting = std::make_shared<Recorder>();
  engine->submit(ask(4, 3), running);
  const RequestId id = engine->submit(ask(4, 3), waiting);
  gate.wait_arrived(1);
  engine->cancel(id);
  engine->cancel(12345);
  gate.pass(1);
  EXPECT_EQ(waiting->wait().reason, FinishReason::cancelled);
  EXPECT_TRUE(waiting->tokens().empty());
  gate.open();
  EXPECT_EQ(running->wait().reason, FinishReason::length);
}

TEST(Engine, DrainFinishesAllAndRefusesMore) {
  const auto engine = make_engine({small_options()});
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 20; ++i) {
    sinks.push_back(std::make_shared<Recorder>());
    engine->submit(ask(5, 20, i), sinks.back());
  }
  engine->drain();
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->finished());
    EXPECT_EQ(sink->wait().reason, FinishReason::length);
    EXPECT_EQ(sink->tokens().size(), 20u);
  }
  EXPECT_EQ(refused([&] { engine->submit(ask(5, 5), std::make_shared<Recorder>()); }), ErrorKind::limit);
  engine->drain();  // again, at once
}

TEST(Engine, TheEndCancelsWhatRunsAndWaits) {
  std::vector<std::shared_ptr<Recorder>> sinks;
  Gate gate;
  {
    Plan plan{small_options()};
    plan.context = 1 << 14;  // longer than it takes from the gate's opening to the end
    plan.gate = &gate;
    const auto engine = make_engine(plan);
    for (int i = 0; i < 9; ++i) {
      sinks.push_back(std::make_shared<Recorder>());
      engine->submit(ask(5, 16000, i), sinks.back());
    }
    gate.pass(2);
    gate.wait_arrived(3);
    gate.open();
  }
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->finished());
    EXPECT_NE(sink->wait().reason, FinishReason::error);
    EXPECT_EQ(sink->after_finish(), 0);
  }
  EXPECT_EQ(sinks.back()->wait().reason, FinishReason::cancelled);
}

TEST(Engine, TheQueueIsBounded) {
  Gate gate;
  Plan plan{small_options()};
  plan.options.parallel = 2;
  plan.options.most_waiting = 3;
  plan.gate = &gate;
  const auto engine = make_engine(plan);
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 5; ++i) {
    sinks.push_back(std::make_shared<Recorder>());
    engine->submit(ask(5, 5, i), sinks.back());
  }
  EXPECT_EQ(refused([&] { engine->submit(ask(5, 5), std::make_shared<Recorder>()); }), ErrorKind::limit);
  gate.open();
  for (const auto& sink : sinks) EXPECT_EQ(sink->wait().reason, FinishReason::length);
  engine->drain();
}

TEST(Engine, StatusTellsWhereItStands) {
  Gate gate;
  Plan plan{small_options()};
  plan.options.parallel = 2;
  plan.gate = &gate;
  const auto engine = make_engine(plan);
  EXPECT_EQ(engine->status().running + engine->status().waiting, 0);
  EXPECT_EQ(engine->status().seconds_since_step, 0);
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 5; ++i) {
    sinks.push_back(std::make_shared<Recorder>());
    engine->submit(ask(5, 5, i), sinks.back());
    if (i == 0) gate.wait_arrived(1);  // its step has begun without the others
  }
  gate.pass(3);  // its prompt; then, in one step, its first token and the second one's prompt
  gate.wait_arrived(4);
  EXPECT_EQ(engine->status().running, 2);
  EXPECT_EQ(engine->status().waiting, 3);
  EXPECT_EQ(engine->status().steps, 2u);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GE(engine->status().seconds_since_step, 0.02);  // a step that hangs shows
  gate.open();
  engine->drain();
  EXPECT_EQ(engine->status().running, 0);
  EXPECT_EQ(engine->status().waiting, 0);
  EXPECT_EQ(engine->status().seconds_since_step, 0);
}

TEST(Engine, ACacheSmallerThanOneContextShortensIt) {
  Plan plan{small_options()};
  plan.options.cache_bytes = 3 * PagedCache::kPageTokens * 2 * sizeof(float) + 5;  // 2 layers of 1 float
  const auto engine = make_engine(plan);
  EXPECT_EQ(engine->context(), 96);
  EXPECT_EQ(refused([&] { engine->submit(ask(96, 1), std::make_shared<Recorder>()); }), ErrorKind::bad_input);
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 4; ++i) {  // each needs all of it: they wait for one another
    sinks.push_back(std::make_shared<Recorder>());
    engine->submit(ask(60, 0, i), sinks.back());
  }
  for (const auto& sink : sinks) {
    EXPECT_EQ(sink->wait().reason, FinishReason::length);
    EXPECT_EQ(sink->tokens().size(), 36u);
  }
}

TEST(Engine, RefusesOptionsByName) {
  const auto message = [](auto&& change) {
    Plan plan{small_options()};
    change(plan.options);
    try {
      // The model is made for sane sizes; the engine must refuse before it matters.
      Engine engine(std::make_unique<FakeModel>(), fake::tokenizer(), plan.options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const auto names = [](const std::string& text, const char* field) { return text.find(field) == 0; };
  EXPECT_EQ(message([](auto&) {}), "accepted");
  EXPECT_TRUE(names(message([](auto& o) { o.context = -1; }), "context"));
  EXPECT_TRUE(names(message([](auto& o) { o.context = 257; }), "context"));
  EXPECT_TRUE(names(message([](auto& o) { o.parallel = 0; }), "parallel"));
  EXPECT_TRUE(names(message([](auto& o) { o.parallel = 1 << 30; }), "parallel"));
  EXPECT_TRUE(names(message([](auto& o) { o.longest_gap = -1; }), "longest_gap"));
  EXPECT_TRUE(names(message([](auto& o) { o.longest_gap = std::nan(""); }), "longest_gap"));
  EXPECT_TRUE(names(message([](auto& o) { o.prompt_piece = 0; }), "prompt_piece"));
  EXPECT_TRUE(names(message([](auto& o) { o.prompt_piece = 1 << 30; }), "prompt_piece"));
  EXPECT_TRUE(names(message([](auto& o) { o.prompt_pass = 0; }), "prompt_pass"));
  EXPECT_TRUE(names(message([](auto& o) { o.prompt_pass = 1 << 30; }), "prompt_pass"));
  EXPECT_TRUE(names(message([](auto& o) { o.most_waiting = -1; }), "most_waiting"));
  EXPECT_TRUE(names(message([](auto& o) { o.threads = -1; }), "threads"));
  EXPECT_TRUE(names(message([](auto& o) { o.cache_bytes = 1; }), "cache_bytes"));
}

TEST(Engine, RefusesRequestsAtOnce) {
  const auto engine = make_engine({small_options()});
  const auto sink = std::make_shared<Recorder>();
  EXPECT_EQ(refused([&] { engine->submit(ask(0, 5), sink); }), ErrorKind::bad_input);
  EXPECT_EQ(refused([&] { engine->submit(ask(256, 5), sink); }), ErrorKind::bad_input);
  GenerateRequest outside = ask(3, 5);
  outside.prompt[1] = kVocab;
  EXPECT_EQ(refused([&] { engine->submit(outside, sink); }), ErrorKind::bad_input);
  GenerateRequest cold = ask(3, 5);
  cold.sampling.temperature = -1;
  EXPECT_EQ(refused([&] { engine->submit(cold, sink); }), ErrorKind::bad_input);
  EXPECT_FALSE(sink->finished());
  EXPECT_EQ(engine->status().running + engine->status().waiting, 0);
}

TEST(Engine, IdsBeyondTheTokenizerAreNeverSaid) {
  // Models pad their vocabulary; the padding has no text.
  auto model = std::make_unique<FakeModel>([](std::span<const int32_t>, std::span<float> logits) {
    for (float& logit : logits) logit = 0;
    logits['x'] = 1;
    logits[kVocab + 3] = 9;
  });
  model->change_shape().vocab = kVocab + 8;
  Engine engine(std::move(model), fake::tokenizer(), small_options());
  const auto sink = std::make_shared<Recorder>();
  engine.submit(ask(3, 4), sink);
  EXPECT_EQ(sink->wait().reason, FinishReason::length);
  EXPECT_EQ(sink->text(), "xxxx");
}

TEST(Engine, GoesOnAfterErrors) {
  auto model = std::make_unique<FakeModel>();
  auto broken = std::make_shared<std::atomic<bool>>(true);
  model->before = [broken](std::span<const BatchToken>) {
    if (*broken) throw std::bad_alloc();
  };
  Engine engine(std::move(model), fake::tokenizer(), small_options());
  const auto sink = std::make_shared<Recorder>(), next = std::make_shared<Recorder>();
  engine.submit(ask(3, 4), sink);
  EXPECT_EQ(sink->wait().reason, FinishReason::error);
  *broken = false;
  engine.submit(ask(3, 4), next);
  EXPECT_EQ(next->wait().reason, FinishReason::length);
}

TEST(Engine, SinksMayCallTheEngine) {
  const auto engine = make_engine({small_options()});
  const auto first = std::make_shared<Recorder>(), second = std::make_shared<Recorder>();
  RequestId id = 1;  // ids count from 1
  first->on_token_do = [&](size_t n) {
    if (n == 2) engine->submit(ask(3, 3), second);
    if (n == 4) engine->cancel(id);
  };
  ASSERT_EQ(engine->submit(ask(3, 200), first), id);
  EXPECT_EQ(first->wait().reason, FinishReason::cancelled);
  EXPECT_LE(first->tokens().size(), 5u);
  EXPECT_EQ(second->wait().reason, FinishReason::length);
}

TEST(Engine, ManyThreadsSubmitAndCancel) {
  const auto engine = make_engine({small_options()});
  constexpr int kThreads = 8, kEach = 40;
  std::vector<std::vector<std::shared_ptr<Recorder>>> sinks(kThreads);
  std::atomic<bool> watching = true;
  std::thread watcher([&] {
    while (watching) {
      const EngineStatus status = engine->status();
      EXPECT_LE(status.running, 4);
      EXPECT_GE(status.waiting, 0);
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> clients;
  for (int c = 0; c < kThreads; ++c) {
    clients.emplace_back([&, c] {
      Rng rng(c);
      for (int i = 0; i < kEach; ++i) {
        sinks[c].push_back(std::make_shared<Recorder>());
        const RequestId id = engine->submit(ask(rng.between(1, 60), rng.between(1, 40), c), sinks[c].back());
        if (rng.chance(0.4)) {
          sinks[c].back()->wait_tokens(rng.below(8));
          engine->cancel(id);
        }
        if (rng.chance(0.1)) sinks[c].back()->wait();
      }
    });
  }
  for (auto& client : clients) client.join();
  engine->drain();
  watching = false;
  watcher.join();
  int cancelled = 0, complete = 0;
  for (const auto& of_client : sinks) {
    for (const auto& sink : of_client) {
      ASSERT_TRUE(sink->finished());
      EXPECT_EQ(sink->after_finish(), 0);
      const FinishEvent& finish = sink->wait();
      EXPECT_EQ(sink->tokens().size(), static_cast<size_t>(finish.usage.completion_tokens));
      (finish.reason == FinishReason::cancelled ? cancelled : complete) += 1;
      EXPECT_NE(finish.reason, FinishReason::error) << finish.error;
    }
  }
  EXPECT_EQ(cancelled + complete, kThreads * kEach);
  EXPECT_GT(cancelled, 0);
  EXPECT_GT(complete, 0);
}

/// A request that has been told its end must not stand in the way of the next one, whose client asks at once.
TEST(Engine, APlaceIsFreeForWhoAsksAgainAtOnce) {
  auto model = std::make_unique<FakeModel>(says(1, {'a', 'b', 'c'}), 4096);
  model->before = [](auto) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
  EngineOptions options = small_options();
  options.parallel = 1;
  options.calibration_s = 0.05;
  Engine engine(std::move(model), fake::tokenizer(), options);
  for (int i = 0; i < 20; ++i) {
    GenerateRequest request;
    request.prompt = {'q'};  // and up to 4,095 tokens: more than four seconds
    const auto first = std::make_shared<Recorder>();
    engine.submit(request, first);
    first->wait();
    request.arrived = Clock::now();
    request.deadline = Deadline{request.arrived + std::chrono::seconds(2)};
    const auto second = std::make_shared<Recorder>();
    ASSERT_NO_THROW(engine.submit(request, second)) << i;
    EXPECT_TRUE(second->wait().promised);
  }
}

}  // namespace
}  // namespace tern
