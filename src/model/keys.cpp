#include "model/keys.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "base/error.h"

namespace tern {

ArchKeys::ArchKeys(const GgufFile& file, std::string architecture)
    : file_(file), architecture_(std::move(architecture)) {}

std::string ArchKeys::full(std::string_view key) const {
  return fmt::format("{}.{}", architecture_, key);
}

int ArchKeys::get(std::string_view key, uint64_t least, uint64_t most) const {
  const GgufValue* value = file_.find(full(key));
  const auto* layers = value ? std::get_if<std::vector<int64_t>>(value) : nullptr;
  if (!layers) return bounded(key, file_.get_uint(full(key)), least, most);
  if (layers->empty() || layers->front() < 0) {
    fail(ErrorKind::bad_input, "{}: {}: expected numbers of 0 or more, one a layer", file_.name(), full(key));
  }
  const auto other = std::adjacent_find(layers->begin(), layers->end(), std::not_equal_to<>());
  if (other != layers->end()) {
    fail(ErrorKind::unsupported, "{}: {}: layers of different kinds ({} and {}) are not supported", file_.name(),
         full(key), *other, *(other + 1));
  }
  return bounded(key, static_cast<uint64_t>(layers->front()), least, most);
}

int ArchKeys::get_or(std::string_view key, uint64_t fallback, uint64_t least, uint64_t most) const {
  return has(key) ? get(key, least, most) : bounded(key, fallback, least, most);
}

float ArchKeys::get_epsilon(std::string_view key) const {
  const auto epsilon = static_cast<float>(file_.get_float(full(key)));
  if (std::isfinite(epsilon) && epsilon >= 0) return epsilon;
  fail(ErrorKind::bad_input, "{}: {}: expected 0 or more, found {}", file_.name(), full(key), epsilon);
}

void ArchKeys::refuse(std::initializer_list<std::string_view> switches) const {
  for (const std::string_view key : switches) {
    if (has(key)) fail(ErrorKind::unsupported, "{}: {} is not supported", file_.name(), full(key));
  }
}

int ArchKeys::bounded(std::string_view key, uint64_t value, uint64_t least, uint64_t most) const {
  if (value >= least && value <= most) return static_cast<int>(value);
  fail(ErrorKind::bad_input, "{}: {}: expected {} to {}, found {}", file_.name(), full(key), least, most, value);
}

}  // namespace tern
