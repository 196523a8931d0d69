#include "model/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/memory.h"

namespace tern {

WeightMemory WeightMemory::counting() {
  WeightMemory memory;
  memory.only_counts_ = true;
  return memory;
}

WeightMemory WeightMemory::filled(std::shared_ptr<const PackedFile> file) {
  WeightMemory memory;
  memory.file_ = std::move(file);
  return memory;
}

std::shared_ptr<const PackedFile> WeightMemory::file() const {
  if (file_ && file_offset_ != file_->blocks().size()) {
    fail(ErrorKind::bad_input, "{}: {} bytes of packed weights, but the model has {}", file_->path(),
         file_->blocks().size(), file_offset_);
  }
  return file_;
}

std::byte* WeightMemory::take_from_file(uint64_t bytes, size_t alignment) {
  const std::span<const std::byte> all = file_->blocks();
  const uint64_t begin = round_up(file_offset_, alignment);
  if (begin > all.size() || all.size() - begin < bytes)
    fail(ErrorKind::bad_input, "{}: too few packed weights for this model", file_->path());
  file_offset_ = begin + bytes;
  bytes_ += bytes;
  return const_cast<std::byte*>(all.data()) + begin;  // read-only: see wants_filling()
}

std::byte* WeightMemory::take(uint64_t bytes, size_t alignment) {
  const uint64_t rounded = round_up(std::max<uint64_t>(bytes, 1), alignment);
  if (file_) return take_from_file(rounded, alignment);
  if (only_counts_) {
    bytes_ = checked_add(bytes_, rounded, "weights");
    return nullptr;
  }
  void* memory = nullptr;
  if (::posix_memalign(&memory, rounded >= kHugePage ? std::max(alignment, kHugePage) : alignment, rounded) !=
      0)
    fail(ErrorKind::limit, "weights: {} bytes more than the {} taken are not to be had", rounded, bytes_);
  auto* block = static_cast<std::byte*>(memory);
  blocks_.emplace_back(block);
  taken_.push_back({block, rounded, alignment});
  if (rounded >= kHugePage) huge_pages_ = huge_pages_ && try_huge_pages(block, rounded);
  bytes_ += rounded;
  return block;
}

void WeightMemory::Free::operator()(std::byte* block) const {
  std::free(block);
}

TensorReader::TensorReader(const GgufFile& file, WeightMemory& memory, ThreadTeam& team, LoadPlan plan,
                           ByteProgress progress)
    : file_(file),
      memory_(memory),
      team_(team),
      plan_{{}, plan.bytes},
      progress_(std::move(progress)),
      stream_(std::make_unique<TensorStream>(std::move(plan.pieces))) {}

TensorReader TensorReader::planner(const GgufFile& file, WeightMemory& counting, const WeightMemory& memory,
                                   ThreadTeam& team) {
  TensorReader reader(file, counting, team);
  reader.plans_ = true;
  reader.plans_packed_ = memory.wants_filling();
  return reader;
}

namespace {

std::vector<uint64_t> without_trailing_ones(std::vector<uint64_t> dims) {
  while (dims.size() > 1 && dims.back() == 1) dims.pop_back();
  return dims;
}

}  // namespace

const GgufTensor& TensorReader::tensor(const std::string& name, const Dims& dims) {
  const GgufTensor& found = file_.tensor(name);
  if (without_trailing_ones(found.dims) != without_trailing_ones(dims)) {
    fail(ErrorKind::bad_input, "{}: tensor {}: expected dimensions {{{}}}, found {{{}}}", file_.name(), name,
         fmt::join(dims, ", "), fmt::join(found.dims, ", "));
  }
  row_bytes(found.dtype(), found.dims[0]);  // throws for a type or row that can't be decoded
  if (read_.insert(name).second) weights_ = checked_add(weights_, found.elements(), "weights");
  return found;
}

/// Gives the bytes of `tensor` to `use`; on memory that only counts they are noted, where there is a plan.
void TensorReader::read(const GgufTensor& tensor, size_t unit, const Use& use) {
  const size_t all = tensor.bytes(), step = std::max(unit, TensorStream::kPiece / unit * unit);
  if (memory_.only_counts()) {
    if (plans_) note(tensor, step);
    return;
  }
  if (!tensor.mapping || tensor.make) {
    use(0, tensor.load().span());
    bytes_ += all;
  }
  for (size_t begin = 0; tensor.mapping && !tensor.make && begin < all; begin += step) {
    const size_t bytes = std::min(step, all - begin);
    use(begin / unit, stream_->next({&tensor, begin, bytes}));
    tensor.release(begin, bytes);
    bytes_ += bytes;
    if (progress_) progress_(std::min(bytes_, plan_.bytes), plan_.bytes);
  }
  tensor.release();  // the pages at the borders of pieces
}

void TensorReader::note(const GgufTensor& tensor, size_t step) {
  const size_t all = tensor.bytes();
  plan_.bytes = checked_add(plan_.bytes, all, "bytes to load");
  for (size_t begin = 0; tensor.mapping && !tensor.make && begin < all; begin += step)
    plan_.pieces.push_back({&tensor, begin, std::min(step, all - begin)});
}

void TensorReader::read_to_pack(const GgufTensor& tensor, size_t unit, const Use& use) {
  if (plans_packed_ || memory_.wants_filling()) read(tensor, unit, use);
}

std::vector<float> TensorReader::floats(const std::string& name, const Dims& dims) {
  const GgufTensor& found = tensor(name, dims);
  std::vector<float> values(memory_.only_counts() ? 0 : found.elements());
  read(found, found.bytes(), [&](size_t, std::span<const std::byte> bytes) {
    decode(found.dtype(), bytes.data(), values.size(), values.data());
  });
  return values;
}

TensorBytes TensorReader::bytes_to_pack(const GgufTensor& tensor) {
  std::vector<std::byte> all;
  read_to_pack(tensor, tensor.bytes(),
               [&](size_t, std::span<const std::byte> bytes) { all.assign(bytes.begin(), bytes.end()); });
  return TensorBytes(std::move(all));
}

PackedMatrix TensorReader::matrix(const std::string& name, uint64_t cols, uint64_t rows) {
  const GgufTensor& found = tensor(name, {cols, rows});
  const PackedMatrix packed = take_matrix(found.dtype(), rows, cols);
  const size_t row = row_bytes(found.dtype(), cols), panel_bytes = packed_panel_bytes(found.dtype(), cols);
  read_to_pack(found, row * kPanelRows, [&](size_t panels, std::span<const std::byte> bytes) {
    // The matrix is a view for those who compute; this is where it is filled.
    pack_panels_of({packed.type, bytes.size() / row, cols, packed.data + panels * panel_bytes}, bytes.data());
  });
  return packed;
}

void TensorReader::pack_all(const GgufTensor& tensor, std::span<const PackedMatrix> to) {
  const size_t one = tensor.bytes() / to.size();
  read_to_pack(tensor, one, [&](size_t before, std::span<const std::byte> bytes) {
    const std::span<const PackedMatrix> some = to.subspan(before, bytes.size() / one);
    const size_t panels = some[0].panels();
    const double work = static_cast<double>(some.size() * some[0].rows) * static_cast<double>(some[0].cols);
    team_.parallel_for(some.size() * panels, work, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) {
        const PackedMatrix& m = some[i / panels];
        pack_panels(m.type, bytes.data() + i / panels * one, m.rows, m.cols, i % panels, i % panels + 1,
                    const_cast<std::byte*>(m.data));
      }
    });
  });
}

