#include "train/log.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/atomic_file.h"
#include "base/error.h"

namespace tern::train {

namespace {

void drop_after(const std::string& path, int64_t last_step) {
  std::istringstream lines(read_file(path));
  std::string kept, line;
  while (std::getline(lines, line)) {
    const auto record = nlohmann::json::parse(line, nullptr, false);
    if (record.is_discarded() || record.value("step", int64_t{0}) > last_step) continue;
    kept += line + '\n';
  }
  write_file(path, kept);
}

void write_line(std::FILE* file, const nlohmann::ordered_json& record) {
  const std::string line = record.dump() + '\n';
  std::fwrite(line.data(), 1, line.size(), file);
  std::fflush(file);
}

double rounded(double value) {
  return std::stod(fmt::format("{:.5g}", value));
}

}  // namespace

RunLog::RunLog(const std::string& path, int64_t last_step) {
  if (std::filesystem::exists(path)) drop_after(path, last_step);
  file_ = std::fopen(path.c_str(), "a");
  if (!file_) fail(ErrorKind::io, "{}: {}", path, std::strerror(errno));
}

RunLog::~RunLog() {
  std::fclose(file_);
}

void RunLog::add(const StepRecord& record) {
  write_line(file_, {{"step", record.step},
                     {"tokens", record.tokens},
                     {"seconds", rounded(record.seconds)},
                     {"loss", rounded(record.loss)},
                     {"learning_rate", rounded(record.learning_rate)},
                     {"gradient_norm", rounded(record.gradient_norm)},
                     {"max_vio", rounded(record.max_violation)},
                     {"mean_vio", rounded(record.mean_violation)},
                     {"tokens_per_second", rounded(record.tokens_a_second)}});
}

void RunLog::add(int64_t step, int64_t tokens, double seconds, const ProbeResult& result) {
  nlohmann::ordered_json by_noise = nlohmann::ordered_json::array();
  for (double share : result.exact_by_noise) by_noise.push_back(rounded(share));
  write_line(file_, {{"step", step},
                     {"tokens", tokens},
                     {"seconds", rounded(seconds)},
                     {"dev_loss", rounded(result.loss)},
                     {"dev_exact", rounded(result.exact)},
                     {"dev_exact_thinking", rounded(result.exact_thinking)},
                     {"dev_exact_given_thinking", rounded(result.exact_given_thinking)},
                     {"dev_exact_thinking_by_noise", by_noise}});
}

}  // namespace tern::train
