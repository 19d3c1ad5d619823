// What a sweep says: how it reaches its points, a line per group of rows, each finding with the command that replays it, and the
// last line. Used by main.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/sweep/plan.hpp"
#include "tests/crash/sweep/tally.hpp"
#include "tests/crash/sweep/victim.hpp"

namespace bulkhead::sweep {

// How points are reached here; says loudly when it must be the slow way.
Reach choose_reach(bool must_step);

void list(const std::vector<CalibratedRow>& rows);

// One point, told at length; the exit code.
int replay(const std::string& point, const std::vector<CalibratedRow>& rows);

// Prints all of it; true when nothing is wrong. `program` is how to call us again.
bool report(const char* program, const std::vector<CalibratedRow>& rows, const Plan& plan,
            const Tally& tally);

}  // namespace bulkhead::sweep
