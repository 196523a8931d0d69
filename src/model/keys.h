// A family's own keys, `ARCH.KEY`, read within bounds.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "files/gguf.h"

namespace tern {

constexpr uint64_t kMostWidth = 1 << 20;  ///< hidden sizes
constexpr uint64_t kMostHead = 8192;      ///< dimensions of one head
constexpr uint64_t kMostHeads = 4096;
constexpr uint64_t kMostLayers = 4096;
constexpr uint64_t kMostContext = 1 << 30;

/// Every function throws Error{bad_input} naming file and key where a value is out of bounds.
class ArchKeys {
 public:
  ArchKeys(const GgufFile& file, std::string architecture);

  const GgufFile& file() const { return file_; }
  const std::string& architecture() const { return architecture_; }
  std::string full(std::string_view key) const;
  bool has(std::string_view key) const { return file_.find(full(key)) != nullptr; }

  /// An integer from `least` to `most`, or an array of them, one a layer, that are all the same.
  int get(std::string_view key, uint64_t least, uint64_t most) const;
  int get_or(std::string_view key, uint64_t fallback, uint64_t least, uint64_t most) const;
  /// A finite number, 0 or more.
  float get_epsilon(std::string_view key) const;

  /// Throws Error{unsupported} where one of these switches is there: without what it switches on, a model would
  /// run and say something else.
  void refuse(std::initializer_list<std::string_view> switches) const;

 private:
  int bounded(std::string_view key, uint64_t value, uint64_t least, uint64_t most) const;

  const GgufFile& file_;
  std::string architecture_;
};

}  // namespace tern
