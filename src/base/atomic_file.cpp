#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/error.h"

namespace tern {

namespace {

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string descriptor_path(int fd) {
  return fmt::format("/proc/self/fd/{}", fd);
}

/// A file without a name in the folder of `path`; -1 where the file system, or a system without /proc, has
/// none.
int open_nameless(const std::string& path) {
  const int fd = ::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (fd < 0 || ::access(descriptor_path(fd).c_str(), F_OK) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(path + ".tmp") {
  int fd = open_nameless(path);
  nameless_ = fd >= 0;
  if (!nameless_) fd = ::open(temporary_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
  if (fd >= 0) file_ = ::fdopen(fd, "wb");
  if (!file_) fail(ErrorKind::io, "{}: cannot create: {}", path_, std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (!file_) return;
  std::fclose(file_);
  if (!nameless_) ::unlink(temporary_.c_str());
}

/// Gives a nameless file the temporary name, which a killed process may have left behind.
bool AtomicFile::give_name() {
  if (!nameless_) return true;
  ::unlink(temporary_.c_str());
  return ::linkat(AT_FDCWD, descriptor_path(::fileno(file_)).c_str(), AT_FDCWD, temporary_.c_str(),
                  AT_SYMLINK_FOLLOW) == 0;
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;  // an empty span may be null, which fwrite may not be given
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
    fail(ErrorKind::io, "{}: cannot write: {}", path_, std::strerror(errno));
  }
  written_ += bytes.size();
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::sync_ahead() {
  if (std::fflush(file_) != 0) fail(ErrorKind::io, "{}: cannot write: {}", path_, std::strerror(errno));
  const auto range = [&](size_t begin, size_t end, unsigned flags) {
    if (::sync_file_range(::fileno(file_), static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                          flags) == 0)
      return;
    // An error of the disk is told once, here. What a file system can't do is left to commit().
    if (errno != ENOSYS && errno != EINVAL && errno != ESPIPE)
      fail(ErrorKind::io, "{}: cannot write: {}", path_, std::strerror(errno));
  };
  if (written_ > syncing_) range(syncing_, written_, SYNC_FILE_RANGE_WRITE);
  if (syncing_ > synced_) {
    range(synced_, syncing_,
          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  }
  synced_ = syncing_;
  syncing_ = written_;
}

void AtomicFile::commit() {
  const bool ready = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0 && give_name();
  int error = ready ? 0 : errno;
  if (std::fclose(file_) != 0 && error == 0) error = errno;
  file_ = nullptr;
  if (error == 0 && std::rename(temporary_.c_str(), path_.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary_.c_str());
    fail(ErrorKind::io, "{}: cannot write: {}", path_, std::strerror(error));
  }
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);  // makes the rename itself durable
    ::close(folder);
  }
}

std::string read_file(const std::string& path, size_t most) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) fail(ErrorKind::io, "{}: cannot open: {}", path, std::strerror(errno));
  std::string text;
  char buffer[65536];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    text.append(buffer, n);
    if (text.size() > most) fail(ErrorKind::limit, "{}: larger than {} bytes", path, most);
  }
  if (std::ferror(file.get())) fail(ErrorKind::io, "{}: cannot read: {}", path, std::strerror(errno));
  return text;
}

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace tern
