// The kernels, matrix products beside the limit that they run into, on one thread: what the integer products
// make on registers alone, or what memory gives. usage: bench_kernels [--benchmark_filter=REGEX] and
// google-benchmark's options
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "measure/machine.h"
#include "model/key_value_page.h"
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

std::vector<float> random_floats(Rng& rng, size_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.uniform()) - 0.5f;
  return values;
}

benchmark::Counter rate(double amount) {
  return benchmark::Counter(amount, benchmark::Counter::kIsRate);
}

/// A packed matrix whose rows are all the same: speed does not depend on values.
class Weights {
 public:
  Weights(DType type, const Shape& shape) : matrix_{type, shape.rows, shape.cols, nullptr} {
    Rng rng(1);
    const std::vector<float> row = random_floats(rng, shape.cols);
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
  Rng rng(2);
  const std::vector<float> x = random_floats(rng, tokens * shape.cols);
  std::vector<float> y(tokens * shape.rows);
  Activations activations;
  activations.reserve(tokens, shape.cols);
  activations.set(table, x.data(), shape.cols, tokens, shape.cols, needs_quantized(type));
  for (auto _ : state) {
    table.matmul(weights.matrix(), activations, y.data(), shape.rows, 0, weights.matrix().panels(), false);
    benchmark::ClobberMemory();
  }
  const double times = static_cast<double>(state.iterations());
  const double ops = 2.0 * static_cast<double>(tokens * shape.rows * shape.cols) * times;
  state.counters["op/s"] = rate(ops);
  state.counters["B/s"] = rate(weights.bytes() * times);
  state.counters["of_int8"] = rate(ops / int8_limit(table));
  state.counters["of_memory"] = rate(weights.bytes() * times / read_limit());
}

/// Both products of absorbed attention over a page of DeepSeek-V2-Lite's cache, 16 heads.
void attend_page(benchmark::State& state, CacheType type) {
  constexpr KeyValueShape kShape{.heads = 1, .key = 576, .value = 512};
  constexpr size_t kRows = 16, kTokens = KeyValuePage::kPageTokens;
  const Kernels& table = kernels(detect_isa());
  const KeyValuePage page(type, kShape);
  WeightMemory memory;
  std::byte* at = memory.take(page.bytes());
  Rng rng(3);
  for (size_t slot = 0; slot < kTokens; ++slot)
    page.put(table, at, slot, 0, random_floats(rng, kShape.key).data(), random_floats(rng, kShape.value).data());
  const std::vector<float> queries = random_floats(rng, kRows * kShape.key);
  std::vector<float> scores(kRows * kTokens), sums(kRows * kShape.value);
  Activations rows, weights;
  rows.reserve(kRows, page.key_cols());
  weights.reserve(kRows, kTokens);
  rows.set(table, queries.data(), kShape.key, kRows, page.key_cols(), page.quantized());
  weights.set(table, queries.data(), kTokens, kRows, kTokens, page.quantized());
  const PackedMatrix keys = page.keys(at, 0);
  for (auto _ : state) {
    table.matmul(keys, rows, scores.data(), kTokens, 0, keys.panels(), false);
    for (size_t block = 0; block < page.value_blocks(); ++block) {
      const PackedMatrix values = page.values(at, 0, block);
      table.matmul(values, weights, sums.data() + block * KeyValuePage::kValueBlock, kShape.value, 0,
                   values.panels(), true);
    }
    benchmark::ClobberMemory();
  }
  const double ops = 2.0 * kRows * kTokens * (kShape.key + kShape.value) * static_cast<double>(state.iterations());
  state.counters["op/s"] = rate(ops);
  state.counters["of_int8"] = rate(ops / int8_limit(table));
}

/// A function over a vector that stays in the first-level cache.
template <typename Run>
void add_vector(const char* name, const Run& run) {
  benchmark::RegisterBenchmark(name, [run](benchmark::State& state) {
    constexpr size_t kSize = 2048;
    Rng rng(4);
    const std::vector<float> x = random_floats(rng, kSize), weight = random_floats(rng, kSize);
    std::vector<float> y(kSize);
    for (auto _ : state) {
      run(kernels(detect_isa()), x, weight, y);
      benchmark::ClobberMemory();
    }
    state.counters["elements/s"] = rate(kSize * static_cast<double>(state.iterations()));
  });
}

void add_vectors() {
  using Vector = std::vector<float>;
  add_vector("rms_norm", [](const Kernels& k, const Vector& x, const Vector& weight, Vector& y) {
    k.rms_norm(x.data(), weight.data(), 1e-6f, x.size(), y.data());
  });
  add_vector("silu_mul", [](const Kernels& k, const Vector& x, const Vector& weight, Vector& y) {
    k.silu_mul(x.data(), weight.data(), x.size(), y.data());
  });
  add_vector("exp_shifted", [](const Kernels& k, const Vector& x, const Vector&, Vector& y) {
    y = x;
    benchmark::DoNotOptimize(k.exp_shifted(y.data(), 1.0f, y.size()));
  });
  add_vector("axpy", [](const Kernels& k, const Vector& x, const Vector&, Vector& y) {
    k.axpy(0.5f, x.data(), x.size(), y.data());
  });
  add_vector("quantize_q8", [](const Kernels& k, const Vector& x, const Vector&, Vector& y) {
    auto* q = reinterpret_cast<int8_t*>(y.data());
    float scales[64];
    int32_t sums[128];
    k.quantize_q8(x.data(), x.size(), q, scales, sums);
  });
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
  for (const CacheType type : {CacheType::f32, CacheType::bf16, CacheType::int8}) {
    const std::string name = fmt::format("attention over a page/{}", cache_type_name(type));
    benchmark::RegisterBenchmark(name.c_str(), [type](benchmark::State& state) { attend_page(state, type); });
  }
  add_vectors();
  benchmark::RunSpecifiedBenchmarks();
}
