#include "bench/pool.hpp"

#include <utility>

#include "bench/machine.hpp"
#include "bench/pool_contestants.hpp"

namespace bulkhead::bench {

Result<std::vector<PoolRow>> run_pool(const PoolBenchOptions& options) {
  const PoolEffort effort = options.quick ? quick_pool_effort() : thorough_pool_effort();
  std::vector<unsigned> sizes{1};
  if (usable_processors() > 1) sizes.push_back(usable_processors());

  std::vector<EmptyContestant> one_by_one, in_chunks;
  std::vector<SplitContestant> splits{serial_loop()};
  for (const unsigned workers : sizes) {
    const auto pool = OurPool::start(workers);
    if (!pool) return pool.error();
    one_by_one.push_back(pool->one_by_one(effort));
    in_chunks.push_back(pool->in_chunks(effort));
    splits.push_back(pool->split());
  }
  std::vector<PoolRow> rows;
  const auto add = [&rows](Result<std::vector<PoolRow>> raced) -> Result<void> {
    if (!raced) return raced.error();
    for (auto& row : *raced) rows.push_back(std::move(row));
    return {};
  };
  if (auto added = add(race_empty(one_by_one, effort.rounds)); !added) return added.error();
  if (auto added = add(race_empty(in_chunks, effort.rounds)); !added) return added.error();
  for (const SplitWork& work : effort.works) {
    if (auto added = add(race_splits(work, splits, effort.rounds)); !added) return added.error();
  }
  return rows;
}

}  // namespace bulkhead::bench
