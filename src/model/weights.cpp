#include "model/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/checked.h"

namespace tern {

WeightMemory WeightMemory::counting() {
  WeightMemory memory;
  memory.only_counts_ = true;
  return memory;
}

std::byte* WeightMemory::take(uint64_t bytes, size_t alignment) {
  const uint64_t rounded = round_up(std::max<uint64_t>(bytes, 1), alignment);
  if (only_counts_) {
    bytes_ = checked_add(bytes_, rounded, "weights");
    return nullptr;
  }
  auto* block = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  if (!block)
    fail(ErrorKind::limit, "weights: {} bytes more than the {} taken are not to be had", rounded, bytes_);
  blocks_.emplace_back(block);
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
  if (memory_.only_counts()) return pack_rows(found.dtype(), nullptr, rows, cols);
  const PackedMatrix packed = pack_rows(found.dtype(), found.load().data(), rows, cols);
  found.release();
  return packed;
}

PackedMatrix TensorReader::pack_rows(DType type, const std::byte* from, uint64_t rows, uint64_t cols) {
  PackedMatrix matrix{type, rows, cols, nullptr};
  std::byte* to = memory_.take(packed_bytes(type, rows, cols));
  matrix.data = to;
  if (!to) return matrix;
  const size_t panel_bytes = packed_panel_bytes(type, cols);
  const size_t from_row = row_bytes(type, cols);
  const auto pack_panels = [&](size_t begin, size_t end, int) {
    const size_t first = begin * kPanelRows, last = std::min<size_t>(rows, end * kPanelRows);
    pack(type, from + first * from_row, last - first, cols, to + begin * panel_bytes);
  };
  team_.parallel_for(matrix.panels(), static_cast<double>(rows) * static_cast<double>(cols), pack_panels);
  return matrix;
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
  if (!rows) return;
  std::memcpy(rows, table.load().data(), bytes);
  rows_ = rows;
}

void Embedding::decode_row(int32_t token, float* to) const {
  decode(type_, rows_ + static_cast<size_t>(token) * row_bytes_, hidden_, to);
}

}  // namespace tern
