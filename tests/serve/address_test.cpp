// Addresses, networks, and who stands behind proxies.
#include "serve/address.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tern {
namespace {

Address address(const char* text) {
  const auto parsed = parse_address(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Address{});
}

TEST(Address, OneClientIsOneAddress) {
  EXPECT_EQ(address("::ffff:10.0.0.1"), address("10.0.0.1"));
  EXPECT_EQ(address("::ffff:10.0.0.1").text(), "10.0.0.1");
  EXPECT_EQ(address("2001:DB8:0:0::1").text(), "2001:db8::1");
  for (const char* text : {"", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "localhost", "[::1]", "::1%lo",
                           "1.2.3.4 ", "127.1", "0x7f.0.0.1"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
  EXPECT_FALSE(parse_address(std::string_view("1.2.3.4\0x", 9)));
}

TEST(Address, Loopback) {
  for (const char* text : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"})
    EXPECT_TRUE(address(text).is_loopback()) << text;
  for (const char* text :
       {"0.0.0.0", "::", "128.0.0.1", "::ffff:0.0.0.0", "10.0.0.1", "::2", "::7f00:1", "fe80::1"})
    EXPECT_FALSE(address(text).is_loopback()) << text;
}

TEST(Address, AClientHasItsNetworkOfIPv6) {
  EXPECT_EQ(address("2001:db8:1:2:3:4:5:6").group(), address("2001:db8:1:2::").group());
  EXPECT_NE(address("2001:db8:1:2::").group(), address("2001:db8:1:3::").group());
  EXPECT_EQ(address("10.0.0.1").group(), address("10.0.0.1"));
  EXPECT_EQ(address("::1").group(), address("::1"));
}

TEST(Address, Networks) {
  EXPECT_TRUE(parse_network("10.0.0.0/8").has(address("10.200.0.1")));
  EXPECT_FALSE(parse_network("10.0.0.0/8").has(address("11.0.0.1")));
  EXPECT_TRUE(parse_network("10.0.0.128/25").has(address("10.0.0.255")));
  EXPECT_FALSE(parse_network("10.0.0.128/25").has(address("10.0.0.127")));
  EXPECT_TRUE(parse_network("0.0.0.0/0").has(address("9.9.9.9")));
  EXPECT_FALSE(parse_network("0.0.0.0/0").has(address("2001:db8::1")));
  EXPECT_TRUE(parse_network("2001:db8::/33").has(address("2001:db8:7fff::1")));
  EXPECT_FALSE(parse_network("2001:db8::/33").has(address("2001:db8:8000::1")));
  EXPECT_TRUE(parse_network("::1").has(address("::1")));
  EXPECT_FALSE(parse_network("10.0.0.1").has(address("10.0.0.2")));
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x", "::/129", "proxy", "*"})
    EXPECT_THROW(parse_network(text), Error) << text;
}

TEST(Address, TheLastWhoIsNoTrustedProxyAsks) {
  const std::vector<Network> trusted = {parse_network("10.0.0.0/8"), parse_network("::1")};
  const auto who = [&](const char* peer, std::string_view forwarded) {
    return client_address(address(peer), forwarded, trusted).text();
  };
  EXPECT_EQ(who("9.9.9.9", "1.1.1.1"), "9.9.9.9") << "anybody may write the header";
  EXPECT_EQ(who("10.0.0.1", "1.1.1.1"), "1.1.1.1");
  EXPECT_EQ(who("::1", "1.1.1.1"), "1.1.1.1");
  EXPECT_EQ(who("::ffff:10.0.0.1", "1.1.1.1"), "1.1.1.1");
  EXPECT_EQ(who("10.0.0.1", "6.6.6.6, 1.1.1.1"), "1.1.1.1") << "what stands before is the client's claim";
  EXPECT_EQ(who("10.0.0.1", "6.6.6.6, 1.1.1.1 ,10.0.0.2"), "1.1.1.1");
  EXPECT_EQ(who("10.0.0.1", "10.0.0.3,10.0.0.2"), "10.0.0.3");
  EXPECT_EQ(who("10.0.0.1", ""), "10.0.0.1");
  EXPECT_EQ(who("10.0.0.1", "unknown"), "10.0.0.1");
  EXPECT_EQ(who("10.0.0.1", "1.1.1.1, junk, 10.0.0.2"), "10.0.0.2") << "nothing behind junk is believed";
  EXPECT_EQ(who("10.0.0.1", ",,,"), "10.0.0.1");
  EXPECT_EQ(who("10.0.0.1", "1.1.1.1:443"), "1.1.1.1");
  EXPECT_EQ(who("10.0.0.1", "[2001:db8::1]:443"), "2001:db8::1");
  EXPECT_EQ(who("10.0.0.1", "2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(who("10.0.0.1", "["), "10.0.0.1");
}

}  // namespace
}  // namespace tern
