// Writes and checks a model's packed file without running the model.
#pragma once

#include <cstdint>
#include <string>

#include "base/progress.h"
#include "files/gguf.h"

namespace tern {

/// Packs all weights in memory, as load_model() does, and writes them to `path`. Returns the file's bytes.
/// `packing` counts bytes of the model, `writing` those of the packed file. Throws as load_model() and
/// write_packed_file(), and Error{unsupported} for a model that has no packed file (pack_identity()).
uint64_t write_pack(const GgufFile& file, const std::string& path, int threads, const ByteProgress& packing,
                    const ByteProgress& writing);

/// Reads all of the packed file at `path` and returns its bytes. Throws Error{io} where it can't be read,
/// Error{bad_input} saying where it is damaged or that it is of no use to this model, and Error{unsupported}
/// as write_pack().
uint64_t check_pack(const GgufFile& file, const std::string& path, const ByteProgress& progress);

}  // namespace tern
