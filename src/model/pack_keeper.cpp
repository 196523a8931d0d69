#include "model/pack_keeper.h"

#include <unistd.h>

#include <exception>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/threads.h"

namespace tern {

PackKeeper::~PackKeeper() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void PackKeeper::warn(const std::string& what) const {
  if (options_.warn) options_.warn(what);
}

std::shared_ptr<const PackedFile> PackKeeper::open() const {
  std::string wrong;
  for (const std::string& path : {options_.path, options_.read_only}) {
    if (path.empty() || ::access(path.c_str(), F_OK) != 0) continue;
    try {
      return std::make_shared<const PackedFile>(path, identity_);
    } catch (const Error& error) {
      if (wrong.empty()) wrong = error.what();
    }
  }
  if (wrong.empty()) return nullptr;
  if (options_.path.empty()) {
    warn(fmt::format("{}; the weights are packed at each start until `tern pack` writes it anew", wrong));
  } else {
    warn(fmt::format("{}; the weights are packed anew, into {}", wrong, options_.path));
  }
  return nullptr;
}

template <typename Work>
void PackKeeper::start(Work work) {
  thread_ = std::thread([this, work = std::move(work)] {
    name_thread("tern-pack");
    prefer_others();
    try {
      work();
    } catch (const std::exception& error) {
      warn(fmt::format("{}; later starts pack the weights again", error.what()));
    }
  });
}

void PackKeeper::write(std::span<const PackBlock> blocks) {
  if (thread_.joinable() || options_.path.empty()) return;
  uint64_t bytes = 0;
  for (const PackBlock& block : blocks) bytes += block.bytes;
  if (bytes < options_.least_bytes) return;
  start([this, blocks] { write_packed_file(options_.path, identity_, blocks, stop_); });
}

void PackKeeper::check(std::shared_ptr<const PackedFile> file) {
  start([this, file = std::move(file)] {
    for (size_t chunk = 0; chunk < file->chunks() && !stop_; ++chunk) {
      if (file->intact(chunk)) continue;
      warn(fmt::format("{}: damaged; the weights are packed anew", file->path()));
      damaged_ = true;
      ::unlink(file->path().c_str());  // who packs anew waits for this thread first
      return;
    }
  });
}

}  // namespace tern
