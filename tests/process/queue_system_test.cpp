// Queues in whole systems: whoever is killed, each task is over exactly once, and only those that nobody
// survives are given up. Seeds are printed; BULKHEAD_TEST_SEED repeats one.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <sstream>

#include "tests/conformance/transports.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

unsigned chosen_seed() {
  const char* value = std::getenv("BULKHEAD_TEST_SEED");
  const unsigned seed = value != nullptr ? static_cast<unsigned>(std::strtoul(value, nullptr, 10))
                                         : std::random_device{}();
  std::printf("seed %u\n", seed);
  return seed;
}

struct Scene {
  std::string pusher;  // its config
  int workers = 2;
  int toil = 100'000;       // steps of a computation that each task costs: time to be killed in
  int max_attempts = 1000;  // random kills must not look like poison
  std::string worker_extra = "";  // of "doer"
};

std::string config(const Scene& scene, Transport transport) {
  return R"({"version": 1, "name": "q",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"},
                 "logs": {"overflow": "block"}},
    "workers": {
      "pusher": {"command": [")" QUEUE_ROLES R"(", "push"], "ready": {"type": "notify"},
                 "config": )" +
         scene.pusher +
         R"(},
      "doer": {"command": [")" QUEUE_ROLES
         R"(", "do"], "ready": {"type": "notify"}, "instances": )" +
         std::to_string(scene.workers) + R"(, "config": {"toil": )" + std::to_string(scene.toil) +
         "}" + scene.worker_extra + R"(}},
    "links": {"work": {"type": "queue", "from": "pusher", "to": "doer", "transport": ")" +
         std::string(to_string(transport)) + R"(", "max_attempts": )" +
         std::to_string(scene.max_attempts) + "}}}";
}

struct Over {
  int first = 0, again = 0;  // times that it was given, not marked and marked
  bool quarantined = false;
};

class QueueSystem : public testing::TestWithParam<Transport> {
 protected:
  void start(const Scene& scene) {
    system.emplace("q", config(scene, GetParam()));
    system->await_all_ready();
  }

  std::map<std::uint64_t, Over> over() const {
    std::ifstream file(system->directory().path("run/q/logs/pusher.0.log"));
    std::map<std::uint64_t, Over> tasks;
    for (std::string line; std::getline(file, line);) {
      const auto at = line.find("over ");
      if (at == line.npos) continue;
      std::istringstream words(line.substr(at + 5));
      std::uint64_t task = 0, result = 0;
      std::string how, when;
      words >> task >> how >> result >> when;
      auto& known = tasks[task];
      ++(when == "first" ? known.first : known.again);
      known.quarantined = how == "quarantined";
      EXPECT_EQ(result, known.quarantined ? 0 : task * task) << line;
    }
    return tasks;
  }

  std::uint64_t outstanding() { return system->link("work")["outstanding"]; }
  bool all_over(const nlohmann::json& status) {
    return row(status, "pusher.0")["status_text"] == "all over";
  }
  void await_all_over() {
    system->await([&](const auto& status) { return all_over(status); }, "all tasks over");
  }
  // Some tasks were acknowledged by workers since the last look: the system is not at a standstill.
  void await_progress() {
    const auto sum = [](const nlohmann::json& status) {
      long all = 0;
      for (const auto& link : status["links"]) all += link["acknowledged"].get<long>();
      return all;
    };
    const long before = sum(system->status());
    system->await(
        [&](const auto& status) { return sum(status) >= before + 20 || all_over(status); },
        "tasks to be done");
  }
  void kill(const std::string& instance) {
    const auto worker = system->worker(instance);
    if (worker["pid"].is_number()) ::kill(worker["pid"].get<int>(), SIGKILL);
  }

  void expect_each_once(std::uint64_t count, bool pusher_died) {
    const auto tasks = over();
    EXPECT_EQ(tasks.size(), count);
    for (const auto& [task, seen] : tasks) {
      EXPECT_LE(task, count);
      EXPECT_FALSE(seen.quarantined) << task;
      EXPECT_LE(seen.first, 1) << task;
      if (!pusher_died) {
        EXPECT_EQ(seen.first + seen.again, 1) << task;
      }
    }
    EXPECT_EQ(outstanding(), 0U);
  }

  std::optional<RunningSystem> system;
};

TEST_P(QueueSystem, ends_each_of_ten_thousand_tasks_once_while_workers_are_killed) {
  std::mt19937 random(chosen_seed());
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
  std::mt19937 random(chosen_seed());
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
