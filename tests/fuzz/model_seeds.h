// Seeds of the targets that read whole models: checkpoints and files in pieces.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tern {

using Seeds = std::vector<std::pair<std::string, std::string>>;  ///< name and bytes

/// For fuzz_config: every family's small checkpoint, and configurations that lie.
Seeds config_seeds();
/// For fuzz_split: pieces that belong together and pieces that don't.
Seeds split_seeds();

}  // namespace tern
