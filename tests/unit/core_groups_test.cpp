// Groups: whom a death takes along, in which order they stop, when they start again, and a brain that is
// killed in the middle of it.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;
using enum GroupStrategy;

GroupConfig group(std::string name, GroupStrategy strategy, std::vector<std::string> members) {
  GroupConfig config;
  config.name = std::move(name);
  config.strategy = strategy;
  config.members = std::move(members);
  return config;
}

WorkerConfig member(std::string name, std::uint32_t instances = 1) {
  WorkerConfig config = worker(std::move(name), instances);
  config.restart.limit.reset();
  return config;
}

// Workers a, b, c, d (slots 0 to 3), all ready, the first three in one group.
CoreStory abc(GroupStrategy strategy) {
  CoreStory story({member("a"), member("b"), member("c"), member("d")},
                  {group("core", strategy, {"a", "b", "c"})});
  story.begin();
  for (Slot slot = 0; slot < 4; ++slot) story.bring_up(slot);
  story.announced();
  return story;
}

TEST(CoreGroups, one_for_one_takes_nobody_along) {
  CoreStory story = abc(one_for_one);
  EXPECT_EQ(story.is_killed(1), lines("sweep b.0", "spawn b.0 2"));
  EXPECT_EQ(story.status(0), "ready");
  EXPECT_EQ(story.status(2), "ready");
}

TEST(CoreGroups, one_for_all_stops_the_others_last_member_first_and_starts_all_in_order) {
  CoreStory story = abc(one_for_all);
  EXPECT_EQ(story.is_killed(1), lines("sweep b.0", "stop c.0"));
  EXPECT_EQ(story.announced(), lines("exited b.0", "stopping c.0"));
  EXPECT_EQ(story.status(1), "waiting");
  EXPECT_EQ(story.reason(1), "restarts with its group core once a.0 has stopped");
  EXPECT_EQ(story.reason(2), "asked to stop: it restarts with its group core; killed in 5.0 s");
  EXPECT_NE(story.reason(0).find("stops in its turn: it restarts with its group core"),
            std::string::npos);
  EXPECT_EQ(story.exits(2, 0), lines("sweep c.0", "stop a.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0", "spawn a.0 2", "spawn b.0 2", "spawn c.0 2"));
  EXPECT_EQ(story.status(3), "ready") << "is no member";
  for (Slot slot = 0; slot < 3; ++slot) {
    story.bring_up(slot);
    EXPECT_EQ(story.status(slot), "ready");
    EXPECT_EQ(story.at(slot).restarts, 1U);
    EXPECT_EQ(story.at(slot).with_group, WithGroup::nothing);
  }
  EXPECT_EQ(story.at(1).attempt, 1U);
  EXPECT_EQ(story.at(0).attempt, 0U) << "was only taken along";
}

TEST(CoreGroups, rest_for_one_takes_along_whom_stands_behind) {
  struct Row {
    Slot dead;
    std::vector<std::string> then;
  };
  for (const Row& row :
       {Row{0, lines("sweep a.0", "stop c.0")}, Row{1, lines("sweep b.0", "stop c.0")},
        Row{2, lines("sweep c.0", "spawn c.0 2")}}) {
    CoreStory story = abc(rest_for_one);
    EXPECT_EQ(story.is_killed(row.dead), row.then) << row.dead;
  }
  CoreStory story = abc(rest_for_one);
  story.is_killed(1);
  EXPECT_EQ(story.exits(2, 0), lines("sweep c.0", "spawn b.0 2", "spawn c.0 2"));
  EXPECT_EQ(story.status(0), "ready");
}

TEST(CoreGroups, instances_of_a_worker_go_together_in_one_for_all_and_stay_in_rest_for_one) {
  for (const GroupStrategy strategy : {one_for_all, rest_for_one}) {
    CoreStory story({member("a", 2), member("b", 2)}, {group("core", strategy, {"a", "b"})});
    story.begin();
    for (Slot slot = 0; slot < 4; ++slot) story.bring_up(slot);
    EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0", "stop b.1"));
    story.exits(2, 0);
    if (strategy == one_for_all) {
      EXPECT_EQ(story.exits(3, 0), lines("sweep b.1", "stop a.1"));
    } else {
      EXPECT_EQ(story.exits(3, 0), lines("sweep b.1", "spawn a.0 2", "spawn b.0 2", "spawn b.1 2"));
      EXPECT_EQ(story.status(1), "ready");
    }
  }
}

