// What the comparison of supervisors says of the times that it took.
#include "bench/others/supervisors/report.hpp"

#include <gtest/gtest.h>

namespace bulkhead::bench::others {
namespace {

Comparison two_supervisors() {
  const std::vector<double> ours{2000, 1000, 3000}, theirs{9000, 4000, 5000};
  return {
      {recovery_row("bulkhead", "", 1200, ours, ours),
       recovery_row("s6", "2.11", 1200, theirs, ours), recovery_row("s6", "2.11", 10, {1e6}, ours)},
      {{"runit", "not installed"}}};
}

TEST(SupervisorsReport, compares_medians_with_ours) {
  const auto rows = two_supervisors().rows;
  EXPECT_EQ(rows[0].p50_us, 2000);
  EXPECT_EQ(rows[0].ratio, 1);
  EXPECT_EQ(rows[1].n, 3U);
  EXPECT_EQ(rows[1].p50_us, 5000);
  EXPECT_EQ(rows[1].p99_us, 9000);
  EXPECT_EQ(rows[1].max_us, 9000);
  EXPECT_EQ(rows[1].ratio, 2.5);
}

TEST(SupervisorsReport, without_our_samples_has_no_ratio) {
  EXPECT_EQ(recovery_row("s6", "", 10, {1}, {}).ratio, 0);
}

TEST(SupervisorsReport, heads_a_table_for_each_age_and_names_who_is_left_out) {
  EXPECT_EQ(to_text(two_supervisors()),
            "kill -9 of a child that had run for 1200 ms, until its successor runs\n"
            "               version                   kills         p50         p99         max   "
            "to ours\n"
            "  bulkhead                                   3     2.00 ms     3.00 ms     3.00 ms    "
            " 1.00x\n"
            "  s6           2.11                          3     5.00 ms     9.00 ms     9.00 ms    "
            " 2.50x\n"
            "kill -9 of a child that had run for 10 ms, until its successor runs\n"
            "               version                   kills         p50         p99         max   "
            "to ours\n"
            "  s6           2.11                          1  1000.00 ms  1000.00 ms  1000.00 ms   "
            "500.00x\n"
            "left out: runit (not installed)\n");
}

TEST(SupervisorsReport, has_the_keys_of_every_recovery_row_and_names_the_peer) {
  const auto row = to_json(two_supervisors()).at(1);
  EXPECT_EQ(row.at("bench"), "recovery");
  EXPECT_EQ(row.at("cause"), "SIGKILL");
  EXPECT_EQ(row.at("warm_spare"), false);
  EXPECT_EQ(row.at("peer"), "s6");
  EXPECT_EQ(row.at("peer_version"), "2.11");
  EXPECT_EQ(row.at("lived_ms"), 1200);
  EXPECT_EQ(row.at("ready_p50_us"), 5000);
  EXPECT_EQ(row.at("ready_p99_us"), 9000);
  EXPECT_EQ(row.at("ratio"), 2.5);
  for (const auto* key : {"detected_p50_us", "detected_p99_us"}) EXPECT_TRUE(row.at(key).is_null());
}

}  // namespace
}  // namespace bulkhead::bench::others