PackedMatrix TensorReader::pack_rows(DType type, const std::byte* from, uint64_t rows, uint64_t cols) {
  const PackedMatrix packed = take_matrix(type, rows, cols);
  if (memory_.wants_filling()) pack_panels_of(packed, from);
  return packed;
}

PackedMatrix TensorReader::take_matrix(DType type, uint64_t rows, uint64_t cols) {
  return {type, rows, cols, memory_.take(packed_bytes(type, rows, cols))};
}

void TensorReader::pack_panels_of(const PackedMatrix& matrix, const std::byte* from) {
  const double work = static_cast<double>(matrix.rows) * static_cast<double>(matrix.cols);
  auto* to = const_cast<std::byte*>(matrix.data);
  team_.parallel_for(matrix.panels(), work, [&](size_t begin, size_t end, int) {
    pack_panels(matrix.type, from, matrix.rows, matrix.cols, begin, end, to);
  });
}

void TensorReader::refuse_unread(const std::string& architecture,
                                 const std::vector<std::string>& ignored) const {
  for (const GgufTensor& tensor : file_.tensors()) {
    const auto starts = [&](const std::string& prefix) { return tensor.name.starts_with(prefix); };
    if (read_.contains(tensor.name) || std::any_of(ignored.begin(), ignored.end(), starts)) continue;
    fail(ErrorKind::unsupported, "{}: tensor {} is no part of {} as tern runs it", file_.name(), tensor.name,
         architecture);
  }
}

Embedding::Embedding(TensorReader& reader, const std::string& name, uint64_t hidden, uint64_t vocab)
    : hidden_(hidden) {
  const GgufTensor& table = reader.tensor(name, {hidden, vocab});
  type_ = table.dtype();
  row_bytes_ = row_bytes(type_, hidden);
  std::byte* rows = reader.memory().take(table.bytes());
  rows_ = rows;
  reader.read_to_pack(table, row_bytes_, [&](size_t before, std::span<const std::byte> bytes) {
    std::memcpy(rows + before * row_bytes_, bytes.data(), bytes.size());
  });
}

void Embedding::decode_row(int32_t token, float* to) const {
  decode(type_, rows_ + static_cast<size_t>(token) * row_bytes_, hidden_, to);
}

}  // namespace tern
