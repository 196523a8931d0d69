// Which tokens end a reply.
#pragma once

#include <vector>

#include "text/vocabulary.h"

namespace tern {

/// By id: those the vocabulary says (eos, eot, eom, ends) and added tokens that do by their name, whatever
/// vocabulary they are in (the names llama.cpp knows).
std::vector<bool> end_tokens(const Vocabulary& vocabulary);

/// By id: those by their name alone.
std::vector<bool> named_ends(const Vocabulary& vocabulary);

}  // namespace tern
