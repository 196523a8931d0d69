// From a GGUF file's tensors to packed weights in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_team.h"
#include "files/gguf.h"
#include "kernels/kernels.h"
#include "model/packed_file.h"
#include "model/tensor_stream.h"

namespace tern {

/// Owns the blocks that packed weights lie in. Taken while loading, given back with the model.
class WeightMemory {
 public:
  WeightMemory() = default;
  /// One whose blocks lie in a packed file: those that an earlier run took, in the same order.
  static WeightMemory filled(std::shared_ptr<const PackedFile> file);
  /// One that adds up what is taken and gives null: a loader that runs on it tells what a file needs, and
  /// what is wrong with it, and reads no weights.
  static WeightMemory counting();
  bool only_counts() const { return only_counts_; }
  /// Whether what is taken has to be written. Else it must not be.
  bool wants_filling() const { return !only_counts_ && !file_; }

  /// `bytes` of memory at a multiple of `alignment` (a power of two). Throws Error{limit} where there is
  /// none, Error{bad_input} where a packed file has no more.
  std::byte* take(uint64_t bytes, size_t alignment = 64);
  uint64_t bytes() const { return bytes_; }
  /// What was taken, in order; none of memory that only counts.
  std::span<const PackBlock> taken() const { return taken_; }
  /// The packed file that the blocks lie in; null where they don't. Throws Error{bad_input} where the loader
  /// took less than it holds.
  std::shared_ptr<const PackedFile> file() const;

 private:
  struct Free {
    void operator()(std::byte* block) const;
  };
  std::byte* take_from_file(uint64_t bytes, size_t alignment);

  std::vector<std::unique_ptr<std::byte, Free>> blocks_;
  std::vector<PackBlock> taken_;
  std::shared_ptr<const PackedFile> file_;
  uint64_t file_offset_ = 0;
  uint64_t bytes_ = 0;
  bool only_counts_ = false;
  bool huge_pages_ = true;  ///< as long as they come fast
};

/// What a loader is going to read of the tensors' bytes, in its order.
struct LoadPlan {
  std::vector<TensorPiece> pieces;  ///< those of mapped files
  uint64_t bytes = 0;               ///< of all, made ones too
};

/// Reads tensors by name, each held to the dimensions the model's keys promise, and remembers which were
/// read.
class TensorReader {
 public:
  using Dims = std::vector<uint64_t>;  ///< the contiguous one first, as in the file

  /// Reads ahead by `plan`: a loader's own, see plan(). All that is given by reference must outlive the
  /// reader.
  TensorReader(const GgufFile& file, WeightMemory& memory, ThreadTeam& team, LoadPlan plan = {},
               ByteProgress progress = {});
  /// One that reads no bytes but notes which a reader on `memory` would.
  static TensorReader planner(const GgufFile& file, WeightMemory& counting, const WeightMemory& memory,
                              ThreadTeam& team);
  LoadPlan plan() && { return std::move(plan_); }

  const GgufFile& file() const { return file_; }
  WeightMemory& memory() { return memory_; }
  ThreadTeam& team() { return team_; }
  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  /// Throws Error{bad_input} where the tensor is missing or has other dimensions (trailing ones don't count),
  /// Error{unsupported} for a type that tern does not run.
  const GgufTensor& tensor(const std::string& name, const Dims& dims);
  /// The tensor's values as floats, whatever its type. None on memory that only counts.
  std::vector<float> floats(const std::string& name, const Dims& dims);
  /// Bytes to be packed; none where nothing has to be filled.
  TensorBytes bytes_to_pack(const GgufTensor& tensor);
  /// A matrix {cols, rows} of the file, packed in its own type. It is read in pieces, each gone when it is
  /// packed, so that no large matrix is in memory twice.
  PackedMatrix matrix(const std::string& name, uint64_t cols, uint64_t rows);
  /// As many matrices {cols, rows} as `to` has, one behind the other in the tensor, packed there.
  void pack_all(const GgufTensor& tensor, std::span<const PackedMatrix> to);
  using Use = std::function<void(size_t before, std::span<const std::byte> bytes)>;
  /// Gives a tensor's bytes to use(units before, bytes), in order and in pieces of whole units, where the
  /// memory wants filling.
  void read_to_pack(const GgufTensor& tensor, size_t unit, const Use& use);
  /// Row-major weights that are not a tensor of the file, packed. Not read on memory that only counts.
  PackedMatrix pack_rows(DType type, const std::byte* from, uint64_t rows, uint64_t cols);

  /// Throws Error{unsupported} naming a tensor that nothing has read, except where its name starts with one
  /// of `ignored`.
  void refuse_unread(const std::string& architecture, const std::vector<std::string>& ignored) const;
  /// Weights in all tensors read so far.
  uint64_t weights() const { return weights_; }

 private:
  /// Memory for a packed matrix; without data on memory that only counts.
  PackedMatrix take_matrix(DType type, uint64_t rows, uint64_t cols);
  /// Fills it, shared out over the team.
  void pack_panels_of(const PackedMatrix& matrix, const std::byte* from);
  void read(const GgufTensor& tensor, size_t unit, const Use& use);
  void note(const GgufTensor& tensor, size_t step);

  const GgufFile& file_;
  WeightMemory& memory_;
  ThreadTeam& team_;
  LoadPlan plan_;
  ByteProgress progress_;
  bool plans_ = false, plans_packed_ = false;  ///< and of tensors that are packed
  std::unique_ptr<TensorStream> stream_;
  std::set<std::string, std::less<>> read_;
  uint64_t weights_ = 0, bytes_ = 0;
};

/// The embedding table in its file type; rows are decoded as they are asked for.
class Embedding {
 public:
  Embedding() = default;
  Embedding(TensorReader& reader, const std::string& name, uint64_t hidden, uint64_t vocab);
  /// Writes the row of `token` (checked by the caller) as {hidden} floats.
  void decode_row(int32_t token, float* to) const;

 private:
  DType type_ = DType::f32;
  size_t hidden_ = 0;
  size_t row_bytes_ = 0;
  const std::byte* rows_ = nullptr;
};

}  // namespace tern
