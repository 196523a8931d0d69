#include "engine/pace_file.h"

#include <sys/stat.h>

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/cores.h"
#include "base/error.h"
#include "kernels/kernels.h"
#include "text/bounded_json.h"

namespace tern {
namespace {

constexpr int kVersion = 1;
constexpr size_t kLongest = 1 << 16;  // bytes
/// In the order of StepWork.
constexpr std::array<const char*, Pace::kCosts> kNames = {"pass",   "stream",     "prompt",
                                                          "expert", "stream_key", "prompt_key"};

Pace::Costs costs_of(const Json& json, const std::string& path) {
  Pace::Costs costs;
  for (size_t i = 0; i < kNames.size(); ++i) {
    const Json value = json.value(kNames[i], Json());
    const double seconds = value.is_number() ? value.get<double>() : std::nan("");
    if (!(std::abs(seconds) < 60))
      fail(ErrorKind::bad_input, "{}: seconds.{}: expected a number", path, kNames[i]);
    costs[i] = seconds;
  }
  return costs;
}

}  // namespace

std::string pace_conditions(const ModelShape& model, Isa isa, int threads) {
  return fmt::format("{}, {} threads, {}; {} of {} weights in {} bytes", processor_name(), threads,
                     isa_name(isa), model.architecture, model.weights, model.packed_bytes);
}

std::optional<Pace::Costs> read_pace(const std::string& path, const std::string& conditions) {
  struct stat found;
  if (stat(path.c_str(), &found) != 0) return std::nullopt;
  const Json json = parse_bounded_json(read_file(path, kLongest), path);
  if (!json.is_object()) fail(ErrorKind::bad_input, "{}: expected an object", path);
  if (json.value("version", Json()) != kVersion || json.value("conditions", Json()) != conditions)
    return std::nullopt;
  const Json seconds = json.value("seconds", Json());
  if (!seconds.is_object()) fail(ErrorKind::bad_input, "{}: seconds: expected an object", path);
  return costs_of(seconds, path);
}

void write_pace(const std::string& path, const std::string& conditions, const Pace::Costs& costs) {
  Json json = {{"version", kVersion}, {"conditions", conditions}, {"seconds", Json::object()}};
  for (size_t i = 0; i < kNames.size(); ++i) json["seconds"][kNames[i]] = costs[i];
  write_file(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace tern
