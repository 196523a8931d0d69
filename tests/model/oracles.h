// the committed dumps of make_dumps.py and make_family_dumps.py: a tiny model and what its logits must be.
#pragma once

#include <string>
#include <vector>

#include "files/gguf.h"

namespace tern {

struct Oracle {
  std::string name;
  std::vector<int32_t> tokens;  ///< one sequence
  std::vector<float> logits;    ///< {tokens, vocab}
  GgufFile file;
};

std::vector<std::string> oracle_names();
Oracle read_oracle(const std::string& name);

}  // namespace tern
