// The engine over real (tiny, random) models: what a request says doesn't depend on its company.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "engine/engine.h"
#include "files/gguf.h"
#include "tests/engine/fakes.h"

namespace tern {
namespace {

using namespace fake;

std::vector<std::string> tiny_models() {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(TERN_SOURCE_DIR "/tests/model/oracles/dumps")) {
    if (entry.path().extension() == ".gguf") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

struct CopyValue {
  GgufWriter& to;
  const std::string& key;
  void operator()(uint64_t value) const { to.add_u64(key, value); }
  void operator()(int64_t value) const { to.add_u64(key, static_cast<uint64_t>(value)); }
  void operator()(double value) const { to.add_f32(key, static_cast<float>(value)); }
  void operator()(bool value) const { to.add_bool(key, value); }
  void operator()(const std::string& value) const { to.add_string(key, value); }
  void operator()(const std::vector<std::string>& value) const { to.add_strings(key, value); }
  void operator()(const std::vector<int64_t>& value) const { to.add_i32s(key, {value.begin(), value.end()}); }
  void operator()(const std::vector<double>& value) const { to.add_f32s(key, {value.begin(), value.end()}); }
};

/// The tiny model of `path` with the fake vocabulary: its embedding and output get rows of the test's own.
std::vector<std::byte> with_vocabulary(const std::string& path) {
  const GgufFile from = GgufFile::open(path);
  GgufWriter to;
  for (const auto& [key, value] : from.metadata()) {
    const bool vocabulary = key.starts_with("tokenizer.") || key.ends_with(".vocab_size");
    if (!vocabulary) std::visit(CopyValue{to, key}, value);
  }
  write_vocabulary(fake::vocabulary(), to);
  Rng rng(11);
  for (const GgufTensor& tensor : from.tensors()) {
    if (tensor.name != "token_embd.weight" && tensor.name != "output.weight") {
      to.add_tensor(tensor.name, tensor.dtype(), tensor.dims, {tensor.data.begin(), tensor.data.end()});
      continue;
    }
    std::vector<float> rows(tensor.dims[0] * kVocab);
    for (float& x : rows) x = static_cast<float>(rng.uniform() - 0.5);
    std::vector<std::byte> data(rows.size() * sizeof(float));
    std::memcpy(data.data(), rows.data(), data.size());
    to.add_tensor(tensor.name, DType::f32, {tensor.dims[0], kVocab}, std::move(data));
  }
  return to.bytes();
}

std::vector<GenerateRequest> requests() {
  std::vector<GenerateRequest> all;
  for (const int prompt : {1, 3, 20, 9, 45, 33, 16, 2}) {
    GenerateRequest request;
    for (int i = 0; i < prompt; ++i) request.prompt.push_back((i * 31 + prompt * 17) % 256);
    request.max_tokens = 12;
    request.ignore_eos = true;
    request.top_logprobs = 2;
    if (all.size() % 2) request.sampling = {1.3f, 0, 0.98f, 0, 900u + prompt};
    all.push_back(request);
  }
  return all;
}

struct Said {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  bool operator==(const Said&) const = default;
};

std::vector<Said> run(const GgufFile& file, int parallel, bool together) {
  EngineOptions options;
  options.parallel = parallel;
  options.prompt_piece = 16;
  options.context = 64;
  options.threads = 2;
  Engine engine(file, options);
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (const GenerateRequest& request : requests()) {
    sinks.push_back(std::make_shared<Recorder>());
    engine.submit(request, sinks.back());
    if (!together) sinks.back()->wait();
  }
  std::vector<Said> said;
  for (const auto& sink : sinks) {
    EXPECT_EQ(sink->wait().reason, FinishReason::length) << sink->wait().error;
    Said& one = said.emplace_back();
    for (const TokenEvent& event : sink->events()) {
      one.tokens.push_back(event.token);
      one.logprobs.push_back(event.logprobs->logprob);
      for (const TokenLogprob& best : event.logprobs->top) one.logprobs.push_back(best.logprob);
    }
  }
  return said;
}

TEST(RealModel, SaysTheSameAloneAndInCompanyBitForBit) {
  const auto paths = tiny_models();
  ASSERT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const std::vector<std::byte> bytes = with_vocabulary(path);
    const GgufFile file = GgufFile::parse(bytes, path);
    const auto alone = run(file, 1, false);
    EXPECT_NE(alone[0].tokens, alone[2].tokens);
    EXPECT_EQ(run(file, 3, true), alone);
    EXPECT_EQ(run(file, 8, true), alone);
  }
}

TEST(RealModel, TheEngineReadsVocabularyAndShapeFromTheFile) {
  const std::vector<std::byte> bytes = with_vocabulary(tiny_models().front());
  const GgufFile file = GgufFile::parse(bytes, "tiny");
  const Engine engine(file, {.context = 32, .parallel = 2});
  EXPECT_EQ(engine.tokenizer().size(), kVocab);
  EXPECT_EQ(engine.model_shape().vocab, kVocab);
  EXPECT_EQ(engine.model_shape().architecture, file.get_string("general.architecture"));
  EXPECT_EQ(engine.context(), 32);
}

}  // namespace
}  // namespace tern
