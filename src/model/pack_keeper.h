// Keeps a packed file beside a model that runs: writes it after the first pass, or reads through the one that
// the weights are mapped from. In a thread that takes only what time the others leave.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "model/packed_file.h"

namespace tern {

/// Where packed weights are kept from one run to the next.
struct PackOptions {
  bool empty() const { return path.empty() && read_only.empty(); }

  std::string path;                           ///< written, and looked for first; empty: nowhere
  std::string read_only;                      ///< looked for second, where nothing can be written
  uint64_t least_bytes = uint64_t{64} << 20;  ///< fewer are packed in no time
  /// Is told, in a line, what went wrong with the file, from any thread. Nothing of it is an error.
  std::function<void(const std::string&)> warn;
};

/// Ends with the object, whatever is done by then. What it reads must outlive it.
class PackKeeper {
 public:
  PackKeeper(PackOptions options, PackIdentity identity)
      : options_(std::move(options)), identity_(identity) {}
  PackKeeper(const PackKeeper&) = delete;
  ~PackKeeper();

  /// The file of an earlier run, if one is of use; else null: then it is to be written. Says what is wrong
  /// with those that are there only where none is of use, so that a stale one in a folder that can't be
  /// written is told of once.
  std::shared_ptr<const PackedFile> open() const;
  /// The first pass is over: what is in `blocks` is written.
  void write(std::span<const PackBlock> blocks);
  /// Reads all of the file, which has the welcome effect that the kernel has it in memory from then on.
  void check(std::shared_ptr<const PackedFile> file);
  /// Whether check() found bytes that are not what was written. The file is gone then.
  bool damaged() const { return damaged_; }

  void warn(const std::string& what) const;
  const PackIdentity& identity() const { return identity_; }

 private:
  template <typename Work>
  void start(Work work);

  const PackOptions options_;
  const PackIdentity identity_;
  std::atomic<bool> stop_ = false, damaged_ = false;
  std::thread thread_;
};

}  // namespace tern
