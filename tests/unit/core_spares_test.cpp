// Spares in the core: when they are started and stopped, which deaths they answer, and what is left of a promotion
// when the brain dies in the middle of it.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;

constexpr Slot echo = 0;

WorkerConfig with_spares(std::uint32_t instances, std::uint32_t spares) {
  WorkerConfig config = worker("echo", instances);
  config.warm_spares = spares;
  return config;
}

// Everything is up: one instance in slot 0, its spares behind it.
CoreStory up(std::uint32_t spares = 1) {
  CoreStory story({with_spares(1, spares)});
  story.begin();
  story.bring_up(echo);
  for (Slot spare = 1; spare <= spares; ++spare) story.bring_up(spare);
  story.announced();
  return story;
}

std::vector<std::string> promoted(CoreStory& story, Slot slot, Slot spare) {
  return story.tell(Promoted{slot, story.at(slot).generation, story.at(spare).pid, spare,
                             story.at(spare).generation});
}

TEST(CoreSpares, are_started_once_the_instances_are_ready) {
  CoreStory story({with_spares(2, 1)});
  EXPECT_EQ(story.begin(), lines("spawn echo.0 1", "spawn echo.1 1"));
  story.bring_up(0);
  EXPECT_EQ(story.started(1), lines());
  EXPECT_EQ(story.became_ready(1), lines("spawn echo+spare.0 1"));
  story.bring_up(2);
  EXPECT_EQ(story.status(2), "ready");
}

TEST(CoreSpares, wait_for_the_readiness_of_a_runtime_even_where_exec_is_enough_for_instances) {
  WorkerConfig config = with_spares(1, 1);
  config.ready.type = ReadyType::exec;
  CoreStory story({config});
  story.begin();
  EXPECT_EQ(story.started(echo), lines("spawn echo+spare.0 1"));
  story.started(1);
  EXPECT_EQ(story.status(1), "starting");
  EXPECT_EQ(story.is_killed(echo), lines("sweep echo.0", "spawn echo.0 2"));
}

TEST(CoreSpares, a_death_is_answered_by_a_spare_and_the_next_spare_started_when_that_is_over) {
  CoreStory story = up();
  const std::int32_t pid = story.at(1).pid;
  EXPECT_EQ(story.is_killed(echo), lines("sweep echo.0", "promote echo+spare.0 to echo.0 2"));
  EXPECT_EQ(promoted(story, echo, 1), lines());
  EXPECT_EQ(story.at(echo).pid, pid);
  EXPECT_EQ(story.status(echo), "starting");
  EXPECT_EQ(story.at(1).pid, 0);
  EXPECT_EQ(story.became_ready(echo), lines("spawn echo+spare.0 2"));
  EXPECT_EQ(story.announced(),
            lines("exited echo.0", "starting echo.0", "promoted echo.0", "ready echo.0"));
  EXPECT_EQ(story.at(echo).restarts, 1U);
}

TEST(CoreSpares, a_promotion_is_no_death_of_the_spare) {
  CoreStory story = up();
  story.is_killed(echo);
  promoted(story, echo, 1);
  story.became_ready(echo);
  story.bring_up(1);
  EXPECT_EQ(story.at(1).restarts, 0U);
  EXPECT_EQ(story.at(1).attempt, 0U);
  EXPECT_EQ(story.at(1).last_exit.kind, ExitKind::none);
}

TEST(CoreSpares, one_is_never_promised_to_two) {
  CoreStory story({with_spares(2, 1)});
  story.begin();
  for (Slot slot = 0; slot < 3; ++slot) story.bring_up(slot);
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "promote echo+spare.0 to echo.0 2"));
  EXPECT_EQ(story.is_killed(1), lines("sweep echo.1", "spawn echo.1 2"));
}

