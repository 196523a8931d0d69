#include "base/threads.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <string>
#include <thread>

namespace tern {
namespace {

TEST(Threads, NamesAreCutToWhatTheKernelKeeps) {
  std::thread([] {
    char name[32] = {};
    name_thread("tern-engine");
    ASSERT_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    EXPECT_EQ(std::string(name), "tern-engine");
    name_thread("a name of more than fifteen bytes");
    ASSERT_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    EXPECT_EQ(std::string(name), "a name of more ");
  }).join();
}

TEST(Threads, AskingForShortSlicesLeavesPolicyAndPriority) {
  std::thread([] {
    int policy = -1, after = -1;
    sched_param parameters{}, parameters_after{};
    ASSERT_EQ(pthread_getschedparam(pthread_self(), &policy, &parameters), 0);
    prefer_latency();
    ASSERT_EQ(pthread_getschedparam(pthread_self(), &after, &parameters_after), 0);
    EXPECT_EQ(policy, after);
    EXPECT_EQ(parameters.sched_priority, parameters_after.sched_priority);
  }).join();
}

}  // namespace
}  // namespace tern
