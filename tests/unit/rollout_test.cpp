// Replacing instances as stories: who is wanted down and up, in which order; and the places that instances keep.
#include "supervisor/rollout.hpp"

#include <gtest/gtest.h>

#include "supervisor/keeper_sweep.hpp"
#include "supervisor/seats.hpp"
#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using test::CoreStory;
using test::lines;
using test::worker;

// Carries out what the rollout wants, and returns what the core does about it.
std::vector<std::string> roll(CoreStory& story, Rollout& rollout, int* emptied = nullptr) {
  std::vector<std::string> all;
  for (;;) {
    const auto step = rollout.next(story.plan, story.state);
    if (step.emptied && emptied != nullptr) ++*emptied;
    if (step.wanted.empty()) return all;
    for (const Event& wanted : step.wanted) {
      for (auto& line : story.tell(wanted)) all.push_back(std::move(line));
    }
  }
}

CoreStory up(std::vector<WorkerConfig> workers) {
  CoreStory story(std::move(workers), 16);
  story.begin();
  for (Slot slot = 0; slot < story.plan.instances.size(); ++slot) story.bring_up(slot);
  return story;
}

TEST(Rollout, replaces_one_instance_at_a_time_and_each_is_ready_before_the_next) {
  CoreStory story = up({worker("echo", 3)});
  Rollout rollout;
  for (Slot slot = 0; slot < 3; ++slot) rollout.add_rolling(slot, 1);
  for (Slot slot = 0; slot < 3; ++slot) {
    const std::string name = "echo." + std::to_string(slot);
    EXPECT_EQ(roll(story, rollout), lines("stop " + name));
    EXPECT_EQ(roll(story, rollout), lines());
    EXPECT_EQ(story.is_killed(slot, 15), lines("sweep " + name, "spawn " + name + " 2"));
    EXPECT_EQ(roll(story, rollout), lines());
    story.started(slot);
    EXPECT_EQ(roll(story, rollout), lines());
    story.became_ready(slot);
  }
  EXPECT_EQ(roll(story, rollout), lines());
  EXPECT_TRUE(rollout.over(story.state));
  rollout.forget_if_done(story.state);
  EXPECT_TRUE(rollout.is_idle());
}

TEST(Rollout, is_not_forgotten_before_the_last_one_is_ready) {
  CoreStory story = up({worker("echo")});
  Rollout rollout;
  rollout.add_rolling(0, 1);
  roll(story, rollout);
  story.is_killed(0, 15);
  EXPECT_TRUE(rollout.over(story.state));
  rollout.forget_if_done(story.state);
  EXPECT_FALSE(rollout.is_idle());
  story.bring_up(0);
  rollout.forget_if_done(story.state);
  EXPECT_TRUE(rollout.is_idle());
}

TEST(Rollout, waits_while_an_instance_that_is_not_its_own_is_away) {
  CoreStory story = up({worker("echo", 2)});
  story.is_killed(1);
  ASSERT_EQ(story.status(1), "starting");
  Rollout rollout;
  rollout.add_rolling(0, 1);
  EXPECT_EQ(roll(story, rollout), lines());
  story.bring_up(1);
  EXPECT_EQ(roll(story, rollout), lines("stop echo.0"));
}

TEST(Rollout, starts_those_that_do_not_run_at_once) {
  CoreStory story = up({worker("echo", 2)});
  story.is_killed(0);
  story.bring_up(0);
  story.is_killed(0);
  ASSERT_EQ(story.status(0), "backoff");
  Rollout rollout;
  rollout.add_rolling(0, 2);
  rollout.add_rolling(1, 1);
  EXPECT_EQ(roll(story, rollout), lines("spawn echo.0 3"));
  story.bring_up(0);
  EXPECT_EQ(roll(story, rollout), lines("stop echo.1"));
}

TEST(Rollout, stops_at_the_first_that_fails_and_goes_on_when_it_is_ready) {
  WorkerConfig echo = worker("echo", 2);
  echo.restart.policy = RestartPolicy::never;
  CoreStory story = up({echo});
  Rollout rollout;
  rollout.add_rolling(0, 1);
  rollout.add_rolling(1, 1);
  roll(story, rollout);
  story.is_killed(0, 15);
  story.started(0);
  story.exits(0, 1);
  ASSERT_EQ(story.status(0), "failed");
  EXPECT_EQ(roll(story, rollout), lines());
  EXPECT_TRUE(rollout.stuck(story.plan, story.state));
  EXPECT_FALSE(rollout.over(story.state));
  EXPECT_EQ(story.status(1), "ready");
  story.tell(WantUp{0});
  story.bring_up(0);
  EXPECT_FALSE(rollout.stuck(story.plan, story.state));
  EXPECT_EQ(roll(story, rollout), lines("stop echo.1"));
}

TEST(Rollout, leaves_alone_who_was_stopped_meanwhile) {
  CoreStory story = up({worker("echo", 2)});
  Rollout rollout;
  rollout.add_rolling(0, 1);
  rollout.add_rolling(1, 1);
  roll(story, rollout);
  story.tell(WantDown{1});
  story.is_killed(1, 15);
  story.is_killed(0, 15);
  story.bring_up(0);
  EXPECT_EQ(roll(story, rollout), lines());
  EXPECT_TRUE(rollout.over(story.state));
  EXPECT_EQ(story.status(1), "disabled");
}

