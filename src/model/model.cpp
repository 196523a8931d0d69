#include "model/model.h"

#include <new>

#include "base/error.h"
#include "model/deepseek2.h"

namespace tern {

namespace {

struct Architecture {
  std::string_view name;  ///< `general.architecture`
  std::unique_ptr<Model> (*load)(const GgufFile& file, const ModelOptions& options);
};

constexpr Architecture kArchitectures[] = {
    {"deepseek2", load_deepseek2},
};

}  // namespace

std::unique_ptr<Model> load_model(const GgufFile& file, const ModelOptions& options) {
  const std::string name = file.get_string("general.architecture");
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name != name) {
      known += known.empty() ? "" : ", ";
      known += architecture.name;
      continue;
    }
    try {
      return architecture.load(file, options);
    } catch (const std::bad_alloc&) {
      fail(ErrorKind::limit, "{}: the model does not fit into memory", file.name());
    }
  }
  fail(ErrorKind::unsupported, "{}: architecture \"{}\" is not supported; tern runs {}", file.name(), name,
       known);
}

}  // namespace tern
