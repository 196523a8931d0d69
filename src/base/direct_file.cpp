#include "base/direct_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace tern {
namespace {

/// The same file even if another has its name by now; -1 where its file system has no direct reads.
int open_direct(int descriptor) {
  const std::string path = fmt::format("/proc/self/fd/{}", descriptor);
  return ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
}

/// As mincore(2) has it: to all others it says that everything is in memory.
bool may_know_cached(int descriptor) {
  struct stat info;
  if (::fstat(descriptor, &info) != 0) return false;
  return info.st_uid == ::geteuid() || ::faccessat(descriptor, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

}  // namespace

DirectFile::DirectFile(const MappedFile& file)
    : file_(file), knows_cached_(may_know_cached(file.descriptor())) {
  // Who can't see what is cached reads through the cache, which is right in both cases.
  if (knows_cached_) direct_ = open_direct(file.descriptor());
}

DirectFile::~DirectFile() {
  if (direct_ >= 0) ::close(direct_);
}

bool DirectFile::cached(size_t offset, size_t bytes) const {
  if (!knows_cached_ || bytes == 0) return false;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page, length = offset + bytes - begin;
  std::vector<unsigned char> resident((length + page - 1) / page);
  void* address = const_cast<std::byte*>(file_.bytes().data()) + begin;
  if (::mincore(address, length, resident.data()) != 0) return false;
  return std::ranges::all_of(resident, [](unsigned char flags) { return (flags & 1) != 0; });
}

std::span<const std::byte> DirectFile::read(size_t offset, size_t bytes, std::span<std::byte> buffer) const {
  if (cached(offset, bytes)) return file_.bytes().subspan(offset, bytes);
  const size_t begin = offset / kAlignment * kAlignment, ahead = offset - begin;
  const size_t pages = (ahead + bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::span<std::byte> to = buffer.first(pages);
  size_t got = direct_ >= 0 ? read_pages(direct_, begin, to) : 0;
  // Where a file system wants other alignments than this one, the cache has none.
  if (got < ahead + bytes) got = read_pages(file_.descriptor(), begin, to);
  if (got < ahead + bytes) {
    fail(ErrorKind::io, "{}: cannot read {} bytes at {}: {}", file_.path(), bytes, offset,
         errno != 0 ? std::strerror(errno) : "the file has become shorter");
  }
  return to.subspan(ahead, bytes);
}

/// How many bytes from `begin` on were read; errno is 0 where the file had no more.
size_t DirectFile::read_pages(int descriptor, size_t begin, std::span<std::byte> buffer) const {
  size_t done = 0;
  errno = 0;
  while (done < buffer.size()) {
    const ssize_t n =
        ::pread(descriptor, buffer.data() + done, buffer.size() - done, static_cast<off_t>(begin + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
    if (done % kAlignment != 0) break;  // the file's end
  }
  return done;
}

}  // namespace tern
