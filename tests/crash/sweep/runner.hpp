// Sweeps one point: fresh operation, fresh victims, run there, kill or pause, let the survivor recover,
// check. Used by the crew and by --replay; decides nothing about which points, and prints nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/crash/sweep/plan.hpp"
#include "tests/crash/sweep/victim.hpp"

namespace bulkhead::sweep {

struct Outcome {
  enum class Kind { good, violation, not_reached };
  Kind kind = Kind::good;
  std::string complaint;
  unsigned tries = 1;  // a victim that missed its point is thrown away and tried again
};

Outcome sweep_point(const CalibratedRow& row, const Item& item);

// All rows whose names begin with `only`, calibrated. Ends the program when one cannot be.
std::vector<CalibratedRow> calibrate_rows(const Rows& rows, std::string_view only);

}  // namespace bulkhead::sweep
