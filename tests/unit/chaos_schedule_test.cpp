// Which faults chaos makes: repeatable, within bounds, and everything that there is.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cli/chaos_schedule.hpp"

namespace bulkhead::cli {
namespace {

using std::chrono::seconds;

const std::vector<FaultTarget> watched_and_not{{true}, {false}, {false}};

TEST(ChaosSchedule, is_the_same_for_the_same_seed_and_another_for_another) {
  const ChaosPlan plan{seconds(60), 5, 7};
  const auto once = make_schedule(plan, watched_and_not);
  EXPECT_EQ(once, make_schedule(plan, watched_and_not));
  EXPECT_NE(once, make_schedule({plan.duration, plan.rate, 8}, watched_and_not));
}

// A longer run begins as the shorter one did.
TEST(ChaosSchedule, does_not_depend_on_its_length) {
  const auto brief = make_schedule({seconds(10), 5, 7}, watched_and_not);
  const auto longer = make_schedule({seconds(60), 5, 7}, watched_and_not);
  ASSERT_LT(brief.size(), longer.size());
  EXPECT_TRUE(std::equal(brief.begin(), brief.end(), longer.begin()));
}

TEST(ChaosSchedule, comes_in_order_within_its_length_at_about_its_rate) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto faults = make_schedule({seconds(100), 10, seed}, watched_and_not);
    EXPECT_GT(faults.size(), 800U) << seed;  // 1000 are expected, 32 the standard deviation
    EXPECT_LT(faults.size(), 1200U) << seed;
    EXPECT_TRUE(std::ranges::is_sorted(faults, {}, &Fault::at));
    EXPECT_GE(faults.front().at.count(), 0);
    EXPECT_LT(faults.back().at, seconds(100));
  }
}

TEST(ChaosSchedule, has_every_kind_and_every_target_and_hangs_only_who_is_watched) {
  std::set<FaultKind> kinds;
  std::set<std::size_t> targets;
  for (const auto& fault : make_schedule({seconds(100), 10, 1}, watched_and_not)) {
    kinds.insert(fault.kind);
    targets.insert(fault.target);
    EXPECT_TRUE(fault.kind != FaultKind::hang || fault.target == 0);
    EXPECT_GE(fault.length, std::chrono::milliseconds(20));
    EXPECT_LE(fault.length, std::chrono::milliseconds(500));
  }
  EXPECT_EQ(kinds.size(), std::size(fault_kinds));
  EXPECT_EQ(targets.size(), watched_and_not.size());
}

TEST(ChaosSchedule, of_nobody_is_empty) {
  EXPECT_TRUE(make_schedule({seconds(100), 10, 1}, {}).empty());
}

}  // namespace
}  // namespace bulkhead::cli
