// Whole systems: deaths, the brain's and the keeper's among them, and what is left afterwards.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/process_tree.hpp"
#include "base/urgency.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

constexpr const char* restart_at_once =
    R"("defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}})";

std::string two_echoes() {
  return std::string(R"({"version": 1, "name": "two", )") + restart_at_once + R"(, "workers": {
    "echo": {"command": ["echo-worker"], "instances": 2, "ready": {"type": "notify"}, "provides": ["echo"]},
    "sleeper": {"command": ["sleep", "100000"]}}})";
}

// Until it has claimed its slot nobody knows whose death it is.
TEST(Supervision, a_worker_that_is_killed_on_its_way_to_its_program_is_started_again) {
  RunningSystem system("early", std::string(R"({"version": 1, "name": "early", )") +
                                    restart_at_once + R"(, "workers": {
    "short": {"command": ["sh", "-c", "kill -9 $$"], "instances": 4}}})");
  const int keeper = system.keeper_pid(), brain = system.brain_pid();
  const auto deadline = Deadline::in(std::chrono::seconds(30));  // nothing to hit: all are lost
  for (int hits = 0; hits < 20 && !deadline.expired();) {
    for (const pid_t pid : base::children_of(keeper).value()) {
      const auto name = base::read_file("/proc/" + std::to_string(pid) + "/comm");
      if (pid == brain || !name || *name != "bulkhead-brain\n") continue;
      hits += ::kill(pid, SIGKILL) == 0 ? 1 : 0;
    }
  }
  const auto before = system.status();
  system.await(
      [&](const auto& now) {
        for (const char* name : {"short.0", "short.1", "short.2", "short.3"}) {
          if (row(now, name)["generation"] <= row(before, name)["generation"]) return false;
        }
        return true;
      },
      "each of them to be started again");
  EXPECT_EQ(system.brain_pid(), brain);
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
}

TEST(Supervision, a_killed_worker_comes_back_as_another_process) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  for (int round = 0; round < 10; ++round) {
    for (const std::string name : {"echo.0", "echo.1", "sleeper.0"}) {
      const int pid = system.worker(name)["pid"];
      ASSERT_EQ(::kill(pid, SIGKILL), 0);
      const auto reborn = system.await_reborn(name, pid);
      EXPECT_EQ(reborn["last_exit"]["signal"], "SIGKILL");
      EXPECT_EQ(reborn["restarts"], round + 1);
    }
  }
}

TEST(Supervision, any_signal_from_outside_counts_as_a_failure) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGSEGV}) {
    const int pid = system.worker("sleeper.0")["pid"];
    ASSERT_EQ(::kill(pid, signal), 0);
    system.await_reborn("sleeper.0", pid);
  }
}

TEST(Supervision, the_brain_dies_and_no_worker_notices) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  const auto before = pids(system.status());
  for (int round = 0; round < 20; ++round) {
    const int brain = system.brain_pid();
    system.kill_brain();
    const auto after =
        system.await([&](const auto& status) { return status["supervisor"]["brain_pid"] != brain; },
                     "a new brain");
    EXPECT_EQ(pids(after), before) << "round " << round;
  }
  EXPECT_TRUE(all_ready(system.status()));
}

TEST(Supervision, brain_and_workers_die_together_and_only_the_killed_restart) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  for (int round = 0; round < 20; ++round) {
    const auto before = pids(system.status());
    const int brain = system.brain_pid();
    const std::string victim = round % 2 == 0 ? "echo.0" : "sleeper.0";
    if (round % 4 < 2) system.kill_brain();
    ASSERT_EQ(::kill(before.at(victim), SIGKILL), 0);
    if (round % 4 >= 2) system.kill_brain();
    system.await([&](const auto& status) { return status["supervisor"]["brain_pid"] != brain; },
                 "a new brain");
    system.await_reborn(victim, before.at(victim));
    const auto after = pids(system.status());
    for (const auto& [name, pid] : before) {
      if (name != victim) {
        EXPECT_EQ(after.at(name), pid) << name << " in round " << round;
      }
    }
  }
}

