#include "bench/others/pools/thread_pools.hpp"

#if __has_include(<oneapi/tbb/parallel_for.h>)
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/version.h>

#include <chrono>
#include <memory>
#endif

namespace bulkhead::bench::others {

#if __has_include(<oneapi/tbb/parallel_for.h>)

ThreadPool onetbb(unsigned workers, const PoolEffort& effort) {
  ThreadPool pool{"onetbb", "libtbb-dev", TBB_runtime_version()};
  const auto arena = std::make_shared<tbb::task_arena>(static_cast<int>(workers));
  pool.split = {pool.peer, "parallel_for", workers,
                [arena](const SplitWork& work, std::span<std::uint64_t> results) -> Result<void> {
                  arena->execute([&] {
                    tbb::parallel_for(tbb::blocked_range<std::uint32_t>(0, work.items),
                                      [&](const tbb::blocked_range<std::uint32_t>& part) {
                                        for (auto item = part.begin(); item != part.end(); ++item) {
                                          results[item] = work(item);
                                        }
                                      });
                  });
                  return {};
                }};
  pool.in_chunks = {"empty-chunked",
                    pool.peer,
                    "parallel_for",
                    workers,
                    effort.chunked_items,
                    [arena](std::uint64_t items) -> Result<EmptyTurn> {
                      const auto start = std::chrono::steady_clock::now();
                      arena->execute([&] {
                        tbb::parallel_for(tbb::blocked_range<std::uint64_t>(0, items),
                                          [](const tbb::blocked_range<std::uint64_t>& part) {
                                            for (auto item = part.begin(); item != part.end();
                                                 ++item) {
                                              asm volatile("");
                                            }
                                          });
                      });
                      const std::chrono::duration<double, std::nano> took =
                          std::chrono::steady_clock::now() - start;
                      return EmptyTurn{.mean_ns = took.count() / static_cast<double>(items)};
                    }};
  return pool;
}

#else

ThreadPool onetbb(unsigned, const PoolEffort&) { return {"onetbb", "libtbb-dev", ""}; }

#endif

}  // namespace bulkhead::bench::others
