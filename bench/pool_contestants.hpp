// Our pool in a race: what is measured of it. Used by bench/pool.cpp and bench-pools.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/pool_race.hpp"

namespace bulkhead {
class Pool;
}

namespace bulkhead::bench {

// How much is done to get a figure.
struct PoolEffort {
  int rounds;
  std::uint64_t round_trips, chunked_items;  // of empty tasks, a round
  std::vector<SplitWork> works;
};
PoolEffort thorough_pool_effort();  // works of some 300 ms for one processor
PoolEffort quick_pool_effort();     // some 80 ms

SplitContestant serial_loop();

// All that a pool of so many workers is measured with.
// Threads: one. Ownership: the contestants share the pool.
struct OurPool {
  std::shared_ptr<Pool> pool;
  unsigned workers = 1;

  // Returns when its workers are up. Errors: could not start, with the reason.
  static Result<OurPool> start(unsigned workers);
  SplitContestant split() const;
  EmptyContestant one_by_one(const PoolEffort&) const;  // submit and get; the worker is awake
  EmptyContestant in_chunks(const PoolEffort&) const;   // for_each
};

}  // namespace bulkhead::bench
