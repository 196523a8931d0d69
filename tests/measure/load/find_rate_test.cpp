#include "measure/load/find_rate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "tests/measure/load/fake_server.h"

namespace tern::load {
namespace {

using namespace load_test;
using namespace std::chrono_literals;

/// One answer at a time, each after so long.
FakeServer::Script one_by_one(std::chrono::milliseconds time) {
  auto turn = std::make_shared<std::mutex>();
  return [time, turn](Peer& peer) {
    while (peer.request()) {
      {
        const std::lock_guard lock(*turn);
        std::this_thread::sleep_for(time);
      }
      if (!peer.send(whole_stream(1, 2))) return;
    }
  };
}

LoadOptions options_for(const FakeServer& server) {
  LoadOptions options;
  options.server.url = server.url();
  options.server.timeout_s = 5;
  options.request.prompts = {"hello"};
  options.request.model = "m";
  options.request.deadline_ms = {1, 1};  // must not be sent
  options.duration_s = 0.5;
  return options;
}

TEST(FindRate, IsBelowWhatTheServerCanAndAboveALittle) {
  FakeServer server(one_by_one(20ms));  // 50 a second at most, and some time in a queue before that
  std::vector<double> told;
  const SustainedRate found = find_rate(options_for(server), 0.2, [&](double rate) { told.push_back(rate); });
  EXPECT_GT(found.rate, 5);
  EXPECT_LT(found.rate, 75);
  ASSERT_EQ(told.size(), found.steps.size() + 1);
  EXPECT_EQ(told[0], 0) << "one client after another, to know where to begin";
  bool too_many = false;
  for (const RateStep& step : found.steps) {
    if (step.sustained) {
      EXPECT_LE(step.rate, found.rate);
      EXPECT_LE(step.report.e2e.quantile(0.95), 0.2);
      EXPECT_EQ(step.report.complete, step.report.sent);
    }
    too_many = too_many || !step.sustained;
  }
  EXPECT_TRUE(too_many) << "else nobody knows whether more would do";
  EXPECT_EQ(to_json(found)["rate"], found.rate);
  EXPECT_EQ(to_json(found)["steps"].size(), found.steps.size());
  EXPECT_NE(to_text(found).find("sustained: "), std::string::npos);
}

TEST(FindRate, NothingIsSustainedByAServerThatIsTooSlowAlone) {
  FakeServer server(one_by_one(30ms));
  LoadOptions options = options_for(server);
  options.duration_s = 0;
  options.requests = 2;
  const SustainedRate found = find_rate(options, 0.01, [](double) {});
  EXPECT_EQ(found.rate, 0);
  EXPECT_GE(found.steps.size(), 2u);
}

}  // namespace
}  // namespace tern::load
