// How many cores this process may really use.
#pragma once

#include <optional>
#include <string>

namespace tern {

/// The smaller of the affinity mask and the cgroup's CPU quota (rounded up), at least 1.
int usable_cores();

/// The CPU quota in cores (1.5: one and a half) that applies to a process whose /proc/self/cgroup reads
/// `memberships`, where the cgroup file systems are mounted under `root` (/sys/fs/cgroup): the least of its
/// group's and of every group's above, by version 2 (cpu.max) and version 1 (cpu.cfs_quota_us). Nothing where
/// there is no limit.
std::optional<double> cgroup_cpu_quota(const std::string& root, const std::string& memberships);

/// The processor's name as /proc/cpuinfo has it; empty where it says none.
std::string processor_name();

}  // namespace tern
