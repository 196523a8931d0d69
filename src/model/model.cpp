#include "model/model.h"

#include <new>

#include "base/error.h"
#include "model/decoder.h"

namespace tern {

void Model::draft(std::span<const BatchToken>, const float*, PagedCache&, float*) {
  fail(ErrorKind::bad_input, "draft: the model was loaded without its draft layer, or has none");
}

std::unique_ptr<Model> load_model(const GgufFile& file, const ModelOptions& options) {
  const DecoderShape shape = find_family(file).read_shape(file);
  try {
    return load_decoder(file, shape, options);
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::limit, "{}: the model does not fit into memory", file.name());
  }
}

ModelShape measure_model(const GgufFile& file, CacheType cache) {
  return measure_decoder(file, find_family(file).read_shape(file), cache);
}

}  // namespace tern