TEST(CoreSpares, one_that_could_not_step_in_stays_for_the_next) {
  CoreStory story = up();
  story.is_killed(echo);
  story.bring_up(echo);  // the shell has spawned it after all
  EXPECT_EQ(story.at(echo).was_spare, 0U);
  EXPECT_EQ(story.status(1), "ready");
  EXPECT_EQ(story.is_killed(echo), lines("sweep echo.0"));
  EXPECT_EQ(story.pass(100ms), lines("promote echo+spare.0 to echo.0 3"));
}

TEST(CoreSpares, a_promoted_one_that_dies_before_it_is_ready_died_as_the_instance) {
  CoreStory story = up();
  story.is_killed(echo);
  promoted(story, echo, 1);
  EXPECT_EQ(story.is_killed(echo), lines("sweep echo.0", "spawn echo+spare.0 2"));
  EXPECT_EQ(story.status(echo), "backoff");
  EXPECT_EQ(story.at(1).restarts, 0U);
}

TEST(CoreSpares, one_that_dies_is_replaced_with_the_backoff_of_its_worker) {
  CoreStory story = up();
  EXPECT_EQ(story.is_killed(1), lines("sweep echo+spare.0", "spawn echo+spare.0 2"));
  story.started(1);
  EXPECT_EQ(story.is_killed(1), lines("sweep echo+spare.0"));
  EXPECT_EQ(story.status(1), "backoff");
  EXPECT_EQ(story.until_due(), 100ms);
  EXPECT_EQ(story.pass(100ms), lines("spawn echo+spare.0 3"));
  EXPECT_EQ(story.at(1).restarts, 2U);
  EXPECT_EQ(story.status(echo), "ready");
  EXPECT_EQ(story.at(echo).restarts, 0U);
}

TEST(CoreSpares, one_that_keeps_dying_is_probed_and_ends_nothing) {
  WorkerConfig config = with_spares(1, 1);
  config.restart.limit = RestartLimit{.count = 1, .within = 60s, .then = LimitThen::exit};
  config.restart.backoff.initial = 0ms;
  CoreStory story({config});
  story.begin();
  story.bring_up(echo);
  for (int death = 0; death < 2; ++death) {
    story.started(1);
    story.is_killed(1);
  }
  EXPECT_EQ(story.status(1), "half_open");
  EXPECT_FALSE(story.state.stopping);
  EXPECT_EQ(story.pass(10s), lines("spawn echo+spare.0 3"));
}

TEST(CoreSpares, one_whose_program_is_gone_is_tried_again_and_the_instance_stays) {
  CoreStory story({with_spares(1, 1)});
  story.begin();
  story.bring_up(echo);
  EXPECT_EQ(story.tell(ExecFailed{1, 1, 2}), lines("spawn echo+spare.0 2"));
  EXPECT_EQ(story.tell(ExecFailed{1, 2, 2}), lines());
  EXPECT_EQ(story.status(1), "backoff");
  EXPECT_EQ(story.status(echo), "ready");
}

TEST(CoreSpares, go_when_no_instance_is_wanted_and_come_back_with_the_first) {
  CoreStory story = up();
  EXPECT_EQ(story.tell(WantDown{echo}), lines("stop echo.0", "stop echo+spare.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep echo+spare.0"));
  EXPECT_EQ(story.status(1), "disabled");
  story.exits(echo, 0);
  EXPECT_EQ(story.tell(WantUp{echo}), lines("spawn echo.0 2"));
  story.started(echo);
  EXPECT_EQ(story.became_ready(echo), lines("spawn echo+spare.0 2"));
}

TEST(CoreSpares, a_restart_by_hand_runs_the_program_as_it_is_now) {
  CoreStory story = up();
  EXPECT_EQ(story.tell(WantRestart{echo}), lines("stop echo.0", "stop echo+spare.0"));
  EXPECT_EQ(story.exits(echo, 0), lines("sweep echo.0", "spawn echo.0 2"));
  story.bring_up(echo);
  EXPECT_EQ(story.exits(1, 0), lines("sweep echo+spare.0", "spawn echo+spare.0 2"));
}

