#include "measure/convert.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "files/gguf_format.h"

namespace tern {
namespace {

constexpr uint64_t piece_bytes = uint64_t{8} << 20;  // of output worked on at a time
constexpr uint32_t quantization_version = 2;         // ggml's, of the block formats
constexpr double encode_cost = 50;                   // multiply-adds a weight, about
constexpr float most_f16 = 65504;

bool matches(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

bool is_quantized(DType type) {
  return traits(type).block_size > 1;
}

uint64_t bytes_in(DType type, const GgufTensor& tensor) {
  return row_bytes(type, tensor.dims[0]) * (tensor.elements() / tensor.dims[0]);
}

void check_patterns(const GgufFile& file, const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    const bool found =
        std::ranges::any_of(file.tensors(), [&](const auto& t) { return matches(pattern, t.name); });
    if (!found) fail(ErrorKind::bad_input, "{}: no tensor's name matches \"{}\"", file.name(), pattern);
  }
}

uint32_t file_type(const ConversionPlan& plan, const Conversion& conversion) {
  const bool plain = !conversion.mix || !is_quantized(conversion.mix->base);
  if (plain && plan.bytes_of_type.contains("MXFP4")) return find_mix("MXFP4_MOE").file_type;
  if (conversion.mix) return conversion.mix->file_type;
  const auto most =
      std::ranges::max_element(plan.bytes_of_type, {}, [](const auto& item) { return item.second; });
  return most == plan.bytes_of_type.end() ? 0 : find_mix(most->first).file_type;
}

/// Rows of one tensor, decoded and encoded by the team.
class Encoder {
 public:
  Encoder(ThreadTeam& team, const PlannedTensor& planned, const std::byte* from)
      : team_(team), planned_(planned), from_(from), cols_(planned.tensor->dims[0]) {}

