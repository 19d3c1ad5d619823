// A whole system with a queue, for the process tests of queues: "pusher" fills it, instances of "doer" empty it,
// and what the pusher prints tells how each task ended.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "tests/conformance/transports.hpp"
#include "tests/support/environment.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {

struct Scene {
  std::string pusher;  // its config
  int workers = 2;
  std::uint64_t toil =
      100'000;              // steps of a computation that each task costs: time to be killed in
  int max_attempts = 1000;  // random kills must not look like poison
  std::string worker_extra = "";  // of "doer"
  std::string doer = "";          // more of its config
  std::string link_extra = "";    // of "work"
};

inline std::string config(const Scene& scene, Transport transport) {
  return R"({"version": 1, "name": "q",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"},
                 "logs": {"overflow": "block", "max_size": "1GiB"}},
    "workers": {
      "pusher": {"command": [")" QUEUE_ROLES R"(", "push"], "ready": {"type": "notify"},
                 "config": )" +
         scene.pusher +
         R"(},
      "doer": {"command": [")" QUEUE_ROLES
         R"(", "do"], "ready": {"type": "notify"}, "instances": )" +
         std::to_string(scene.workers) + R"(, "config": {"toil": )" + std::to_string(scene.toil) +
         scene.doer + "}" + scene.worker_extra + R"(}},
    "links": {"work": {"type": "queue", "from": "pusher", "to": "doer", "transport": ")" +
         std::string(to_string(transport)) + R"(", "max_attempts": )" +
         std::to_string(scene.max_attempts) + scene.link_extra + "}}}";
}

struct Over {
  int first = 0, again = 0;  // times that it was given, not marked and marked
  bool quarantined = false;
};

class QueueSystem : public testing::TestWithParam<Transport> {
 protected:
  void start(const Scene& scene) {
    count_ = nlohmann::json::parse(scene.pusher).at("count");
    system.emplace("q", config(scene, GetParam()));
    system->await_all_ready();
  }

  std::map<std::uint64_t, Over> over() const {
    std::ifstream file(system->directory().path("run/q/logs/pusher.0.log"));
    std::map<std::uint64_t, Over> tasks;
    for (std::string line; std::getline(file, line) && !file.eof();) {  // whole lines
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
  // And printed: what the pusher prints goes through the logger, its status does not.
  void await_all_over() {
    system->await([&](const auto& status) { return all_over(status) && over().size() >= count_; },
                  "all tasks over");
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

 private:
  std::uint64_t count_ = 0;
};

}  // namespace bulkhead::test
