// Files in pieces: any one opens the whole, and pieces that don't belong together are told apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "files/gguf.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

struct Piece {
  int number = 0, count = 3, tensors = 3;
  std::string architecture;  ///< empty: no such key, as in all pieces but the first
  std::string tensor;
};

GgufWriter writer_of(const Piece& piece) {
  GgufWriter writer;
  if (!piece.architecture.empty()) writer.add_string("general.architecture", piece.architecture);
  writer.add_u16("split.no", static_cast<uint16_t>(piece.number));
  writer.add_u16("split.count", static_cast<uint16_t>(piece.count));
  writer.add_i32("split.tensors.count", piece.tensors);
  if (piece.number == 0) writer.add_u32("last.key", 7);
  const auto value = static_cast<std::byte>(piece.number + 1);
  writer.add_tensor(piece.tensor, DType::f32, {2}, std::vector<std::byte>(8, value));
  return writer;
}

std::vector<Piece> three_pieces() {
  return {{.number = 0, .architecture = "llama", .tensor = "a"},
          {.number = 1, .tensor = "b"},
          {.number = 2, .tensor = "c"}};
}

std::string piece_name(int number, int count) {
  return fmt::format("model-{:05}-of-{:05}.gguf", number, count);
}

/// Writes the pieces under their right names after `spoil` had its way with them.
void write_pieces(const TemporaryFolder& folder, const std::function<void(std::vector<Piece>&)>& spoil) {
  std::vector<Piece> pieces = three_pieces();
  spoil(pieces);
  for (size_t i = 0; i < pieces.size(); ++i) {
    writer_of(pieces[i]).write(folder / piece_name(static_cast<int>(i + 1), 3));
  }
}

TEST(GgufSplit, AnyPieceOpensTheWhole) {
  const TemporaryFolder folder;
  write_pieces(folder, [](auto&) {});
  for (int i = 1; i <= 3; ++i) {
    const std::string path = folder / piece_name(i, 3);
    const GgufFile file = GgufFile::open(path);
    EXPECT_EQ(file.name(), folder / piece_name(1, 3));
    ASSERT_EQ(file.tensors().size(), 3u);
    uint64_t bytes = 0;
    for (int piece = 1; piece <= 3; ++piece) {
      bytes += std::filesystem::file_size(folder / piece_name(piece, 3));
      const GgufTensor& tensor = file.tensor(std::string(1, static_cast<char>('a' + piece - 1)));
      ASSERT_EQ(tensor.data.size(), 8u);
      EXPECT_EQ(tensor.data[0], static_cast<std::byte>(piece));
      ASSERT_NE(tensor.mapping, nullptr);
      EXPECT_EQ(tensor.mapping->path(), folder / piece_name(piece, 3));
      tensor.release();
      EXPECT_EQ(tensor.data[7], static_cast<std::byte>(piece));
    }
    EXPECT_EQ(file.file_bytes(), bytes);
  }
}

TEST(GgufSplit, TheWholeHasNoKeysOfItsPieces) {
  const TemporaryFolder folder;
  write_pieces(folder, [](auto&) {});
  const GgufFile file = GgufFile::open(folder / piece_name(2, 3));
  EXPECT_EQ(file.metadata().size(), 2u);
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  EXPECT_EQ(file.get_uint("last.key"), 7u);
  EXPECT_EQ(file.stored("last.key").size(), 8u);
  EXPECT_EQ(file.stored("last.key")[4], std::byte{7});
  EXPECT_EQ(file.find("split.count"), nullptr);
  EXPECT_TRUE(file.stored("split.count").empty());
}

TEST(GgufSplit, AMissingPieceIsNamed) {
  const TemporaryFolder folder;
  write_pieces(folder, [](auto&) {});
  std::filesystem::remove(folder / piece_name(2, 3));
  expect_error(ErrorKind::io, {"piece 2 of 3 is missing", piece_name(2, 3)},
               [&] { GgufFile::open(folder / piece_name(1, 3)); });
}

TEST(GgufSplit, ARenamedPieceIsToldTheNameItNeeds) {
  const TemporaryFolder folder;
  write_pieces(folder, [](auto&) {});
  for (const char* name : {"renamed.gguf", "model-00001-of-00002.gguf", "model-1-of-3.gguf"}) {
    std::filesystem::copy(folder / piece_name(1, 3), folder / name);
    const std::string path = folder / name;
    expect_error(ErrorKind::bad_input, {path, "one of 3 pieces", "-00001-of-00003.gguf"},
                 [&] { GgufFile::open(path); });
  }
}

struct Spoiled {
  const char* name;
  std::function<void(std::vector<Piece>&)> spoil;
  std::vector<std::string> mentions;
};

TEST(GgufSplit, PiecesThatDontBelongTogetherAreRefused) {
  const std::vector<Spoiled> all = {
      {"duplicated", [](auto& p) { p[2] = p[1]; }, {piece_name(3, 3), "split.no", "expected 2", "found 1"}},
      {"swapped", [](auto& p) { std::swap(p[1], p[2]); }, {piece_name(2, 3), "split.no"}},
      {"of_more",
       [](auto& p) { p[1].count = 4; },
       {piece_name(2, 3), "split.count", "expected 3", "found 4"}},
      {"another_sum", [](auto& p) { p[1].tensors = 4; }, {piece_name(2, 3), "split.tensors.count"}},
      {"too_few_tensors",
       [](auto& p) {
         for (Piece& piece : p) piece.tensors = 9;
       },
       {"split.tensors.count", "3 tensors", "found 9"}},
      {"tensor_twice", [](auto& p) { p[2].tensor = "b"; }, {piece_name(3, 3), "'b'", "earlier piece"}},
      {"foreign",
       [](auto& p) { p[1].architecture = "qwen2"; },
       {piece_name(2, 3), "another model", "'qwen2'"}},
  };
  for (const Spoiled& spoiled : all) {
    SCOPED_TRACE(spoiled.name);
    const TemporaryFolder folder;
    write_pieces(folder, spoiled.spoil);
    expect_error_range(ErrorKind::bad_input, spoiled.mentions,
                       [&] { GgufFile::open(folder / piece_name(1, 3)); });
  }
}

TEST(GgufSplit, AFileThatIsNoPieceAmongTheirNamesIsRefused) {
  const TemporaryFolder folder;
  write_pieces(folder, [](auto&) {});
  GgufWriter plain;
  plain.add_tensor("b", DType::f32, {1}, std::vector<std::byte>(4));
  plain.write(folder / piece_name(2, 3));
  expect_error(ErrorKind::bad_input, {piece_name(2, 3), "split.no", "no such key"},
               [&] { GgufFile::open(folder / piece_name(1, 3)); });
}

TEST(GgufSplit, AnAbsurdCountIsRefusedBeforeAnyIsLookedFor) {
  const TemporaryFolder folder;
  GgufWriter writer;
  writer.add_u64("split.count", uint64_t{1} << 40);
  writer.write(folder / "a.gguf");
  expect_error(ErrorKind::limit, {"split.count", "65535"}, [&] { GgufFile::open(folder / "a.gguf"); });
}

TEST(GgufSplit, OnePieceIsAFileLikeAnother) {
  const TemporaryFolder folder;
  writer_of({.count = 1, .tensors = 1, .architecture = "llama", .tensor = "a"})
      .write(folder / "whatever.gguf");
  EXPECT_EQ(GgufFile::open(folder / "whatever.gguf").tensors().size(), 1u);
}

}  // namespace
}  // namespace tern
