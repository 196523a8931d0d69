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
  prefer_huge_pages(block, rounded);
  bytes_ += rounded;
  return block;
}

void WeightMemory::Free::operator()(std::byte* block) const {
  std::free(block);
}

TensorReader::TensorReader(const GgufFile& file, WeightMemory& memory, ThreadTeam& team)
    : file_(file), memory_(memory), team_(team) {}

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

std::vector<float> TensorReader::floats(const std::string& name, const Dims& dims) {
  const GgufTensor& found = tensor(name, dims);
  if (memory_.only_counts()) return {};
  std::vector<float> values(found.elements());
  decode(found.dtype(), found.load().data(), values.size(), values.data());
  found.release();
  return values;
}

PackedMatrix TensorReader::matrix(const std::string& name, uint64_t cols, uint64_t rows) {
  const GgufTensor& found = tensor(name, {cols, rows});
  const PackedMatrix packed = take_matrix(found.dtype(), rows, cols);
  if (!memory_.wants_filling()) return packed;
  const TensorBytes bytes = found.load();
  constexpr size_t kBand = 32 << 20;  // bytes packed between two releases
  const size_t panel = row_bytes(found.dtype(), cols) * kPanelRows,
               panels = std::max<size_t>(1, kBand / panel);
  for (size_t begin = 0; begin < packed.panels(); begin += panels) {
    const size_t end = std::min(packed.panels(), begin + panels);
    pack_panels_of(packed, bytes.data(), begin, end);
    found.release(begin * panel, (end - begin) * panel);
  }
  found.release();  // the pages at the borders of bands
  return packed;
}

PackedMatrix TensorReader::pack_rows(DType type, const std::byte* from, uint64_t rows, uint64_t cols) {
  const PackedMatrix packed = take_matrix(type, rows, cols);
  if (memory_.wants_filling()) pack_panels_of(packed, from, 0, packed.panels());
  return packed;
}

PackedMatrix TensorReader::take_matrix(DType type, uint64_t rows, uint64_t cols) {
  return {type, rows, cols, memory_.take(packed_bytes(type, rows, cols))};
}

void TensorReader::pack_panels_of(const PackedMatrix& matrix, const std::byte* from, size_t begin,
                                  size_t end) {
  const double work = static_cast<double>((end - begin) * kPanelRows) * static_cast<double>(matrix.cols);
  // The matrix is a view for those who compute; this is where it is filled.
  auto* to = const_cast<std::byte*>(matrix.data);
  team_.parallel_for(end - begin, work, [&](size_t first, size_t last, int) {
    pack_panels(matrix.type, from, matrix.rows, matrix.cols, begin + first, begin + last, to);
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
  const uint64_t bytes = table.bytes();
  std::byte* rows = reader.memory().take(bytes);
  rows_ = rows;
  if (!reader.memory().wants_filling()) return;
  std::memcpy(rows, table.load().data(), bytes);
  table.release();
}

void Embedding::decode_row(int32_t token, float* to) const {
  decode(type_, rows_ + static_cast<size_t>(token) * row_bytes_, hidden_, to);
}

}  // namespace tern