TEST(Supervision, a_brain_that_hangs_is_replaced) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  const auto before = pids(system.status());
  const int brain = system.brain_pid();
  ASSERT_EQ(::kill(brain, SIGSTOP), 0);
  const auto after =
      system.await([&](const auto& status) { return status["supervisor"]["brain_pid"] != brain; },
                   "a new brain");
  EXPECT_EQ(pids(after), before);
}

// Keeper and brain, the brains that follow included; nobody else.
TEST(Supervision, the_supervisor_alone_runs_at_real_time_priority) {
  const int expected = base::may_become_urgent() ? SCHED_RR : SCHED_OTHER;
  const auto policy = [](int pid) { return ::sched_getscheduler(pid) & ~SCHED_RESET_ON_FORK; };
  RunningSystem system("two", two_echoes());
  for (int brains = 0; brains < 2; ++brains) {
    system.await_all_ready();
    const int brain = system.brain_pid();
    EXPECT_EQ(policy(system.keeper_pid()), expected);
    EXPECT_EQ(policy(brain), expected);
    for (const int pid : system.processes()) {
      if (pid == brain || pid == system.keeper_pid()) continue;
      EXPECT_EQ(policy(pid), SCHED_OTHER) << pid;
    }
    system.kill_brain();
    system.await([&](const auto& status) { return status["supervisor"]["brain_pid"] != brain; },
                 "a new brain");
    for (const std::string name : {"echo.0", "sleeper.0"}) {
      const int pid = system.worker(name)["pid"];
      ASSERT_EQ(::kill(pid, SIGKILL), 0);
      system.await_reborn(name, pid);
    }
  }
}

// A worker of the runtime is started again as urgent; by then it has become a program that knows nothing of that.
TEST(Supervision, a_plain_program_in_a_workers_place_is_not_left_at_real_time_priority) {
  const TemporaryDirectory directory;
  const auto program = directory.path("program");
  const auto becomes = [&](const std::string& words) {
    std::ofstream(program + ".new") << "#!/bin/sh\n" << words << '\n';
    ASSERT_EQ(::chmod((program + ".new").c_str(), 0755), 0);
    ASSERT_EQ(::rename((program + ".new").c_str(), program.c_str()), 0);
  };
  becomes("exec " +
          std::filesystem::path(BULKHEAD_PROGRAM).replace_filename("echo-worker").string());
  RunningSystem system("changed", std::string(R"({"version": 1, "name": "changed", )") +
                                      restart_at_once + R"(, "workers": {
    "one": {"command": [")" + program +
                                      R"("], "ready": {"type": "exec"}, "provides": ["echo"]}}})");
  system.await_all_ready();
  system.await([&](const auto&) { return system.worker("one.0")["runtime"] == true; },
               "its greeting");
  becomes("exec sleep 100000");
  const int pid = system.worker("one.0")["pid"];
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  const int successor = system.await_reborn("one.0", pid)["pid"];
  EXPECT_EQ(::sched_getscheduler(successor) & ~SCHED_RESET_ON_FORK, SCHED_OTHER);
}

TEST(Supervision, the_keeper_takes_everything_with_it) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  ASSERT_GE(system.processes().size(), 5U);
  ASSERT_TRUE(system.keeper().send_signal(SIGKILL));
  system.await_end();
  system.await_no_process();
}

TEST(Supervision, a_kill_of_everything_in_any_order_does_not_block_the_next_start) {
  TemporaryDirectory home;
  std::mt19937 random(testing::UnitTest::GetInstance()->random_seed());
  for (int round = 0; round < 5; ++round) {
    RunningSystem system("two", two_echoes());
    system.await_all_ready();
    auto all = system.processes();
    std::vector<int> order(all.begin(), all.end());
    std::shuffle(order.begin(), order.end(), random);
    for (const int pid : order) ::kill(pid, SIGKILL);
    system.await_end();
    system.await_no_process();
    system.start_again();
    system.await_all_ready();
  }
  EXPECT_TRUE(std::filesystem::is_empty("/dev/shm"));
}

