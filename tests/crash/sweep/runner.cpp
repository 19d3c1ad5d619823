#include "tests/crash/sweep/runner.hpp"

#include <cstdio>
#include <cstdlib>

#include "tests/crash/sweep/calibration.hpp"
#include "tests/crash/sweep/one_cpu.hpp"

namespace bulkhead::sweep {
namespace {

constexpr unsigned tries_max = 3;

Outcome try_point(const CalibratedRow& swept, const Item& item) {
  const auto operation = swept.row.begin();
  Verdict verdict;
  Victim first(*operation, 0);
  if (!first.run_to(swept.traces[0], item.points[0])) {
    return {Outcome::Kind::not_reached, "the victim did not come to this point"};
  }
  if (item.way == Way::pair) {
    Victim second(*operation, 1);
    if (!second.run_to(swept.traces[1], item.points[1])) {
      return {Outcome::Kind::not_reached, "the second victim did not come to this point"};
    }
    second.kill();
  } else if (item.way == Way::pause) {
    operation->work_beside(verdict);
    verdict.expect(first.run_to_end(), "resumed, the victim did not come to its end");
  }
  first.kill();
  if (verdict.is_good()) operation->check(verdict);
  if (verdict.is_good()) return {};
  return {Outcome::Kind::violation, verdict.complaint()};
}

}  // namespace

Outcome sweep_point(const CalibratedRow& row, const Item& item) {
  for (unsigned tries = 1;; ++tries) {
    Outcome outcome = try_point(row, item);
    outcome.tries = tries;
    if (outcome.kind != Outcome::Kind::not_reached || tries == tries_max) return outcome;
  }
}

std::vector<CalibratedRow> calibrate_rows(const Rows& rows, std::string_view only) {
  const OneCpu here(1);
  std::vector<CalibratedRow> calibrated;
  for (const Row& row : rows) {
    if (!row.name.starts_with(only)) continue;
    CalibratedRow swept{row, {}};
    for (int actor = 0; actor < (row.pair ? 2 : 1); ++actor) {
      const auto operation = row.begin();
      auto trace = calibrate(*operation, actor);
      if (!trace || trace->points.empty()) {
        std::fprintf(stderr, "sweep: %s did not come to its end in calibration\n",
                     row.name.c_str());
        std::exit(2);
      }
      swept.traces[actor] = std::move(*trace);
    }
    calibrated.push_back(std::move(swept));
  }
  return calibrated;
}

}  // namespace bulkhead::sweep
