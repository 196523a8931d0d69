#include "serve/grpc/connections.h"

#include <optional>

#include <sys/stat.h>

namespace tern {
namespace {

std::optional<ino_t> inode_of(int socket) {
  struct stat about;
  if (fstat(socket, &about) != 0) return std::nullopt;
  return about.st_ino;
}

}  // namespace

void Connections::add(int socket) {
  if (const auto inode = inode_of(socket)) sockets_.emplace_back(socket, *inode);
}

bool Connections::full(size_t most) {
  if (sockets_.size() < most) return false;
  std::erase_if(sockets_, [](const auto& one) { return inode_of(one.first) != one.second; });
  return sockets_.size() >= most;
}

}  // namespace tern
