#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/error.h"

namespace tern {

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(path + ".tmp") {
  file_ = std::fopen(temporary_.c_str(), "wb");
  if (!file_) fail(ErrorKind::io, "{}: cannot create: {}", temporary_, std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (!file_) return;
  std::fclose(file_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;  // an empty span may be null, which fwrite may not be given
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
    fail(ErrorKind::io, "{}: cannot write: {}", temporary_, std::strerror(errno));
  }
  written_ += bytes.size();
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  const bool synced = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0;
  const bool closed = std::fclose(file_) == 0;
  file_ = nullptr;
  if (!synced || !closed || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    fail(ErrorKind::io, "{}: cannot write: {}", path_, std::strerror(error));
  }
  const auto parent = std::filesystem::absolute(path_).parent_path();
  const int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
