// Reads tensors ahead of who loads them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/direct_file.h"
#include "files/gguf.h"

namespace tern {

/// Bytes [begin, begin + bytes) of a tensor of a mapped file.
struct TensorPiece {
  const GgufTensor* tensor = nullptr;
  size_t begin = 0, bytes = 0;
  bool operator==(const TensorPiece&) const = default;
};

/// Threads read the pieces of a plan, in its order, into a few buffers that go round, so that a disk and who
/// packs work at the same time. Holds no more than kMostBytes of them, whatever the plan.
class TensorStream {
 public:
  static constexpr size_t kPiece = size_t{8} << 20;        ///< what a disk gives at full speed
  static constexpr size_t kMostBytes = size_t{192} << 20;  ///< of all buffers

  /// The tensors must outlive the stream. Pieces that are too large for the buffers are not read ahead.
  explicit TensorStream(std::vector<TensorPiece> plan);
  TensorStream(const TensorStream&) = delete;
  ~TensorStream();

  /// The piece's bytes, until the next call. Those of the plan's next piece have been read ahead; any other
  /// comes from the map. Throws Error{io} where it can't be read. From one thread.
  std::span<const std::byte> next(const TensorPiece& piece);

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  struct Slot {
    std::unique_ptr<std::byte, Free> buffer;
    std::span<const std::byte> bytes;
    std::exception_ptr failed;
    bool ready = false;
  };
  void read_ahead();
  void read_into(Slot& slot, const TensorPiece& piece) const;
  Slot& slot_of(size_t piece) { return slots_[piece % slots_.size()]; }

  std::vector<TensorPiece> plan_;
  std::map<const MappedFile*, DirectFile> files_;
  size_t room_ = 0;  ///< bytes of a buffer
  std::vector<Slot> slots_;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t begun_ = 0;     ///< pieces that a thread reads or has read
  size_t given_ = 0;     ///< pieces that were asked for
  size_t finished_ = 0;  ///< pieces whose slots are free again
  bool stop_ = false;
  std::vector<std::jthread> threads_;  ///< last, so that they end before what they use
};

}  // namespace tern
