// Limits of groups: what follows when members die too often, from the inside out.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;
using enum GroupStrategy;

GroupConfig group(std::string name, GroupStrategy strategy, std::vector<std::string> members,
                  std::uint32_t count, LimitThen then) {
  GroupConfig config;
  config.name = std::move(name);
  config.strategy = strategy;
  config.members = std::move(members);
  config.limit = RestartLimit{.count = count, .within = 60s, .then = then};
  return config;
}

WorkerConfig member(std::string name) {
  WorkerConfig config = worker(std::move(name));
  config.restart.backoff.initial = 0ms;
  config.restart.limit.reset();
  return config;
}

void bring_all_up(CoreStory& story) {
  for (Slot slot = 0; slot < story.state.instances.size(); ++slot) {
    if (story.status(slot) == "starting") story.bring_up(slot);
  }
}

// Every death of any member counts: here one each.
CoreStory three_in(GroupStrategy strategy, std::uint32_t count, LimitThen then) {
  CoreStory story({member("a"), member("b"), member("other")},
                  {group("core", strategy, {"a", "b"}, count, then)});
  story.begin();
  bring_all_up(story);
  return story;
}

TEST(CoreGroupLimit, counts_the_deaths_of_all_members) {
  CoreStory story = three_in(one_for_one, 2, LimitThen::half_open);
  story.is_killed(0);
  story.is_killed(1);
  bring_all_up(story);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0"));
  EXPECT_EQ(story.status(0), "half_open");
  EXPECT_EQ(story.reason(0),
            "more than 2 failures within 60.0 s in group core, the last time "
            "killed by SIGKILL; next probe in 10.0 s");
  EXPECT_EQ(story.status(1), "ready") << "one_for_one takes nobody along";
  EXPECT_EQ(story.is_killed(2), lines("sweep other.0", "spawn other.0 2")) << "is no member";
}

TEST(CoreGroupLimit, forgets_deaths_that_lie_back_far_enough) {
  CoreStory story = three_in(one_for_one, 1, LimitThen::stop);
  for (int death = 0; death < 5; ++death) {
    story.is_killed(0);
    bring_all_up(story);
    story.pass(61s);
  }
  EXPECT_EQ(story.status(0), "ready");
}

TEST(CoreGroupLimit, half_open_probes_with_all_whom_the_strategy_takes_along) {
  CoreStory story = three_in(one_for_all, 1, LimitThen::half_open);
  story.is_killed(0);
  story.exits(1, 0);
  bring_all_up(story);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep b.0"));
  EXPECT_EQ(story.status(0), "half_open");
  EXPECT_EQ(story.pass(10s), lines("spawn a.0 3", "spawn b.0 3"));
  bring_all_up(story);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0"));
  EXPECT_EQ(story.status(0), "half_open") << "a probe that dies is no restart";
  story.exits(1, 0);
  story.pass(10s);
  bring_all_up(story);
  story.pass(10s);  // settled: the record is clean
  EXPECT_FALSE(story.at(0).probing);
  EXPECT_EQ(story.state.groups[0].failures.failures_since(0), 0U);
}

TEST(CoreGroupLimit, stop_fails_all_members_last_one_first) {
  CoreStory story({member("a"), member("b"), member("c"), member("other")},
                  {group("core", one_for_one, {"a", "b", "c"}, 0, LimitThen::stop)});
  story.begin();
  bring_all_up(story);
  EXPECT_EQ(story.is_killed(1), lines("sweep b.0", "stop c.0"));
  EXPECT_EQ(story.status(1), "failed");
  EXPECT_EQ(story.exits(2, 0), lines("sweep c.0", "stop a.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0"));
  for (const Slot slot : {0U, 1U, 2U}) {
    EXPECT_EQ(story.status(slot), "failed");
    EXPECT_EQ(story.reason(slot),
              "its group core had more than 0 failures within 60.0 s; `start` tries again");
  }
  EXPECT_EQ(story.status(3), "ready");
  EXPECT_EQ(story.tell(WantUp{0}), lines("spawn a.0 2"));
  EXPECT_EQ(story.at(0).with_group, WithGroup::nothing);
}

TEST(CoreGroupLimit, stop_goes_on_under_the_next_brain) {
  CoreStory story = three_in(one_for_one, 0, LimitThen::stop);
  story.is_killed(1);
  EXPECT_EQ(story.brain_dies(), lines("stop a.0", "sweep b.0"));
  story.exits(0, 0);
  EXPECT_EQ(story.status(0), "failed");
}

