// Scheduled workers, and workers whose end ends the system.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;

WorkerConfig hourly(RestartPolicy policy = RestartPolicy::always) {
  WorkerConfig config = worker("report");
  config.kind = WorkerKind::scheduled;
  config.every = 1h;
  config.ready.type = ReadyType::exec;
  config.restart.policy = policy;
  return config;
}

CoreStory running(WorkerConfig config) {
  CoreStory story({std::move(config)});
  story.begin();
  story.started(0);
  return story;
}

TEST(CoreScheduled, runs_at_the_start_and_then_from_start_to_start) {
  CoreStory story({hourly()});
  EXPECT_EQ(story.begin(), lines("spawn report.0 1"));
  story.started(0);
  EXPECT_EQ(story.pass(10min), lines());
  EXPECT_EQ(story.exits(0, 0), lines("sweep report.0"));
  EXPECT_EQ(story.status(0), "waiting");
  EXPECT_EQ(story.reason(0), "runs next in 50 min");
  EXPECT_EQ(story.pass(50min - 1ns), lines());
  EXPECT_EQ(story.pass(1ns), lines("spawn report.0 2"));
  EXPECT_EQ(story.at(0).restarts, 0U) << "a run is no restart";
}

TEST(CoreScheduled, keeps_its_rhythm_when_a_timer_is_late) {
  CoreStory story = running(hourly());
  story.exits(0, 0);
  story.now += 3'600'000'000'000 + 5'000'000'000;  // five seconds late
  EXPECT_EQ(story.tell(Tick{}), lines("spawn report.0 2"));
  story.started(0);
  story.exits(0, 0);
  EXPECT_EQ(story.until_due(), 1h - 5s);
}

TEST(CoreScheduled, never_runs_twice_at_once_and_puts_off_what_is_due_meanwhile) {
  CoreStory story = running(hourly());
  EXPECT_EQ(story.pass(150min), lines());
  EXPECT_EQ(story.status(0), "ready");
  EXPECT_EQ(story.exits(0, 0), lines("sweep report.0", "spawn report.0 2")) << "once, not twice";
  story.started(0);
  story.exits(0, 0);
  EXPECT_EQ(story.until_due(), 1h);
}

TEST(CoreScheduled, repeats_a_run_that_failed_as_the_policy_and_the_limit_say) {
  for (const RestartPolicy policy : {RestartPolicy::always, RestartPolicy::on_failure}) {
    WorkerConfig config = hourly(policy);
    config.restart.limit = RestartLimit{.count = 2, .within = 1h, .then = LimitThen::stop};
    CoreStory story = running(config);
    EXPECT_EQ(story.exits(0, 1), lines("sweep report.0", "spawn report.0 2"));
    story.started(0);
    EXPECT_EQ(story.exits(0, 1), lines("sweep report.0"));
    EXPECT_EQ(story.status(0), "backoff");
    story.pass(100ms);
    story.started(0);
    EXPECT_EQ(story.exits(0, 1), lines("sweep report.0", "finished 1"));
    EXPECT_EQ(story.status(0), "failed");
  }
}

TEST(CoreScheduled, starts_afresh_after_a_run_that_ended_well) {
  CoreStory story = running(hourly());
  story.exits(0, 1);
  story.started(0);
  EXPECT_EQ(story.at(0).restarts, 1U);
  story.exits(0, 0);
  EXPECT_EQ(story.at(0).attempt, 0U);
  EXPECT_EQ(story.pass(1h), lines("spawn report.0 3"));
  EXPECT_EQ(story.at(0).restarts, 1U);
}

TEST(CoreScheduled, waits_for_the_next_time_when_a_failed_run_is_not_to_be_repeated) {
  CoreStory story = running(hourly(RestartPolicy::never));
  EXPECT_EQ(story.exits(0, 3), lines("sweep report.0"));
  EXPECT_EQ(story.reason(0), "runs next in 60 min; the last run: exited with code 3");
  EXPECT_EQ(story.pass(1h), lines("spawn report.0 2"));
}

TEST(CoreScheduled, does_not_end_a_system_that_waits_for_its_next_run) {
  CoreStory story = running(hourly());
  EXPECT_EQ(story.exits(0, 0), lines("sweep report.0"));
  EXPECT_EQ(story.tell(Shutdown{false}), lines("finished 0"));
}

TEST(CoreScheduled, runs_now_when_it_is_started_by_hand) {
  CoreStory story = running(hourly());
  story.exits(0, 0);
  story.pass(10min);
  EXPECT_EQ(story.tell(WantUp{0}), lines("spawn report.0 2"));
  story.started(0);
  story.exits(0, 0);
  EXPECT_EQ(story.until_due(), 1h) << "the clock starts anew";
  EXPECT_EQ(story.tell(WantDown{0}), lines());
  EXPECT_EQ(story.status(0), "disabled");
  EXPECT_EQ(story.pass(2h), lines());
  EXPECT_EQ(story.tell(WantUp{0}), lines("spawn report.0 3"));
}

