// Other people's threads, which do the same work in one process: no task of theirs survives the crash of another.
// Used by pools_main.cpp.
#pragma once

#include <string>

#include "bench/pool_contestants.hpp"
#include "bench/pool_race.hpp"

namespace bulkhead::bench::others {

struct ThreadPool {
  std::string peer, package;
  std::string version;  // "": it was not there when this program was built
  SplitContestant split = {};
  EmptyContestant in_chunks = {};
};

ThreadPool openmp(unsigned workers, const PoolEffort&);  // schedule(dynamic)
ThreadPool onetbb(unsigned workers, const PoolEffort&);  // parallel_for, its own choice of chunks

}  // namespace bulkhead::bench::others
