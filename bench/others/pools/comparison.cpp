#include "bench/others/pools/comparison.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "bench/others/pools/python_pool.hpp"

namespace bulkhead::bench::others {
namespace {

// A round of Python's tasks takes as long as one of ours with so many fewer, or with the small chunk so many fewer still.
constexpr std::uint64_t slower = 20, slower_in_ones = 200;
// Of ProcessPoolExecutor, whose own choice is one task at a time: what multiprocessing.Pool chooses.
constexpr std::uint64_t chunks_per_worker = 4;

struct PoolsEntered {
  std::vector<EmptyContestant> one_by_one, in_chunks;
  std::vector<SplitContestant> splits{serial_loop()};
  std::map<std::string, std::string> versions;  // by peer
  std::vector<PoolsLeftOut> left_out;
};

void leave_out(PoolsEntered& entered, const std::string& peer) {
  entered.left_out.push_back({peer, "not installed: `tools/install-deps --others`"});
}

void enter(PoolsEntered& entered, const ThreadPool& threads) {
  if (threads.version.empty()) return leave_out(entered, threads.peer);
  entered.versions[threads.peer] = threads.version;
  entered.in_chunks.push_back(threads.in_chunks);
  entered.splits.push_back(threads.split);
}

Result<void> enter_python(PoolsEntered& entered, const std::string& kind,
                          const PoolsOptions& options) {
  auto started = PythonPool::start(options.script, kind, options.workers);
  if (!started && started.error().is(Errc::not_found)) {
    leave_out(entered, kind);
    return {};
  }
  if (!started) return started.error();
  const std::shared_ptr<PythonPool> pool(std::move(*started));
  entered.versions[kind] = pool->version();
  const bool is_executor = kind == "ProcessPoolExecutor";
  entered.one_by_one.push_back({"empty", kind, is_executor ? "submit + result" : "apply",
                                options.workers, options.effort.round_trips / slower,
                                [pool](std::uint64_t tasks) { return pool->call(tasks); }});
  const auto add_map = [&](const char* way, std::uint64_t fewer, std::uint64_t chunk) {
    entered.in_chunks.push_back(
        {"empty-chunked", kind, way, options.workers, options.effort.chunked_items / fewer,
         [pool, chunk](std::uint64_t tasks) { return pool->map(tasks, chunk); }});
  };
  if (!is_executor) {
    add_map("map", slower, 0);
    return {};
  }
  add_map("map", slower_in_ones, 0);
  const std::uint64_t tasks = options.effort.chunked_items / slower;
  const std::uint64_t chunk = tasks / (chunks_per_worker * options.workers);
  add_map("map, large chunks", slower, std::max<std::uint64_t>(chunk, 1));
  return {};
}

}  // namespace

Result<PoolsCompared> compare_pools(const std::vector<ThreadPool>& threads,
                                    const PoolsOptions& options) {
  PoolsEntered entered;
  {
    const auto ours = OurPool::start(options.workers);
    if (!ours) return ours.error();
    entered.one_by_one.push_back(ours->one_by_one(options.effort));
    entered.in_chunks.push_back(ours->in_chunks(options.effort));
    entered.splits.push_back(ours->split());
  }
  for (const ThreadPool& pool : threads) enter(entered, pool);
  for (const auto* kind : {"multiprocessing.Pool", "ProcessPoolExecutor"}) {
    if (auto done = enter_python(entered, kind, options); !done) return done.error();
  }

  PoolsCompared compared{{}, std::move(entered.left_out)};
  const auto add = [&](Result<std::vector<PoolRow>> raced) -> Result<void> {
    if (!raced) return raced.error();
    for (PoolRow& row : *raced) {
      row.version = entered.versions[row.peer];
      compared.rows.push_back(std::move(row));
    }
    return {};
  };
  const int rounds = options.effort.rounds;
  if (auto added = add(race_empty(entered.one_by_one, rounds)); !added) return added.error();
  if (auto added = add(race_empty(entered.in_chunks, rounds)); !added) return added.error();
  for (const SplitWork& work : options.effort.works) {
    if (auto added = add(race_splits(work, entered.splits, rounds)); !added) return added.error();
  }
  return compared;
}

}  // namespace bulkhead::bench::others
