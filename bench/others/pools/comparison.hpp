// Our pool beside other people's threads and Python's pools of processes, in turns. Used by pools_main.cpp and a test.
#pragma once

#include <bulkhead/error.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/others/pools/thread_pools.hpp"

namespace bulkhead::bench::others {

struct PoolsLeftOut {
  std::string peer, why;
};
struct PoolsCompared {
  std::vector<PoolRow> rows;
  std::vector<PoolsLeftOut> left_out;
};

struct PoolsOptions {
  unsigned workers = 1;  // of each
  PoolEffort effort = thorough_pool_effort();
  std::filesystem::path script;  // pools.py
};

// Empty tasks one by one, ours and Python's; empty tasks in chunks, everybody's; mandelbrot and primes, ours and the
// threads'. Who is not installed is left out and named.
// Blocking: a minute. Errors: those of the contestants.
Result<PoolsCompared> compare_pools(const std::vector<ThreadPool>&, const PoolsOptions&);

}  // namespace bulkhead::bench::others
