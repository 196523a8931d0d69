// The matrix products, each beside the limit that it runs into, on one thread: what the integer products make
// on registers alone, or what memory gives. usage: bench_kernels [--benchmark_filter=REGEX] and
// google-benchmark's options
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "measure/machine.h"
#include "model/weights.h"

namespace tern {
namespace {

constexpr DType kTypes[] = {DType::f32,  DType::f16,  DType::bf16, DType::q4_0, DType::q4_1,
                            DType::q5_0, DType::q5_1, DType::q8_0, DType::q2_k, DType::q3_k,
                            DType::q4_k, DType::q5_k, DType::q6_k, DType::mxfp4};
constexpr double kSeconds = 0.2;  // for each limit

struct Shape {
  const char* name;
  size_t rows, cols;
};
constexpr Shape kExpert = {"an expert, in the cache", 1408, 2048};
constexpr Shape kLarge = {"a head, in memory", 32768, 4096};

double read_limit() {
  static const double limit = measure_read_bandwidth(1, kSeconds);
  return limit;
}

double int8_limit(const Kernels& kernels) {
  static const double limit = measure_int8_peak(kernels, 1, kSeconds);
  return limit;
}

/// A packed matrix whose rows are all the same: speed does not depend on values.
class Weights {
 public:
  Weights(DType type, const Shape& shape) : matrix_{type, shape.rows, shape.cols, nullptr} {
    std::vector<float> row(shape.cols);
    Rng rng(1);
    for (float& value : row) value = static_cast<float>(rng.uniform()) - 0.5f;
    const size_t bytes = row_bytes(type, shape.cols);
    std::vector<std::byte> rows(kPanelRows * bytes);
    for (size_t r = 0; r < kPanelRows; ++r) encode(type, row.data(), shape.cols, rows.data() + r * bytes);
    std::byte* packed = memory_.take(packed_bytes(type, shape.rows, shape.cols));
    for (size_t panel = 0; panel < matrix_.panels(); ++panel)
      pack(type, rows.data(), kPanelRows, shape.cols, packed + panel * packed_panel_bytes(type, shape.cols));
    matrix_.data = packed;
  }
  const PackedMatrix& matrix() const { return matrix_; }
  double bytes() const { return static_cast<double>(memory_.bytes()); }

 private:
  PackedMatrix matrix_;
  WeightMemory memory_;
};

void matmul(benchmark::State& state, Isa isa, DType type, const Shape& shape, size_t tokens) {
  const Kernels& table = kernels(isa);
  const Weights weights(type, shape);
  std::vector<float> x(tokens * shape.cols), y(tokens * shape.rows);
  Rng rng(2);
  for (float& value : x) value = static_cast<float>(rng.uniform()) - 0.5f;
  Activations activations;
  activations.reserve(tokens, shape.cols);
  activations.set(table, x.data(), shape.cols, tokens, shape.cols, needs_quantized(type));
  for (auto _ : state) {
    table.matmul(weights.matrix(), activations, y.data(), shape.rows, 0, weights.matrix().panels(), false);
    benchmark::ClobberMemory();
  }
  const double times = static_cast<double>(state.iterations());
  const double ops = 2.0 * static_cast<double>(tokens * shape.rows * shape.cols) * times;
  const auto rate = [](double amount) { return benchmark::Counter(amount, benchmark::Counter::kIsRate); };
  state.counters["op/s"] = rate(ops);
  state.counters["B/s"] = rate(weights.bytes() * times);
  state.counters["of_int8"] = rate(ops / int8_limit(table));
  state.counters["of_memory"] = rate(weights.bytes() * times / read_limit());
}

void add(Isa isa, DType type, const Shape& shape, size_t tokens) {
  const std::string name = fmt::format("{}/{}/{}/{}", isa_name(isa), traits(type).name, shape.name, tokens);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) { matmul(state, isa, type, shape, tokens); });
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  using namespace tern;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const DType type : kTypes) {
    for (const size_t tokens : {1, 4, 12, 48}) add(detect_isa(), type, kExpert, tokens);
    add(detect_isa(), type, kLarge, 1);
  }
  benchmark::RunSpecifiedBenchmarks();
}
