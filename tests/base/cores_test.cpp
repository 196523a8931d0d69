#include "base/cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace tern {
namespace {

namespace fs = std::filesystem;

// A made-up /sys/fs/cgroup.
class CgroupQuota : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tern_cgroup_XXXXXX";
    root_ = mkdtemp(name);
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((fs::path(root_) / path).parent_path());
    std::ofstream(fs::path(root_) / path) << text << "\n";
  }
  std::optional<double> quota(const std::string& memberships) { return cgroup_cpu_quota(root_, memberships); }

  std::string root_;
};

TEST_F(CgroupQuota, NoFilesMeansNoLimit) {
  EXPECT_FALSE(quota("0::/\n"));
  EXPECT_FALSE(quota(""));
  EXPECT_FALSE(quota("nonsense\n:\n::\n"));
}

TEST_F(CgroupQuota, VersionTwo) {
  write("a/b/cpu.max", "150000 100000");
  EXPECT_EQ(quota("0::/a/b\n"), 1.5);
  write("a/b/cpu.max", "max 100000");
  EXPECT_FALSE(quota("0::/a/b\n"));
}

TEST_F(CgroupQuota, TheLeastOfTheGroupsAboveCounts) {
  write("a/b/cpu.max", "400000 100000");
  write("a/cpu.max", "200000 100000");
  EXPECT_EQ(quota("0::/a/b\n"), 2.0);
  write("cpu.max", "50000 100000");
  EXPECT_EQ(quota("0::/a/b\n"), 0.5);
}

TEST_F(CgroupQuota, VersionOne) {
  write("cpu,cpuacct/job/cpu.cfs_quota_us", "300000");
  write("cpu,cpuacct/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota("5:memory:/other\n4:cpu,cpuacct:/job\n0::/\n"), 3.0);
  EXPECT_FALSE(quota("5:cpuset:/job\n"));
  write("cpu,cpuacct/job/cpu.cfs_quota_us", "-1");
  EXPECT_FALSE(quota("4:cpu,cpuacct:/job\n"));
}

TEST_F(CgroupQuota, AContainersMountIsItsGroup) {
  write("cpu/cpu.cfs_quota_us", "250000");
  write("cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota("4:cpu:/docker/0123abcd\n"), 2.5);
}

TEST_F(CgroupQuota, NonsenseIsNoLimit) {
  for (const char* text : {"", "x y", "0 100000", "100000 0", "-5 100000", "nan 1", "inf 1", "100000"}) {
    write("cpu.max", text);
    EXPECT_FALSE(quota("0::/\n")) << text;
  }
}

TEST(UsableCores, FollowsTheAffinityMask) {
  EXPECT_GE(usable_cores(), 1);
  int cores = 0;
  std::thread([&] {  // affinity is a thread's own
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
    for (int cpu = 0, kept = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &mask) && kept++ > 0) CPU_CLR(cpu, &mask);
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof mask, &mask), 0);
    cores = usable_cores();
  })
      .join();
  EXPECT_EQ(cores, 1);
}

}  // namespace
}  // namespace tern
