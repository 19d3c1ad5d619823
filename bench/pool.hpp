// What a pool of processes costs, and how much faster work of uneven cost is with it than in a loop of the same
// process. Used by `bulkhead bench pool`.
#pragma once

#include <bulkhead/error.hpp>
#include <vector>

#include "bench/pool_race.hpp"

namespace bulkhead::bench {

struct PoolBenchOptions {
  bool quick = false;
};

// 15 rounds, 5 when quick, of one worker and of as many as there are processors that this process may use; in turns with
// the serial loop. Blocking: a minute, or a few seconds when quick. Errors: a pool that cannot start, with the reason.
// main() must have begun with Pool::entry().
Result<std::vector<PoolRow>> run_pool(const PoolBenchOptions&);

}  // namespace bulkhead::bench