TEST(CoreScheduled, keeps_its_time_under_the_next_brain) {
  CoreStory story = running(hourly());
  story.exits(0, 0);
  story.pass(20min);
  EXPECT_EQ(story.brain_dies(), lines("sweep report.0"));
  EXPECT_EQ(story.until_due(), 40min);
  EXPECT_EQ(story.pass(40min), lines("spawn report.0 2"));
  EXPECT_EQ(story.brain_dies(), lines("sweep report.0", "spawn report.0 3"));
  story.started(0);
  story.exits(0, 0);
  EXPECT_EQ(story.until_due(), 1h) << "a run that was begun twice is one run";
}

TEST(CoreScheduled, is_restarted_with_its_group_only_while_it_runs) {
  GroupConfig group;
  group.name = "core";
  group.strategy = GroupStrategy::one_for_all;
  group.members = {"store", "report"};
  CoreStory story({worker("store"), hourly()}, {group});
  story.begin();
  story.bring_up(0);
  story.started(1);
  EXPECT_EQ(story.is_killed(0), lines("sweep store.0", "stop report.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep report.0", "spawn store.0 2", "spawn report.0 2"));
  story.bring_up(0);
  story.started(1);
  story.exits(1, 0);
  story.pass(1min);
  EXPECT_EQ(story.is_killed(0), lines("sweep store.0", "spawn store.0 3"));
  EXPECT_EQ(story.until_due(), 59min);
}

// The end of "main" and what the system makes of it; "" means that it goes on.
TEST(CoreSignificant, follows_the_table) {
  struct Row {
    Significant significant;
    RestartPolicy policy;
    ExitKind kind;
    int code;
    const char* end;
  };
  using enum RestartPolicy;
  using enum Significant;
  constexpr auto exit = ExitKind::exit;
  constexpr auto signal = ExitKind::signal;
  const Row rows[] = {
      {no, never, exit, 3, ""},
      {no, on_failure, exit, 0, ""},
      {failure, never, exit, 3, "3"},
      {failure, never, exit, 0, ""},
      {failure, never, signal, 11, "139"},
      {failure, on_failure, exit, 3, ""},
      {failure, always, exit, 78, "78"},
      {failure, never, ExitKind::oom, 9, "137"},
      {any_exit, never, exit, 0, "0"},
      {any_exit, never, exit, 3, "3"},
      {any_exit, on_failure, exit, 0, "0"},
      {any_exit, on_failure, exit, 3, ""},
      {any_exit, on_failure, exit, 78, "78"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE("row " + std::to_string(&row - rows));
    WorkerConfig main = worker("main");
    main.significant = row.significant;
    main.restart.policy = row.policy;
    CoreStory story({main, worker("other")});
    story.begin();
    story.bring_up(0);
    story.bring_up(1);
    story.tell(Exited{0, 1, row.kind, row.code});
    const bool ends = *row.end != '\0';
    EXPECT_EQ(story.status(1), ends ? "stopping" : "ready");
    if (!ends) continue;
    EXPECT_EQ(story.exits(1, 0), lines("sweep other.0", "finished " + std::string(row.end)));
  }
}

TEST(CoreSignificant, says_127_of_a_program_that_could_not_be_executed) {
  WorkerConfig main = worker("main");
  main.significant = Significant::failure;
  CoreStory story({main});
  story.begin();
  EXPECT_EQ(story.tell(ExecFailed{0, 1, 2}), lines("finished 127"));
}

TEST(CoreSignificant, does_not_take_the_operators_stop_for_an_end) {
  WorkerConfig main = worker("main");
  main.significant = Significant::any_exit;
  main.restart.policy = RestartPolicy::never;
  CoreStory story({main, worker("other")});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  story.tell(WantDown{0});
  story.exits(0, 0);
  EXPECT_EQ(story.status(1), "ready");
}

TEST(CoreSignificant, the_first_who_ends_the_system_says_with_what) {
  WorkerConfig main = worker("main"), second = worker("second");
  main.significant = second.significant = Significant::failure;
  main.restart.policy = second.restart.policy = RestartPolicy::never;
  CoreStory story({main, second});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  EXPECT_EQ(story.exits(0, 3), lines("sweep main.0", "stop second.0"));
  EXPECT_EQ(story.exits(1, 4), lines("sweep second.0", "finished 3"));
}

TEST(CoreSignificant, a_group_that_failed_has_failed_members) {
  GroupConfig group;
  group.name = "core";
  group.members = {"main", "helper"};
  group.limit = RestartLimit{.count = 0, .within = 60s, .then = LimitThen::stop};
  WorkerConfig main = worker("main"), helper = worker("helper");
  main.significant = Significant::failure;
  main.restart.limit.reset();
  helper.restart.limit.reset();
  CoreStory story({main, helper, worker("other")}, {group});
  story.begin();
  for (Slot slot = 0; slot < 3; ++slot) story.bring_up(slot);
  EXPECT_EQ(story.is_killed(1), lines("sweep helper.0", "stop main.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep main.0", "stop other.0"));
  EXPECT_EQ(story.exits(2, 0), lines("sweep other.0", "finished 1"));
}

}  // namespace
}  // namespace bulkhead::supervisor
