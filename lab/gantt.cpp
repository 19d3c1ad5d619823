#include "lab/gantt.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace bulkhead::lab {
namespace {

// In pixels.
constexpr double left = 150, width = 720, bar_height = 18, run_gap = 14, top = 40,
                 figures_width = 330;
constexpr std::array<const char*, 6> colours{"#4e79a7", "#f28e2b", "#59a14f",
                                             "#e15759", "#b07aa1", "#edc948"};

template <class... Args>
std::string formatted(const char* format, Args... args) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), format, args...);
  return text.data();
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return formatted("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor) + text +
         "</text>\n";
}

std::string bar(const Turn& turn, double y, double scale, char name) {
  const double x = left + turn.begin_ms * scale, wide = (turn.end_ms - turn.begin_ms) * scale;
  std::string drawn = formatted(
      "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\"><title>%c: %.1f to "
      "%.1f ms</title></rect>\n",
      x, y, wide, bar_height, colours[turn.job % colours.size()], name, turn.begin_ms, turn.end_ms);
  constexpr double letter = 10;
  if (wide >= letter)
    drawn += label(x + wide / 2, y + bar_height - 5, "middle", std::string(1, name));
  return drawn;
}

std::string axis(double length, double scale, double bottom) {
  std::string drawn;
  constexpr double step = 50;
  for (double at = 0; at <= length; at += step) {
    const double x = left + at * scale;
    drawn += formatted("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ccc\"/>\n",
                       x, top - 6, x, bottom);
    drawn += label(x, top - 12, "middle", formatted("%.0f ms", at));
  }
  return drawn;
}

}  // namespace

double length_ms(const SchedulingLab& lab) noexcept {
  double length = 0;
  for (const auto& run : lab.runs) {
    for (const auto& turn : run.turns) length = std::max(length, turn.end_ms);
  }
  return length;
}

std::vector<std::string> gantt_lines(const SchedulingLab& lab, const PolicyRun& run,
                                     std::size_t columns) {
  const double column_ms = std::max(length_ms(lab), 1e-3) / static_cast<double>(columns);
  std::vector<std::string> lines(lab.workers, std::string(columns, '.'));
  for (std::uint32_t processor = 0; processor < lab.workers; ++processor) {
    for (std::size_t column = 0; column < columns; ++column) {
      const double begin = static_cast<double>(column) * column_ms, end = begin + column_ms;
      double most = 0;
      for (const Turn& turn : run.turns) {
        if (turn.processor != processor) continue;
        const double share = std::min(end, turn.end_ms) - std::max(begin, turn.begin_ms);
        if (share <= most) continue;
        most = share;
        lines[processor][column] = lab.jobs[turn.job].name;
      }
    }
  }
  return lines;
}

std::string gantt_svg(const SchedulingLab& lab) {
  const double length = std::max(length_ms(lab), 1e-3), scale = width / length;
  const double run_height = bar_height * lab.workers + run_gap;
  const double bottom = top + run_height * static_cast<double>(lab.runs.size());
  std::string drawn = formatted(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
      left + width + figures_width, bottom + 10);
  drawn += axis(length, scale, bottom);
  double y = top;
  for (const auto& run : lab.runs) {
    drawn += label(left - 10, y + bar_height - 5, "end", std::string(to_string(run.policy)));
    for (const auto& turn : run.turns) {
      drawn += bar(turn, y + bar_height * turn.processor, scale, lab.jobs[turn.job].name);
    }
    drawn += label(left + width + 10, y + bar_height - 5, "start",
                   formatted("waiting %.0f, turnaround %.0f, response %.0f ms", run.figures.waiting,
                             run.figures.turnaround, run.figures.response));
    y += run_height;
  }
  return drawn + "</svg>\n";
}

}  // namespace bulkhead::lab
