// Sweeps, their rounds, and how reports add up.
#include "measure/load/sweep.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "measure/load/report.h"
#include "tests/measure/load/fake_server.h"

namespace tern::load {
namespace {

using namespace load_test;

TEST(LoadReport, AddsUp) {
  LoadReport one, two;
  one.sent = 10;
  one.refused = 1;
  one.seconds = 2;
  one.completed_in_time = 8;
  one.client_cpu_s = 0.5;
  one.client_wall_s = 2;
  one.e2e.add(1);
  one.records.resize(3);
  two.sent = 30;
  two.refused = 9;
  two.seconds = 6;
  two.completed_in_time = 16;
  two.client_cpu_s = 1.5;
  two.client_wall_s = 6;
  two.e2e.add(3);
  two.records.resize(4);
  for (int i = 0; i < 40; ++i) two.failures[std::to_string(i)] = 2;
  one.add_reason("broke");
  one.add(two);
  EXPECT_EQ(one.sent, 40u);
  EXPECT_EQ(one.refused_share(), 0.25);
  EXPECT_EQ(one.complete_per_s(), 3) << "24 in 8 s";
  EXPECT_EQ(one.client_cpu_s, 2);
  EXPECT_EQ(one.client_wall_s, 8);
  EXPECT_EQ(one.e2e.count(), 2u);
  EXPECT_EQ(one.e2e.mean(), 2);
  EXPECT_EQ(one.records.size(), 7u);
  EXPECT_EQ(one.failures.size(), 33u);
  EXPECT_EQ(one.failures.at("broke"), 1u);
  EXPECT_EQ(one.failures.at("other reasons"), 2u * (40 - 31));
  one.records.resize(kMostRecords - 1);
  one.add(two);
  EXPECT_EQ(one.records.size(), kMostRecords);
}

/// Answers one request at a time, each in `pause`.
struct SlowServer {
  std::atomic<std::chrono::milliseconds> pause;
  std::mutex one_at_a_time;
  FakeServer server{[this](Peer& peer) {
    while (peer.request()) {
      const std::lock_guard lock(one_at_a_time);
      std::this_thread::sleep_for(pause.load());
      peer.send(whole_stream(0, 1));
    }
  }};
  LoadOptions options() const {
    LoadOptions options;
    options.server.url = server.url();
    options.request.prompts = {"hello"};
    options.request.model = "m";
    options.duration_s = 0.4;
    return options;
  }
};

/// What find_capacity asks for of a server that answers so many a second with 1, 2, 4, … at once.
std::pair<Capacity, size_t> capacity_of(const std::vector<int>& answers_s, int most) {
  size_t asked = 0;
  Capacity found = find_capacity(most, [&](int concurrency) {
    EXPECT_EQ(concurrency, 1 << asked);
    LoadReport report;
    report.seconds = 1;
    report.completed_in_time = static_cast<uint64_t>(answers_s.at(asked++));
    return report;
  });
  return {std::move(found), asked};
}

TEST(Capacity, TwoStepsThatBringNothingEndTheSearch) {
  const auto [flat, asked] = capacity_of({100, 200, 390, 397, 380}, 1024);
  EXPECT_EQ(asked, 5u);
  EXPECT_EQ(flat.answers_s, 397) << "the best, also where it isn't worth going on for";
  EXPECT_EQ(flat.concurrency, 8);
  EXPECT_EQ(flat.steps.size(), 5u);
}

TEST(Capacity, OneVainStepIsNotTheEnd) {
  const auto [found, asked] = capacity_of({100, 90, 300, 299, 298}, 1024);
  EXPECT_EQ(asked, 5u);
  EXPECT_EQ(found.answers_s, 300);
  EXPECT_EQ(found.concurrency, 4);
}

TEST(Capacity, EndsAtTheMost) {
  EXPECT_EQ(capacity_of({1, 2, 4, 8}, 8).second, 4u);
  EXPECT_EQ(capacity_of({1, 2, 4}, 7).second, 3u);
}

TEST(Capacity, OfAServerThatAnswersNothingIsNothing) {
  const auto [nothing, asked] = capacity_of({0, 0}, 8);
  EXPECT_EQ(asked, 2u);
  EXPECT_EQ(nothing.answers_s, 0);
  EXPECT_EQ(nothing.concurrency, 0);
}

TEST(Sweep, RoundsFollowTheMachinesSpeedAndAddUp) {
  SlowServer slow{std::chrono::milliseconds(5), {}};
  LoadOptions options = slow.options();
  SweepPlan plan;
  plan.multiples = {0.3, 0.6};
  plan.burstiness = {1, 0.5};
  plan.rounds = 2;
  plan.capacity = find_capacity(1, [&](int concurrency) { return run_closed_loop(options, concurrency); });
  ASSERT_GT(plan.capacity->answers_s, 50);
  std::vector<std::string> labels;
  options.request.deadline_ms = {5000, 5000};
  const Sweep result = sweep(options, plan, [&](const std::string& label) {
    labels.push_back(label);
    if (label == "round 2 of 2, capacity") slow.pause = std::chrono::milliseconds(40);
  });
  EXPECT_EQ(labels, (std::vector<std::string>{
                        "round 1 of 2, load 0.3, burstiness 1", "round 1 of 2, load 0.3, burstiness 0.5",
                        "round 1 of 2, load 0.6, burstiness 1", "round 1 of 2, load 0.6, burstiness 0.5",
                        "round 2 of 2, capacity", "round 2 of 2, load 0.3, burstiness 1",
                        "round 2 of 2, load 0.3, burstiness 0.5", "round 2 of 2, load 0.6, burstiness 1",
                        "round 2 of 2, load 0.6, burstiness 0.5"}));
  ASSERT_EQ(result.answers_s.size(), 2u);
  EXPECT_EQ(result.answers_s[0], plan.capacity->answers_s);
  EXPECT_LE(result.answers_s[1], 25);
  ASSERT_EQ(result.remeasured.size(), 1u);
  EXPECT_EQ(result.remeasured[0].with_deadline, 0u);
  ASSERT_EQ(result.cells.size(), 4u);
  uint64_t sent = 0;
  for (const SweepCell& cell : result.cells) {
    EXPECT_NEAR(cell.rate, cell.multiple * (result.answers_s[0] + result.answers_s[1]) / 2, 1e-9);
    EXPECT_LE(cell.report.seconds, 0.8 + 1e-6);
    EXPECT_GT(cell.report.seconds, 0);
    EXPECT_EQ(cell.report.on_time + cell.report.late, cell.report.sent);
    sent += cell.report.sent;
  }
  EXPECT_GT(sent, 10u);
  EXPECT_EQ(to_json(result).size(), 4u);
  EXPECT_NE(to_text(result).find("2 rounds, capacities in answers/s: "), std::string::npos);
}

TEST(Sweep, ACapacityThatWasGivenStays) {
  SlowServer slow{std::chrono::milliseconds(1), {}};
  SweepPlan plan;
  plan.multiples = {1};
  plan.rounds = 2;
  plan.answers_s = 40;
  std::vector<std::string> labels;
  const Sweep result =
      sweep(slow.options(), plan, [&](const std::string& label) { labels.push_back(label); });
  EXPECT_EQ(labels.size(), 2u);
  EXPECT_EQ(result.answers_s, (std::vector<double>{40, 40}));
  EXPECT_TRUE(result.remeasured.empty());
  plan.answers_s = 0;
  EXPECT_THROW(sweep(slow.options(), plan, [](const std::string&) {}), Error);
}

TEST(Sweep, SaysWhatIsLeftOfThePeakAtTheHighestLoad) {
  const auto cell = [](double multiple, double shape, uint64_t complete) {
    SweepCell made{multiple, shape, 0, {}};
    made.report.completed_in_time = complete;
    made.report.seconds = 10;
    return made;
  };
  const Sweep result{{cell(3, 1, 45), cell(3, 0.5, 80), cell(1, 1, 100), cell(1, 0.5, 60)}, {1}, {}};
  const std::string text = to_text(result);
  EXPECT_NE(text.find("burstiness 1: complete answers/s at the highest load: 45.0% of the peak\n"
                      "burstiness 0.5: complete answers/s at the highest load: 100.0% of the peak\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("rounds"), std::string::npos);
}

}  // namespace
}  // namespace tern::load