TEST(CoreGroups, waits_for_the_delay_of_the_one_that_died) {
  CoreStory story = abc(one_for_all);
  story.is_killed(1);
  story.exits(2, 0);
  story.exits(0, 0);
  for (Slot slot = 0; slot < 3; ++slot) story.bring_up(slot);
  story.is_killed(1);
  EXPECT_EQ(story.status(1), "backoff");
  story.exits(2, 0);
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0"));
  EXPECT_EQ(story.reason(0), "restarts with its group core once b.0 may, in 100 ms");
  EXPECT_EQ(story.pass(100ms), lines("spawn a.0 3", "spawn b.0 3", "spawn c.0 3"));
}

TEST(CoreGroups, kills_a_member_that_does_not_stop_and_goes_on_without_one_that_cannot_die) {
  CoreStory story = abc(one_for_all);
  story.is_killed(0);
  EXPECT_EQ(story.pass(5s), lines("kill c.0"));
  EXPECT_EQ(story.is_killed(2), lines("sweep c.0", "stop b.0"));
  story.pass(5s);
  EXPECT_EQ(story.pass(2s), lines("spawn a.0 2", "spawn c.0 2"));
  EXPECT_EQ(story.status(1), "unkillable");
  EXPECT_EQ(story.is_killed(1), lines("sweep b.0", "spawn b.0 2"));
}

TEST(CoreGroups, a_member_that_is_being_started_is_waited_for_and_stopped) {
  CoreStory story({member("a"), member("b")}, {group("core", one_for_all, {"a", "b"})});
  story.begin();
  story.bring_up(0);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0")) << "b.0 is about to exist";
  EXPECT_EQ(story.started(1), lines("stop b.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep b.0", "spawn a.0 2", "spawn b.0 2"));
}

TEST(CoreGroups, deaths_of_those_who_are_to_stop_count_for_nothing) {
  CoreStory story = abc(one_for_all);
  story.is_killed(2);
  story.is_killed(0);  // before its turn
  EXPECT_EQ(story.is_killed(1, 11),
            lines("sweep b.0", "spawn a.0 2", "spawn b.0 2", "spawn c.0 2"));
  EXPECT_EQ(story.at(0).failures.failures_since(0), 0U);
  EXPECT_EQ(story.at(1).failures.failures_since(0), 0U);
  EXPECT_EQ(story.state.groups[0].failures.failures_since(0), 1U);
}

TEST(CoreGroups, leave_alone_who_was_stopped_by_hand_or_has_failed) {
  CoreStory story = abc(one_for_all);
  story.tell(WantDown{0});
  story.exits(0, 0);
  EXPECT_EQ(story.exits(2, 78), lines("sweep c.0")) << "a failure for good restarts nobody";
  EXPECT_EQ(story.status(2), "failed");
  EXPECT_EQ(story.status(1), "ready");
  EXPECT_EQ(story.is_killed(1), lines("sweep b.0", "spawn b.0 2"));
  EXPECT_EQ(story.status(0), "disabled");
  EXPECT_EQ(story.status(2), "failed");
}

TEST(CoreGroups, a_wish_to_stop_wins_over_the_restart_of_the_group) {
  CoreStory story = abc(one_for_all);
  story.is_killed(1);
  EXPECT_EQ(story.tell(WantDown{1}), lines());
  EXPECT_EQ(story.status(1), "disabled");
  EXPECT_EQ(story.tell(WantDown{0}), lines("stop a.0"));
  story.exits(2, 0);
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0", "spawn c.0 2"));
}

TEST(CoreGroups, run_what_was_done_again_unless_it_is_never_restarted) {
  WorkerConfig prepare = member("prepare"), never = member("never");
  prepare.kind = never.kind = WorkerKind::oneshot;
  prepare.ready.type = never.ready.type = ReadyType::exec;
  never.restart.policy = RestartPolicy::never;
  WorkerConfig store = member("store");
  store.depends_on["prepare"] = DependsOn::completed;
  CoreStory story({prepare, never, store},
                  {group("core", one_for_all, {"prepare", "never", "store"})});
  story.begin();
  for (Slot slot : {0U, 1U}) {
    story.started(slot);
    story.exits(slot, 0);
  }
  story.bring_up(2);
  EXPECT_EQ(story.is_killed(2), lines("sweep store.0", "spawn prepare.0 2"));
  EXPECT_EQ(story.status(1), "done");
  story.started(0);
  EXPECT_EQ(story.exits(0, 0), lines("sweep prepare.0", "spawn store.0 2"));
}

