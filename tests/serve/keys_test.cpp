// The key file, keys, and whose they are.
#include "serve/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

#include "base/atomic_file.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

const std::string kAbc =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // of "abc"
const std::string kEmpty =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";  // of ""

TEST(Keys, AFileHasNamesHashesAndLimits) {
  const auto keys =
      parse_keys("# people\n\n  shop  " + kAbc + " requests=60 tokens=9000\r\nlab\t" + kEmpty, "f");
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].id.name, "shop");
  EXPECT_EQ(keys[0].hash, hash_key("abc"));
  EXPECT_EQ(keys[0].id.limits, (Limits{60, 9000}));
  EXPECT_EQ(keys[1].id.limits, Limits{});
  EXPECT_EQ(keys[1].hash, hash_key(""));
}

TEST(Keys, ABadLineIsNamedByItsNumber) {
  const std::string good = "shop " + kAbc + "\n";
  for (const auto& [line, said] : std::vector<std::pair<std::string, std::string>>{
           {"shop", "64 hexadecimal digits"},
           {"lab sha256:12", "64 hexadecimal digits"},
           {"lab " + kAbc.substr(7), "64 hexadecimal digits"},
           {"lab md5:" + kAbc.substr(7), "64 hexadecimal digits"},
           {"lab " + kAbc.substr(0, 70) + "g", "64 hexadecimal digits"},
           {"lab " + kAbc, "one of an earlier line"},
           {"shop " + kEmpty, "stands on an earlier line"},
           {"sh/op " + kEmpty, "letters, digits"},
           {std::string(65, 'a') + " " + kEmpty, "letters, digits"},
           {"lab " + kEmpty + " requests", "requests=N"},
           {"lab " + kEmpty + " colour=3", "requests=N"},
           {"lab " + kEmpty + " requests=0", "whole number"},
           {"lab " + kEmpty + " requests=-1", "whole number"},
           {"lab " + kEmpty + " requests=1.5", "whole number"},
           {"lab " + kEmpty + " requests=99999999999999999999", "whole number"},
           {"lab " + kEmpty + " tokens=1 tokens=2", "stands twice"},
           {"lab " + kEmpty + " \x1b[31m=1", "?[31m"}}) {
    try {
      parse_keys(good + line + "\n", "keys.txt");
      ADD_FAILURE() << line;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_TRUE(std::string(error.what()).starts_with("keys.txt:2: ")) << error.what();
      EXPECT_NE(std::string(error.what()).find(said), std::string::npos) << error.what();
    }
  }
}

TEST(Keys, AKeyPutInTheFileItselfIsNotShown) {
  try {
    parse_keys("shop tern-secret", "f");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
  }
}

TEST(Keys, AFileWithoutKeysIsRefused) {
  for (const char* text : {"", "\n\n", "# nobody\n"}) EXPECT_THROW(parse_keys(text, "f"), Error) << text;
}

TEST(Keys, NewKeysAreLongAndAllDifferent) {
  std::set<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.insert(new_key());
  EXPECT_EQ(keys.size(), 1000u);
  std::set<char> seen;
  for (const std::string& key : keys) {
    EXPECT_TRUE(key.starts_with("tern-"));
    EXPECT_EQ(key.size(), 5 + 43u);
    seen.insert(key.begin() + 5, key.end());
  }
  EXPECT_EQ(seen.size(), 64u) << "every digit of base64url";
}

class KeyFile : public testing::Test {
 protected:
  void write(const std::string& text) { write_file(path_, text); }
  TemporaryFolder folder_;
  const std::string path_ = folder_ / "keys";
};

TEST_F(KeyFile, AdmitsItsKeysByName) {
  std::string text;
  std::vector<std::string> keys;
  for (int i = 0; i < 20; ++i) {
    keys.push_back(new_key());
    text += key_line(keys.back(), {fmt::format("key{}", i), {static_cast<double>(i), 0}}) + "\n";
  }
  write(text);
  const KeyRing ring(path_);
  for (int i = 0; i < 20; ++i) {
    const auto id = ring.admit(keys[i]);
    ASSERT_TRUE(id);
    EXPECT_EQ(id->name, fmt::format("key{}", i));
    EXPECT_EQ(id->limits, (Limits{static_cast<double>(i), 0}));
    EXPECT_FALSE(ring.admit(keys[i] + "x"));
    EXPECT_FALSE(ring.admit(keys[i].substr(1)));
  }
  EXPECT_FALSE(ring.admit(""));
  EXPECT_FALSE(ring.admit(new_key()));
  EXPECT_FALSE(ring.admit(std::string(1 << 20, 'x')));
}

TEST_F(KeyFile, TheHashIsNoKey) {
  const std::string key = new_key();
  const std::string line = key_line(key, {"shop", {}});
  write(line);
  const KeyRing ring(path_);
  EXPECT_EQ(line.find(key), std::string::npos);
  EXPECT_FALSE(ring.admit(line.substr(5)));
  EXPECT_FALSE(ring.admit(line.substr(12)));
}

TEST_F(KeyFile, ReloadingIsAllOrNothing) {
  const std::string first = new_key(), second = new_key();
  write(key_line(first, {"a", {}}));
  KeyRing ring(path_);
  write(key_line(second, {"a", {}}) + "\nbroken");
  EXPECT_THROW(ring.reload(), Error);
  EXPECT_TRUE(ring.admit(first));
  EXPECT_FALSE(ring.admit(second));
  write(key_line(second, {"a", {}}));
  ring.reload();
  EXPECT_FALSE(ring.admit(first));
  EXPECT_TRUE(ring.admit(second));
  std::filesystem::remove(path_);
  EXPECT_THROW(ring.reload(), Error);
  EXPECT_TRUE(ring.admit(second));
}

TEST_F(KeyFile, WarnsWhereOthersMayReadOrWrite) {
  write("a " + kAbc);
  const KeyRing ring(path_);
  chmod(path_.c_str(), 0600);
  EXPECT_EQ(ring.warning(), "");
  chmod(path_.c_str(), 0640);
  EXPECT_EQ(ring.warning(), "") << "a group may be let read it";
  chmod(path_.c_str(), 0644);
  EXPECT_NE(ring.warning().find("read"), std::string::npos);
  chmod(path_.c_str(), 0660);
  EXPECT_NE(ring.warning().find("write"), std::string::npos);
}

TEST_F(KeyFile, WhatCantBeReadIsAnError) {
  EXPECT_THROW(KeyRing(folder_ / "missing"), Error);
  EXPECT_THROW(KeyRing(folder_.path().string()), Error) << "a folder";
  write(std::string(5 << 20, '\n'));
  EXPECT_THROW(KeyRing{path_}, Error) << "too long";
}

}  // namespace
}  // namespace tern
