#include "serve/exposition.h"

#include <fmt/format.h>

#include <cmath>

namespace tern {
namespace {

void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += ',';
  out.append(name).append("=\"");
  append_escaped(out, value);
  out += '"';
}

/// Whole numbers without a point, others in the fewest digits that give the same double.
std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  constexpr double kWhole = 9007199254740992;  // 2^53
  if (value == std::floor(value) && std::abs(value) < kWhole) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

}  // namespace

Exposition::Exposition(Labels common) {
  for (const auto& [name, value] : common) append_label(common_, name, value);
  text_.reserve(64 << 10);
}

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

std::string Exposition::rendered(Labels labels) const {
  std::string text = common_;
  for (const auto& [label, content] : labels) append_label(text, label, content);
  return text;
}

void Exposition::line(std::string_view name, std::string_view suffix, std::string_view labels, double value) {
  text_.append(name).append(suffix);
  if (!labels.empty()) text_.append("{").append(labels).append("}");
  text_.append(" ").append(number(value)).append("\n");
}

void Exposition::sample(std::string_view name, Labels labels, double value) {
  line(name, "", rendered(labels), value);
}

void Exposition::one(Names names, std::string_view type, std::string_view help, double value) {
  for (const std::string_view name : names) {
    family(name, type, help);
    sample(name, {}, value);
  }
}

void Exposition::counter(Names names, std::string_view help, double value) {
  one(names, "counter", help, value);
}

void Exposition::gauge(Names names, std::string_view help, double value) {
  one(names, "gauge", help, value);
}

void Exposition::histogram(Names names, std::string_view help, const Buckets& buckets,
                           const HistogramCounts& counts) {
  for (const std::string_view name : names) {
    family(name, "histogram", help);
    histogram_samples(name, {}, buckets, counts);
  }
}

void Exposition::histogram_samples(std::string_view name, Labels labels, const Buckets& buckets,
                                   const HistogramCounts& counts) {
  const std::string all_labels = rendered(labels);
  std::string with_bound;
  const auto bucket = [&](std::string_view bound, double count) {
    with_bound = all_labels;
    append_label(with_bound, "le", bound);
    line(name, "_bucket", with_bound, count);
  };
  uint64_t below = 0;
  size_t next = 0;
  for (const uint16_t bound : buckets.coarse) {
    for (; next <= bound; ++next) below += counts.counts[next];
    bucket(number(buckets.bounds[bound]), static_cast<double>(below));
  }
  const auto all = static_cast<double>(counts.count());
  bucket("+Inf", all);
  line(name, "_sum", all_labels, counts.sum);
  line(name, "_count", all_labels, all);
}

}  // namespace tern
