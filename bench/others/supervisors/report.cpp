#include "bench/others/supervisors/report.hpp"

#include <array>
#include <cstdio>

#include "bench/machine.hpp"

namespace bulkhead::bench::others {
namespace {

template <class... Values>
std::string printed(const char* format, Values... values) {
  std::array<char, 200> line;
  std::snprintf(line.data(), line.size(), format, values...);
  return line.data();
}

}  // namespace

RecoveryRow recovery_row(std::string peer, std::string version, int lived_ms,
                         std::vector<double> ready_us, std::vector<double> ours_us) {
  RecoveryRow row{std::move(peer), std::move(version), lived_ms, ready_us.size()};
  row.p50_us = percentile(ready_us, 0.50);
  row.p99_us = percentile(ready_us, 0.99);
  row.max_us = percentile(ready_us, 1.0);
  const double ours = percentile(ours_us, 0.50);
  row.ratio = ours > 0 ? row.p50_us / ours : 0;
  return row;
}

std::string to_text(const Comparison& comparison) {
  std::string text;
  int lived_ms = -1;
  for (const RecoveryRow& row : comparison.rows) {
    if (row.lived_ms != lived_ms) {
      lived_ms = row.lived_ms;
      text += printed("kill -9 of a child that had run for %d ms, until its successor runs\n",
                      lived_ms);
      text += printed("  %-12s %-24s %6s %11s %11s %11s %9s\n", "", "version", "kills", "p50",
                      "p99", "max", "to ours");
    }
    text += printed("  %-12s %-24s %6zu %8.2f ms %8.2f ms %8.2f ms %8.2fx\n", row.peer.c_str(),
                    row.version.c_str(), row.n, row.p50_us / 1e3, row.p99_us / 1e3,
                    row.max_us / 1e3, row.ratio);
  }
  for (const LeftOut& left : comparison.left_out) {
    text += "left out: " + left.peer + " (" + left.why + ")\n";
  }
  return text;
}

nlohmann::json to_json(const Comparison& comparison) {
  auto rows = nlohmann::json::array();
  for (const RecoveryRow& row : comparison.rows) {
    rows.push_back({{"bench", "recovery"},
                    {"cause", "SIGKILL"},
                    {"warm_spare", false},
                    {"n", row.n},
                    {"lived_ms", row.lived_ms},
                    {"detected_p50_us", nullptr},
                    {"detected_p99_us", nullptr},
                    {"ready_p50_us", row.p50_us},
                    {"ready_p99_us", row.p99_us},
                    {"ready_max_us", row.max_us},
                    {"ratio", row.ratio},
                    {"peer", row.peer},
                    {"peer_version", row.version}});
  }
  return rows;
}

}  // namespace bulkhead::bench::others
