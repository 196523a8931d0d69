#include "model/tensor_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "base/atomic_file.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

class Stream : public testing::Test {
 protected:
  /// `count` tensors of `bytes` each, one behind the other in a file.
  void make(size_t count, size_t bytes) {
    std::string text(count * bytes, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 1000);
    write_file(path, text);
    file.emplace(path);
    tensors.resize(count);
    for (size_t i = 0; i < count; ++i) {
      tensors[i].data = file->bytes().subspan(i * bytes, bytes);
      tensors[i].mapping = &*file;
    }
  }

  static testing::AssertionResult same(std::span<const std::byte> bytes, const TensorPiece& piece) {
    const auto expected = piece.tensor->data.subspan(piece.begin, piece.bytes);
    if (bytes.size() == expected.size() && std::memcmp(bytes.data(), expected.data(), bytes.size()) == 0)
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << "other bytes than the tensor's at " << piece.begin;
  }

  const TemporaryFolder folder;
  const std::string path = folder / "file";
  std::optional<MappedFile> file;
  std::vector<GgufTensor> tensors;
};

TEST_F(Stream, GivesEveryPieceOfAPlanInAnyOrderOfTheFile) {
  make(5, 100'001);
  std::vector<TensorPiece> plan;
  for (const size_t i : {3, 0, 4, 1, 2}) {
    for (size_t begin = 0; begin < 100'001; begin += 10'007)
      plan.push_back({&tensors[i], begin, std::min<size_t>(10'007, 100'001 - begin)});
  }
  TensorStream stream(plan);
  for (const TensorPiece& piece : plan) ASSERT_TRUE(same(stream.next(piece), piece));
}

TEST_F(Stream, WhatIsNotPlannedComesFromTheMap) {
  make(3, 5'000);
  TensorStream stream({{&tensors[0], 0, 5'000}, {&tensors[2], 0, 5'000}});
  const TensorPiece other{&tensors[1], 1'000, 17};
  EXPECT_TRUE(same(stream.next(other), other));
  const TensorPiece first{&tensors[0], 0, 5'000}, last{&tensors[2], 0, 5'000};
  EXPECT_TRUE(same(stream.next(first), first));
  EXPECT_TRUE(same(stream.next(other), other));
  EXPECT_TRUE(same(stream.next(last), last)) << "the plan goes on behind what it does not know";
  EXPECT_TRUE(same(stream.next(other), other));
}

TEST_F(Stream, APieceTooLargeForTheBuffersComesFromTheMap) {
  make(1, TensorStream::kMostBytes / 2);
  const TensorPiece whole{&tensors[0], 0, tensors[0].data.size()};
  TensorStream stream({whole});
  EXPECT_EQ(stream.next(whole).data(), tensors[0].data.data());
}

TEST_F(Stream, EndsWhereverItStands) {
  make(4, 100'000);
  std::vector<TensorPiece> plan;
  for (int i = 0; i < 400; ++i) plan.push_back({&tensors[i % 4], 0, 100'000});
  for (const int asked : {0, 1, 5, 400}) {
    TensorStream stream(plan);
    for (int i = 0; i < asked; ++i) ASSERT_TRUE(same(stream.next(plan[i]), plan[i]));
  }
}

TEST_F(Stream, AFileThatBecameShorterIsAnErrorAtItsPiece) {
  make(2, 1'000'000);
  // The first piece keeps the readers from the others until the file is cut.
  std::vector<TensorPiece> plan;
  for (int i = 0; i < 20; ++i) plan.push_back({&tensors[0], 0, 4'096});
  plan.push_back({&tensors[1], 500'000, 400'000});
  TensorStream stream(plan);
  EXPECT_TRUE(same(stream.next(plan[0]), plan[0]));
  std::filesystem::resize_file(path, 1'000'000);
  for (int i = 1; i < 20; ++i) stream.next(plan[i]);
  expect_error(ErrorKind::io, {path, "400000 bytes at 1500000"}, [&] { stream.next(plan.back()); });
}

}  // namespace
}  // namespace tern