TEST(Supervision, shutdown_leaves_neither_process_nor_socket) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  system.await_no_process();
  EXPECT_FALSE(std::filesystem::exists(system.directory().path("run/two.sock")));
  EXPECT_FALSE(std::filesystem::exists(system.directory().path("run/two.lock")));
}

TEST(Supervision, an_interrupt_is_graceful_and_a_second_one_is_not) {
  const std::string config = R"({"version": 1, "name": "stubborn", "workers": {
    "mule": {"command": ["crash-worker"], "ready": {"type": "notify"}, "stop": {"timeout": "1h"},
             "config": {"mode": "ignore_sigterm", "after": "0ms"}}}})";
  RunningSystem system("stubborn", config);
  system.await(
      [](const auto& status) { return row(status, "mule.0")["status_text"] == "ignore_sigterm"; },
      "the mule to be stubborn");
  ASSERT_TRUE(system.keeper().send_signal(SIGINT));
  system.await([](const auto& status) { return row(status, "mule.0")["state"] == "stopping"; },
               "the mule asked to stop");
  ASSERT_TRUE(system.keeper().send_signal(SIGINT));
  system.await_end();
  system.await_no_process();
}

TEST(Supervision, stop_start_and_restart_return_when_the_state_is_reached) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  const int pid = system.worker("echo.0")["pid"];
  system.request("stop", {{"name", "echo"}});
  EXPECT_EQ(system.worker("echo.0")["state"], "disabled");
  EXPECT_EQ(system.worker("echo.1")["state"], "disabled");
  system.request("start", {{"name", "echo.0"}});
  EXPECT_EQ(system.worker("echo.0")["state"], "ready");
  EXPECT_EQ(system.worker("echo.1")["state"], "disabled");
  const int second = system.worker("echo.0")["pid"];
  EXPECT_NE(second, pid);
  system.request("restart", {{"name", "echo.0"}});
  EXPECT_EQ(system.worker("echo.0")["state"], "ready");
  EXPECT_NE(system.worker("echo.0")["pid"], second);
}

TEST(Supervision, a_wrong_name_is_an_error_that_lists_the_workers) {
  RunningSystem system("two", two_echoes());
  const auto answer = system.try_request("stop", {{"name", "ehco"}});
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().is(Errc::not_found));
  EXPECT_NE(answer.error().context.find("echo, sleeper"), std::string::npos)
      << answer.error().context;
}

TEST(Supervision, events_are_numbered_without_a_hole_across_brains) {
  RunningSystem system("two", two_echoes());
  system.await_all_ready();
  for (int round = 0; round < 5; ++round) {
    const int pid = system.worker("echo.0")["pid"];
    ::kill(pid, SIGKILL);
    system.kill_brain();
    system.await_reborn("echo.0", pid);
  }
  const auto page = system.request("events", {{"since", 1}});
  EXPECT_EQ(page["gap"], 0);
  std::uint64_t expected = 1;
  for (const auto& event : page["events"]) EXPECT_EQ(event["seq"], expected++);
}

TEST(Supervision, a_program_that_vanished_fails_once_with_one_message) {
  TemporaryDirectory place;
  const auto program = place.write("program", "#!/bin/sh\nexec sleep 1000\n");
  ::chmod(program.c_str(), 0755);
  RunningSystem system("gone", R"({"version": 1, "name": "gone", )" + std::string(restart_at_once) +
                                   R"(, "workers": {"it": {"command": [")" + program +
                                   R"("]}, "other": {"command": ["sleep", "1000"]}}})");
  system.await_all_ready();
  std::filesystem::remove(program);
  ::kill(system.worker("it.0")["pid"], SIGKILL);
  const auto status = system.await(
      [](const auto& now) { return row(now, "it.0")["state"] == "failed"; }, "it to fail");
  EXPECT_EQ(row(status, "it.0")["last_exit"]["kind"], "exec_failed");
  EXPECT_EQ(system.events_of("it.0", "worker.failed").size(), 1U);
  EXPECT_EQ(row(status, "other.0")["state"], "ready");
  EXPECT_NE(system.output().find("No such file or directory"), std::string::npos)
      << system.output();
}

