#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace tern::train {
namespace {

/// PyTorch's thread pool spins at every operation, which crawls beside a busy neighbour; the trainer doesn't
/// use it.
class OneThread : public testing::Environment {
  void SetUp() override { at::set_num_threads(1); }
};

const testing::Environment* const one_thread = testing::AddGlobalTestEnvironment(new OneThread);

}  // namespace
}  // namespace tern::train
