#include <chrono>

#include "bench/others/pools/thread_pools.hpp"

namespace bulkhead::bench::others {

#ifdef _OPENMP

ThreadPool openmp(unsigned workers, const PoolEffort& effort) {
  ThreadPool pool{"openmp", "libgomp1", "libgomp of g++ " __VERSION__};
  const auto threads = static_cast<int>(workers);
  pool.split = {pool.peer, "schedule(dynamic)", workers,
                [threads](const SplitWork& work, std::span<std::uint64_t> results) -> Result<void> {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
                  for (std::uint32_t item = 0; item < work.items; ++item) {
                    results[item] = work(item);
                  }
                  return {};
                }};
  pool.in_chunks = {"empty-chunked",
                    pool.peer,
                    "schedule(dynamic)",
                    workers,
                    effort.chunked_items,
                    [threads](std::uint64_t items) -> Result<EmptyTurn> {
                      const auto start = std::chrono::steady_clock::now();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
                      for (std::uint64_t item = 0; item < items; ++item) asm volatile("");
                      const std::chrono::duration<double, std::nano> took =
                          std::chrono::steady_clock::now() - start;
                      return EmptyTurn{.mean_ns = took.count() / static_cast<double>(items)};
                    }};
  return pool;
}

#else

ThreadPool openmp(unsigned, const PoolEffort&) { return {"openmp", "libgomp1", ""}; }

#endif

}  // namespace bulkhead::bench::others
