// Starting: dependencies, the order of starts, readiness, and news that comes late or twice.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;

WorkerConfig needing(WorkerConfig config, const std::string& other, DependsOn level) {
  config.depends_on[other] = level;
  return config;
}

WorkerConfig exec_ready(WorkerConfig config) {
  config.ready.type = ReadyType::exec;
  return config;
}

WorkerConfig oneshot(WorkerConfig config) {
  config.kind = WorkerKind::oneshot;
  return exec_ready(std::move(config));
}

TEST(CoreStart, spawns_every_instance_that_needs_nothing) {
  CoreStory story({worker("echo", 2)});
  EXPECT_EQ(story.begin(), lines("spawn echo.0 1", "spawn echo.1 1"));
  EXPECT_EQ(story.status(0), "starting");
}

TEST(CoreStart, is_ready_as_soon_as_it_has_started_when_ready_means_exec) {
  CoreStory story({exec_ready(worker("echo"))});
  story.begin();
  story.started(0);
  EXPECT_EQ(story.status(0), "ready");
  EXPECT_EQ(story.announced(), lines("starting echo.0", "ready echo.0"));
  EXPECT_EQ(next_due(story.state), time_never);
}

TEST(CoreStart, is_ready_at_its_word_when_ready_means_notify) {
  CoreStory story({worker("echo")});
  story.begin();
  story.started(0);
  EXPECT_EQ(story.status(0), "starting");
  story.became_ready(0);
  EXPECT_EQ(story.status(0), "ready");
}

