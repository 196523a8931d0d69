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

TEST(Mailbox, ForgetsEverythingAtItsEnd) {
  Watched watched;
  watched.post(1);
  watched.box.close();
  watched.post(2);
  watched.box.run();
  EXPECT_TRUE(watched.ran.empty());
  EXPECT_EQ(watched.wakes, 1);
}

}  // namespace
}  // namespace tern
