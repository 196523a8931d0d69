// Packed weights that one start keeps for the next.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "tests/model/runner.h"
#include "tests/model/tiny_file.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// For five seconds at most.
template <typename Holds>
void wait_while(const Holds& holds) {
  for (int i = 0; i < 500 && holds(); ++i) std::this_thread::sleep_for(10ms);
}

class Pack : public testing::Test {
 protected:
  Pack() {
    write_model({});
    options.pack.path = pack;
    options.pack.least_bytes = 0;
    options.pack.warn = [this](const std::string& what) {
      const std::lock_guard lock(mutex);
      said.push_back(what);
    };
  }

  void write_model(const TinyConfig& config) const {
    const std::vector<std::byte> bytes = tiny_file(config).bytes();
    AtomicFile file(model);
    file.write(bytes);
    file.commit();
  }

  std::unique_ptr<Model> load() const { return load_model(GgufFile::open(model), options); }

  static std::vector<float> ask(Model& model) {
    std::vector<int32_t> tokens(20);
    std::iota(tokens.begin(), tokens.end(), 3);
    return run_fresh(model, tokens, 7);
  }

  /// Loads, asks, and waits until the packed file is there.
  std::vector<float> keep() const {
    const auto loaded = load();
    std::vector<float> logits = ask(*loaded);
    wait_while([&] { return !fs::exists(pack); });
    return logits;
  }

  std::vector<std::string> warnings() {
    const std::lock_guard lock(mutex);
    return said;
  }

  void flip(uint64_t offset) const {
    std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x40));
  }

  const TemporaryFolder folder;
  const std::string model = folder / "model.gguf", pack = folder / "model.gguf.pack";
  ModelOptions options;
  std::mutex mutex;
  std::vector<std::string> said;
};

TEST_F(Pack, TheNextStartHasTheSameBits) {
  for (const bool split : {true, false}) {
    TinyConfig config;
    config.split = split;
    config.layers = 4;
    write_model(config);
    const std::vector<float> first = keep();
    ASSERT_TRUE(fs::exists(pack));
    const auto written = fs::last_write_time(pack);
    const auto again = load();
    EXPECT_TRUE(same_bits(ask(*again), first));
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(fs::last_write_time(pack), written) << "it was used, not written again";
    EXPECT_EQ(warnings(), std::vector<std::string>()) << "split " << split;
    fs::remove(pack);
  }
}

TEST_F(Pack, IsWrittenAfterTheFirstPassOnly) {
  const auto loaded = load();
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(fs::exists(pack));
}

TEST_F(Pack, SmallModelsAreNotKept) {
  options.pack.least_bytes = 1 << 30;
  const auto loaded = load();
  ask(*loaded);
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(fs::exists(pack));
}

TEST_F(Pack, OfAnotherModelIsWrittenAnew) {
  keep();
  TinyConfig other;
  other.seed = 2;
  write_model(other);
  options.pack.path.clear();
  const std::vector<float> expected = ask(*load());
  options.pack.path = pack;
  {
    const auto loaded = load();
    ASSERT_EQ(warnings().size(), 1u);
    EXPECT_NE(said[0].find("made from another model file"), std::string::npos) << said[0];
    const auto stale = fs::last_write_time(pack);
    EXPECT_TRUE(same_bits(ask(*loaded), expected));
    wait_while([&] { return fs::last_write_time(pack) == stale; });
  }
  EXPECT_TRUE(same_bits(ask(*load()), expected));
  EXPECT_EQ(warnings().size(), 1u) << "the new one is of use";
}

TEST_F(Pack, CutAnywhereIsRefusedInALine) {
  const std::vector<float> expected = keep();
  const std::string whole = read_file(pack);
  std::vector<size_t> lengths = {0, 1, 55, 56, 57, 4096, whole.size() / 2, whole.size() - 8};
  for (size_t i = 1; i < 80; ++i) lengths.push_back(whole.size() - i);
  for (const size_t length : lengths) {
    said.clear();
    write_file(pack, std::string_view(whole).substr(0, length));
    const auto loaded = load();
    ASSERT_EQ(warnings().size(), 1u) << length;
    EXPECT_EQ(said[0].find(pack), 0u) << said[0];
    EXPECT_EQ(said[0].find('\n'), std::string::npos);
  }
  EXPECT_TRUE(same_bits(ask(*load()), expected));
}

TEST_F(Pack, EveryBitBehindTheBlocksCounts) {
  keep();
  const std::string whole = read_file(pack);
  for (size_t at = whole.size() - 64; at < whole.size(); ++at) {  // a sum and the footer
    for (int bit = 0; bit < 8; ++bit) {
      said.clear();
      std::string spoilt = whole;
      spoilt[at] = static_cast<char>(spoilt[at] ^ (1 << bit));
      write_file(pack, spoilt);
      const auto loaded = load();
      ASSERT_EQ(warnings().size(), 1u) << at << " " << bit;
    }
  }
}

TEST_F(Pack, DamagedBlocksAreNoticedAndPackedAnew) {
  const std::vector<float> expected = keep();
  for (const uint64_t offset : {uint64_t{0}, fs::file_size(pack) / 2, fs::file_size(pack) - 65}) {
    said.clear();
    flip(offset);
    {
      const auto loaded = load();
      wait_while([&] { return warnings().empty(); });
      ASSERT_EQ(warnings().size(), 1u) << offset;
      EXPECT_NE(said[0].find("damaged"), std::string::npos) << said[0];
      wait_while([&] { return fs::exists(pack); });
      EXPECT_TRUE(same_bits(ask(*loaded), expected));
      wait_while([&] { return !fs::exists(pack); });
    }
    ASSERT_TRUE(fs::exists(pack)) << "written anew";
    said.clear();
    EXPECT_TRUE(same_bits(ask(*load()), expected));
    EXPECT_EQ(warnings(), std::vector<std::string>());
  }
}

TEST_F(Pack, NoPlaceForItIsAWarning) {
  options.pack.path = folder / "missing/model.pack";
  const auto loaded = load();
  const std::vector<float> logits = ask(*loaded);
  EXPECT_FALSE(logits.empty());
  wait_while([&] { return warnings().empty(); });
  ASSERT_EQ(warnings().size(), 1u);
  EXPECT_EQ(said[0].find(options.pack.path), 0u) << said[0];
}

TEST_F(Pack, AModelInMemoryHasNone) {
  const std::vector<std::byte> bytes = tiny_file({}).bytes();
  const auto loaded = load_model(GgufFile::parse(bytes, "tiny"), options);
  ask(*loaded);
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(fs::exists(pack));
  EXPECT_EQ(warnings(), std::vector<std::string>());
}

}  // namespace
}  // namespace tern
