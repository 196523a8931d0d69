// How many connections gRPC holds, which it doesn't say itself.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace tern {

/// Sockets that were given away, told apart from later ones with the same descriptor by their inodes.
class Connections {
 public:
  void add(int socket);
  /// Whether `most` of them are still open. Looks only where so many were added.
  bool full(size_t most);

 private:
  std::vector<std::pair<int, ino_t>> sockets_;
};

}  // namespace tern
