// API keys: made by chance, kept as hashes in a file, compared in constant time.
//
// The file has a key a line, `NAME sha256:HEX [requests=N] [tokens=N]`, limits by the minute; empty lines and
// those that begin with # are left out. A plain SHA-256 is enough because a key is 256 bits of chance: nobody
// guesses it, so nothing is gained by making each guess slow, and a slow hash would cost every request.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/limits.h"

namespace tern {

/// Whose key it was. The name stays the same when the file is read again; a limit of 0 is not set.
struct KeyId {
  std::string name;
  Limits limits;
};

using KeyHash = std::array<uint8_t, 32>;

struct Key {
  KeyId id;
  KeyHash hash;
};

/// The lines of a key file. Throws Error{bad_input | limit} that begins with `where`:LINE.
std::vector<Key> parse_keys(std::string_view text, const std::string& where);

/// "tern-" and 43 characters of base64url: 256 bits of the system's generator. Throws Error{io}.
std::string new_key();
KeyHash hash_key(std::string_view key);
/// The line of a key file. Throws Error{bad_input} for a name that no line may have.
std::string key_line(std::string_view key, const KeyId& id);

/// The keys of one file. Thread-safe.
class KeyRing {
 public:
  /// Reads the file. Throws Error{io | bad_input | limit}.
  explicit KeyRing(std::string path);
  /// Reads it again, all or nothing: where that throws, the old keys stay.
  void reload();
  /// Whose key this is. Takes the same time whichever key it is, or none.
  std::optional<KeyId> admit(std::string_view key) const;
  size_t size() const { return keys()->size(); }
  const std::string& path() const { return path_; }
  /// What is wrong with who may read or write the file, "" where nothing is.
  std::string warning() const;

 private:
  std::shared_ptr<const std::vector<Key>> keys() const;
  std::string path_;
  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<Key>> keys_;
};

}  // namespace tern
