// Stopping, starting and restarting by the operator's word; the last word wins.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;

CoreStory up(WorkerConfig config = worker("echo")) {
  CoreStory story({std::move(config)});
  story.begin();
  story.bring_up(0);
  story.announced();
  return story;
}

TEST(CoreStop, asks_first_and_is_down_when_the_process_is_gone) {
  CoreStory story = up();
  EXPECT_EQ(story.tell(WantDown{0}), lines("stop echo.0"));
  EXPECT_EQ(story.status(0), "stopping");
  EXPECT_EQ(story.tell(WantDown{0}), lines());
  EXPECT_EQ(story.is_killed(0, 15), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "disabled");
  EXPECT_EQ(story.at(0).attempt, 0U);
  EXPECT_EQ(story.announced(), lines("stopping echo.0", "exited echo.0", "stopped echo.0"));
}

// The whole story of a worker that does not listen.
TEST(CoreStop, kills_after_five_seconds_and_says_unkillable_two_seconds_later) {
  CoreStory story = up();
  story.tell(WantDown{0});
  EXPECT_EQ(story.pass(5s - 1ns), lines());
  EXPECT_EQ(story.status(0), "stopping");
  EXPECT_EQ(story.pass(1ns), lines("kill echo.0"));
  EXPECT_EQ(story.status(0), "killing");
  EXPECT_EQ(story.reason(0), "being killed: it did not stop within 5.0 s");
  EXPECT_EQ(story.pass(2s), lines());
  EXPECT_EQ(story.status(0), "unkillable");
  EXPECT_EQ(story.pass(1h), lines());
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "disabled");
}

TEST(CoreStop, takes_effect_at_once_where_no_process_lives) {
  WorkerConfig echo = worker("echo");
  echo.depends_on["store"] = DependsOn::ready;
  CoreStory story({worker("store"), echo});
  story.begin();
  ASSERT_EQ(story.status(1), "waiting");
  EXPECT_EQ(story.tell(WantDown{1}), lines());
  EXPECT_EQ(story.status(1), "disabled");
  EXPECT_EQ(story.announced(), lines("stopped echo.0"));
  story.started(0);
  EXPECT_EQ(story.became_ready(0), lines());
}

TEST(CoreStop, cancels_a_restart_that_is_waiting_for_its_time) {
  CoreStory story = up();
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  ASSERT_EQ(story.status(0), "backoff");
  story.tell(WantDown{0});
  EXPECT_EQ(story.status(0), "disabled");
  EXPECT_EQ(story.pass(1h), lines());
}

TEST(CoreStop, catches_a_process_that_is_just_being_made) {
  CoreStory story({worker("echo")});
  story.begin();
  EXPECT_EQ(story.tell(WantDown{0}), lines());
  EXPECT_EQ(story.started(0), lines("stop echo.0"));
}

TEST(CoreStop, keeps_the_system_running_when_everything_was_stopped_by_hand) {
  CoreStory story = up();
  story.tell(WantDown{0});
  story.is_killed(0, 15);
  EXPECT_FALSE(story.state.finished);
  EXPECT_EQ(story.tell(WantUp{0}), lines("spawn echo.0 2"));
  EXPECT_EQ(story.at(0).restarts, 0U);
}

TEST(CoreStop, a_start_during_the_stop_brings_it_up_again_afterwards) {
  CoreStory story = up();
  story.tell(WantDown{0});
  EXPECT_EQ(story.tell(WantUp{0}), lines());
  EXPECT_EQ(story.status(0), "stopping");
  EXPECT_EQ(story.is_killed(0, 15), lines("sweep echo.0", "spawn echo.0 2"));
  EXPECT_EQ(story.at(0).attempt, 0U);
}

TEST(CoreStop, a_stop_after_a_restart_wins) {
  CoreStory story = up();
  EXPECT_EQ(story.tell(WantRestart{0}), lines("stop echo.0"));
  EXPECT_EQ(story.tell(WantDown{0}), lines());
  EXPECT_EQ(story.is_killed(0, 15), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "disabled");
}

TEST(CoreStop, has_as_much_patience_as_the_worker_asks_for) {
  CoreStory story = up();
  story.tell(WantDown{0});
  story.tell(MoreTime{0, 1, story.now + 60'000'000'000});
  EXPECT_EQ(story.until_due(), 60s);
  story.tell(MoreTime{0, 1, story.now + 1});
  EXPECT_EQ(story.until_due(), 60s) << "never less than it has";
  EXPECT_EQ(story.pass(59s), lines());
  EXPECT_EQ(story.pass(1s), lines("kill echo.0"));
  story.tell(MoreTime{0, 1, story.now + 60'000'000'000});
  EXPECT_EQ(story.until_due(), 2s) << "too late: it is being killed";
}

TEST(CoreStop, wins_over_a_watchdog_kill_that_is_under_way) {
  CoreStory story = up();
  story.tell(WatchdogExpired{0, 1});
  EXPECT_EQ(story.tell(WantDown{0}), lines());
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "disabled");
}

TEST(CoreRestart, stops_and_starts_with_a_clean_record_whatever_the_policy) {
  WorkerConfig echo = worker("echo");
  echo.restart.policy = RestartPolicy::never;
  CoreStory story = up(echo);
  EXPECT_EQ(story.tell(WantRestart{0}), lines("stop echo.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep echo.0", "spawn echo.0 2"));
  EXPECT_EQ(story.at(0).attempt, 0U);
  EXPECT_EQ(story.at(0).restarts, 1U);
}

TEST(CoreRestart, happens_once_however_often_it_is_asked_for) {
  CoreStory story = up();
  story.tell(WantRestart{0});
  EXPECT_EQ(story.tell(WantRestart{0}), lines());
  story.exits(0, 0);
  EXPECT_EQ(story.started(0), lines());
  story.became_ready(0);
  EXPECT_EQ(story.status(0), "ready");
}

TEST(CoreRestart, forgives_the_failures_of_before) {
  CoreStory story = up();
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  ASSERT_EQ(story.status(0), "backoff");
  EXPECT_EQ(story.tell(WantRestart{0}), lines("spawn echo.0 3"));
  story.bring_up(0);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 4"));
}

TEST(CoreRestart, starts_what_has_failed_or_was_stopped) {
  WorkerConfig echo = worker("echo");
  echo.restart.policy = RestartPolicy::never;
  CoreStory story({echo, worker("other")});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  story.exits(0, 3);
  ASSERT_EQ(story.status(0), "failed");
  EXPECT_EQ(story.tell(WantRestart{0}), lines("spawn echo.0 2"));
  story.tell(WantDown{1});
  story.exits(1, 0);
  ASSERT_EQ(story.status(1), "disabled");
  EXPECT_EQ(story.tell(WantRestart{1}), lines("spawn other.0 2"));
}

TEST(CoreRestart, of_a_starting_worker_does_not_wait_for_it_to_become_ready) {
  CoreStory story({worker("echo")});
  story.begin();
  story.started(0);
  EXPECT_EQ(story.tell(WantRestart{0}), lines("stop echo.0"));
}

}  // namespace
}  // namespace bulkhead::supervisor
