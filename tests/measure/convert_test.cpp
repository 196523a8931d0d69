// Models written anew: the same weights in other types.
#include "measure/convert.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "base/atomic_file.h"
#include "model/hf_folder.h"
#include "model/model.h"
#include "tests/expect_error.h"
#include "tests/model/tiny_checkpoint.h"
#include "tests/model/tiny_file.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

bool go_on(double, const std::string&) {
  return true;
}

void write_converted(const GgufFile& file, const Conversion& conversion, const std::string& path) {
  ThreadTeam team(2);
  convert(file, conversion, plan_conversion(file, conversion), path, team, go_on);
}

TEST(Convert, KeysAreKeptBitForBitAndTensorsInTheirType) {
  const TemporaryFolder folder;
  const auto bytes = tiny_file({}).bytes();
  const GgufFile from = GgufFile::parse(bytes, "tiny");
  write_converted(from, {}, folder / "same.gguf");
  const GgufFile to = GgufFile::open(folder / "same.gguf");
  ASSERT_EQ(to.tensors().size(), from.tensors().size());
  for (size_t i = 0; i < to.tensors().size(); ++i) {
    const GgufTensor &a = from.tensors()[i], &b = to.tensors()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.dims, b.dims);
    EXPECT_EQ(a.dtype(), b.dtype());
    EXPECT_TRUE(std::equal(a.data.begin(), a.data.end(), b.data.begin(), b.data.end())) << a.name;
  }
  for (const auto& [key, value] : from.metadata()) {
    const auto a = from.stored(key), b = to.stored(key);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << key;
  }
  EXPECT_EQ(to.get_uint("general.file_type"), 0u);
  EXPECT_EQ(to.get_uint("general.quantization_version"), 2u);
}

TEST(Convert, RowsAreEncodedAsTheTypeSays) {
  const TemporaryFolder folder;
  const auto bytes = tiny_file({}).bytes();
  const GgufFile from = GgufFile::parse(bytes, "tiny");
  write_converted(from, {.mix = &find_mix("q8_0"), .keep = {"blk.1.*_exps.weight"}}, folder / "q8.gguf");
  const GgufFile to = GgufFile::open(folder / "q8.gguf");
  const GgufTensor& source = from.tensor("blk.0.ffn_up.weight");
  const GgufTensor& made = to.tensor("blk.0.ffn_up.weight");
  ASSERT_EQ(made.dtype(), DType::q8_0);
  std::vector<std::byte> expected(made.bytes());
  encode(DType::q8_0, floats_of(source).data(), source.elements(), expected.data());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), made.data.begin(), made.data.end()));
  EXPECT_EQ(to.tensor("blk.1.ffn_up_exps.weight").dtype(), DType::f32);
  EXPECT_EQ(to.tensor("blk.1.ffn_up_shexp.weight").dtype(), DType::q8_0);
  EXPECT_EQ(to.tensor("blk.1.ffn_gate_inp.weight").dtype(), DType::f32);
  EXPECT_EQ(to.tensor("blk.0.attn_norm.weight").dtype(), DType::f32);
  EXPECT_EQ(to.get_uint("general.file_type"), 7u);
}

TEST(Convert, AFolderBecomesAFileThatSaysTheSame) {
  const TemporaryFolder folder;
  const TinyCheckpoint checkpoint = tiny_deepseek_v3();
  checkpoint.write(folder / "m", 2);
  const GgufFile from = open_hf_folder(folder / "m");
  write_converted(from, {}, folder / "m.gguf");
  const GgufFile to = GgufFile::open(folder / "m.gguf");
  for (const GgufTensor& tensor : from.tensors()) {
    EXPECT_EQ(tensor.dims, to.tensor(tensor.name).dims);
    EXPECT_EQ(floats_of(tensor), floats_of(to.tensor(tensor.name))) << tensor.name;
  }
  EXPECT_EQ(to.get_uint("deepseek2.nextn_predict_layers"), 1u);
  EXPECT_EQ(to.stored("deepseek2.block_count")[0], std::byte{4});                       // u32
  EXPECT_EQ(to.stored("deepseek2.attention.layer_norm_rms_epsilon")[0], std::byte{6});  // f32
  EXPECT_EQ(measure_model(to).packed_bytes, measure_model(from).packed_bytes);
}

TEST(Convert, ExpertsThatAreQuantizedKeepTheirType) {
  const TemporaryFolder folder;
  const GgufFile from = tiny_gpt_oss(true).assemble();
  write_converted(from, {.mix = &find_mix("bf16"), .keep_quantized = true}, folder / "m.gguf");
  const GgufFile to = GgufFile::open(folder / "m.gguf");
  EXPECT_EQ(to.tensor("blk.0.ffn_up_exps.weight").dtype(), DType::mxfp4);
  EXPECT_EQ(to.tensor("blk.0.attn_q.weight").dtype(), DType::bf16);
  EXPECT_EQ(to.get_uint("general.file_type"), 38u);
}

