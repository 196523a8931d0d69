#include "model/tensor_stream.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/checked.h"
#include "base/memory.h"
#include "base/threads.h"

namespace tern {
namespace {

constexpr size_t kThreads = 3;  // one request alone leaves a disk idle between two
constexpr size_t kSlots = 6;    // as many again wait to be packed

}  // namespace

TensorStream::TensorStream(std::vector<TensorPiece> plan) : plan_(std::move(plan)) {
  constexpr size_t kMost = kMostBytes / kSlots - 2 * DirectFile::kAlignment;
  std::erase_if(plan_, [](const TensorPiece& piece) { return piece.bytes > kMost; });
  for (const TensorPiece& piece : plan_) {
    files_.try_emplace(piece.tensor->mapping, *piece.tensor->mapping);
    room_ = std::max(room_, DirectFile::room(piece.bytes));
  }
  slots_.resize(std::min(kSlots, plan_.size()));
  // A disk's request has so many segments at most: of small pages, which lie anywhere, it would be a short
  // one.
  const size_t alignment = room_ < kHugePage ? DirectFile::kAlignment : kHugePage;
  room_ = round_up(room_, alignment);
  for (Slot& slot : slots_) {
    slot.buffer.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, room_)));
    if (!slot.buffer) throw std::bad_alloc();
    prefer_huge_pages(slot.buffer.get(), room_);
  }
  for (size_t i = 0; i < std::min(kThreads, plan_.size()); ++i)
    threads_.emplace_back([this] { read_ahead(); });
}

TensorStream::~TensorStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
}

void TensorStream::Free::operator()(std::byte* memory) const {
  std::free(memory);
}

void TensorStream::read_ahead() {
  name_thread("tern-read");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock,
                  [&] { return stop_ || begun_ == plan_.size() || begun_ < finished_ + slots_.size(); });
    if (stop_ || begun_ == plan_.size()) return;
    const TensorPiece& piece = plan_[begun_];
    Slot& slot = slot_of(begun_++);
    lock.unlock();
    read_into(slot, piece);
    lock.lock();
    slot.ready = true;
    changed_.notify_all();
  }
}

void TensorStream::read_into(Slot& slot, const TensorPiece& piece) const {
  const MappedFile& file = *piece.tensor->mapping;
  const size_t offset = static_cast<size_t>(piece.tensor->data.data() - file.bytes().data()) + piece.begin;
  try {
    slot.bytes = files_.at(&file).read(offset, piece.bytes, {slot.buffer.get(), room_});
  } catch (...) {
    slot.failed = std::current_exception();
  }
}

std::span<const std::byte> TensorStream::next(const TensorPiece& piece) {
  std::unique_lock lock(mutex_);
  finished_ = given_;
  changed_.notify_all();
  if (given_ == plan_.size() || plan_[given_] != piece)
    return piece.tensor->data.subspan(piece.begin, piece.bytes);
  Slot& slot = slot_of(given_++);
  changed_.wait(lock, [&] { return slot.ready; });
  slot.ready = false;
  if (slot.failed) std::rethrow_exception(slot.failed);
  return slot.bytes;
}

}  // namespace tern
