#include "bench/pool_contestants.hpp"

#include <bulkhead/pool.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "bench/machine.hpp"

namespace bulkhead::bench {
namespace {

using steady = std::chrono::steady_clock;

constexpr auto start_time_max = std::chrono::seconds(30);
constexpr std::uint64_t warm_tasks = 500;

double ns_since(steady::time_point start) {
  return std::chrono::duration<double, std::nano>(steady::now() - start).count();
}

// The one failure that a benchmark can have: not one item may fail.
Result<void> expect_complete(const std::vector<ItemFailure>& failures) {
  if (failures.empty()) return {};
  return failures.front().failure.error;
}

Result<void> split_over(Pool& pool, const SplitWork& work, std::span<std::uint64_t> results) {
  std::vector<std::uint32_t> items(work.items);
  std::iota(items.begin(), items.end(), 0U);
  const auto mapped = pool.map(items, work);
  std::copy(mapped.values.begin(), mapped.values.end(), results.begin());
  return expect_complete(mapped.failures);
}

Result<void> empty_round_trip(Pool& pool) {
  return pool.submit([] {}).get();
}

Result<EmptyTurn> empty_one_by_one(Pool& pool, std::uint64_t tasks) {
  for (std::uint64_t i = 0; i < warm_tasks; ++i) {
    if (auto warmed = empty_round_trip(pool); !warmed) return warmed.error();
  }
  const auto start = steady::now();
  for (std::uint64_t i = 0; i < tasks; ++i) {
    if (auto done = empty_round_trip(pool); !done) return done.error();
  }
  EmptyTurn turn{.mean_ns = ns_since(start) / static_cast<double>(tasks)};
  std::vector<double> samples(tasks);
  for (double& sample : samples) {
    const auto submitted = steady::now();
    if (auto done = empty_round_trip(pool); !done) return done.error();
    sample = ns_since(submitted);
  }
  turn.p50_ns = percentile(samples, 0.5);
  return turn;
}

Result<EmptyTurn> empty_in_chunks(Pool& pool, std::uint64_t items) {
  const auto start = steady::now();
  const auto done = pool.for_each(0, items, [](std::uint64_t) {});
  const EmptyTurn turn{.mean_ns = ns_since(start) / static_cast<double>(items)};
  if (auto complete = expect_complete(done.failures); !complete) return complete.error();
  return turn;
}

}  // namespace

PoolEffort thorough_pool_effort() {
  return {15, 20'000, 1'000'000, {mandelbrot_work(1024), primes_work(3000)}};
}
PoolEffort quick_pool_effort() {
  return {5, 2000, 100'000, {mandelbrot_work(512), primes_work(1000)}};
}

SplitContestant serial_loop() {
  return {"serial", "loop", 1,
          [](const SplitWork& work, std::span<std::uint64_t> results) -> Result<void> {
            for (std::uint32_t item = 0; item < work.items; ++item) results[item] = work(item);
            return {};
          }};
}

Result<OurPool> OurPool::start(unsigned workers) {
  auto pool = std::make_shared<Pool>(PoolOptions{.workers = workers});
  auto first = pool->submit([] {}).get(Deadline::in(start_time_max));
  if (!first) return first.error();
  return OurPool{std::move(pool), workers};
}

SplitContestant OurPool::split() const {
  return {"bulkhead", "map", workers,
          [shared = pool](const SplitWork& work, std::span<std::uint64_t> results) {
            return split_over(*shared, work, results);
          }};
}

EmptyContestant OurPool::one_by_one(const PoolEffort& effort) const {
  return {"empty",
          "bulkhead",
          "submit + get",
          workers,
          effort.round_trips,
          [shared = pool](std::uint64_t tasks) { return empty_one_by_one(*shared, tasks); }};
}

EmptyContestant OurPool::in_chunks(const PoolEffort& effort) const {
  return {"empty-chunked",
          "bulkhead",
          "for_each",
          workers,
          effort.chunked_items,
          [shared = pool](std::uint64_t items) { return empty_in_chunks(*shared, items); }};
}

}  // namespace bulkhead::bench
