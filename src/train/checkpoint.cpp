#include "train/checkpoint.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <charconv>
#include <cstring>

#include "base/error.h"
#include "files/safetensors.h"
#include "train/tensors.h"

namespace tern::train {

namespace {

/// Every tensor of the run under the name it has in the file.
std::vector<std::pair<std::string, at::Tensor>> run_tensors(Network& network, AdamW& optimizer) {
  std::vector<std::pair<std::string, at::Tensor>> result = network.buffers();
  const char* const groups[] = {"matrices", "norms"};
  for (size_t g = 0; g < 2; ++g) {
    const std::string group = groups[g];
    result.emplace_back(group + ".value", network.parameters().values()[g]);
    result.emplace_back(group + ".first_moment", optimizer.first()[g]);
    result.emplace_back(group + ".second_moment", optimizer.second()[g]);
  }
  return result;
}

template <typename T>
T number(const SafetensorsFile& file, const std::string& path, const char* key) {
  const auto found = file.metadata().find(key);
  T value{};
  if (found == file.metadata().end()) fail(ErrorKind::bad_input, "{}: no '{}' in its metadata", path, key);
  const std::string& text = found->second;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    fail(ErrorKind::bad_input, "{}: {} = '{}': expected a number", path, key, text);
  }
  return value;
}

}  // namespace

void save_checkpoint(const std::string& path, Network& network, AdamW& optimizer, const RunState& state,
                     const std::vector<Setting>& settings) {
  SafetensorsWriter writer;
  for (const auto& [name, tensor] : run_tensors(network, optimizer)) {
    writer.add(name, "F32", {static_cast<uint64_t>(tensor.numel())}, tensor_bytes(tensor));
  }
  writer.add_metadata("step", fmt::format("{}", state.step));
  writer.add_metadata("tokens", fmt::format("{}", state.tokens));
  writer.add_metadata("seconds", fmt::format("{}", state.seconds));
  writer.add_metadata("next_index", fmt::format("{}", state.next_index));
  for (const Setting& setting : settings) writer.add_metadata(setting.key, setting.value);
  writer.write(path);
}

void check_settings(const std::string& path, const std::vector<Setting>& settings) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const Setting& setting : settings) {
    const auto saved = file.metadata().find(setting.key);
    if (saved == file.metadata().end() || saved->second == setting.value) continue;
    fail(ErrorKind::bad_input,
         "{}: {} = {}, but the config has {}: go on with the run's own config.toml, or "
         "begin another run in another folder",
         path, setting.key, saved->second, setting.value);
  }
}

RunState load_checkpoint(const std::string& path, Network& network, AdamW& optimizer) {
  const c10::NoGradGuard no_grad;
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const auto& [name, tensor] : run_tensors(network, optimizer)) {
    const SafeTensor& saved = file.tensor(name);
    const auto expected = static_cast<uint64_t>(tensor.numel()) * sizeof(float);
    if (saved.dtype != "F32" || saved.data.size() != expected) {
      fail(ErrorKind::bad_input, "{}: {}: expected {} bytes of F32 for this model, found {} of {}", path,
           name, expected, saved.data.size(), saved.dtype);
    }
    const at::Tensor copy = at::empty(tensor.sizes(), at::kFloat);
    std::memcpy(copy.data_ptr(), saved.data.data(), saved.data.size());
    tensor.copy_(copy);
  }
  RunState state;
  state.step = number<int64_t>(file, path, "step");
  state.tokens = number<int64_t>(file, path, "tokens");
  state.seconds = number<double>(file, path, "seconds");
  state.next_index = number<uint64_t>(file, path, "next_index");
  optimizer.set_steps(state.step);
  return state;
}

}  // namespace tern::train
