// What the tests of texts share: a small vocabulary, texts of every kind from a seed, and Python's oracles.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace tern {

/// What a megabyte may take. Quadratic code would take minutes, whatever the build.
#if defined(TERN_SANITIZED) || !defined(NDEBUG)
inline constexpr double kMegabyteSeconds = 15;
#else
inline constexpr double kMegabyteSeconds = 1;
#endif

/// A few hundred lines of shop queries, made from a seed.
std::vector<std::string> training_lines();

/// tern's vocabulary of 345 tokens, learned from training_lines().
const Vocabulary& small_vocabulary();
const Tokenizer& small_tokenizer();

/// Well-formed text of all scripts: words of the training lines, letters, digits, white space, emoji,
/// controls.
std::string random_text(Rng& rng, size_t characters);
/// Any bytes: well-formed text with pieces cut out and bytes put in.
std::string random_bytes(Rng& rng, size_t characters);
/// `text` cut at random places, empty pieces included.
std::vector<std::string_view> random_cuts(Rng& rng, std::string_view text);

/// Appends the character in UTF-8.
void append_utf8(char32_t character, std::string& text);

/// True where python3 on the PATH imports `module`. With CI=true it must.
bool python_has(const std::string& module);

/// Runs tests/text/`script` with python3, `input` as JSON on its standard input; its JSON output.
/// A failing script fails the test and gives null.
nlohmann::json run_python(const std::string& script, const nlohmann::json& input);

/// Ends the test as skipped, by name, where Python can't be the oracle.
#define TERN_NEEDS_PYTHON(module) \
  if (!::tern::python_has(module)) GTEST_SKIP() << "python3 has no " << (module)

}  // namespace tern
