// Shares a plan out among a few worker processes, and outlives them: a survivor that crashes or hangs in
// its recovery is a finding like any other, and the sweep goes on after that point. Used by main.
#pragma once

#include <vector>

#include "tests/crash/sweep/plan.hpp"
#include "tests/crash/sweep/tally.hpp"
#include "tests/crash/sweep/victim.hpp"

namespace bulkhead::sweep {

void sweep_all(const std::vector<CalibratedRow>& rows, const Plan& plan, std::size_t workers,
               Tally& tally);

}  // namespace bulkhead::sweep
