// Records the trace of one actor by single-stepping it once. Used by the runner.
#pragma once

#include <optional>

#include "tests/crash/sweep/operation.hpp"
#include "tests/crash/sweep/trace.hpp"

namespace bulkhead::sweep {

// Nothing when the actor did not come to its second mark within `points_max` steps.
std::optional<Trace> calibrate(Operation& operation, int actor, std::size_t points_max = 1'000'000);

}  // namespace bulkhead::sweep
