#include "measure/load/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace tern::load {
namespace {

constexpr double kWidth = 760;

constexpr const char* kStyle = R"(<style>
svg{--paper:#fff;--ink:#1c1c1c;--soft:#5d5d5d;--grid:#dedede;--ok:#0a7d53;--late:#c25700;--refused:#6a51c7;--failed:#c4122f;--done:#1769b5}
@media(prefers-color-scheme:dark){svg{--paper:#16181b;--ink:#ececec;--soft:#a9a9a9;--grid:#373a3f;--ok:#3ec98f;--late:#ff9d45;--refused:#ab97ff;--failed:#ff6b7d;--done:#67b2ff}}
text{fill:var(--ink);font:12px sans-serif}.soft{fill:var(--soft)}.title{font-weight:bold;font-size:14px}
.grid{stroke:var(--grid)}.line{fill:none;stroke-width:2}
</style>
)";

/// How a fate looks: its colour, its name, and a mark of its own, so that colour is not all that tells.
struct Look {
  Fate fate;
  const char* colour;
  const char* name;
};
constexpr std::array<Look, 5> kLooks = {{{Fate::on_time, "ok", "on time"},
                                         {Fate::done, "done", "done, no deadline"},
                                         {Fate::late, "late", "late"},
                                         {Fate::refused, "refused", "refused"},
                                         {Fate::failed, "failed", "failed"}}};

std::string mark(Fate fate, double x, double y, const char* colour) {
  switch (fate) {
    case Fate::late:
      return fmt::format("<path d=\"M{:.1f} {:.1f}l3.5 6h-7z\" fill=\"var(--{})\"/>", x, y - 3.5, colour);
    case Fate::refused:
      return fmt::format("<path d=\"M{:.1f} {:.1f}h5\" stroke=\"var(--{})\" stroke-width=\"2\"/>", x - 2.5, y,
                         colour);
    case Fate::failed:
      return fmt::format(
          "<path d=\"M{:.1f} {:.1f}l6 6m0 -6l-6 6\" stroke=\"var(--{})\" stroke-width=\"1.5\"/>", x - 3,
          y - 3, colour);
    default:
      return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2\" fill=\"var(--{})\"/>", x, y, colour);
  }
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return out;
}

std::string words(double x, double y, const char* anchor, const std::string& text, const char* kind = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y,
                     anchor, kind, escaped(text));
}

std::string rule(double x1, double y1, double x2, double y2) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"grid\"/>\n", x1,
                     y1, x2, y2);
}

std::string legend_line(double x, double y, const char* colour, const char* dashes, const char* name) {
  return fmt::format(
             "<path class=\"line\" d=\"M{:.1f} {:.1f}h22\" stroke=\"var(--{})\" stroke-dasharray=\"{}\"/>\n",
             x, y, colour, dashes) +
         words(x + 27, y + 4, "start", name);
}

std::string open_svg(double height, const std::string& title) {
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
             "height=\"{1}\">\n{2}"
             "<rect width=\"{0}\" height=\"{1}\" fill=\"var(--paper)\"/>\n",
             kWidth, height, kStyle) +
         words(20, 26, "start", title, "title");
}

/// Milliseconds on a logarithmic scale between two powers of ten.
struct LogScale {
  double low, high;  ///< powers of ten

  static LogScale of(double least_s, double most_s) {
    const double low = std::floor(std::log10(std::max(least_s * 1e3, 1e-2)));
    return {low, std::max(low + 1, std::ceil(std::log10(std::max(most_s * 1e3, 1e-2))))};
  }
  /// 0 to 1.
  double share(double seconds) const {
    return std::clamp((std::log10(std::max(seconds * 1e3, 1e-3)) - low) / (high - low), 0.0, 1.0);
  }
  static std::string name(double power) {
    return power < 3 ? fmt::format("{:g} ms", std::pow(10, power))
                     : fmt::format("{:g} s", std::pow(10, power - 3));
  }
};

struct Box {
  double left, right, top, bottom;
  double x(double share) const { return left + (right - left) * share; }
  double y(double share) const { return bottom - (bottom - top) * share; }
};

/// Rules across the box, from bottom to top.
std::string times_axis(const LogScale& scale, const Box& box) {
  std::string out;
  for (double power = scale.low; power <= scale.high; ++power) {
    const double y = box.y((power - scale.low) / (scale.high - scale.low));
    out += rule(box.left, y, box.right, y) + words(box.left - 6, y + 4, "end", scale.name(power), "soft");
  }
  return out;
}

std::string polyline(const std::string& points, const char* colour, const char* dashes) {
  return fmt::format(
      "<polyline class=\"line\" stroke=\"var(--{})\" stroke-dasharray=\"{}\" points=\"{}\"/>\n", colour,
      dashes, points);
}

