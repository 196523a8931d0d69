#include "train/export.h"

#include <filesystem>

namespace tern::train {

void export_model(const Network& network, const Vocabulary& vocabulary, const Config& config,
                  const std::string& out) {
  export_gguf(network, vocabulary, config, config.run.export_type, out + "/model.gguf");
  export_hugging_face(network, vocabulary, config, out + "/hf");
}

}  // namespace tern::train
