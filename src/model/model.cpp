#include "model/model.h"

#include <new>

#include "base/error.h"
#include "model/deepseek2.h"

namespace tern {

namespace {

struct Architecture {
  std::string_view name;  ///< `general.architecture`
  std::unique_ptr<Model> (*load)(const GgufFile& file, const ModelOptions& options);
  ModelShape (*measure)(const GgufFile& file);
};

constexpr Architecture kArchitectures[] = {
    {"deepseek2", load_deepseek2, measure_deepseek2},
};

const Architecture& architecture_of(const GgufFile& file) {
  const std::string name = file.get_string("general.architecture");
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture;
    known += known.empty() ? "" : ", ";
    known += architecture.name;
  }
  fail(ErrorKind::unsupported, "{}: architecture \"{}\" is not supported; tern runs {}", file.name(), name,
       known);
}

}  // namespace

std::unique_ptr<Model> load_model(const GgufFile& file, const ModelOptions& options) {
  const Architecture& architecture = architecture_of(file);
  try {
    return architecture.load(file, options);
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::limit, "{}: the model does not fit into memory", file.name());
  }
}

ModelShape measure_model(const GgufFile& file) {
  return architecture_of(file).measure(file);
}

}  // namespace tern