/// Every request, or of many an even sample of each fate.
std::string requests_plot(const LoadReport& report, const Box& box) {
  double least = 86400, most = 1e-4, last = 1e-3;
  std::array<size_t, 5> counts{};
  for (const Record& record : report.records) {
    least = std::min<double>(least, record.latency_s);
    most = std::max<double>({most, record.latency_s, record.deadline_s});
    last = std::max<double>(last, record.due_s);
    ++counts[static_cast<size_t>(record.fate)];
  }
  const LogScale scale = LogScale::of(least, most);
  std::string out = times_axis(scale, box);
  for (int i = 0; i <= 4; ++i)
    out += words(box.x(i / 4.0), box.bottom + 18, "middle", fmt::format("{:.3g} s", last * i / 4), "soft");
  double legend = box.left;
  for (const Look& look : kLooks) {
    const size_t count = counts[static_cast<size_t>(look.fate)];
    if (count == 0) continue;
    constexpr size_t kMostMarks = 3000;
    const size_t stride = (count + kMostMarks - 1) / kMostMarks;
    size_t seen = 0;
    for (const Record& record : report.records) {
      if (record.fate != look.fate || seen++ % stride != 0) continue;
      out +=
          mark(record.fate, box.x(record.due_s / last), box.y(scale.share(record.latency_s)), look.colour) +
          "\n";
    }
    const std::string name = fmt::format("{} {}", count, look.name);
    out += mark(look.fate, legend + 4, box.top - 14, look.colour) +
           words(legend + 12, box.top - 10, "start", name);
    legend += 34 + 6.6 * static_cast<double>(name.size());
  }
  return out + words(box.x(0.5), box.bottom + 36, "middle",
                     "when a request was due; above it, how long it took", "soft");
}

std::string shares_plot(const LoadReport& report, const Box& box) {
  struct Curve {
    const Histogram* times;
    const char* colour;
    const char* dashes;
    const char* name;
  };
  const std::array<Curve, 4> curves = {{{&report.ttfb, "done", "2 3", "first byte"},
                                        {&report.ttft, "refused", "6 3", "first token"},
                                        {&report.ttfa, "late", "10 3 2 3", "first answer token"},
                                        {&report.e2e, "ok", "none", "end to end"}}};
  double least = 86400, most = 1e-4;
  for (const Curve& curve : curves) {
    if (curve.times->count() == 0) continue;
    least = std::min(least, curve.times->min());
    most = std::max(most, curve.times->max());
  }
  const LogScale scale = LogScale::of(least, most);
  std::string out;
  for (double power = scale.low; power <= scale.high; ++power) {
    const double x = box.x((power - scale.low) / (scale.high - scale.low));
    out += rule(x, box.top, x, box.bottom) + words(x, box.bottom + 18, "middle", scale.name(power), "soft");
  }
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    out += rule(box.left, box.y(share), box.right, box.y(share)) +
           words(box.left - 6, box.y(share) + 4, "end", fmt::format("{:.0f}%", share * 100), "soft");
  }
  double legend = box.left;
  for (const Curve& curve : curves) {
    if (curve.times->count() == 0) continue;
    std::string points;
    for (int i = 0; i <= 200; ++i) {
      const double share = i / 200.0;
      points += fmt::format("{:.1f},{:.1f} ", box.x(scale.share(curve.times->quantile(share))), box.y(share));
    }
    out += polyline(points, curve.colour, curve.dashes);
    out += legend_line(legend, box.top - 14, curve.colour, curve.dashes, curve.name);
    legend += 48 + 6.6 * static_cast<double>(std::string_view(curve.name).size());
  }
  return out +
         words(box.x(0.5), box.bottom + 36, "middle", "share of the answers that came within a time", "soft");
}

/// A rate step's times at some share of its answers, by rate.
std::string quantile_line(const std::vector<RateStep>& by_rate, double share, const LogScale& scale,
                          const Box& box, const char* colour, const char* dashes) {
  std::string points;
  for (const RateStep& step : by_rate) {
    if (step.report.e2e.count() == 0) continue;
    points += fmt::format("{:.1f},{:.1f} ", box.x(step.rate / by_rate.back().rate),
                          box.y(scale.share(step.report.e2e.quantile(share))));
  }
  return polyline(points, colour, dashes);
}

std::string bar(double x, double y, double width, double height, const char* colour) {
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"var(--{})\"/>\n", x, y,
      width, height, colour);
}

}  // namespace

std::string plot_svg(const LoadReport& report, const std::string& title) {
  return open_svg(660, title) + requests_plot(report, {76, 730, 70, 330}) +
         shares_plot(report, {76, 730, 420, 600}) + "</svg>\n";
}