TEST(CoreStart, gives_a_worker_the_time_that_it_asks_for_to_become_ready) {
  CoreStory story({worker("echo")});
  story.begin();
  story.tell(MoreTime{0, 1, story.now + 3'600'000'000'000});
  EXPECT_EQ(next_due(story.state), time_never) << "there is no process that could have asked";
  story.started(0);
  story.tell(MoreTime{0, 2, story.now + 3'600'000'000'000});
  EXPECT_EQ(story.until_due(), 30s) << "of another incarnation";
  story.tell(MoreTime{0, 1, story.now + 3'600'000'000'000});
  EXPECT_EQ(story.pass(3599s), lines());
  story.became_ready(0);
  story.tell(MoreTime{0, 1, story.now + 1'000'000'000});
  EXPECT_EQ(next_due(story.state), time_never) << "it needs none any more";
}

TEST(CoreStart, waits_until_every_instance_that_it_needs_is_ready) {
  CoreStory story({needing(worker("echo"), "store", DependsOn::ready), worker("store", 2)});
  EXPECT_EQ(story.begin(), lines("spawn store.0 1", "spawn store.1 1"));
  EXPECT_EQ(story.status(0), "waiting");
  story.bring_up(1);
  EXPECT_EQ(story.reason(0), "waiting for store.1 (ready), which is starting");
  story.started(2);
  EXPECT_EQ(story.became_ready(2), lines("spawn echo.0 1"));
}

TEST(CoreStart, needs_only_a_process_when_it_depends_on_started) {
  CoreStory story({worker("store"), needing(worker("echo"), "store", DependsOn::started)});
  EXPECT_EQ(story.begin(), lines("spawn store.0 1"));
  EXPECT_EQ(story.started(0), lines("spawn echo.0 1"));
}

TEST(CoreStart, waits_for_the_success_of_a_oneshot_when_it_depends_on_completed) {
  CoreStory story(
      {oneshot(worker("migrate")), needing(worker("echo"), "migrate", DependsOn::completed)});
  story.begin();
  EXPECT_EQ(story.started(0), lines());
  EXPECT_EQ(story.exits(0, 0), lines("sweep migrate.0", "spawn echo.0 1"));
  EXPECT_EQ(story.status(0), "done");
}

TEST(CoreStart, does_not_take_the_failure_of_a_oneshot_for_completion) {
  CoreStory story(
      {oneshot(worker("migrate")), needing(worker("echo"), "migrate", DependsOn::completed)});
  story.begin();
  story.started(0);
  EXPECT_EQ(story.exits(0, 3), lines("sweep migrate.0", "spawn migrate.0 2"));
  EXPECT_EQ(story.status(1), "waiting");
}

TEST(CoreStart, a_completed_oneshot_satisfies_whoever_needs_it_ready) {
  CoreStory story(
      {oneshot(worker("migrate")), worker("store"),
       needing(needing(worker("echo"), "migrate", DependsOn::ready), "store", DependsOn::ready)});
  story.begin();
  story.started(0);
  story.exits(0, 0);
  story.started(1);
  EXPECT_EQ(story.became_ready(1), lines("spawn echo.0 1"));
}

TEST(CoreStart, a_service_that_ended_satisfies_nobody) {
  WorkerConfig store = exec_ready(worker("store"));
  store.restart.policy = RestartPolicy::on_failure;
  CoreStory story(
      {store, worker("slow"),
       needing(needing(worker("echo"), "store", DependsOn::ready), "slow", DependsOn::ready)});
  story.begin();
  story.started(0);
  story.exits(0, 0);
  EXPECT_EQ(story.status(0), "done");
  story.bring_up(1);
  EXPECT_EQ(story.status(2), "waiting");
}

TEST(CoreStart, keeps_running_when_what_it_needs_dies) {
  CoreStory story({worker("store"), needing(worker("echo"), "store", DependsOn::ready)});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  EXPECT_EQ(story.is_killed(0), lines("sweep store.0", "spawn store.0 2"));
  EXPECT_EQ(story.status(1), "ready");
}

TEST(CoreStart, starts_at_most_so_many_at_once) {
  CoreStory story({worker("echo", 5)}, 2);
  EXPECT_EQ(story.begin(), lines("spawn echo.0 1", "spawn echo.1 1"));
  EXPECT_EQ(story.started(0), lines());
  EXPECT_EQ(story.reason(2), "waiting for its turn: at most 2 instances start at once");
  EXPECT_EQ(story.became_ready(0), lines("spawn echo.2 1"));
  story.started(1);
  EXPECT_EQ(story.became_ready(1), lines("spawn echo.3 1"));
}

TEST(CoreStart, gives_the_token_of_a_failed_start_to_the_next) {
  CoreStory story({worker("echo", 3)}, 1);
  EXPECT_EQ(story.begin(), lines("spawn echo.0 1"));
  EXPECT_EQ(story.tell(ExecFailed{0, 1, 2}), lines("spawn echo.1 1"));
}

TEST(CoreStart, restarts_a_worker_that_died_in_ready_without_a_token) {
  CoreStory story({worker("echo", 2)}, 1);
  story.begin();
  story.bring_up(0);
  EXPECT_EQ(story.status(1), "starting");  // holds the only token
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 2"));
}

TEST(CoreStart, throttles_those_who_come_back_after_what_they_need) {
  CoreStory story({worker("store"), needing(worker("echo", 3), "store", DependsOn::ready)}, 1);
  story.begin();
  story.bring_up(0);
  for (Slot slot = 1; slot <= 3; ++slot) story.bring_up(slot);
  story.is_killed(0);
  for (Slot slot = 1; slot <= 3; ++slot) {
    EXPECT_EQ(story.is_killed(slot), lines("sweep echo." + std::to_string(slot - 1)));
  }
  story.started(0);
  EXPECT_EQ(story.became_ready(0), lines("spawn echo.0 2"));
}

TEST(CoreStart, kills_what_is_not_ready_in_time_and_counts_it_as_a_failure) {
  WorkerConfig echo = worker("echo");
  echo.ready.timeout = 10s;
  CoreStory story({echo});
  story.begin();
  story.started(0);
  EXPECT_EQ(story.pass(10s - 1ns), lines());
  EXPECT_EQ(story.pass(1ns), lines("kill echo.0"));
  EXPECT_EQ(story.reason(0), "being killed: it was not ready within 10.0 s");
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 2"));
  EXPECT_EQ(story.at(0).attempt, 1U);
  EXPECT_EQ(story.at(0).last_exit.kind, ExitKind::signal);
}

TEST(CoreStart, has_no_time_limit_until_the_process_exists) {
  CoreStory story({worker("echo")});
  story.begin();
  EXPECT_EQ(story.pass(1h), lines());
  EXPECT_EQ(story.status(0), "starting");
}

TEST(CoreStart, takes_over_the_generation_with_which_it_was_really_started) {
  CoreStory story({worker("echo")});
  story.begin();
  story.tell(Started{0, 4, 77});
  EXPECT_EQ(story.at(0).generation, 4U);
  EXPECT_EQ(story.at(0).pid, 77);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 5"));
}

TEST(CoreStart, ignores_news_of_earlier_incarnations) {
  CoreStory story({worker("echo")});
  story.begin();
  story.bring_up(0);
  story.is_killed(0);
  story.started(0);
  const auto before = story.at(0).status;
  EXPECT_EQ(story.tell(BecameReady{0, 1}), lines());
  EXPECT_EQ(story.tell(Exited{0, 1, ExitKind::signal, 9}), lines());
  EXPECT_EQ(story.tell(WatchdogExpired{0, 1}), lines());
  EXPECT_EQ(story.tell(Started{0, 1, 55}), lines());
  EXPECT_EQ(story.tell(ExecFailed{0, 1, 2}), lines());
  EXPECT_EQ(story.at(0).status, before);
  EXPECT_EQ(story.at(0).generation, 2U);
}

TEST(CoreStart, believes_a_death_that_is_told_twice_once) {
  CoreStory story({worker("echo")});
  story.begin();
  story.bring_up(0);
  story.is_killed(0);
  EXPECT_EQ(story.tell(Exited{0, 1, ExitKind::signal, 9}), lines());
  EXPECT_EQ(story.at(0).attempt, 1U);
}

TEST(CoreStart, understands_a_death_that_is_told_before_the_start) {
  CoreStory story({worker("echo")});
  story.begin();
  EXPECT_EQ(story.tell(Exited{0, 1, ExitKind::exit, 1}), lines("sweep echo.0", "spawn echo.0 2"));
  EXPECT_EQ(story.tell(Started{0, 1, 50}), lines());
  EXPECT_EQ(story.at(0).pid, 0);
}

TEST(CoreStart, counts_restarts_but_not_the_first_start) {
  CoreStory story({worker("echo")});
  story.begin();
  story.bring_up(0);
  EXPECT_EQ(story.at(0).restarts, 0U);
  story.is_killed(0);
  EXPECT_EQ(story.at(0).restarts, 1U);
}

}  // namespace
}  // namespace bulkhead::supervisor
