// What a comparison of supervisors found, as tables for a person and rows for programs. Used by comparison.cpp and
// supervisors_main.cpp; starts nothing.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bulkhead::bench::others {

struct RecoveryRow {
  std::string peer, version;
  int lived_ms = 0;  // how long the killed had run
  std::size_t n = 0;
  double p50_us = 0, p99_us = 0, max_us = 0;  // from the kill to the successor
  double ratio = 0;                           // of the medians, to ours
};

struct LeftOut {
  std::string peer, why;
};

struct Comparison {
  std::vector<RecoveryRow> rows;
  std::vector<LeftOut> left_out;
};

// `ours_us`: the samples that the ratio refers to. Ratio 0 when there are none.
RecoveryRow recovery_row(std::string peer, std::string version, int lived_ms,
                         std::vector<double> ready_us, std::vector<double> ours_us);

// A table for each `lived_ms`, then who was left out.
std::string to_text(const Comparison&);
// Rows as `bulkhead bench recovery --json` has them. When a supervisor knew of the death cannot be seen from outside:
// `detected_…` is null, for ours, too.
nlohmann::json to_json(const Comparison&);

}  // namespace bulkhead::bench::others
