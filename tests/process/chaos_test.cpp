// The command `chaos` against whole systems: what it does, and that it says what is broken.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

std::string config_of(const std::string& echo_restart) {
  return R"({"version": 1, "name": "storm",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}},
    "workers": {
      "echo": {"command": ["echo-worker"], "provides": ["echo"], "ready": {"type": "notify"}, "instances": 2, "warm_spares": 1, "watchdog": {"timeout": "500ms"}},
      "tick": {"command": ["ticker-worker"], "ready": {"type": "notify"}, "warm_spares": 1, "config": {"link": "ticks", "rate_hz": 1000, "size": 56}},
      "sink": {"command": ["sink-worker"], "ready": {"type": "notify"}, "warm_spares": 2, "config": {"link": "ticks"}},
      "once": {"command": ["true"], "kind": "oneshot"},
      "plain": {"command": ["sleep", "100000"], "restart": )" +
         echo_restart + R"(}},
    "links": {"ticks": {"type": "channel", "from": "tick", "to": "sink", "transport": "shm"}}})";
}

CommandOutput chaos(const RunningSystem& system, std::vector<std::string> options) {
  std::vector<std::string> arguments{BULKHEAD_PROGRAM, "chaos"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return run_command(std::move(arguments),
                     {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
}

TEST(Chaos, breaks_nothing_of_a_system_whose_workers_and_supervisor_it_disturbs) {
  RunningSystem system("storm", config_of(R"({"policy": "always"})"));
  system.await_all_ready();
  const auto output = chaos(system, {"--duration", "3s", "--rate", "15", "--seed", "3", "--include",
                                     "supervisor", "--json"});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  const auto found = json::parse(output.out);
  EXPECT_TRUE(found["violations"].empty()) << found["violations"].dump(1);
  EXPECT_EQ(found["seed"], 3);
  EXPECT_GT(found["faults"]["kill"], 0);
  EXPECT_GT(found["faults"]["stop"], 0);
  EXPECT_GT(found["faults"]["slow"], 0);
  EXPECT_GT(found["recovery"]["SIGKILL"]["n"], 0);
  EXPECT_GT(found["status"]["n"], 0);
  EXPECT_TRUE(system.events_of("once.0", "worker.starting").size() == 1);  // it is no service
}

TEST(Chaos, takes_no_worker_that_ends_all_the_time_for_what_is_left_of_another) {
  RunningSystem system("restless", R"({"version": 1, "name": "restless",
    "defaults": {"restart": {"policy": "always", "backoff": {"initial": "0ms"}, "limit": "none"}},
    "workers": {
      "calm": {"command": ["sleep", "100000"]},
      "restless": {"command": ["sleep", "0.01"], "instances": 8}}})");
  system.await_reborn("calm.0", 0);
  for (int seed = 1; seed <= 5; ++seed) {
    const auto output =
        chaos(system, {"--duration", "100ms", "--rate", "10", "--seed", std::to_string(seed)});
    EXPECT_EQ(output.out.find("is left of"), std::string::npos) << output.out;
    EXPECT_EQ(output.code, 0) << output.out << output.err;
  }
}

TEST(Chaos, says_who_did_not_come_back) {
  RunningSystem system("storm", config_of(R"({"policy": "never"})"));
  system.await_all_ready();
  std::string text;
  bool was_killed = false;
  for (int seed = 1; seed <= 5 && !was_killed; ++seed) {
    const auto output =
        chaos(system, {"--duration", "1s", "--rate", "10", "--seed", std::to_string(seed)});
    was_killed = row(system.status(), "plain.0")["state"] == "failed";
    EXPECT_EQ(output.code, was_killed ? 1 : 0) << output.out;
    text = output.out;
  }
  ASSERT_TRUE(was_killed);
  EXPECT_NE(text.find("broken: plain.0 (failed) did not come back"), std::string::npos) << text;
}

TEST(Chaos, refuses_what_it_cannot_do) {
  RunningSystem system("storm", config_of(R"({"policy": "always"})"));
  system.await_all_ready();
  for (const auto& wrong : std::vector<std::vector<std::string>>{{"--rate", "0"},
                                                                 {"--rate", "x"},
                                                                 {"--seed", "-1"},
                                                                 {"--duration", "5"},
                                                                 {"--include", "keeper"}}) {
    const auto output = chaos(system, wrong);
    EXPECT_EQ(output.code, 2) << wrong[0] << ' ' << wrong[1];
    EXPECT_NE(output.err.find(wrong[0]), std::string::npos) << output.err;
  }
  system.request("shutdown");
  system.await_end();
  EXPECT_EQ(chaos(system, {}).code, 69);
}

}  // namespace
}  // namespace bulkhead::test