TEST(Rollout, those_that_share_a_memory_are_all_down_before_one_starts) {
  CoreStory story = up({worker("a"), worker("b", 2)});
  Rollout rollout;
  for (Slot slot = 0; slot < 3; ++slot) rollout.add_together(slot, 1);
  int emptied = 0;
  EXPECT_EQ(roll(story, rollout, &emptied), lines("stop a.0", "stop b.0", "stop b.1"));
  story.is_killed(0, 15);
  story.is_killed(2, 15);
  EXPECT_EQ(roll(story, rollout, &emptied), lines());
  EXPECT_EQ(emptied, 0);
  story.is_killed(1, 15);
  EXPECT_EQ(roll(story, rollout, &emptied), lines("spawn a.0 2", "spawn b.0 2", "spawn b.1 2"));
  EXPECT_EQ(emptied, 1);
  EXPECT_EQ(roll(story, rollout, &emptied), lines());
  EXPECT_TRUE(rollout.over(story.state));
}

// A brain may be killed between any two of its words.
TEST(Rollout, a_successor_goes_on_where_its_predecessor_was_killed) {
  for (int word = 0; word < 7; ++word) {
    CoreStory story = up({worker("a"), worker("b", 2)});
    int said = 0, emptied = 0;
    bool killed = false;
    while (true) {
      Rollout rollout;  // of a fresh brain
      for (Slot slot = 0; slot < 3; ++slot) rollout.add_together(slot, 1);
      const auto one_brain = [&] {
        for (;;) {
          const auto step = rollout.next(story.plan, story.state);
          emptied += step.emptied ? 1 : 0;
          if (step.wanted.empty()) return true;
          for (const Event& wanted : step.wanted) {
            if (!killed && said++ == word) return killed = true, false;
            story.tell(wanted);
          }
        }
      };
      if (!one_brain()) continue;
      bool moved = false;
      for (Slot slot = 0; slot < 3; ++slot) {
        if (story.status(slot) != "stopping") continue;
        story.is_killed(slot, 15);
        moved = true;
      }
      if (!moved) break;
    }
    EXPECT_GE(emptied, 1) << word;
    for (Slot slot = 0; slot < 3; ++slot) EXPECT_EQ(story.at(slot).generation, 2U) << word;
  }
}

TEST(Rollout, who_leaves_is_gone_before_anybody_is_replaced) {
  WorkerConfig old = worker("old");
  old.leaving = true;
  CoreStory story = up({worker("echo", 2), old});
  Rollout rollout;
  rollout.add_rolling(0, 1);
  EXPECT_EQ(roll(story, rollout), lines("stop old.0"));
  EXPECT_EQ(roll(story, rollout), lines());
  story.is_killed(2, 15);
  EXPECT_EQ(roll(story, rollout), lines("stop echo.0"));
}

TEST(Rollout, nothing_is_replaced_in_a_system_that_stops) {
  CoreStory story = up({worker("echo", 2)});
  Rollout rollout;
  rollout.add_rolling(0, 1);
  story.tell(Shutdown{false});
  EXPECT_EQ(roll(story, rollout), lines());
}

TEST(Seats, whoever_stays_keeps_its_place) {
  const Seats seats =
      assign_seats({{"a.0", 0}, {"b.0", 1}, {"c.0", 2}}, {"c.0", "d.0", "a.0"}, 10).value();
  EXPECT_EQ(seats, (Seats{{"a.0", 0}, {"b.0", 1}, {"c.0", 2}, {"d.0", 3}}));
  EXPECT_EQ(assign_seats(seats, {"b.0"}, 10).value().at("b.0"), 1U);
}

TEST(Seats, those_of_the_gone_are_taken_when_there_are_no_others) {
  const Seats seats =
      assign_seats({{"a.0", 0}, {"b.0", 1}, {"c.0", 2}}, {"b.0", "x.0", "y.0"}, 3).value();
  EXPECT_EQ(seats, (Seats{{"b.0", 1}, {"x.0", 0}, {"y.0", 2}}));
  EXPECT_TRUE(assign_seats(seats, {"a", "b", "c", "d"}, 3).error().is(Errc::out_of_budget));
}

TEST(KeeperSweep, finds_what_belongs_to_nobody) {
  const Residents residents{{"a.0"}, {"l/a.0/b.0"}, {"l"}};
  for (const char* own :
       {"log/read/a.0", "log/write/a.0", "control/a.0", "attention/a.0", "beat/a.0",
        "sealed/77/a.0", "notify/a.0", "note/a.0", "ready/a.0", "stored/p7/a.0/db",
        "stored/k8/a.0/a/b", "segment/from/3/l/a.0/b.0", "segment/to/1/l/a.0/b.0",
        "connection/1/2/l/a.0/b.0", "lease/l/a.0/b.0", "journal/l", "internal/logger",
        "config/running", "socket/tcp:127.0.0.1:80"}) {
    EXPECT_FALSE(is_stranger(own, residents)) << own;
  }
  for (const char* other :
       {"log/read/a.1", "log/write/b.0", "control/a", "attention/a.00", "beat/", "sealed/77/a.1",
        "notify/a.1", "note/a", "ready/b.0", "stored/p7/a.1/a.0", "segment/from/3/l/a.0/b.1",
        "segment/to/1/m/a.0/b.0", "connection/1/2/l/a.1/b.0", "lease/l/a.0/b.2", "journal/m"}) {
    EXPECT_TRUE(is_stranger(other, residents)) << other;
  }
}

}  // namespace
}  // namespace bulkhead::supervisor
