// Any bytes as a key file: refused with the line's number, or keys whose lines read as the same keys. And as
// names of hosts and addresses, which clients and proxies write.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "serve/address.h"
#include "serve/keys.h"
#include "serve/sources.h"
#include "tests/fuzz/require.h"

#include "base/error.h"

namespace tern {
namespace {

void check_keys(std::string_view text) {
  try {
    const auto keys = parse_keys(text, "keys");
    require(!keys.empty(), "a file without keys is refused");
    for (const Key& key : keys) {
      const auto again = parse_keys(key_line("", key.id), "keys");
      require(again.size() == 1 && again[0].id.name == key.id.name, "a name stays the same");
      require(again[0].id.limits == key.id.limits, "limits stay the same");
    }
  } catch (const Error& error) {
    const std::string_view said = error.what();
    require(said.starts_with("keys:") && said.size() > 6 && said[5] >= '1' && said[5] <= '9',
            "the line is told");
    for (const unsigned char c : said) require(c >= 0x20 && c < 0x7f, "nothing of a terminal's is shown");
  }
}

void check_names(std::string_view text) {
  if (const auto name = host_name(text)) {
    require(host_name(*name) == name, "a host's name is its own name");
    require(name->find_first_of("/@ \r\n") == std::string::npos, "a host is no more than a host");
  }
  const std::vector<Network> trusted = {parse_network("10.0.0.0/8")};
  const Address client = client_address(*parse_address("10.0.0.1"), text, trusted);
  require(parse_address(client.text()) == client, "an address reads as itself");
  try {
    const Network network = parse_network(std::string(text));
    require(network.bits >= 0 && network.bits <= 128 && network.has(network.address),
            "a network has its address");
  } catch (const Error&) {
  }
  try {
    const std::string origin = parse_allowed_origin(std::string(text));
    require(origin.find('*') == std::string::npos && origin.find("://") != std::string::npos,
            "an origin is one");
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tern::check_keys(text);
  tern::check_names(text);
  return 0;
}
