// The end of the whole system: by word, by itself, and against processes that do not die.
#include <gtest/gtest.h>

#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using bulkhead::test::CoreStory;
using bulkhead::test::lines;
using bulkhead::test::worker;
using namespace std::chrono_literals;

WorkerConfig needing(WorkerConfig config, const std::string& other) {
  config.depends_on[other] = DependsOn::ready;
  return config;
}

WorkerConfig oneshot(std::string name) {
  WorkerConfig config = worker(std::move(name));
  config.kind = WorkerKind::oneshot;
  config.ready.type = ReadyType::exec;
  config.restart.policy = RestartPolicy::never;
  return config;
}

CoreStory all_up(std::vector<WorkerConfig> workers) {
  CoreStory story(std::move(workers), 100);
  story.begin();
  for (Slot slot = 0; slot < story.plan.instances.size(); ++slot) story.bring_up(slot);
  story.announced();
  return story;
}

TEST(CoreShutdown, stops_dependants_before_what_they_need) {
  CoreStory story = all_up(
      {worker("store"), needing(worker("cache"), "store"), needing(worker("web", 2), "cache")});
  EXPECT_EQ(story.tell(Shutdown{false}), lines("stop web.0", "stop web.1"));
  EXPECT_EQ(story.exits(2, 0), lines("sweep web.0"));
  EXPECT_EQ(story.exits(3, 0), lines("sweep web.1", "stop cache.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep cache.0", "stop store.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep store.0", "finished 0"));
  EXPECT_EQ(story.status(0), "disabled");
}

TEST(CoreShutdown, stops_those_who_do_not_need_each_other_at_the_same_time) {
  CoreStory story = all_up({worker("a"), worker("b"), worker("c")});
  EXPECT_EQ(story.tell(Shutdown{false}), lines("stop a.0", "stop b.0", "stop c.0"));
  EXPECT_EQ(story.pass(5s), lines("kill a.0", "kill b.0", "kill c.0"));
}

TEST(CoreShutdown, restarts_nothing_that_dies_while_it_waits_for_its_turn) {
  CoreStory story = all_up({worker("store"), needing(worker("web"), "store")});
  story.tell(Shutdown{false});
  EXPECT_EQ(story.is_killed(0), lines("sweep store.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep web.0", "finished 0"));
}

TEST(CoreShutdown, ends_at_once_when_nothing_lives) {
  CoreStory story = all_up({worker("echo")});
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  ASSERT_EQ(story.status(0), "backoff");
  EXPECT_EQ(story.tell(Shutdown{false}), lines("finished 0"));
  EXPECT_EQ(story.status(0), "disabled");
}

TEST(CoreShutdown, waits_for_a_process_that_is_just_being_made) {
  CoreStory story({worker("echo")});
  story.begin();
  EXPECT_EQ(story.tell(Shutdown{false}), lines());
  EXPECT_EQ(story.started(0), lines("stop echo.0"));
  EXPECT_EQ(story.exits(0, 0), lines("sweep echo.0", "finished 0"));
}

TEST(CoreShutdown, without_patience_kills_everything_at_once_whoever_needs_it) {
  CoreStory story = all_up({worker("store"), needing(worker("web"), "store")});
  EXPECT_EQ(story.tell(Shutdown{true}), lines("kill store.0", "kill web.0"));
  story.is_killed(0);
  EXPECT_EQ(story.is_killed(1), lines("sweep web.0", "finished 0"));
}

TEST(CoreShutdown, a_second_word_ends_the_patience_of_the_first) {
  CoreStory story = all_up({worker("store"), needing(worker("web"), "store")});
  EXPECT_EQ(story.tell(Shutdown{false}), lines("stop web.0"));
  EXPECT_EQ(story.tell(Shutdown{true}), lines("kill store.0", "kill web.0"));
  EXPECT_EQ(story.tell(Shutdown{true}), lines());
}

TEST(CoreShutdown, refuses_to_start_anything_afterwards) {
  CoreStory story = all_up({worker("echo"), worker("other")});
  story.tell(WantDown{1});
  story.exits(1, 0);
  story.tell(Shutdown{false});
  EXPECT_EQ(story.tell(WantUp{1}), lines());
  EXPECT_EQ(story.tell(WantRestart{0}), lines());
  EXPECT_EQ(story.exits(0, 0), lines("sweep echo.0", "finished 0"));
}

TEST(CoreShutdown, goes_on_past_an_unkillable_process_but_waits_for_it_a_while) {
  CoreStory story = all_up({worker("store"), needing(worker("web"), "store")});
  story.tell(Shutdown{false});
  EXPECT_EQ(story.pass(5s), lines("kill web.0"));
  EXPECT_EQ(story.pass(2s), lines("stop store.0"));
  EXPECT_EQ(story.status(1), "unkillable");
  EXPECT_EQ(story.exits(0, 0), lines("sweep store.0"));
  EXPECT_EQ(story.pass(28s), lines("finished 1"));
}

TEST(CoreShutdown, ends_well_when_the_unkillable_process_dies_after_all) {
  CoreStory story = all_up({worker("web")});
  story.tell(Shutdown{true});
  story.pass(10s);
  ASSERT_EQ(story.status(0), "unkillable");
  EXPECT_EQ(story.is_killed(0), lines("sweep web.0", "finished 0"));
}

TEST(CoreEnd, comes_when_all_the_work_is_done) {
  CoreStory story = all_up({oneshot("a"), oneshot("b")});
  EXPECT_EQ(story.exits(0, 0), lines("sweep a.0"));
  EXPECT_EQ(story.exits(1, 0), lines("sweep b.0", "finished 0"));
  EXPECT_EQ(story.tell(Tick{}), lines());
}

TEST(CoreEnd, is_the_last_word) {
  CoreStory story = all_up({oneshot("a")});
  story.exits(0, 0);
  EXPECT_EQ(story.tell(WantUp{0}), lines());
  EXPECT_EQ(story.tell(Shutdown{false}), lines());
}

TEST(CoreEnd, is_a_bad_one_when_anything_has_failed) {
  CoreStory story = all_up({oneshot("a"), oneshot("b")});
  story.exits(0, 3);
  EXPECT_EQ(story.exits(1, 0), lines("sweep b.0", "finished 1"));
}

TEST(CoreEnd, comes_when_the_rest_waits_for_what_has_failed) {
  WorkerConfig echo = worker("echo");
  echo.depends_on["migrate"] = DependsOn::completed;
  CoreStory story({oneshot("migrate"), echo});
  story.begin();
  story.started(0);
  EXPECT_EQ(story.exits(0, 3), lines("sweep migrate.0", "finished 1"));
  EXPECT_EQ(story.status(1), "waiting");
}

TEST(CoreEnd, does_not_come_while_a_probe_is_to_be_made) {
  WorkerConfig echo = worker("echo");
  echo.restart.limit = RestartLimit{.count = 0, .within = 60s, .then = LimitThen::half_open};
  CoreStory story = all_up({echo});
  EXPECT_EQ(story.is_killed(0), lines("sweep echo.0"));
  EXPECT_EQ(story.status(0), "half_open");
}

}  // namespace
}  // namespace bulkhead::supervisor
