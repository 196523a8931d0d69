// Packed weights that one start keeps for the next.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "model/pack_model.h"
#include "tests/expect_error.h"
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

TEST_F(Pack, AStaleOneThatCannotBeWrittenIsToldOfOnce) {
  keep();
  TinyConfig other;
  other.seed = 2;
  write_model(other);
  options.pack.read_only = pack;
  options.pack.path = folder / "cache.pack";
  const auto stale = fs::last_write_time(pack);
  {
    const auto loaded = load();
    ask(*loaded);
    wait_while([&] { return !fs::exists(options.pack.path); });
  }
  ASSERT_EQ(warnings().size(), 1u);
  EXPECT_NE(said[0].find(pack), std::string::npos) << said[0];
  EXPECT_NE(said[0].find("into " + options.pack.path), std::string::npos) << said[0];
  said.clear();
  ask(*load());
  EXPECT_EQ(warnings(), std::vector<std::string>()) << "the next start has one of use";
  EXPECT_EQ(fs::last_write_time(pack), stale);
}

TEST_F(Pack, OneThatIsOfUseIsTakenWhereverItLies) {
  const std::vector<float> first = keep();
  options.pack.read_only = pack;
  options.pack.path = folder / "cache.pack";
  for (const bool stale_in_cache : {false, true}) {
    if (stale_in_cache) write_file(options.pack.path, "something else");
    EXPECT_TRUE(same_bits(ask(*load()), first));
    EXPECT_EQ(fs::exists(options.pack.path), stale_in_cache) << "nothing to write";
    EXPECT_EQ(warnings(), std::vector<std::string>());
  }
}

TEST_F(Pack, WithNoPlaceToWriteTheLineSaysWhatToDo) {
  keep();
  const std::string whole = read_file(pack);
  write_file(pack, whole.substr(0, 1000));
  options.pack.read_only = pack;
  options.pack.path.clear();
  ask(*load());
  ASSERT_EQ(warnings().size(), 1u);
  EXPECT_NE(said[0].find("`tern pack`"), std::string::npos) << said[0];
  EXPECT_EQ(fs::file_size(pack), 1000u);
}

TEST_F(Pack, ADamagedOneThatCannotBeRemovedIsNotReadAgain) {
  const std::vector<float> expected = keep();
  flip(0);
  const int descriptor = ::open(pack.c_str(), O_RDONLY);
  options.pack.read_only = fmt::format("/proc/self/fd/{}", descriptor);  // no name that could be removed
  options.pack.path.clear();
  const auto loaded = load();
  wait_while([&] { return warnings().empty(); });
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(20ms);
    EXPECT_TRUE(same_bits(ask(*loaded), expected));
  }
  EXPECT_EQ(warnings().size(), 1u);
  ::close(descriptor);
}

TEST_F(Pack, WrittenAndCheckedWithoutAPass) {
  uint64_t packed = 0, written = 0;
  const GgufFile file = GgufFile::open(model);
  const auto note = [](uint64_t& last) {
    return [&last](uint64_t done, uint64_t wanted) {
      EXPECT_LE(last, done);
      EXPECT_LE(done, wanted);
      last = done == wanted ? wanted : done;
    };
  };
  const uint64_t bytes = write_pack(file, pack, 2, note(packed), note(written));
  EXPECT_EQ(bytes, fs::file_size(pack));
  EXPECT_GT(packed, 0u);
  EXPECT_GT(written, 0u);
  uint64_t checked = 0;
  EXPECT_EQ(check_pack(file, pack, note(checked)), bytes);
  const auto before = fs::last_write_time(pack);
  const std::vector<float> mapped = ask(*load());
  EXPECT_EQ(fs::last_write_time(pack), before) << "it was of use";
  options.pack = {};
  EXPECT_TRUE(same_bits(mapped, ask(*load())));
  flip(bytes / 2);
  expect_error(ErrorKind::bad_input, {pack, "damaged"}, [&] { check_pack(file, pack, {}); });
}

TEST_F(Pack, LoadingTellsHowFarItIs) {
  uint64_t last = 0, all = 0;
  options.pack = {};
  options.progress = [&](uint64_t done, uint64_t wanted) {
    EXPECT_GT(done, last);
    EXPECT_LE(done, wanted);
    last = done;
    EXPECT_TRUE(all == 0 || all == wanted);
    all = wanted;
  };
  load();
  EXPECT_EQ(last, all);
  uint64_t tensors = 0;
  const GgufFile file = GgufFile::open(model);
  for (const GgufTensor& tensor : file.tensors()) tensors += tensor.bytes();
  EXPECT_EQ(all, tensors) << "each byte once";
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
