#include "serve/mailbox.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

struct Watched {
  int wakes = 0;
  std::vector<int> ran;
  Mailbox box{[this] { ++wakes; }};

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

TEST(Mailbox, ForgetsEverythingAtItsEnd) {
  Watched watched;
  watched.post(1);
  watched.box.close();
  watched.post(2);
  watched.box.run();
  EXPECT_TRUE(watched.ran.empty());
  EXPECT_EQ(watched.wakes, 1);
}

TEST(Mailbox, OfAnIoContextRunsThereUntilItIsGone) {
  boost::asio::io_context io;
  auto box = make_mailbox(io);
  int ran = 0;
  for (int i = 0; i < 100; ++i) box->post([&] { ++ran; });
  io.run();
  EXPECT_EQ(ran, 100);
  box->post([&] { ++ran; });
  box.reset();
  io.restart();
  io.run();
  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace tern
