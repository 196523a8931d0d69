#include "serve/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "base/error.h"

namespace tern {
namespace {

constexpr size_t kMostKeys = 10'000;
constexpr size_t kMostBytes = 4 << 20;
constexpr size_t kLongestKey = 512;
constexpr std::string_view kHashPrefix = "sha256:";

bool is_name(std::string_view text) {
  const std::string_view others = "._-";
  for (const unsigned char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && others.find(static_cast<char>(c)) == std::string_view::npos) return false;
  }
  return !text.empty() && text.size() <= 64;
}

constexpr const char* kNameRule = "a name has 1 to 64 letters, digits, dots, hyphens or underscores";

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> all;
  while (true) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return all;
    line.remove_prefix(begin);
    const size_t size = std::min(line.find_first_of(" \t\r"), line.size());
    all.push_back(line.substr(0, size));
    line.remove_prefix(size);
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Nothing where it is no "sha256:" with 64 hexadecimal digits.
std::optional<KeyHash> read_hash(std::string_view text) {
  KeyHash hash;
  if (!text.starts_with(kHashPrefix)) return std::nullopt;
  text.remove_prefix(kHashPrefix.size());
  if (text.size() != hash.size() * 2) return std::nullopt;
  for (size_t i = 0; i < hash.size(); ++i) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    hash[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return hash;
}

void read_limit(std::string_view word, Limits& limits) {
  const size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  double* limit = name == "requests" ? &limits.requests : name == "tokens" ? &limits.tokens : nullptr;
  if (!limit || equals == std::string_view::npos)
    fail(ErrorKind::bad_input, "\"{}\": expected requests=N or tokens=N", word);
  if (*limit > 0) fail(ErrorKind::bad_input, "{} stands twice", name);
  try {
    *limit = parse_rate(std::string(word.substr(equals + 1)) + "/min");
  } catch (const Error&) {
    fail(ErrorKind::bad_input, "\"{}\": expected a whole number from 1 to 1000000000", word);
  }
}

Key read_line(const std::vector<std::string_view>& line) {
  if (!is_name(line[0])) fail(ErrorKind::bad_input, "\"{}\": {}", line[0], kNameRule);
  const auto hash = line.size() > 1 ? read_hash(line[1]) : std::nullopt;
  // The word itself isn't shown: it may be a key that somebody put there.
  if (!hash)
    fail(ErrorKind::bad_input,
         "after the name \"{}\" expected sha256: and 64 hexadecimal digits, as `tern keys new` prints them",
         line[0]);
  Key key{{std::string(line[0]), {}}, *hash};
  for (size_t i = 2; i < line.size(); ++i) read_limit(line[i], key.id.limits);
  return key;
}

/// Printable text for messages about a file that may hold anything.
std::string printable(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) out += c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '?';
  return out;
}

std::string read_file(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) fail(ErrorKind::io, "{}: {}", path, std::strerror(errno));
  // A pipe would give its keys once, and hold up everybody when it is read again.
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::bad_input, "{}: a key file must be a plain file", path);
  if (static_cast<uint64_t>(status.st_size) > kMostBytes)
    fail(ErrorKind::limit, "{}: more than the {} bytes a key file may have", path, kMostBytes);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::io, "{}: {}", path, std::strerror(errno));
  std::string text(static_cast<size_t>(status.st_size), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) fail(ErrorKind::io, "{}: can't be read", path);
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

std::shared_ptr<const std::vector<Key>> load(const std::string& path) {
  return std::make_shared<const std::vector<Key>>(parse_keys(read_file(path), path));
}

}  // namespace

std::vector<Key> parse_keys(std::string_view text, const std::string& where) {
  std::vector<Key> keys;
  std::set<std::string> names;
  std::set<KeyHash> hashes;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t size = std::min(text.find('\n'), text.size());
    const auto line = words(text.substr(0, size));
    text.remove_prefix(std::min(size + 1, text.size()));
    if (line.empty() || line[0].starts_with('#')) continue;
    try {
      Key key = read_line(line);
      if (!names.insert(key.id.name).second)
        fail(ErrorKind::bad_input, "the name \"{}\" stands on an earlier line, too", key.id.name);
      if (!hashes.insert(key.hash).second)
        fail(ErrorKind::bad_input, "the key of \"{}\" is one of an earlier line, too", key.id.name);
      keys.push_back(std::move(key));
    } catch (const Error& error) {
      fail(ErrorKind::bad_input, "{}:{}: {}", where, number, printable(error.what()));
    }
    if (keys.size() > kMostKeys) fail(ErrorKind::limit, "{}:{}: more than {} keys", where, number, kMostKeys);
  }
  if (keys.empty()) fail(ErrorKind::bad_input, "{}:1: holds no key; `tern keys new NAME` makes one", where);
  return keys;
}

std::string new_key() {
  std::array<uint8_t, 32> chance;
  size_t filled = 0;
  while (filled < chance.size()) {
    const ssize_t got = getrandom(chance.data() + filled, chance.size() - filled, 0);
    if (got < 0 && errno != EINTR) fail(ErrorKind::io, "no random bytes: {}", std::strerror(errno));
    if (got > 0) filled += static_cast<size_t>(got);
  }
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string key = "tern-";
  uint32_t bits = 0;
  int held = 0;
  for (const uint8_t byte : chance) {
    bits = bits << 8 | byte;
    for (held += 8; held >= 6; held -= 6) key += kDigits[bits >> (held - 6) & 63];
  }
  key += kDigits[bits << (6 - held) & 63];
  OPENSSL_cleanse(chance.data(), chance.size());
  return key;
}

KeyHash hash_key(std::string_view key) {
  KeyHash hash;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), hash.data());
  return hash;
}

std::string key_line(std::string_view key, const KeyId& id) {
  if (!is_name(id.name)) fail(ErrorKind::bad_input, "\"{}\": {}", printable(id.name), kNameRule);
  std::string line = fmt::format("{} {}", id.name, kHashPrefix);
  for (const uint8_t byte : hash_key(key)) line += fmt::format("{:02x}", byte);
  if (id.limits.requests > 0) line += fmt::format(" requests={:.0f}", id.limits.requests);
  if (id.limits.tokens > 0) line += fmt::format(" tokens={:.0f}", id.limits.tokens);
  return line;
}

KeyRing::KeyRing(std::string path) : path_(std::move(path)), keys_(load(path_)) {}

void KeyRing::reload() {
  auto keys = load(path_);
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
}

std::shared_ptr<const std::vector<Key>> KeyRing::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

std::optional<KeyId> KeyRing::admit(std::string_view key) const {
  if (key.empty() || key.size() > kLongestKey) return std::nullopt;
  const KeyHash hash = hash_key(key);
  const auto all = keys();
  size_t found = all->size();
  // Every key is compared to its end and the index chosen without a branch.
  for (size_t i = 0; i < all->size(); ++i) {
    const size_t same = CRYPTO_memcmp(hash.data(), (*all)[i].hash.data(), hash.size()) == 0;
    const size_t mask = ~same + 1;
    found = (found & ~mask) | (i & mask);
  }
  if (found == all->size()) return std::nullopt;
  return (*all)[found].id;
}

std::string KeyRing::warning() const {
  struct stat status;
  if (stat(path_.c_str(), &status) != 0) return "";
  if (status.st_mode & (S_IWGRP | S_IWOTH))
    return fmt::format("others may write {}, and so let themselves in: chmod 600 {}", path_, path_);
  if (status.st_mode & S_IROTH) return fmt::format("others may read {}: chmod 600 {}", path_, path_);
  return "";
}

}  // namespace tern