  void rows(uint64_t first, uint64_t count, std::byte* to) {
    error_ = nullptr;
    const double work = static_cast<double>(count) * static_cast<double>(cols_) * encode_cost;
    team_.parallel_for(count, work, [&](size_t begin, size_t end, int) { run(first, begin, end, to); });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run(uint64_t first, size_t begin, size_t end, std::byte* to) {
    try {
      std::vector<float> values(cols_);
      for (size_t row = begin; row < end; ++row)
        one(first + row, values, to + row * row_bytes(planned_.type, cols_));
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  void one(uint64_t row, std::vector<float>& values, std::byte* to) const {
    const DType source = planned_.tensor->dtype();
    decode(source, from_ + row * row_bytes(source, cols_), cols_, values.data());
    const bool narrow = planned_.type == DType::f16 && source != DType::f16;
    if (narrow &&
        std::ranges::any_of(values, [](float v) { return std::isfinite(v) && std::abs(v) > most_f16; })) {
      fail(ErrorKind::bad_input, "row {} has a value beyond {}, which F16 can't hold: BF16 can", row,
           most_f16);
    }
    encode(planned_.type, values.data(), cols_, to);
  }

  ThreadTeam& team_;
  const PlannedTensor& planned_;
  const std::byte* from_;
  uint64_t cols_;
  std::mutex mutex_;
  std::exception_ptr error_;
};

/// Writes a model's tensors one after another.
class Writer {
 public:
  Writer(GgufStream& stream, ThreadTeam& team, const ConversionPlan& plan, const ConversionProgress& progress)
      : stream_(stream), team_(team), plan_(plan), progress_(progress) {}

  void tensor(const PlannedTensor& planned) {
    name_ = &planned.tensor->name;
    report();
    const TensorBytes bytes = planned.tensor->load();
    const uint64_t rows = planned.tensor->elements() / planned.tensor->dims[0];
    const uint64_t to_row = row_bytes(planned.type, planned.tensor->dims[0]);
    const uint64_t from_row = row_bytes(planned.tensor->dtype(), planned.tensor->dims[0]);
    const uint64_t step = std::max<uint64_t>(1, piece_bytes / to_row);
    const bool same = planned.type == planned.tensor->dtype();
    Encoder encoder(team_, planned, bytes.data());
    for (uint64_t first = 0; first < rows; first += step) {
      const uint64_t count = std::min(step, rows - first);
      const auto source = bytes.span().subspan(first * from_row, count * from_row);
      same ? stream_.write(source) : encoded(encoder, first, count, to_row);
      release(planned.tensor->mapping, source);
      done_ += count * to_row;
      report();
    }
  }

 private:
  void encoded(Encoder& encoder, uint64_t first, uint64_t count, uint64_t to_row) {
    piece_.resize(count * to_row);
    encoder.rows(first, count, piece_.data());
    stream_.write(piece_);
  }

  static void release(const MappedFile* mapping, std::span<const std::byte> bytes) {
    if (mapping) mapping->release(static_cast<size_t>(bytes.data() - mapping->bytes().data()), bytes.size());
  }

  void report() {
    const double share =
        plan_.bytes == 0 ? 1.0 : static_cast<double>(done_) / static_cast<double>(plan_.bytes);
    if (!progress_(share, *name_)) fail(ErrorKind::io, "stopped; nothing was written");
  }

  GgufStream& stream_;
  ThreadTeam& team_;
  const ConversionPlan& plan_;
  const ConversionProgress& progress_;
  const std::string* name_ = nullptr;
  uint64_t done_ = 0;
  std::vector<std::byte> piece_;
};

GgufWriter head_of(const GgufFile& file, const Conversion& conversion, const ConversionPlan& plan) {
  constexpr std::string_view file_type_key = "general.file_type",
                             version_key = "general.quantization_version";
  GgufWriter head;
  for (const auto& [key, value] : file.metadata()) {
    if (key == gguf::alignment_key || key == file_type_key || key == version_key) continue;
    if (conversion.vocabulary && key.starts_with("tokenizer.")) continue;
    head.copy(file, key);
  }
  head.add_u32(std::string(file_type_key), plan.file_type);
  head.add_u32(std::string(version_key), quantization_version);
  if (conversion.vocabulary) write_vocabulary(*conversion.vocabulary, head);
  for (const PlannedTensor& planned : plan.tensors)
    head.announce_tensor(planned.tensor->name, planned.type, planned.tensor->dims);
  return head;
}

void check_room(const std::string& path, uint64_t bytes) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (!error && space.available < bytes) {
    fail(ErrorKind::io, "{}: {} bytes are needed, {} are free", path, bytes, space.available);
  }
}

}  // namespace

ConversionPlan plan_conversion(const GgufFile& file, const Conversion& conversion) {
  check_patterns(file, conversion.keep);
  ConversionPlan plan;
  std::optional<MixRules> rules;
  if (conversion.mix) rules.emplace(file, *conversion.mix);
  for (const GgufTensor& tensor : file.tensors()) {
    const DType source = tensor.dtype();
    const bool keeps =
        std::ranges::any_of(conversion.keep, [&](const auto& p) { return matches(p, tensor.name); }) ||
        (conversion.keep_quantized && is_quantized(source));
    const DType type = rules && !keeps ? rules->type_of(tensor) : source;
    if (type != source && is_quantized(source)) plan.requantized.push_back(tensor.name);
    const uint64_t bytes = bytes_in(type, tensor);
    plan.tensors.push_back({&tensor, type, bytes});
    plan.bytes += bytes;
    plan.source_bytes += tensor.bytes();
    plan.bytes_of_type[std::string(traits(type).name)] += bytes;
  }
  if (!plan.requantized.empty() && !conversion.requantize) {
    const GgufTensor& first = file.tensor(plan.requantized[0]);
    fail(ErrorKind::bad_input,
         "{}: {} tensors are quantized already ({} is {}) and would lose precision twice; start from F16, "
         "BF16 or "
         "F32, or say --allow-requantize",
         file.name(), plan.requantized.size(), first.name, traits(first.dtype()).name);
  }
  plan.file_type = file_type(plan, conversion);
  return plan;
}

void convert(const GgufFile& file, const Conversion& conversion, const ConversionPlan& plan,
             const std::string& path, ThreadTeam& team, const ConversionProgress& progress) {
  check_room(path, plan.bytes);
  GgufStream stream(head_of(file, conversion, plan), path);
  Writer writer(stream, team, plan, progress);
  for (const PlannedTensor& planned : plan.tensors) {
    try {
      writer.tensor(planned);
    } catch (const Error& error) {
      fail(error.kind(), "{}: tensor {}: {}", file.name(), planned.tensor->name, error.what());
    }
  }
  stream.commit();
}

}  // namespace tern
