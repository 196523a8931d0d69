#include "model/pack_model.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "model/decoder.h"
#include "model/packed_file.h"

namespace tern {
namespace {

PackIdentity identity_of(const GgufFile& file) {
  const auto identity = pack_identity(file, false);
  if (identity) return *identity;
  fail(ErrorKind::unsupported, "{}: only a GGUF file has a packed file", file.name());
}

}  // namespace

uint64_t write_pack(const GgufFile& file, const std::string& path, int threads, const ByteProgress& packing,
                    const ByteProgress& writing) {
  const PackIdentity identity = identity_of(file);
  const DecoderShape shape = find_family(file).read_shape(file);
  ThreadTeam team(threads);
  const auto weights = load_decoder_weights(file, shape, false, team, {}, packing);
  const std::atomic<bool> never = false;
  write_packed_file(path, identity, weights->memory.taken(), never, writing);
  return MappedFile(path).bytes().size();
}

uint64_t check_pack(const GgufFile& file, const std::string& path, const ByteProgress& progress) {
  const PackedFile packed(path, identity_of(file));
  const uint64_t all = packed.file().bytes().size();
  for (size_t chunk = 0; chunk < packed.chunks(); ++chunk) {
    if (!packed.intact(chunk)) {
      fail(ErrorKind::bad_input, "{}: damaged in the {} bytes from {} on: delete it, or pack again", path,
           PackedFile::kChunk, chunk * PackedFile::kChunk);
    }
    if (progress) progress(std::min<uint64_t>(all, (chunk + 1) * PackedFile::kChunk), all);
  }
  return all;
}

}  // namespace tern
