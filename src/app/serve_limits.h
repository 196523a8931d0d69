// Options of `tern serve` about who may ask, from where, and how much.
#pragma once

#include <CLI/CLI.hpp>

#include "serve/options.h"

namespace tern::app {

/// Adds them to `command`; what is given lands in `options`, which must outlive the parse.
void add_guard_options(CLI::App& command, ServeOptions& options);

/// As many file descriptors as this process may have.
void raise_file_limit();

}  // namespace tern::app
