// The pool's benchmark measures, whatever the figures are: rows are complete, results are right, nothing is left.
#include "bench/pool.hpp"

#include <gtest/gtest.h>

#include <bulkhead/pool.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/machine.hpp"
#include "bench/pool_contestants.hpp"
#include "tests/support/untouched.hpp"

namespace bulkhead::bench {
namespace {

TEST(SplitWork, counts_the_primes_below_a_million) {
  const SplitWork work = primes_work(1000);
  std::uint64_t primes = 0;
  for (std::uint32_t block = 0; block < work.items; ++block) primes += work(block);
  EXPECT_EQ(primes, 78498U);
}

TEST(PoolBench, gives_a_complete_row_for_each_workload_and_number_of_workers) {
  const test::Untouched before;
  const auto rows = run_pool({.quick = true});
  ASSERT_TRUE(rows) << rows.error().to_string();
  std::map<std::string, std::size_t> count;
  for (const auto& row : to_json(*rows)) {
    SCOPED_TRACE(row.dump());
    EXPECT_EQ(row.at("bench"), "pool");
    EXPECT_EQ(row.at("peer"), "bulkhead");
    EXPECT_GE(row.at("workers"), 1);
    EXPECT_LE(row.at("workers"), usable_processors());
    EXPECT_TRUE(row.at("task_overhead_ns").is_number());
    EXPECT_GT(row.at("mean_ns").get<double>(), 0);
    const auto workload = row.at("workload").get<std::string>();
    ++count[workload];
    const bool is_empty = workload.starts_with("empty");
    for (const auto* key :
         {"speedup", "efficiency", "best_efficiency", "serial_ms", "parallel_ms"}) {
      EXPECT_EQ(row.at(key).is_null(), is_empty) << key;
      EXPECT_TRUE(is_empty || row.at(key).get<double>() > 0) << key;
    }
  }
  const std::size_t sizes = usable_processors() > 1 ? 2 : 1;
  const std::map<std::string, std::size_t> expected{
      {"empty", sizes}, {"empty-chunked", sizes}, {"mandelbrot", sizes}, {"primes", sizes}};
  EXPECT_EQ(count, expected);
  before.check();
}

TEST(PoolBench, tells_who_has_other_results_than_the_serial_loop) {
  const SplitContestant liar{
      "liar", "lies", 1, [](const SplitWork&, std::span<std::uint64_t>) { return Result<void>(); }};
  const auto raced = race_splits({SplitWork::Kind::primes, 5}, {serial_loop(), liar}, 1);
  ASSERT_FALSE(raced);
  EXPECT_EQ(raced.error().context, "liar: wrong results of primes");
}

TEST(PoolBench, compares_everybody_with_the_first_of_ours) {
  const auto contestant = [](const char* peer, double ns) {
    return EmptyContestant{
        "empty", peer, "", 1, 10, [ns](std::uint64_t items) -> Result<EmptyTurn> {
          EXPECT_EQ(items, 10U);
          return EmptyTurn{.mean_ns = 2 * ns, .p50_ns = ns};
        }};
  };
  const auto raced = race_empty(
      {contestant("other", 600), contestant("bulkhead", 200), contestant("bulkhead", 400)}, 3);
  ASSERT_TRUE(raced);
  EXPECT_EQ(raced->at(0).to_ours, 3);
  EXPECT_EQ(raced->at(0).task_overhead_ns, 600);
  EXPECT_EQ(raced->at(0).mean_ns, 1200);
  EXPECT_EQ(raced->at(2).to_ours, 2);
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
