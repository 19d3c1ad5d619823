// Queues in whole systems: whoever is killed, each task is over exactly once, and only those that nobody
// survives are given up. Seeds are printed; BULKHEAD_TEST_SEED repeats one. BULKHEAD_TEST_TASKS sets how many
// tasks are done while workers are killed at a steady pace (10 000 by default).
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <random>

#include "tests/process/queue_system.hpp"

namespace bulkhead::test {
namespace {

// The pace of a clock.
class Beat {
 public:
  explicit Beat(long period_ns) {
    const itimerspec period = {{0, period_ns}, {0, period_ns}};
    EXPECT_EQ(::timerfd_settime(timer_.get(), 0, &period, nullptr), 0);
  }
  void await() {
    std::uint64_t beats = 0;
    EXPECT_EQ(::read(timer_.get(), &beats, sizeof beats), static_cast<ssize_t>(sizeof beats));
  }

 private:
  base::UniqueFd timer_{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)};
};

TEST_P(QueueSystem, ends_each_task_once_and_gives_up_only_poison_while_workers_die_at_50_hz) {
  std::mt19937 random(static_cast<unsigned>(chosen_seed()));
  const auto count = chosen("BULKHEAD_TEST_TASKS", 10'000);
  const auto poisoned = std::max<std::uint64_t>(count / 5, 1);
  start({.pusher = R"({"count": )" + std::to_string(count) + R"(, "deadly_every": )" +
                   std::to_string(poisoned) + "}",
         .workers = 3,
         .toil = 20'000,
         .max_attempts = 5});
  Beat beat(20'000'000);
  int kills = 0;
  while (!all_over(system->status())) {
    beat.await();
    kill("doer." + std::to_string(random() % 3));
    ++kills;
  }
  await_all_over();
  std::printf("%d kills\n", kills);
  EXPECT_GT(kills, 0);
  const auto tasks = over();
  EXPECT_EQ(tasks.size(), count);
  for (const auto& [task, seen] : tasks) {
    EXPECT_EQ(seen.first + seen.again, 1) << task;
    EXPECT_EQ(seen.quarantined, task % poisoned == 0) << task;
  }
}

TEST_P(QueueSystem, ends_each_of_ten_thousand_tasks_once_while_workers_are_killed) {
  std::mt19937 random(static_cast<unsigned>(chosen_seed()));
  start({.pusher = R"({"count": 10000})", .workers = 3});
  int kills = 0;
  while (!all_over(system->status()) && kills < 60) {
    await_progress();
    kill("doer." + std::to_string(random() % 3));
    ++kills;
  }
  await_all_over();
  std::printf("%d kills\n", kills);
  EXPECT_GT(kills, 0);
  expect_each_once(10000, false);
}

TEST_P(QueueSystem, ends_each_task_once_while_the_one_that_pushes_is_killed) {
  start({.pusher = R"({"count": 10000})"});
  int kills = 0;
  while (!all_over(system->status()) && kills < 20) {
    await_progress();
    const int pid = system->worker("pusher.0")["pid"];
    kill("pusher.0");
    system->await_reborn("pusher.0", pid);
    ++kills;
  }
  await_all_over();
  std::printf("%d kills\n", kills);
  EXPECT_GT(kills, 0);
  expect_each_once(10000, true);
}

TEST_P(QueueSystem, ends_each_task_once_while_both_ends_and_the_brain_are_killed) {
  std::mt19937 random(static_cast<unsigned>(chosen_seed()));
  start({.pusher = R"({"count": 10000})"});
  for (int round = 0; round < 8 && !all_over(system->status()); ++round) {
    await_progress();
    const int brain = system->brain_pid();
    std::vector<std::function<void()>> blows = {[&] { ::kill(brain, SIGKILL); },
                                                [&] { kill("doer.0"); }, [&] { kill("doer.1"); }};
    if (round % 2 == 0) blows.push_back([&] { kill("pusher.0"); });
    std::shuffle(blows.begin(), blows.end(), random);
    for (const auto& blow : blows) blow();
    system->await([&](const auto& status) { return status["supervisor"]["brain_pid"] != brain; },
                  "a new brain");
  }
  await_all_over();
  expect_each_once(10000, true);
}

TEST_P(QueueSystem, gives_up_the_tasks_that_nobody_survives_and_no_other) {
  start({.pusher = R"({"count": 1000, "deadly_every": 250})", .workers = 2, .max_attempts = 3});
  await_all_over();
  std::vector<std::uint64_t> given_up;
  const auto tasks = over();
  for (const auto& [task, seen] : tasks) {
    EXPECT_EQ(seen.first + seen.again, 1) << task;
    if (seen.quarantined) given_up.push_back(task);
  }
  EXPECT_EQ(tasks.size(), 1000U);
  EXPECT_EQ(given_up, (std::vector<std::uint64_t>{250, 500, 750, 1000}));

  const auto status = system->status();
  long quarantined = 0, deaths = 0;
  for (const auto& link : status["links"]) {
    EXPECT_EQ(link["type"], "queue");
    quarantined += link["quarantined"].get<long>();
  }
  for (const auto& worker : status["workers"]) deaths += worker["restarts"].get<long>();
  EXPECT_EQ(quarantined, 4);
  EXPECT_EQ(deaths, 12) << "three for each";
  std::vector<std::uint64_t> told;
  for (const char* doer : {"doer.0", "doer.1"}) {
    for (const auto& event : system->events_of(doer, "task.quarantined")) {
      EXPECT_EQ(event["link"], "work");
      EXPECT_EQ(event["attempts"], 3);
      told.push_back(event["task"]);
    }
  }
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, given_up);
}

TEST_P(QueueSystem, gives_up_a_task_over_which_workers_hang) {
  start({.pusher = R"({"count": 200, "endless": 100})",
         .max_attempts = 2,
         .worker_extra = R"(, "watchdog": {"timeout": "2s"})"});
  await_all_over();
  const auto tasks = over();
  EXPECT_EQ(tasks.size(), 200U);
  for (const auto& [task, seen] : tasks) EXPECT_EQ(seen.quarantined, task == 100) << task;
  long deaths = 0;
  const auto status = system->status();
  for (const auto& worker : status["workers"]) deaths += worker["restarts"].get<long>();
  EXPECT_EQ(deaths, 2);
}

TEST_P(QueueSystem, kills_a_worker_that_holds_a_task_longer_than_its_lease_and_blames_that_task) {
  start({.pusher = R"({"count": 200, "endless": 100})",
         .max_attempts = 2,
         .link_extra = R"(, "lease_timeout": "500ms")"});
  await_all_over();
  const auto tasks = over();
  EXPECT_EQ(tasks.size(), 200U);
  for (const auto& [task, seen] : tasks) {
    EXPECT_EQ(seen.quarantined, task == 100) << task;
    EXPECT_EQ(seen.first + seen.again, 1) << task;
  }
  std::size_t deaths = 0;
  for (const char* doer : {"doer.0", "doer.1"}) {
    for (const auto& event : system->events_of(doer, "worker.exited")) {
      EXPECT_EQ(event["exit"]["kind"], "lease_timeout");
      EXPECT_EQ(event["exit"]["signal"], "SIGKILL");
      ++deaths;
    }
  }
  EXPECT_EQ(deaths, 2U);
}

// The worker that is busy answers no brain.
TEST_P(QueueSystem, kills_a_worker_over_its_lease_that_the_brain_never_heard_of) {
  start({.pusher = R"({"count": 50, "endless": 20})",
         .workers = 1,
         .max_attempts = 1,
         .link_extra = R"(, "lease_timeout": "1s")"});
  system->await([](const auto& status) { return status["links"][0]["acknowledged"] >= 19; },
                "the endless task to be next");
  ::kill(system->brain_pid(), SIGKILL);
  await_all_over();
  for (const auto& [task, seen] : over()) EXPECT_EQ(seen.quarantined, task == 20) << task;
  EXPECT_EQ(system->worker("doer.0")["last_exit"]["kind"], "lease_timeout");
}

TEST_P(QueueSystem, kills_a_worker_over_its_lease_though_brain_and_pusher_died_meanwhile) {
  start({.pusher = R"({"count": 50, "endless": 20})",
         .max_attempts = 1,
         .link_extra = R"(, "lease_timeout": "1s")"});
  await_progress();
  const int brain = system->brain_pid();
  ::kill(brain, SIGKILL);
  kill("pusher.0");
  await_all_over();
  for (const auto& [task, seen] : over()) EXPECT_EQ(seen.quarantined, task == 20) << task;
  EXPECT_EQ(system->worker("doer.0")["restarts"].get<int>() +
                system->worker("doer.1")["restarts"].get<int>(),
            1);
}

TEST_P(QueueSystem, goes_on_without_a_worker_that_is_stopped) {
  start({.pusher = R"({"count": 10000})"});
  await_progress();
  system->request("stop", {{"name", "doer.0"}});
  await_all_over();
  expect_each_once(10000, false);
}

BULKHEAD_OVER_ALL_TRANSPORTS(QueueSystem);

}  // namespace
}  // namespace bulkhead::test