TEST(Convert, QuantizingASecondTimeMustBeAskedFor) {
  const TemporaryFolder folder;
  const auto bytes = tiny_file({}).bytes();
  write_converted(GgufFile::parse(bytes, "tiny"), {.mix = &find_mix("q8_0")}, folder / "q8.gguf");
  const GgufFile from = GgufFile::open(folder / "q8.gguf");
  Conversion again{.mix = &find_mix("q4_0")};
  expect_error(ErrorKind::bad_input, {"quantized already", "--allow-requantize"},
               [&] { plan_conversion(from, again); });
  again.requantize = true;
  const ConversionPlan plan = plan_conversion(from, again);
  EXPECT_FALSE(plan.requantized.empty());
  write_converted(from, again, folder / "q4.gguf");
  EXPECT_EQ(GgufFile::open(folder / "q4.gguf").tensor("blk.0.ffn_up.weight").dtype(), DType::q4_0);
}

TEST(Convert, APatternThatMatchesNothingIsAMistake) {
  const auto bytes = tiny_file({}).bytes();
  const GgufFile from = GgufFile::parse(bytes, "tiny");
  expect_error(ErrorKind::bad_input, {"\"blk.9.*\""}, [&] { plan_conversion(from, {.keep = {"blk.9.*"}}); });
}

TEST(Convert, StoppedHalfwayItLeavesNothing) {
  const TemporaryFolder folder;
  const auto bytes = tiny_file({}).bytes();
  const GgufFile from = GgufFile::parse(bytes, "tiny");
  const Conversion conversion{.mix = &find_mix("f16")};
  ThreadTeam team(1);
  double last = 0;
  expect_error(ErrorKind::io, {"stopped"}, [&] {
    convert(from, conversion, plan_conversion(from, conversion), folder / "m.gguf", team,
            [&](double share, const std::string&) {
              EXPECT_GE(share, last);
              last = share;
              return share < 0.5;
            });
  });
  EXPECT_GE(last, 0.5);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Convert, ValuesThatATypeCantHoldAreNamed) {
  const TemporaryFolder folder;
  TinyFile tiny = tiny_file({});
  tiny.tensor("blk.0.ffn_up.weight").values[40] = 1e6f;
  const auto wide = tiny.bytes();
  expect_error(ErrorKind::bad_input, {"blk.0.ffn_up.weight", "row 1", "F16", "BF16"}, [&] {
    write_converted(GgufFile::parse(wide, "tiny"), {.mix = &find_mix("f16")}, folder / "m.gguf");
  });
  tiny.tensor("blk.0.ffn_up.weight").values[40] = std::numeric_limits<float>::quiet_NaN();
  const auto broken = tiny.bytes();
  expect_error(ErrorKind::bad_input, {"blk.0.ffn_up.weight"}, [&] {
    write_converted(GgufFile::parse(broken, "tiny"), {.mix = &find_mix("q8_0")}, folder / "m.gguf");
  });
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Convert, TheVocabularyOfAFolderIsWritten) {
  const TemporaryFolder folder;
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back(std::string(1, static_cast<char>(byte)));
    vocabulary.types.push_back(TokenType::normal);
  }
  vocabulary.tokens.push_back("ab");
  vocabulary.types.push_back(TokenType::normal);
  vocabulary.merges.emplace_back("a", "b");
  const auto bytes = tiny_file({}).bytes();
  write_converted(GgufFile::parse(bytes, "tiny"), {.vocabulary = &vocabulary}, folder / "m.gguf");
  EXPECT_EQ(read_vocabulary(GgufFile::open(folder / "m.gguf")).tokens, vocabulary.tokens);
}

// As Llama 3's generation_config.json, whose list has more ends than eos.
TEST(Convert, AFileEndsRepliesWhereItsFolderDoes) {
  const TemporaryFolder folder;
  Vocabulary bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.tokens.emplace_back(1, static_cast<char>(byte));
  bytes.types.assign(256, TokenType::normal);
  for (const char* name : {"<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "<|over|>", "<|done|>", "<|out|>"})
    bytes.tokens.emplace_back(name);
  bytes.types.resize(bytes.tokens.size(), TokenType::control);
  TinyCheckpoint checkpoint = tiny_llama();
  checkpoint.config["vocab_size"] = bytes.size();
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"})
    checkpoint.add(name, {bytes.tokens.size(), 16});
  checkpoint.write(folder / "m");
  write_file(folder / "m/tokenizer.json", tokenizer_json(bytes));
  write_file(folder / "m/tokenizer_config.json", R"({"eos_token": "<|eot_id|>"})");
  write_file(folder / "m/generation_config.json", R"({"eos_token_id": [256, 257, 258, 259, 260, 261]})");

  const GgufFile from = open_hf_folder(folder / "m");
  const Vocabulary said = read_vocabulary(from);
  EXPECT_EQ(said.ends, (std::vector<int32_t>{256, 257, 259, 260, 261}));
  write_converted(from, {.vocabulary = &said}, folder / "m.gguf");
  const Vocabulary kept = read_vocabulary(GgufFile::open(folder / "m.gguf"));
  EXPECT_EQ(kept.eos, 258);
  EXPECT_EQ(kept.ends, said.ends);
  // What llama.cpp reads, and it knows the ends of Llama 3 by name.
  EXPECT_EQ(kept.eot, 259);
  EXPECT_EQ(kept.eom, 260);
  write_converted(GgufFile::open(folder / "m.gguf"), {.mix = &find_mix("f16")}, folder / "again.gguf");
  EXPECT_EQ(read_vocabulary(GgufFile::open(folder / "again.gguf")).ends, said.ends);
}

}  // namespace
}  // namespace tern
