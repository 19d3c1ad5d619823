// Which faults chaos makes: repeatable, within bounds, and everything that there is.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "cli/chaos_schedule.hpp"

namespace bulkhead::cli {
namespace {

using std::chrono::seconds;

const std::vector<FaultTarget> all_sorts{
    {.is_watched = true, .has_runtime = true, .has_links = true},
    {.has_runtime = true},
    {.is_watched = true},
    {}};

TEST(ChaosSchedule, is_the_same_for_the_same_seed_and_another_for_another) {
  const ChaosPlan plan{seconds(60), 5, 7};
  const auto once = make_schedule(plan, all_sorts);
  EXPECT_EQ(once, make_schedule(plan, all_sorts));
  EXPECT_NE(once, make_schedule({plan.duration, plan.rate, 8}, all_sorts));
}

// A longer run begins as the shorter one did.
TEST(ChaosSchedule, does_not_depend_on_its_length) {
  const auto brief = make_schedule({seconds(10), 5, 7}, all_sorts);
  const auto longer = make_schedule({seconds(60), 5, 7}, all_sorts);
  ASSERT_LT(brief.size(), longer.size());
  EXPECT_TRUE(std::equal(brief.begin(), brief.end(), longer.begin()));
}

TEST(ChaosSchedule, comes_in_order_within_its_length_at_about_its_rate) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto faults = make_schedule({seconds(100), 10, seed}, all_sorts);
    EXPECT_GT(faults.size(), 800U) << seed;  // 1000 are expected, 32 the standard deviation
    EXPECT_LT(faults.size(), 1200U) << seed;
    EXPECT_TRUE(std::ranges::is_sorted(faults, {}, &Fault::at));
    EXPECT_GE(faults.front().at.count(), 0);
    EXPECT_LT(faults.back().at, seconds(100));
  }
}

TEST(ChaosSchedule, has_every_kind_and_every_target_and_does_to_none_what_it_cannot_do) {
  std::set<FaultKind> kinds;
  std::set<std::size_t> targets;
  for (const auto& fault : make_schedule({seconds(100), 10, 1}, all_sorts)) {
    const FaultTarget& target = all_sorts[fault.target];
    kinds.insert(fault.kind);
    targets.insert(fault.target);
    EXPECT_TRUE(takes(target, fault.kind)) << to_string(fault.kind);
    EXPECT_GE(fault.length, std::chrono::milliseconds(20));
    EXPECT_LE(fault.length, std::chrono::milliseconds(500));
    EXPECT_GE(fault.choice, 0);
    EXPECT_LT(fault.choice, 1);
  }
  EXPECT_EQ(kinds.size(), std::size(fault_kinds));
  EXPECT_EQ(targets.size(), all_sorts.size());
}

TEST(ChaosSchedule, hangs_who_is_watched_and_lets_go_wrong_who_can_tell) {
  for (const auto kind : fault_kinds) {
    const bool to_all =
        kind == FaultKind::kill || kind == FaultKind::stop || kind == FaultKind::slow;
    EXPECT_EQ(takes({}, kind), to_all) << to_string(kind);
    EXPECT_EQ(takes({.is_watched = true}, kind), to_all || kind == FaultKind::hang);
    EXPECT_EQ(takes({.has_runtime = true}, kind),
              to_all || kind == FaultKind::leak || kind == FaultKind::oom);
    EXPECT_EQ(takes({.has_links = true}, kind), to_all || kind == FaultKind::drop);
  }
}

// What cannot be done to a target is another fault at the same moment: the rest of the schedule stays.
TEST(ChaosSchedule, has_the_same_moments_whatever_can_be_done_to_its_targets) {
  const auto all = make_schedule({seconds(100), 10, 1}, {all_sorts[0], all_sorts[0]});
  const auto few = make_schedule({seconds(100), 10, 1}, {{}, {}});
  const auto moment = [](const Fault& fault) { return std::pair(fault.at, fault.target); };
  EXPECT_TRUE(std::ranges::equal(all, few, {}, moment, moment));
  for (const auto& fault : few) {
    EXPECT_TRUE(fault.kind == FaultKind::kill || fault.kind == FaultKind::stop ||
                fault.kind == FaultKind::slow);
  }
}

TEST(ChaosSchedule, of_one_kind_alone_has_its_moments_and_no_other_fault) {
  ChaosPlan plan{seconds(100), 10, 1};
  const auto all = make_schedule(plan, {all_sorts[0]});
  plan.only = FaultKind::drop;
  const auto drops = make_schedule(plan, {all_sorts[0]});
  EXPECT_TRUE(std::ranges::equal(all, drops, {}, &Fault::at, &Fault::at));
  EXPECT_TRUE(std::ranges::all_of(drops, [](auto& f) { return f.kind == FaultKind::drop; }));
}

TEST(ChaosSchedule, knows_each_kind_by_its_name) {
  for (const auto kind : fault_kinds) EXPECT_EQ(fault_kind(to_string(kind)), kind);
  EXPECT_EQ(fault_kind(""), std::nullopt);
}

TEST(ChaosSchedule, of_nobody_is_empty) {
  EXPECT_TRUE(make_schedule({seconds(100), 10, 1}, {}).empty());
}

}  // namespace
}  // namespace bulkhead::cli