std::string plot_svg(const std::vector<SweepCell>& cells, const std::string& title) {
  constexpr double kRow = 26, kTop = 80, kLeft = 170, kRight = 560;
  std::string out = open_svg(kTop + kRow * static_cast<double>(cells.size()) + 30, title);
  double legend = 20;
  for (const Look& look : kLooks) {
    out += bar(legend, 42, 12, 12, look.colour) + words(legend + 17, 53, "start", look.name);
    legend += 40 + 6.6 * static_cast<double>(std::string_view(look.name).size());
  }
  double y = kTop;
  for (const SweepCell& cell : cells) {
    const LoadReport& r = cell.report;
    const uint64_t plain = r.done - r.on_time - r.late;
    const std::array<uint64_t, 5> counts = {r.on_time, plain, r.late, r.refused, r.failed};
    double x = kLeft;
    for (size_t i = 0; i < counts.size(); ++i) {
      const double width = (kRight - kLeft) * LoadReport::share(counts[i], r.sent);
      if (counts[i] > 0) out += bar(x, y, width, kRow - 8, kLooks[i].colour);
      x += width;
    }
    out += words(kLeft - 8, y + 13, "end", fmt::format("{}x, burstiness {}", cell.multiple, cell.burstiness));
    const std::string kept =
        r.with_deadline ? fmt::format("{:.2f}% of accepted", r.on_time_share() * 100) : "";
    out += words(kRight + 8, y + 13, "start", fmt::format("{:.1f}/s  {}", r.complete_per_s(), kept), "soft");
    y += kRow;
  }
  return out + "</svg>\n";
}

std::string plot_svg(const Capacity& capacity, const std::string& title) {
  constexpr double kRow = 26, kTop = 50, kLeft = 170, kRight = 560;
  std::string out = open_svg(kTop + kRow * static_cast<double>(capacity.steps.size()) + 30, title);
  double y = kTop;
  for (const CapacityStep& step : capacity.steps) {
    const double answers_s = step.report.complete_per_s();
    const double share = capacity.answers_s > 0 ? answers_s / capacity.answers_s : 0;
    out += words(kLeft - 8, y + 13, "end", fmt::format("{} at once", step.concurrency)) +
           bar(kLeft, y, (kRight - kLeft) * share, kRow - 8,
               step.concurrency == capacity.concurrency ? "ok" : "done") +
           words(kRight + 8, y + 13, "start", fmt::format("{:.1f} complete answers/s", answers_s), "soft");
    y += kRow;
  }
  return out + "</svg>\n";
}

std::string plot_svg(const SustainedRate& found, const std::string& title) {
  const Box box = {76, 730, 90, 360};
  std::string out = open_svg(420, title);
  std::vector<RateStep> by_rate = found.steps;
  std::sort(by_rate.begin(), by_rate.end(), [](const auto& a, const auto& b) { return a.rate < b.rate; });
  if (by_rate.empty()) return out + "</svg>\n";
  double least = found.within_s, most = found.within_s;
  for (const RateStep& step : by_rate) {
    if (step.report.e2e.count() == 0) continue;
    least = std::min(least, step.report.e2e.quantile(0.5));
    most = std::max(most, step.report.e2e.quantile(0.99));
  }
  const LogScale scale = LogScale::of(least, most);
  out += times_axis(scale, box);
  const double highest = by_rate.back().rate;
  for (int i = 0; i <= 4; ++i) {
    out += words(box.x(i / 4.0), box.bottom + 18, "middle", fmt::format("{:.3g}/s", highest * i / 4), "soft");
  }
  struct Curve {
    double share;
    const char *colour, *dashes, *name;
  };
  double legend = box.left;
  for (const Curve& curve : {Curve{0.5, "done", "2 3", "p50"}, Curve{0.95, "ok", "none", "p95"},
                             Curve{0.99, "refused", "6 3", "p99"}}) {
    out += quantile_line(by_rate, curve.share, scale, box, curve.colour, curve.dashes) +
           legend_line(legend, box.top - 14, curve.colour, curve.dashes, curve.name);
    legend += 48 + 6.6 * static_cast<double>(std::string_view(curve.name).size());
  }
  for (const RateStep& step : by_rate) {
    if (step.report.e2e.count() == 0) continue;
    out += mark(step.sustained ? Fate::on_time : Fate::failed, box.x(step.rate / highest),
                box.y(scale.share(step.report.e2e.quantile(0.95))), step.sustained ? "ok" : "failed") +
           "\n";
  }
  const double bound = box.y(scale.share(found.within_s));
  out += fmt::format("<path class=\"line\" d=\"M{:.1f} {:.1f}H{:.1f}\" stroke=\"var(--late)\"/>\n", box.left,
                     bound, box.right);
  out +=
      words(box.left + 6, bound - 6, "start", fmt::format("within {:.0f} ms", found.within_s * 1e3), "soft");
  out += words(box.x(0.5), box.bottom + 36, "middle",
               fmt::format("whole answers by requests a second; {:.1f}/s are sustained, a cross is a rate "
                           "that is not",
                           found.rate),
               "soft");
  return out + "</svg>\n";
}

}  // namespace tern::load
