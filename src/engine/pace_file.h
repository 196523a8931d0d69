// What steps cost, kept from one run to the next.
#pragma once

#include <optional>
#include <string>

#include "engine/pace.h"
#include "kernels/cpu.h"
#include "model/model.h"

namespace tern {

/// What the costs depend on: the processor, its threads, the kernels, and the model.
std::string pace_conditions(const ModelShape& model, Isa isa, int threads);

/// The costs kept in the file of JSON at `path`: none where there is no such file. Throws Error{bad_input}
/// for one that can't be read, and Error{limit} for one that is too long; of other conditions: none.
std::optional<Pace::Costs> read_pace(const std::string& path, const std::string& conditions);

/// Writes or replaces it. Throws Error{io}.
void write_pace(const std::string& path, const std::string& conditions, const Pace::Costs& costs);

}  // namespace tern