TEST(CoreGroups, a_member_that_is_never_restarted_ends_with_its_group) {
  WorkerConfig helper = member("helper");
  helper.restart.policy = RestartPolicy::never;
  CoreStory story({member("a"), helper}, {group("core", one_for_all, {"a", "helper"})});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop helper.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep helper.0", "spawn a.0 2"));
  EXPECT_EQ(story.status(1), "failed");
}

TEST(CoreGroups, restart_together_also_when_what_the_dead_one_needs_is_away) {
  WorkerConfig a = member("a");
  a.depends_on["db"] = DependsOn::ready;
  CoreStory story({a, member("b"), worker("db")}, {group("core", one_for_all, {"a", "b"})});
  story.begin();
  story.bring_up(2);
  story.bring_up(0);
  story.bring_up(1);
  story.is_killed(2);
  EXPECT_EQ(story.is_killed(0), lines("sweep a.0", "stop b.0"));
  EXPECT_EQ(story.state.groups[0].failures.failures_since(0), 0U);
  EXPECT_EQ(story.exits(1, 0), lines("sweep b.0", "spawn b.0 2"));
  story.started(2);
  EXPECT_EQ(story.became_ready(2), lines("spawn a.0 2"));
}

TEST(CoreGroups, a_shutdown_takes_over_a_restart) {
  CoreStory story = abc(one_for_all);
  story.is_killed(1);
  EXPECT_EQ(story.tell(Shutdown{false}), lines("stop a.0", "stop d.0"));
  story.exits(2, 0);
  story.exits(0, 0);
  EXPECT_EQ(story.exits(3, 0), lines("sweep d.0", "finished 0"));
}

TEST(CoreGroups, go_on_with_a_restart_under_the_next_brain) {
  CoreStory story = abc(one_for_all);
  story.is_killed(1);
  EXPECT_EQ(story.brain_dies(), lines("sweep b.0", "stop c.0")) << "the rest awaits its turn";
  EXPECT_EQ(story.exits(2, 0), lines("sweep c.0", "stop a.0"));
  EXPECT_EQ(story.brain_dies(), lines("stop a.0", "sweep b.0", "sweep c.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0", "spawn a.0 2", "spawn b.0 2", "spawn c.0 2"));
}

TEST(CoreGroups, start_under_the_next_brain_when_all_have_stopped) {
  CoreStory story = abc(one_for_all);
  story.is_killed(1);
  story.exits(2, 0);
  // The last death was stored, what follows from it was not.
  story.state.instances[0].status = InstanceStatus::waiting;
  story.state.instances[0].pid = 0;
  story.state.instances[0].due = time_never;
  EXPECT_EQ(story.brain_dies(), lines("sweep a.0", "sweep b.0", "sweep c.0", "spawn a.0 2",
                                      "spawn b.0 2", "spawn c.0 2"));
}

// Stored are the members that go along, and not the death: it is told again, and all of it follows.
TEST(CoreGroups, take_the_same_along_when_a_death_is_told_again_to_the_next_brain) {
  CoreStory story = abc(one_for_all);
  const InstanceState before = story.at(1);
  story.is_killed(1);
  story.state.instances[1] = before;
  EXPECT_EQ(story.brain_dies(), lines("stop c.0"));
  EXPECT_EQ(story.exits(2, 0), lines("sweep c.0", "stop a.0"));
  EXPECT_EQ(story.is_killed(1), lines("sweep b.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0", "spawn a.0 2", "spawn b.0 2", "spawn c.0 2"));
}

TEST(CoreGroups, the_end_is_said_again_by_the_next_brain) {
  WorkerConfig once = worker("once");
  once.restart.policy = RestartPolicy::never;
  CoreStory story({once});
  story.begin();
  story.bring_up(0);
  EXPECT_EQ(story.exits(0, 3), lines("sweep once.0", "finished 1"));
  EXPECT_EQ(story.brain_dies(), lines("sweep once.0", "finished 1"));
}

}  // namespace
}  // namespace bulkhead::supervisor
