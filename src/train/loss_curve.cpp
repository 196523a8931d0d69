#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "train/log.h"

namespace tern::train {

namespace {

struct Point {
  double tokens, value;
};

struct Curves {
  std::vector<Point> loss, dev_loss, exact;
  double tokens = 1;
};

Curves read_curves(const std::string& log_text) {
  Curves curves;
  std::istringstream lines(log_text);
  std::string line;
  while (std::getline(lines, line)) {
    const auto record = nlohmann::json::parse(line, nullptr, false);
    if (record.is_discarded()) continue;
    const double tokens = record.value("tokens", 0.0);
    curves.tokens = std::max(curves.tokens, tokens);
    if (record.contains("loss")) curves.loss.push_back({tokens, record.value("loss", 0.0)});
    if (record.contains("dev_loss")) {
      curves.dev_loss.push_back({tokens, record.value("dev_loss", 0.0)});
      curves.exact.push_back({tokens, record.value("dev_exact_thinking", 0.0)});
    }
  }
  return curves;
}

// The picture, in pixels.
constexpr double left = 60, right = 660, top = 40, bottom = 340;
// The loss axis is logarithmic, from 0.01 to 10; the share of exact answers goes from 0 to 1.
constexpr double log_low = -2, log_high = 1;

double x_of(double tokens, double most) {
  return left + (right - left) * tokens / most;
}
double y_of_loss(double loss) {
  const double share = (std::log10(std::max(loss, 1e-9)) - log_low) / (log_high - log_low);
  return bottom - (bottom - top) * std::clamp(share, 0.0, 1.0);
}
double y_of_share(double share) {
  return bottom - (bottom - top) * share;
}

template <typename Y>
std::string polyline(const std::vector<Point>& points, double most, const char* colour, Y&& y) {
  std::string path;
  for (const Point& point : points)
    path += fmt::format("{:.1f},{:.1f} ", x_of(point.tokens, most), y(point.value));
  return fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>\n", colour,
                     path);
}

std::string text(double x, double y, const char* anchor, const char* colour, const std::string& words) {
  return fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" fill=\"{}\">{}</text>\n", x, y, anchor,
                     colour, words);
}

}  // namespace

std::string loss_curve_svg(const std::string& log_text, const std::string& title) {
  const Curves curves = read_curves(log_text);
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"390\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"720\" height=\"390\" fill=\"white\"/>\n";
  for (double loss : {0.01, 0.1, 1.0, 10.0}) {
    svg += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\" stroke=\"#dddddd\"/>\n", left, right,
                       y_of_loss(loss), y_of_loss(loss));
    svg += text(left - 6, y_of_loss(loss) + 4, "end", "#1f77b4", fmt::format("{}", loss));
  }
  for (double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    svg += text(right + 6, y_of_share(share) + 4, "start", "#2ca02c", fmt::format("{:.0f}%", 100 * share));
  }
  for (int i = 0; i <= 4; ++i) {
    const double tokens = curves.tokens * i / 4;
    svg += text(x_of(tokens, curves.tokens), bottom + 18, "middle", "black",
                fmt::format("{:.1f}M", tokens / 1e6));
  }
  svg += polyline(curves.loss, curves.tokens, "#1f77b4", y_of_loss);
  svg += polyline(curves.dev_loss, curves.tokens, "#ff7f0e", y_of_loss);
  svg += polyline(curves.exact, curves.tokens, "#2ca02c", y_of_share);
  svg += text((left + right) / 2, 20, "middle", "black", title);
  svg += text((left + right) / 2, bottom + 38, "middle", "black", "tokens");
  svg += text(left + 130, top + 10, "start", "#1f77b4", "training loss");
  svg += text(left + 230, top + 10, "start", "#ff7f0e", "dev loss");
  svg += text(left + 300, top + 10, "start", "#2ca02c", "dev thinking and answer exact");
  return svg + "</svg>\n";
}

}  // namespace tern::train
