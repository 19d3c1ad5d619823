// A successor of a killed brain: what it makes of the copied state and of what the kernel knows.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;

CoreStory up() {
  CoreStory story({worker("echo")});
  story.begin();
  story.bring_up(0);
  return story;
}

Living as_recorded(const CoreStory& story) { return {story.at(0).generation, story.at(0).pid}; }

TEST(CoreResume, leaves_a_ready_worker_alone) {
  CoreStory story = up();
  const std::int32_t pid = story.at(0).pid;
  story.state.index = {};
  EXPECT_EQ(story.resume({as_recorded(story)}), lines());
  EXPECT_EQ(story.status(0), "ready");
  EXPECT_EQ(story.at(0).pid, pid);
  EXPECT_EQ(story.at(0).restarts, 0U);
}

TEST(CoreResume, hears_afterwards_of_a_death_that_nobody_told) {
  CoreStory story = up();
  EXPECT_EQ(story.resume({Living{}}), lines());
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0", "spawn echo.0 2"));
}

TEST(CoreResume, adopts_a_process_whose_start_was_not_recorded) {
  CoreStory story({worker("echo")});
  story.begin();
  EXPECT_EQ(story.resume({Living{1, 44}}), lines());
  EXPECT_EQ(story.at(0).pid, 44);
  EXPECT_EQ(story.status(0), "starting");
  story.became_ready(0);
  EXPECT_EQ(story.status(0), "ready");
}

TEST(CoreResume, adopts_a_process_of_which_not_even_the_intent_was_recorded) {
  CoreStory story = up();
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  ASSERT_EQ(story.status(0), "backoff");
  EXPECT_EQ(story.resume({Living{3, 44}}), lines());
  EXPECT_EQ(story.at(0).generation, 3U);
  EXPECT_EQ(story.at(0).pid, 44);
}

TEST(CoreResume, does_not_believe_in_a_process_that_it_knows_to_be_dead) {
  CoreStory story = up();
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  story.resume({Living{2, 44}});
  EXPECT_EQ(story.status(0), "backoff");
  EXPECT_EQ(story.at(0).pid, 0);
}

TEST(CoreResume, carries_out_an_intent_that_led_to_no_process) {
  CoreStory story({worker("echo")});
  story.begin();
  EXPECT_EQ(story.resume({Living{}}), lines("sweep echo.0", "spawn echo.0 2"));
}

TEST(CoreResume, hears_that_an_adopted_process_never_became_the_program) {
  CoreStory story({worker("echo"), worker("other")});
  story.begin();
  story.resume({Living{1, 44}, Living{1, 45}});
  EXPECT_EQ(story.tell(ExecFailed{0, 1, 2}), lines());
  EXPECT_EQ(story.status(0), "failed");
  EXPECT_EQ(story.at(0).pid, 0);
}

TEST(CoreResume, says_again_what_may_not_have_gone_out) {
  CoreStory story = up();
  story.tell(WantDown{0});
  EXPECT_EQ(story.resume({as_recorded(story)}), lines("stop echo.0"));
  EXPECT_EQ(story.until_due(), 5s);
  story.pass(5s);
  ASSERT_EQ(story.status(0), "killing");
  EXPECT_EQ(story.resume({as_recorded(story)}), lines("kill echo.0"));
}

TEST(CoreResume, keeps_the_time_of_a_restart_that_is_to_come) {
  CoreStory story = up();
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  story.now += 60'000'000;
  EXPECT_EQ(story.resume({Living{}}), lines("sweep echo.0"));
  EXPECT_EQ(story.until_due(), 40ms);
  EXPECT_EQ(story.pass(40ms), lines("spawn echo.0 3"));
}

TEST(CoreResume, gives_a_starting_worker_its_time_again) {
  CoreStory story({worker("echo")});
  story.begin();
  story.started(0);
  story.now += 29'000'000'000;
  EXPECT_EQ(story.resume({as_recorded(story)}), lines());
  EXPECT_EQ(story.until_due(), 30s);
}

TEST(CoreResume, goes_on_with_a_shutdown) {
  WorkerConfig web = worker("web");
  web.depends_on["store"] = DependsOn::ready;
  CoreStory story({worker("store"), web});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  story.tell(Shutdown{false});
  EXPECT_EQ(story.resume({{1, story.at(0).pid}, {1, story.at(1).pid}}), lines("stop web.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep web.0", "stop store.0"));
}

}  // namespace
}  // namespace bulkhead::supervisor
