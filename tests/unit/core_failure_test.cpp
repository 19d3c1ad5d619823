// What follows a death: policies, back-off, the restart limit, configuration errors, the watchdog.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;

WorkerConfig with_policy(RestartPolicy policy, WorkerKind kind = WorkerKind::service) {
  WorkerConfig config = worker("echo");
  config.restart.policy = policy;
  config.kind = kind;
  return config;
}

CoreStory up(WorkerConfig config) {
  CoreStory story({std::move(config)});
  story.begin();
  story.bring_up(0);
  story.announced();
  return story;
}

// Every policy, kind and end, and the status that follows; "starting" is an immediate restart.
TEST(CoreFailure, follows_the_table_of_policies) {
  struct Row {
    RestartPolicy policy;
    WorkerKind kind;
    ExitKind exit;
    int code;
    const char* then;
  };
  using enum RestartPolicy;
  constexpr auto service = WorkerKind::service;
  constexpr auto oneshot = WorkerKind::oneshot;
  constexpr auto exit = ExitKind::exit;
  constexpr auto signal = ExitKind::signal;
  const Row rows[] = {
      {always, service, exit, 0, "starting"},
      {always, service, exit, 1, "starting"},
      {always, service, signal, 15, "starting"},
      {always, service, ExitKind::oom, 9, "backoff"},
      {on_failure, service, exit, 0, "done"},
      {on_failure, service, exit, 1, "starting"},
      {on_failure, service, signal, 15, "starting"},
      {never, service, exit, 0, "done"},
      {never, service, exit, 1, "failed"},
      {never, service, signal, 9, "failed"},
      {always, oneshot, exit, 0, "done"},
      {always, oneshot, exit, 1, "starting"},
      {on_failure, oneshot, exit, 0, "done"},
      {on_failure, oneshot, signal, 6, "starting"},
      {never, oneshot, exit, 0, "done"},
      {never, oneshot, exit, 2, "failed"},
      {always, service, exit, 78, "failed"},
      {on_failure, oneshot, exit, 78, "failed"},
  };
  for (const Row& row : rows) {
    CoreStory story = up(with_policy(row.policy, row.kind));
    story.tell(Exited{0, 1, row.exit, row.code});
    EXPECT_EQ(story.status(0), row.then)
        << "row " << (&row - rows) << ": policy " << int(row.policy) << ", code " << row.code;
    EXPECT_EQ(story.at(0).last_exit.code, row.code);
  }
}

TEST(CoreFailure, sweeps_what_the_dead_one_left_before_it_spawns_the_next) {
  CoreStory story = up(worker("echo"));
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 2"));
}

TEST(CoreFailure, restarts_at_once_then_later_and_later_up_to_the_longest_delay) {
  WorkerConfig echo = worker("echo");
  echo.restart.limit.reset();
  CoreStory story = up(echo);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 2"));
  for (const auto delay : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 10000ms, 10000ms}) {
    story.bring_up(0);
    EXPECT_EQ(story.is_killed(0), lines("sweep echo.0"));
    EXPECT_EQ(story.status(0), "backoff");
    EXPECT_EQ(story.until_due(), delay);
    EXPECT_EQ(story.pass(delay - 1ns), lines());
    const Generation next = story.at(0).generation + 1;
    EXPECT_EQ(story.pass(1ns), lines("spawn echo.0 " + std::to_string(next)));
  }
}

TEST(CoreFailure, restarts_at_once_every_time_when_the_first_delay_is_nought) {
  WorkerConfig echo = worker("echo");
  echo.restart.backoff.initial = 0ms;
  echo.restart.limit.reset();
  CoreStory story = up(echo);
  for (int death = 0; death < 1000; ++death) {
    EXPECT_EQ(story.is_killed(0).size(), 2U);
    story.bring_up(0);
  }
  EXPECT_EQ(story.at(0).restarts, 1000U);
}

TEST(CoreFailure, forgets_failures_after_it_was_ready_long_enough) {
  CoreStory story = up(worker("echo"));
  story.is_killed(0);
  story.bring_up(0);
  EXPECT_EQ(story.pass(10s), lines());
  EXPECT_EQ(story.at(0).attempt, 0U);
  EXPECT_EQ(next_due(story.state), time_never);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 3"));
}

