#include "serve/mailbox.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

struct Watched {
  int wakes = 0, pauses = 0;
  TimePoint now{};
  std::vector<int> ran;
  Mailbox box{{[this] { ++wakes; }, [this] { ++pauses; }, [this] { return now; }}};

  void post(int job) {
    box.post([this, job] { ran.push_back(job); });
  }
};

TEST(Mailbox, WakesOnceUntilItHasRun) {
  Watched watched;
  for (const int job : {1, 2, 3}) watched.post(job);
  EXPECT_EQ(watched.wakes, 1);
  watched.box.run();
  EXPECT_EQ(watched.ran, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(watched.wakes, 1);
  watched.post(4);
  EXPECT_EQ(watched.wakes, 2);
}

TEST(Mailbox, WhatComesWhileItRunsHasATurnOfItsOwn) {
  Watched watched;
  watched.box.post([&] {
    watched.post(2);
    watched.post(3);
    EXPECT_EQ(watched.wakes, 1) << "it is awake";
  });
  watched.box.run();
  EXPECT_TRUE(watched.ran.empty());
  EXPECT_EQ(watched.wakes, 2) << "others come first, then it goes on";
  watched.box.run();
  EXPECT_EQ(watched.ran, (std::vector<int>{2, 3}));
  EXPECT_EQ(watched.wakes, 2);
}

TEST(Mailbox, ManyJobsGoInSlicesSoThatOthersHaveTheirTurn) {
  Watched watched;
  std::vector<int> all;
  for (int job = 0; job < 150; ++job) {
    watched.post(job);
    all.push_back(job);
  }
  watched.box.run();
  EXPECT_EQ(watched.ran.size(), Mailbox::kSlice);
  EXPECT_EQ(watched.wakes, 2);
  watched.post(150);  // comes behind all that are here
  all.push_back(150);
  for (int run = 0; run < 3; ++run) watched.box.run();
  EXPECT_EQ(watched.ran, all);
  EXPECT_EQ(watched.wakes, 4) << "nobody is woken once all is done";
}

TEST(Mailbox, JobsThatComeOneByOneTooOftenAreGathered) {
  Watched watched;
  int job = 0;
  while (watched.pauses == 0) {
    ASSERT_LT(job, 100);
    watched.post(++job);
    watched.box.run();
    watched.now += Mailbox::kOften / 2;
  }
  const int wakes = watched.wakes;
  for (int pause = 0; pause < 5; ++pause) {
    for (int i = 0; i < 5; ++i) watched.post(++job);
    EXPECT_LT(watched.ran.size(), static_cast<size_t>(job));
    watched.now += Mailbox::kGather;
    watched.box.run();
    EXPECT_EQ(watched.ran.size(), static_cast<size_t>(job));
  }
  EXPECT_EQ(watched.wakes, wakes) << "its own pauses wake it";
  EXPECT_EQ(watched.pauses, 6);
}

TEST(Mailbox, FewJobsAreNotGathered) {
  Watched watched;
  int job = 0;
  for (; watched.pauses == 0 && job < 100; watched.now += Mailbox::kOften / 2) {
    watched.post(++job);
    watched.box.run();
  }
  ASSERT_EQ(watched.pauses, 1);
  watched.now += Mailbox::kGather;
  watched.post(++job);
  watched.box.run();
  EXPECT_EQ(watched.pauses, 1) << "one job in all that time";
  for (int i = 0; i < 100; ++i) {
    watched.now += 2 * Mailbox::kOften;
    watched.post(++job);
    watched.box.run();
  }
  EXPECT_EQ(watched.pauses, 1);
  EXPECT_EQ(watched.ran.size(), static_cast<size_t>(job));
}

TEST(Mailbox, ForgetsEverythingAtItsEnd) {
  Watched watched;
  watched.post(1);
  watched.box.close();
  watched.post(2);
  watched.box.run();
  EXPECT_TRUE(watched.ran.empty());
  EXPECT_EQ(watched.wakes, 1);
}

TEST(Mailbox, OfAnIoContextRunsThereAndEndsWithIt) {
  boost::asio::io_context io;
  auto box = make_mailbox(io);
  int ran = 0;
  constexpr int kJobs = 1000;
  for (int i = 0; i < kJobs; ++i) {
    box->post([&] { ++ran; });
    io.restart();
    io.run();  // one by one, and often: to its end, whatever pauses there are
  }
  EXPECT_EQ(ran, kJobs);
  box->post([&] { ++ran; });
  box.reset();
  io.restart();
  io.run();
  EXPECT_EQ(ran, kJobs);
}

}  // namespace
}  // namespace tern
