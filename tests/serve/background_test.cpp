#include "serve/background.h"

#include <gtest/gtest.h>

#include <future>
#include <vector>

namespace tern {
namespace {

TEST(Background, RunsInOrderOnAThreadOfItsOwn) {
  std::vector<int> order;
  std::promise<std::thread::id> done;
  Background background(100);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(background.run(10, [&order, i] { order.push_back(i); }));
  EXPECT_TRUE(background.run(10, [&] { done.set_value(std::this_thread::get_id()); }));
  EXPECT_NE(done.get_future().get(), std::this_thread::get_id());
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Background, TakesNoMoreThanItMayHold) {
  std::promise<void> go, done;
  Background background(100);
  EXPECT_FALSE(background.run(101, [] {}));
  EXPECT_TRUE(background.run(60, [&] { go.get_future().wait(); }));
  EXPECT_FALSE(background.run(41, [] {})) << "the one under way counts";
  EXPECT_TRUE(background.run(40, [&] { done.set_value(); }));
  EXPECT_FALSE(background.run(1, [] {}));
  go.set_value();
  done.get_future().wait();
  while (!background.run(100, [] {})) std::this_thread::yield();
}

TEST(Background, DropsWhatWaitsAtItsEnd) {
  std::promise<void> go, began;
  bool dropped = true;
  std::thread opener;
  {
    Background background(100);
    background.run(1, [&] {
      began.set_value();
      go.get_future().wait();
    });
    background.run(1, [&] { dropped = false; });
    began.get_future().wait();
    opener = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      go.set_value();
    });
  }
  opener.join();
  EXPECT_TRUE(dropped);
}

}  // namespace
}  // namespace tern
