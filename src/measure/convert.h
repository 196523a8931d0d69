// Models written anew, in the same types or others, tensor by tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "files/gguf.h"
#include "measure/mix.h"
#include "text/vocabulary.h"

namespace tern {

struct Conversion {
  const Mix* mix = nullptr;       ///< null: every tensor keeps its type
  std::vector<std::string> keep;  ///< shell patterns of tensors that keep their type
  bool keep_quantized = false;    ///< tensors that are quantized already keep their type (gpt-oss's experts)
  bool requantize = false;        ///< else quantized tensors of another type are refused
  const Vocabulary* vocabulary =
      nullptr;  ///< written where given; else tokenizer keys are copied with the others
};

struct PlannedTensor {
  const GgufTensor* tensor;
  DType type;
  uint64_t bytes;
};

/// What a conversion will write.
struct ConversionPlan {
  std::vector<PlannedTensor> tensors;
  uint64_t bytes = 0;  ///< of all tensors' data
  uint64_t source_bytes = 0;
  std::map<std::string, uint64_t> bytes_of_type;  ///< by the type's name
  std::vector<std::string> requantized;           ///< tensors quantized before and to be quantized again
  uint32_t file_type = 0;                         ///< `general.file_type`
};

/// `file` must outlive the plan. Throws Error{unsupported} for a type that tern doesn't read,
/// Error{bad_input} for a pattern that no tensor matches and for tensors that would be quantized a second
/// time.
ConversionPlan plan_conversion(const GgufFile& file, const Conversion& conversion);

/// Is told the share done, 0 to 1 by bytes, and the tensor at work; false stops.
using ConversionProgress = std::function<bool(double share, const std::string& tensor)>;

/// Writes `path` atomically; no more of the model is in memory than a tensor that has to be made and a few
/// megabytes. Keys are copied bit for bit, but for general.file_type, general.quantization_version and what
/// says how the file was laid out. Throws Error{io} (also where `progress` said to stop), Error{bad_input}
/// naming a tensor whose values the type can't hold.
void convert(const GgufFile& file, const Conversion& conversion, const ConversionPlan& plan,
             const std::string& path, ThreadTeam& team, const ConversionProgress& progress);

}  // namespace tern
