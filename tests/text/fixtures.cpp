#include "tests/text/fixtures.h"

#include <array>

#include "tests/temporary_folder.h"

namespace tern {
namespace {

bool in_ci() {
  const char* ci = std::getenv("CI");
  return ci && std::string_view(ci) == "true";
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Blocks with letters, marks, digits, punctuation, symbols and emoji of many scripts.
constexpr std::array<std::pair<char32_t, char32_t>, 28> kBlocks = {{
    {0x20, 0x7E},     {0x20, 0x7E},     {0x20, 0x7E},       {'a', 'z'},       {'0', '9'},
    {0xA1, 0x17F},    {0x300, 0x36F},   {0x391, 0x3A1},     {0x410, 0x44F},   {0x5D0, 0x5EA},
    {0x620, 0x669},   {0x904, 0x96F},   {0xE01, 0xE3A},     {0x10A0, 0x10C5}, {0x1100, 0x1159},
    {0x1780, 0x17B3}, {0x1E00, 0x1EFF}, {0x2000, 0x206F},   {0x20A0, 0x20BF}, {0x2150, 0x218B},
    {0x2460, 0x24FF}, {0x2600, 0x27BF}, {0x3000, 0x30FF},   {0x4E00, 0x9FA5}, {0xAC00, 0xD7A3},
    {0xFE00, 0xFE0F}, {0xFF01, 0xFFBE}, {0x1F300, 0x1F64F},
}};

constexpr std::array<char32_t, 24> kOddities = {
    0x00,   0x01,   0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x1C,   0x1F,   0x7F,    0x85,     0xA0,
    0x1680, 0x180E, 0x200B, 0x200D, 0x2028, 0x2029, 0x202F, 0x205F, 0xFEFF, 0x1F9FF, 0x10FFFF, 0xE0041};

}  // namespace

std::vector<std::string> training_lines() {
  const std::vector<std::string> words = {"cheap", "red",   "running", "shoes", "for",  "kids",  "under",
                                          "€50",   "jacke", "zapatos", "blue",  "size", "42",    "don't",
                                          "we'll", "nike",  "größe",   "niño",  "the",  "newest"};
  Rng rng(7);
  std::vector<std::string> lines;
  for (int i = 0; i < 400; ++i) {
    std::string line;
    for (uint64_t n = 2 + rng.below(9); n > 0; --n) line += (line.empty() ? "" : " ") + rng.pick(words);
    lines.push_back(line);
  }
  return lines;
}

const Vocabulary& small_vocabulary() {
  static const Vocabulary vocabulary = tern_vocabulary(training_lines(), 345);
  return vocabulary;
}

const Tokenizer& small_tokenizer() {
  static const Tokenizer tokenizer{small_vocabulary()};
  return tokenizer;
}

void append_utf8(char32_t character, std::string& text) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((character >> shift) & 0x3F)); };
  if (character < 0x80) {
    text += static_cast<char>(character);
  } else if (character < 0x800) {
    text += static_cast<char>(0xC0 | (character >> 6));
    tail(0);
  } else if (character < 0x10000) {
    text += static_cast<char>(0xE0 | (character >> 12));
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xF0 | (character >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string random_text(Rng& rng, size_t characters) {
  static const std::vector<std::string> lines = training_lines();
  std::string text;
  const auto& block = kBlocks[rng.below(kBlocks.size())];  // most of a text is one script
  for (size_t i = 0; i < characters; ++i) {
    const auto& [low, high] = rng.chance(0.7) ? block : kBlocks[rng.below(kBlocks.size())];
    if (rng.chance(0.03)) {
      text += rng.pick(lines);
    } else if (rng.chance(0.08)) {
      text += std::string(1 + rng.below(4), " \n\t\r"[rng.below(4)]);
    } else if (rng.chance(0.05)) {
      append_utf8(kOddities[rng.below(kOddities.size())], text);
    } else {
      append_utf8(static_cast<char32_t>(rng.between(low, high)), text);
    }
  }
  return text;
}

std::string random_bytes(Rng& rng, size_t characters) {
  std::string text = random_text(rng, characters);
  for (uint64_t n = rng.below(2 + characters / 4); n > 0 && !text.empty(); --n) {
    const size_t at = rng.below(text.size());
    if (rng.chance(0.5)) {
      text.erase(at, 1);
    } else {
      text.insert(at, 1, static_cast<char>(rng.below(256)));
    }
  }
  return text;
}

std::vector<std::string_view> random_cuts(Rng& rng, std::string_view text) {
  std::vector<std::string_view> pieces;
  const uint64_t longest = 1 + rng.below(9);
  while (!text.empty()) {
    const size_t n = std::min<size_t>(text.size(), rng.below(longest + 1));
    pieces.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return pieces;
}

bool python_has(const std::string& module) {
  const bool has = std::system(("python3 -c 'import " + module + "' >/dev/null 2>&1").c_str()) == 0;
  if (!has && in_ci()) ADD_FAILURE() << "CI=true, and python3 has no " << module;
  return has;
}

nlohmann::json run_python(const std::string& script, const nlohmann::json& input) {
  const TemporaryFolder folder;
  const std::string in = folder / "in.json", out = folder / "out.json";
  std::ofstream(in, std::ios::binary) << input.dump();
  const std::string command =
      "python3 " + std::string(TERN_SOURCE_DIR) + "/tests/text/" + script + " <" + in + " >" + out;
  const int status = std::system(command.c_str());
  if (status != 0) {
    ADD_FAILURE() << script << " ended with status " << status;
    return nullptr;
  }
  return nlohmann::json::parse(read_all(out));
}

}  // namespace tern