TEST(CoreFailure, does_not_forget_failures_a_moment_too_soon) {
  CoreStory story = up(worker("echo"));
  story.is_killed(0);
  story.bring_up(0);
  story.pass(10s - 1ns);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "backoff");
}

TEST(CoreFailure, forgets_failures_also_when_the_death_is_told_before_the_timer) {
  CoreStory story = up(worker("echo"));
  story.is_killed(0);
  story.bring_up(0);
  story.now += 10'000'000'000;
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 3"));
}

TEST(CoreFailure, spreads_delays_by_the_jitter_and_never_over_the_longest) {
  WorkerConfig echo = worker("echo");
  echo.restart.backoff = {.initial = 1s, .max = 4s, .factor = 2, .jitter = 0.2, .reset_after = 10s};
  echo.restart.limit.reset();
  CoreStory story = up(echo);
  story.is_killed(0);
  std::chrono::nanoseconds least = 1h, most = 0s;
  for (int death = 1; death < 300; ++death) {
    story.bring_up(0);
    story.is_killed(0);
    const auto delay = story.until_due();
    if (death >= 3) {
      least = std::min(least, delay);
      most = std::max(most, delay);
    } else {
      EXPECT_GE(delay, death * 800ms);
      EXPECT_LE(delay, death * 1200ms);
    }
    story.pass(delay);
  }
  EXPECT_GE(least, 3200ms);
  EXPECT_LE(most, 4s);
  EXPECT_GT(most - least, 400ms);
}

TEST(CoreFailure, probes_at_the_longest_delay_once_the_limit_is_reached) {
  WorkerConfig echo = worker("echo");
  echo.restart.backoff.initial = 0ms;
  echo.restart.limit = RestartLimit{.count = 3, .within = 60s, .then = LimitThen::half_open};
  CoreStory story = up(echo);
  for (int death = 0; death < 3; ++death) {
    story.is_killed(0);
    story.bring_up(0);
  }
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "half_open");
  EXPECT_EQ(story.until_due(), 10s);
  EXPECT_EQ(
      story.reason(0),
      "more than 3 failures within 60.0 s, the last time killed by SIGKILL; next probe in 10.0 s");
  EXPECT_EQ(story.pass(10s), lines("spawn echo.0 5"));
  story.bring_up(0);
  story.pass(100ms);
  story.is_killed(0);
  EXPECT_EQ(story.status(0), "half_open");
}

TEST(CoreFailure, trusts_a_probe_that_stayed_ready_for_long_enough) {
  WorkerConfig echo = worker("echo");
  echo.restart.backoff.initial = 0ms;
  echo.restart.limit = RestartLimit{.count = 1, .within = 60s, .then = LimitThen::half_open};
  CoreStory story = up(echo);
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  ASSERT_EQ(story.status(0), "half_open");
  story.pass(10s);
  story.bring_up(0);
  EXPECT_TRUE(story.at(0).probing);
  story.pass(10s);
  EXPECT_FALSE(story.at(0).probing);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 4"));
}

TEST(CoreFailure, gives_up_at_the_limit_when_told_to_stop) {
  WorkerConfig echo = worker("echo");
  echo.restart.limit = RestartLimit{.count = 1, .within = 60s, .then = LimitThen::stop};
  CoreStory story = up(echo);
  story.is_killed(0);
  story.bring_up(0);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "finished 1"));
  EXPECT_EQ(story.status(0), "failed");
  EXPECT_EQ(story.reason(0), "more than 1 failures within 60.0 s; the last time killed by SIGKILL");
}

TEST(CoreFailure, brings_the_system_down_at_the_limit_when_told_to_escalate) {
  for (const LimitThen then : {LimitThen::escalate, LimitThen::exit}) {
    WorkerConfig echo = worker("echo");
    echo.restart.limit = RestartLimit{.count = 0, .within = 60s, .then = then};
    CoreStory story({echo, worker("other")});
    story.begin();
    story.bring_up(0);
    story.bring_up(1);
    EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "stop other.0"));
    EXPECT_EQ(story.exits(1, 0), lines("sweep other.0", "finished 1"));
  }
}

