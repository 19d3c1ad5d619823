// The latency benchmark measures, whatever the figures are: rows are complete and nothing is left.
#include "bench/latency.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/untouched.hpp"

namespace bulkhead::bench {
namespace {

TEST(LatencyBench, gives_a_complete_row_for_each_mode_of_each_transport) {
  const test::Untouched before;
  if (before.processors() < 2) GTEST_SKIP() << "needs two processors";
  LatencyOptions options;
  options.quick = true;
  options.sizes = {64};
  std::size_t heard = 0;
  options.on_row = [&](const BenchRow&) { ++heard; };
  const auto rows = run_latency(options);
  ASSERT_TRUE(rows) << rows.error().to_string();
  EXPECT_EQ(rows->size(), 15U);
  EXPECT_EQ(heard, 15U);
  for (const auto& row : to_json(*rows)) {
    SCOPED_TRACE(row.dump());
    EXPECT_EQ(row.at("bench"), "latency");
    EXPECT_EQ(row.at("peer"), "bulkhead");
    EXPECT_EQ(row.at("size"), 64);
    for (const auto* key : {"n", "p50_ns", "mean_ns", "baseline_mean_ns", "ratio", "cpu_percent"}) {
      EXPECT_GT(row.at(key).get<double>(), 0) << key;
    }
    EXPECT_LE(row.at("cpu_percent"), 200);
    EXPECT_LE(row.at("p50_ns"), row.at("p90_ns"));
    EXPECT_LE(row.at("p90_ns"), row.at("p99_ns"));
    EXPECT_LE(row.at("p99_ns"), row.at("p999_ns"));
    EXPECT_LE(row.at("p999_ns"), row.at("max_ns"));
    EXPECT_EQ(row.at("syscalls_per_message").is_null(), row.at("transport") != "shm");
  }
  before.check();
}

}  // namespace
}  // namespace bulkhead::bench