TEST(Supervision, a_viewer_goes_on_where_its_predecessor_was_killed) {
  RunningSystem system("seen", R"({"version": 1, "name": "seen", "workers": {
    "it": {"command": ["sleep", "1000"], "restart": {"limit": "none"}}}})");
  system.await_all_ready();
  const auto viewer = [&] { return system.request("status", {{"all", true}}); };
  const auto pid_of = [](const nlohmann::json& status) {
    const auto shown = row(status, "viewer");
    return !shown.is_null() && shown["pid"].is_number() ? shown["pid"].get<int>() : 0;
  };
  const int first = pid_of(viewer());
  ASSERT_GT(first, 0) << viewer();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  int second = first;
  while (second == first || second == 0) second = pid_of(viewer());
  system.request("shutdown");
  system.await_end();
  const auto output = system.output();
  const auto count = [&](const std::string& what) {
    int found = 0;
    for (auto at = output.find(what); at != std::string::npos; at = output.find(what, at + 1))
      ++found;
    return found;
  };
  EXPECT_LE(count("see what runs:"), 1) << output;
  EXPECT_LE(count("starting"), 1) << output;
  EXPECT_EQ(count("stopped"), 1) << output;
}

// The viewer is asked to go while it is being started.
TEST(Supervision, the_end_of_a_system_that_is_over_at_once_is_still_shown) {
  for (int round = 0; round < 10; ++round) {
    RunningSystem system("brief", R"({"version": 1, "name": "brief", "workers": {
      "it": {"command": ["true"], "kind": "oneshot"}}})");
    EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
    EXPECT_NE(system.output().find("exit code 0"), std::string::npos) << system.output();
  }
}

TEST(Supervision, a_bad_interpreter_is_named) {
  TemporaryDirectory place;
  const auto program = place.write("program", "#!/no/such/interpreter\n");
  ::chmod(program.c_str(), 0755);
  RunningSystem system("bad", R"({"version": 1, "name": "bad", "workers": {"it": {"command": [")" +
                                  program + R"("]}, "other": {"command": ["sleep", "1000"]}}})");
  const auto status = system.await(
      [](const auto& now) { return row(now, "it.0")["state"] == "failed"; }, "it to fail");
  EXPECT_EQ(row(status, "it.0")["last_exit"]["kind"], "exec_failed");
  EXPECT_EQ(system.events_of("it.0", "worker.failed").size(), 1U);
  EXPECT_NE(system.output().find("interpreter"), std::string::npos) << system.output();
}

TEST(Supervision, a_system_without_anything_left_to_run_ends_by_itself) {
  RunningSystem good("once", R"({"version": 1, "name": "once", "workers": {
    "it": {"command": ["true"], "kind": "oneshot"}}})");
  EXPECT_EQ(good.await_end(), base::ExitStatus(base::Exited{0}));
  RunningSystem bad("once", R"({"version": 1, "name": "once", "workers": {
    "it": {"command": ["false"], "kind": "oneshot", "restart": {"policy": "never"}}}})");
  EXPECT_EQ(bad.await_end(), base::ExitStatus(base::Exited{1}));
}

TEST(Supervision, a_dependant_starts_after_what_it_needs) {
  RunningSystem system("order", R"({"version": 1, "name": "order", "workers": {
    "late": {"command": ["sleep", "1000"], "depends_on": {"migrate": "completed", "echo": "ready"}},
    "echo": {"command": ["echo-worker"], "ready": {"type": "notify"}, "provides": ["echo"]},
    "migrate": {"command": ["true"], "kind": "oneshot"}}})");
  system.await_all_ready();
  const auto started = system.events_of("late.0", "worker.starting").front()["seq"].get<int>();
  EXPECT_GT(started, system.events_of("echo.0", "worker.ready").front()["seq"].get<int>());
  EXPECT_GT(started, system.events_of("migrate.0", "worker.exited").front()["seq"].get<int>());
}

}  // namespace
}  // namespace bulkhead::test
