// Whole systems whose workers restart with each other, run by the clock, or end the system.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

bool all_new(const json& status, const std::map<std::string, int>& before,
             std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto worker = row(status, name);
    if (worker["state"] != "ready" || worker["pid"] == before.at(name)) return false;
  }
  return true;
}

TEST(Groups, a_death_restarts_all_of_a_group_and_nobody_else) {
  RunningSystem system("groups", R"({"version": 1, "name": "groups", "workers": {
    "a": {"command": ["sleep", "100000"], "instances": 2}, "b": {"command": ["sleep", "100000"]},
    "c": {"command": ["sleep", "100000"]}, "other": {"command": ["sleep", "100000"]}},
    "groups": {"core": {"strategy": "one_for_all", "members": ["a", "b", "c"]}}})");
  system.await_all_ready();
  const auto before = pids(system.status());
  ASSERT_EQ(::kill(before.at("b.0"), SIGKILL), 0);
  const auto after = system.await(
      [&](const json& now) {
        return all_new(now, before, {"a.0", "a.1", "b.0", "c.0"});
      },
      "all of the group in new processes");
  EXPECT_EQ(row(after, "other.0")["pid"], before.at("other.0"));
  EXPECT_EQ(row(after, "b.0")["last_exit"]["signal"], "SIGKILL");
  EXPECT_EQ(row(after, "c.0")["last_exit"]["signal"], "SIGTERM");
  const auto stopping = system.events_of("a.0", "worker.stopping");
  ASSERT_EQ(stopping.size(), 1U);
  EXPECT_EQ(stopping[0]["text"], "with group core");
  const auto last_is_gone = system.events_of("c.0", "worker.exited");
  ASSERT_EQ(last_is_gone.size(), 1U);
  EXPECT_LT(last_is_gone[0]["seq"], stopping[0]["seq"]) << "the last member stops first";
}

// The last member does not listen, so that the group is in the middle of its restart for a second.
TEST(Groups, a_brain_that_is_killed_in_the_middle_of_a_restart_is_followed_by_one_that_goes_on) {
  RunningSystem system("middle", R"({"version": 1, "name": "middle", "workers": {
    "a": {"command": ["sleep", "100000"]}, "b": {"command": ["sleep", "100000"]},
    "deaf": {"command": ["sh", "-c", "trap '' TERM; exec sleep 100000"], "stop": {"timeout": "1s"}}},
    "groups": {"core": {"strategy": "one_for_all", "members": ["a", "b", "deaf"]}}})");
  system.await_all_ready();
  const auto before = pids(system.status());
  system.await(
      [&](const json&) {
        const auto name = base::read_file("/proc/" + std::to_string(before.at("deaf.0")) + "/comm");
        return name && *name == "sleep\n";
      },
      "deaf.0 to be deaf");
  ASSERT_EQ(::kill(before.at("b.0"), SIGKILL), 0);
  system.await([](const json& now) { return row(now, "deaf.0")["state"] == "stopping"; },
               "deaf.0 to be asked to stop");
  const int brain = system.brain_pid();
  system.kill_brain();
  const auto held = system.await(
      [&](const json& now) { return now["supervisor"]["brain_pid"] != brain; }, "a new brain");
  if (row(held, "deaf.0")["pid"] == before.at("deaf.0")) {
    EXPECT_EQ(row(held, "a.0")["pid"], before.at("a.0")) << "it is not its turn";
  }
  const auto after = system.await(
      [&](const json& now) {
        return all_new(now, before, {"a.0", "b.0", "deaf.0"});
      },
      "all of the group in new processes");
  for (const char* name : {"a.0", "b.0", "deaf.0"}) EXPECT_EQ(row(after, name)["generation"], 2);
}

TEST(Scheduled, runs_again_and_again_also_when_the_brain_dies_in_between) {
  RunningSystem system("clock", R"({"version": 1, "name": "clock", "workers": {
    "often": {"command": ["true"], "kind": "scheduled", "every": "200ms"},
    "rarely": {"command": ["true"], "kind": "scheduled", "every": "1h"},
    "main": {"command": ["sleep", "100000"]}}})");
  const auto runs = [](const json& now, const char* name) {
    return row(now, name)["generation"].get<int>();
  };
  system.await([&](const json& now) { return runs(now, "often.0") >= 3; }, "three runs");
  const auto before = system.await(
      [](const json& now) { return row(now, "rarely.0")["state"] == "waiting"; }, "its first run");
  EXPECT_TRUE(row(before, "rarely.0")["next_start_in_ms"].is_number());
  system.kill_brain();
  const auto after = system.await(
      [&](const json& now) { return runs(now, "often.0") >= runs(before, "often.0") + 3; },
      "three more runs");
  EXPECT_EQ(runs(after, "rarely.0"), 1);
  EXPECT_LT(row(after, "rarely.0")["next_start_in_ms"],
            row(before, "rarely.0")["next_start_in_ms"]);
  EXPECT_EQ(row(after, "often.0")["restarts"], 0);
  system.request("start", {{"name", "rarely"}});
  EXPECT_EQ(runs(system.status(), "rarely.0"), 2);
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
}

TEST(Significant, the_end_of_a_worker_is_the_end_of_the_system_with_its_exit_code) {
  RunningSystem system("ends", R"({"version": 1, "name": "ends", "workers": {
    "main": {"command": ["sh", "-c", "exit 7"], "kind": "oneshot", "restart": {"policy": "never"},
             "significant": "any_exit", "depends_on": {"other": "ready"}},
    "other": {"command": ["sleep", "100000"]}}})");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{7}));
  system.await_no_process();
  EXPECT_NE(system.output().find("failed: main.0: exited with code 7"), std::string::npos)
      << system.output();
}

}  // namespace
}  // namespace bulkhead::test
