// The throughput benchmark measures, whatever the figures are: rows are complete and nothing is left.
#include "bench/throughput.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/untouched.hpp"

namespace bulkhead::bench {
namespace {

TEST(ThroughputBench, gives_a_complete_row_for_each_size) {
  const test::Untouched before;
  if (before.processors() < 2) GTEST_SKIP() << "needs two processors";
  ThroughputOptions options;
  options.quick = true;
  options.sizes = {56, 1024};
  const auto rows = run_throughput(options);
  ASSERT_TRUE(rows) << rows.error().to_string();
  // Alone and in batches; of 56 bytes also one to several, and several to one.
  ASSERT_EQ(rows->size(), 2U + 4U);
  for (const auto& row : to_json(*rows)) {
    SCOPED_TRACE(row.dump());
    EXPECT_EQ(row.at("bench"), "throughput");
    EXPECT_EQ(row.at("peer"), "bulkhead");
    EXPECT_EQ(row.at("baseline"), row.at("producers") == row.at("consumers") ? "spsc" : "lane");
    for (const auto* key : {"messages_per_s", "bytes_per_s", "baseline_messages_per_s", "ratio"}) {
      EXPECT_GT(row.at(key).get<double>(), 0) << key;
    }
  }
  before.check();
}

}  // namespace
}  // namespace bulkhead::bench