TEST(CoreFailure, does_not_loop_over_a_program_that_cannot_be_executed) {
  CoreStory story({worker("echo"), worker("other")});
  story.begin();
  EXPECT_EQ(story.tell(ExecFailed{0, 1, 2}), lines());
  EXPECT_EQ(story.status(0), "failed");
  EXPECT_EQ(story.reason(0),
            "could not be executed: No such file or directory; `start` tries again");
  EXPECT_EQ(story.tell(Exited{0, 1, ExitKind::exit, 127}), lines());
  EXPECT_EQ(story.announced(), lines("failed echo.0"));
  EXPECT_EQ(story.tell(WantUp{0}), lines("spawn echo.0 2"));
}

TEST(CoreFailure, tries_again_when_only_the_resources_for_a_start_were_wanting) {
  CoreStory story({worker("echo")});
  story.begin();
  EXPECT_EQ(story.tell(Exited{0, 1, ExitKind::exec_failed, 11}),
            lines("sweep echo.0", "spawn echo.0 2"));
  EXPECT_EQ(story.tell(Exited{0, 2, ExitKind::exec_failed, 11}), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "backoff");
}

TEST(CoreFailure, does_not_count_deaths_while_what_it_needs_is_away) {
  WorkerConfig echo = worker("echo");
  echo.depends_on["store"] = DependsOn::ready;
  CoreStory story({worker("store"), echo});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  story.is_killed(0);
  EXPECT_EQ(story.exits(1, 1), lines("sweep echo.0"));
  EXPECT_EQ(story.status(1), "waiting");
  EXPECT_EQ(story.at(1).attempt, 0U);
  EXPECT_EQ(story.at(1).failures.failures_since(0), 0U);
  story.started(0);
  EXPECT_EQ(story.became_ready(0), lines("spawn echo.0 2"));
  EXPECT_EQ(story.at(1).restarts, 1U);
}

TEST(CoreFailure, does_not_restart_at_once_what_died_for_want_of_memory) {
  CoreStory story = up(worker("echo"));
  EXPECT_EQ(story.tell(Exited{0, 1, ExitKind::oom, 9}), lines("sweep echo.0"));
  EXPECT_EQ(story.until_due(), 100ms);
  EXPECT_EQ(story.pass(100ms), lines("spawn echo.0 2"));
  story.bring_up(0);
  story.is_killed(0);
  EXPECT_EQ(story.until_due(), 100ms) << "counts as the first failure, not as two";
}

TEST(CoreFailure, a_hung_worker_is_killed_and_restarted_as_a_failure) {
  CoreStory story = up(worker("echo"));
  EXPECT_EQ(story.tell(WatchdogExpired{0, 1}), lines("kill echo.0"));
  EXPECT_EQ(story.tell(WatchdogExpired{0, 1}), lines());
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 2"));
  EXPECT_EQ(story.at(0).last_exit.kind, ExitKind::watchdog);
  EXPECT_EQ(story.at(0).last_exit.code, 9);
  EXPECT_EQ(story.at(0).attempt, 1U);
}

TEST(CoreFailure, a_worker_whose_lease_ran_out_is_killed_and_restarted_as_a_failure) {
  CoreStory story = up(worker("echo"));
  EXPECT_EQ(story.tell(LeaseExpired{0, 2}), lines()) << "of another incarnation";
  EXPECT_EQ(story.tell(LeaseExpired{0, 1}), lines("kill echo.0"));
  EXPECT_EQ(story.tell(LeaseExpired{0, 1}), lines());
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 2"));
  EXPECT_EQ(story.at(0).last_exit.kind, ExitKind::lease);
  EXPECT_EQ(story.at(0).attempt, 1U);
}

TEST(CoreFailure, announces_each_transition_in_order) {
  CoreStory story = up(worker("echo"));
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  EXPECT_EQ(story.announced(), lines("exited echo.0", "starting echo.0", "ready echo.0",
                                     "exited echo.0", "backoff echo.0"));
}

}  // namespace
}  // namespace bulkhead::supervisor
