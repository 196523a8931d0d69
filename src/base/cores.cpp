#include "base/cores.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace tern {
namespace {

// The mask grows until the kernel's fits.
int affinity_cores() {
  for (size_t cpus = 1024; cpus <= size_t{1} << 20; cpus *= 2) {
    cpu_set_t* mask = CPU_ALLOC(cpus);
    if (mask == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(cpus);
    const bool known = sched_getaffinity(0, size, mask) == 0;
    const int count = known ? CPU_COUNT_S(size, mask) : 0;
    CPU_FREE(mask);
    if (known) return count;
  }
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

// The file's first words; empty where it isn't there.
std::vector<std::string> read_words(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> words;
  for (std::string word; words.size() < 8 && file >> word;) words.push_back(word);
  return words;
}

// quota / period in microseconds; nothing for "max", -1 and anything that isn't a positive number.
std::optional<double> quota_cores(const std::string& quota, const std::string& period) {
  char* quota_end = nullptr;
  char* period_end = nullptr;
  const double q = std::strtod(quota.c_str(), &quota_end);
  const double p = std::strtod(period.c_str(), &period_end);
  const bool numbers = *quota_end == '\0' && *period_end == '\0' && std::isfinite(q) && std::isfinite(p);
  if (!numbers || q <= 0 || p <= 0) return std::nullopt;
  return q / p;
}

std::optional<double> group_quota(const std::string& folder) {
  const auto v2 = read_words(folder + "/cpu.max");
  if (v2.size() >= 2) return quota_cores(v2[0], v2[1]);
  const auto quota = read_words(folder + "/cpu.cfs_quota_us");
  const auto period = read_words(folder + "/cpu.cfs_period_us");
  if (quota.empty() || period.empty()) return std::nullopt;
  return quota_cores(quota[0], period[0]);
}

// The least quota from `mount`/`path` up to `mount`. Inside a container the path may be one that only the
// host sees; folders that aren't there are passed over, and the mount itself is then the container's group.
std::optional<double> least_quota(const std::string& mount, std::string path) {
  std::optional<double> least;
  while (true) {
    const auto quota = group_quota(mount + path);
    if (quota && (!least || *quota < *least)) least = quota;
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

// Where a line "ID:CONTROLLERS:PATH" of /proc/self/cgroup may be mounted; empty where it has no CPU
// controller.
std::vector<std::string> mounts(const std::string& root, std::string_view controllers) {
  if (controllers.empty()) return {root, root + "/unified"};
  const std::string padded = "," + std::string(controllers) + ",";
  if (padded.find(",cpu,") == std::string::npos) return {};
  return {root + "/" + std::string(controllers), root + "/cpu"};
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const std::string& root, const std::string& memberships) {
  std::optional<double> least;
  std::istringstream lines(memberships);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    for (const std::string& mount : mounts(root, controllers)) {
      const auto quota = least_quota(mount, path == "/" ? "" : path);
      if (quota && (!least || *quota < *least)) least = quota;
    }
  }
  return least;
}

int usable_cores() {
  std::ifstream file("/proc/self/cgroup");
  std::ostringstream memberships;
  memberships << file.rdbuf();
  int cores = affinity_cores();
  const auto quota = cgroup_cpu_quota("/sys/fs/cgroup", memberships.str());
  if (quota && *quota < cores) cores = static_cast<int>(std::ceil(*quota));
  return std::max(cores, 1);
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

}  // namespace tern