TEST(CoreSpares, are_stopped_with_the_system_and_waited_for) {
  CoreStory story = up(2);
  EXPECT_EQ(story.tell(Shutdown{false}),
            lines("stop echo.0", "stop echo+spare.0", "stop echo+spare.1"));
  story.exits(echo, 0);
  story.exits(1, 0);
  EXPECT_EQ(story.exits(2, 0), lines("sweep echo+spare.1", "finished 0"));
}

TEST(CoreSpares, one_that_does_not_stop_is_killed) {
  CoreStory story = up();
  story.tell(Shutdown{false});
  story.exits(echo, 0);
  EXPECT_EQ(story.pass(5s), lines("kill echo+spare.0"));
  EXPECT_EQ(story.is_killed(1), lines("sweep echo+spare.0", "finished 0"));
}

TEST(CoreSpares, do_not_keep_a_system_that_is_done) {
  WorkerConfig config = with_spares(1, 1);
  config.restart.policy = RestartPolicy::on_failure;
  CoreStory story({config});
  story.begin();
  story.bring_up(echo);
  story.bring_up(1);
  EXPECT_EQ(story.exits(echo, 0), lines("sweep echo.0", "stop echo+spare.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep echo+spare.0", "finished 0"));
}

TEST(CoreSpares, do_not_keep_a_system_in_which_nothing_can_start) {
  WorkerConfig never = worker("never");
  never.restart.policy = RestartPolicy::never;
  WorkerConfig config = with_spares(1, 1);
  config.depends_on["never"] = DependsOn::ready;
  CoreStory story({never, config});
  story.begin();
  story.bring_up(0);
  story.started(1);
  EXPECT_EQ(story.became_ready(1), lines("spawn echo+spare.0 1"));
  story.bring_up(2);
  EXPECT_EQ(story.exits(0, 1), lines("sweep never.0"));
  EXPECT_EQ(story.exits(1, 1), lines("sweep echo.0", "stop echo+spare.0"));
  EXPECT_EQ(story.exits(2, 0), lines("sweep echo+spare.0", "finished 1"));
}

// --- the brain dies ---

TEST(CoreSparesResume, a_promotion_that_was_not_decided_is_decided_again) {
  CoreStory story = up();
  story.is_killed(echo);
  const Living spare{story.at(1).generation, story.at(1).pid};
  story.state.index = {};
  EXPECT_EQ(story.resume({Living{}, spare}),
            lines("sweep echo.0", "promote echo+spare.0 to echo.0 3"));
}

TEST(CoreSparesResume, a_promotion_that_was_decided_and_not_recorded_is_adopted) {
  CoreStory story = up();
  story.is_killed(echo);
  const std::int32_t pid = story.at(1).pid;
  story.state.index = {};
  EXPECT_EQ(story.resume({Living{2, pid}, Living{}}), lines());
  EXPECT_EQ(story.at(echo).pid, pid);
  EXPECT_EQ(story.at(echo).was_spare, 1U);
  EXPECT_EQ(story.at(1).pid, 0);
  EXPECT_EQ(story.at(1).restarts, 0U);
  EXPECT_EQ(story.became_ready(echo), lines("spawn echo+spare.0 2"));
}

TEST(CoreSparesResume, leaves_one_that_waits_alone) {
  CoreStory story = up();
  const std::int32_t pid = story.at(1).pid;
  EXPECT_EQ(story.brain_dies(), lines());
  EXPECT_EQ(story.at(1).pid, pid);
  EXPECT_EQ(story.status(1), "ready");
}

TEST(CoreSparesResume, hears_afterwards_that_one_has_died) {
  CoreStory story = up();
  const Living instance{1, story.at(echo).pid};
  story.state.index = {};
  EXPECT_EQ(story.resume({instance, Living{}}), lines());
  EXPECT_EQ(story.is_killed(1), lines("sweep echo+spare.0", "spawn echo+spare.0 2"));
}

}  // namespace
}  // namespace bulkhead::supervisor