TEST(CoreGroupLimit, start_keeps_a_member_that_was_to_fail_with_its_group) {
  CoreStory story = three_in(one_for_one, 0, LimitThen::stop);
  story.is_killed(1);
  story.tell(WantUp{0});
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0", "spawn a.0 2"));
  EXPECT_EQ(story.status(1), "failed");
}

TEST(CoreGroupLimit, exit_and_escalate_without_a_group_around_end_the_system_with_1) {
  for (const LimitThen then : {LimitThen::exit, LimitThen::escalate}) {
    CoreStory story = three_in(one_for_all, 0, then);
    EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0", "stop other.0"));
    story.exits(1, 0);
    EXPECT_EQ(story.exits(2, 0), lines("sweep other.0", "finished 1"));
  }
}

// outer [x, inner [a, b], y]
CoreStory nested(GroupStrategy outer, GroupStrategy inner, std::uint32_t outer_count) {
  CoreStory story({member("x"), member("a"), member("b"), member("y")},
                  {group("outer", outer, {"x", "inner", "y"}, outer_count, LimitThen::exit),
                   group("inner", inner, {"a", "b"}, 1, LimitThen::escalate)});
  story.begin();
  bring_all_up(story);
  return story;
}

TEST(CoreGroupLimit, a_death_inside_does_not_count_in_the_group_around) {
  CoreStory story = nested(one_for_all, one_for_one, 5);
  EXPECT_EQ(story.is_killed(1), lines("sweep a.0", "spawn a.0 2"));
  EXPECT_EQ(story.state.groups[0].failures.failures_since(0), 0U);
  EXPECT_EQ(story.state.groups[1].failures.failures_since(0), 1U);
}

TEST(CoreGroupLimit, a_group_that_failed_is_a_member_that_died) {
  struct Row {
    GroupStrategy outer;
    std::vector<std::string> stop_in_order;
  };
  for (const Row& row : {Row{one_for_one, {"b"}}, Row{rest_for_one, {"y", "b"}},
                         Row{one_for_all, {"y", "b", "x"}}}) {
    CoreStory story = nested(row.outer, one_for_one, 5);
    story.is_killed(1);
    bring_all_up(story);
    auto said = story.is_killed(1);
    EXPECT_EQ(said.front(), "sweep a.0");
    said.erase(said.begin());
    for (const std::string& name : row.stop_in_order) {
      EXPECT_EQ(said, lines("stop " + name + ".0")) << "strategy " << int(row.outer);
      for (Slot slot = 0; slot < 4; ++slot) {
        if (story.plan.instances[slot].worker == name) said = story.exits(slot, 0);
      }
      said.erase(said.begin());  // its sweep
    }
    EXPECT_EQ(said.size(), row.stop_in_order.size() + 1) << "spawns all of them and a.0";
    EXPECT_EQ(story.state.groups[0].failures.failures_since(0), 1U);
    EXPECT_EQ(story.state.groups[1].failures.failures_since(0), 0U) << "begins anew";
  }
}

TEST(CoreGroupLimit, goes_outwards_until_a_limit_holds) {
  CoreStory story = nested(one_for_one, one_for_one, 0);
  story.is_killed(2);
  bring_all_up(story);
  EXPECT_EQ(story.is_killed(2), lines("sweep b.0", "stop x.0", "stop a.0", "stop y.0"));
  EXPECT_EQ(story.status(2), "failed");
  for (const Slot slot : {0U, 1U}) story.exits(slot, 0);
  EXPECT_EQ(story.exits(3, 0), lines("sweep y.0", "finished 1"));
}

TEST(CoreGroupLimit, a_member_may_escalate_by_its_own_limit) {
  WorkerConfig a = member("a");
  a.restart.limit = RestartLimit{.count = 0, .within = 60s, .then = LimitThen::escalate};
  CoreStory story({a, member("b"), member("other")},
                  {group("core", one_for_one, {"a", "b"}, 9, LimitThen::stop)});
  story.begin();
  bring_all_up(story);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0"));
  EXPECT_EQ(story.status(0), "failed");
}

TEST(CoreGroupLimit, probes_of_a_group_further_out_stay_probes) {
  CoreStory story({member("a"), member("b")},
                  {group("outer", one_for_all, {"inner", "b"}, 0, LimitThen::half_open),
                   group("inner", one_for_one, {"a"}, 0, LimitThen::escalate)});
  story.begin();
  bring_all_up(story);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0"));
  EXPECT_EQ(story.status(0), "half_open");
  story.exits(1, 0);
  story.pass(10s);
  bring_all_up(story);
  story.pass(1s);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0"));
  EXPECT_EQ(story.status(0), "half_open");
  EXPECT_EQ(story.at(0).over_limit_of, 0);
}

}  // namespace
}  // namespace bulkhead::supervisor
