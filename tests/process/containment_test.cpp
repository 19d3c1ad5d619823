// Workers that misbehave in every way that we know: each harms only itself, is stopped in time, and
// leaves nothing behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/fd.hpp"
#include "supervisor/state_region.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

// One bad worker beside a good one; the bad one is given its mode and, where it helps, limits.
std::string with_bad_worker(const std::string& mode, const std::string& more = "") {
  return R"({"version": 1, "name": "bad", "workers": {
    "good": {"command": ["echo-worker"], "ready": {"type": "notify"}, "provides": ["echo"]},
    "bad": {"command": ["crash-worker"], "ready": {"type": "notify"},
            "restart": {"backoff": {"initial": "0ms"}, "limit": "none"}, "stop": {"timeout": "300ms"},
            )" +
         more + R"("config": {"mode": ")" + mode + R"(", "after": "0ms", "code": 3}}}})";
}

struct Crash {
  const char* mode;
  const char* kind;
  int code;
};

class CrashModes : public testing::TestWithParam<Crash> {};

TEST_P(CrashModes, harm_only_the_worker_itself) {
  const auto& crash = GetParam();
  RunningSystem system("bad", with_bad_worker(crash.mode));
  system.await([](const auto& status) { return row(status, "good.0")["state"] == "ready"; },
               "the good one");
  const int good = system.worker("good.0")["pid"];
  const auto status = system.await(
      [](const auto& now) { return row(now, "bad.0")["restarts"].template get<int>() >= 3; },
      "three deaths");
  const auto exit = row(status, "bad.0")["last_exit"];
  EXPECT_EQ(exit["kind"], crash.kind) << exit;
  EXPECT_EQ(exit["code"], crash.code) << exit;
  EXPECT_EQ(row(status, "good.0")["pid"], good);
  EXPECT_EQ(row(status, "good.0")["restarts"], 0);
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  system.await_no_process();
}

INSTANTIATE_TEST_SUITE_P(Containment, CrashModes,
                         testing::Values(Crash{"segv", "signal", SIGSEGV},
                                         Crash{"abort", "signal", SIGABRT},
                                         Crash{"exit", "exit", 3},
                                         Crash{"stack_overflow", "signal", SIGSEGV},
                                         Crash{"throw", "signal", SIGABRT}),
                         [](const auto& test) { return std::string(test.param.mode); });

TEST(Containment, a_worker_out_of_memory_dies_of_its_own_limit) {
  RunningSystem system("bad", with_bad_worker("out_of_memory"));
  const auto status = system.await(
      [](const auto& now) { return row(now, "bad.0")["restarts"].template get<int>() >= 1; },
      "its death");
  EXPECT_NE(row(status, "bad.0")["last_exit"], nullptr);
}

TEST(Containment, a_worker_that_ignores_sigterm_is_killed_after_its_timeout) {
  RunningSystem system("bad", with_bad_worker("ignore_sigterm"));
  system.await_all_ready();
  system.request("stop", {{"name", "bad"}});
  const auto bad = system.worker("bad.0");
  EXPECT_EQ(bad["state"], "disabled");
  EXPECT_EQ(bad["last_exit"]["signal"], "SIGKILL");
}

TEST(Containment, a_worker_that_hangs_is_found_by_its_watchdog) {
  for (const std::string mode : {"hang", "spin"}) {
    RunningSystem system("bad", with_bad_worker(mode, R"("watchdog": {"timeout": "200ms"}, )"));
    const auto status = system.await(
        [](const auto& now) { return row(now, "bad.0")["restarts"].template get<int>() >= 1; },
        mode + " to be noticed");
    EXPECT_EQ(row(status, "bad.0")["last_exit"]["kind"], "watchdog");
  }
}

TEST(Containment, a_worker_that_is_stopped_in_its_sleep_is_found_by_its_watchdog) {
  RunningSystem system("idle", R"({"version": 1, "name": "idle", "workers": {
    "idle": {"command": ["echo-worker"], "ready": {"type": "notify"}, "provides": ["echo"],
             "watchdog": {"timeout": "200ms"}, "restart": {"backoff": {"initial": "0ms"}}}}})");
  system.await_all_ready();
  const int idle = system.worker("idle.0")["pid"];
  ::kill(idle, SIGSTOP);
  EXPECT_EQ(system.await_reborn("idle.0", idle)["last_exit"]["kind"], "watchdog");
}

// Each death is followed by a start, and that by a death: whoever reads them to the end never comes to anything else.
TEST(Containment, workers_that_die_as_fast_as_they_start_leave_time_for_everybody_else) {
  RunningSystem system("loop", R"({"version": 1, "name": "loop", "workers": {
    "short": {"command": ["sh", "-c", "exit 3"], "instances": 8,
              "restart": {"backoff": {"initial": "0ms"}, "limit": "none"}}}})");
  const auto restarts = [](const auto& status) {
    int sum = 0;
    for (const auto& worker : status["workers"]) sum += worker["restarts"].template get<int>();
    return sum;
  };
  const int before = restarts(system.status());
  constexpr int questions = 10;
  int after = before;
  for (int i = 0; i < questions; ++i) after = restarts(system.status());
  EXPECT_LT(after - before, 200 * questions) << "restarts while we waited for answers";
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
}

// It answers no brain, so its successor cannot wait for that before it watches.
TEST(Containment, a_worker_that_hung_before_its_brain_died_is_found_by_the_next_one) {
  RunningSystem system("bad", with_bad_worker("spin", R"("watchdog": {"timeout": "1s"}, )"));
  system.await_all_ready();
  ::kill(system.brain_pid(), SIGKILL);
  const auto status = system.await(
      [](const auto& now) { return row(now, "bad.0")["restarts"].template get<int>() >= 1; },
      "the hang to be noticed");
  EXPECT_EQ(row(status, "bad.0")["last_exit"]["kind"], "watchdog");
  EXPECT_EQ(row(status, "good.0")["restarts"], 0);
}

TEST(Containment, what_forked_twice_dies_with_its_worker) {
  RunningSystem system("bad", with_bad_worker("double_fork"));
  system.await_all_ready();
  // keeper, brain, logger, viewer, good, bad and what it left in a session of its own
  system.await([&](const auto&) { return system.processes().size() >= 7; }, "the daemon");
  const auto before = system.processes();
  system.request("stop", {{"name", "bad"}});
  const auto after = system.processes();
  EXPECT_LE(after.size(), 5U);
  EXPECT_GE(before.size() - after.size(), 2U);
  system.request("shutdown");
  system.await_end();
  system.await_no_process();
}

// The state memory of a brain, as it has it.
supervisor::StateRegion state_of(int brain) {
  const std::filesystem::path all = "/proc/" + std::to_string(brain) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(all)) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.find("memfd:bulkhead-state") == std::string::npos) continue;
    const base::UniqueFd fd(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
    return supervisor::StateRegion::map(fd.get()).value();
  }
  throw std::runtime_error("the brain has no state memory");
}

// What carries the worker's name in its environment and is not its main process.
int descendant_of(const RunningSystem& system, const std::string& instance, int main) {
  const auto mark = "BULKHEAD_NAME=" + instance;
  for (const int pid : system.processes()) {
    const auto environment = base::read_file("/proc/" + std::to_string(pid) + "/environ");
    if (pid != main && environment && environment->find(mark) != std::string::npos) return pid;
  }
  return 0;
}

// The window is a few instructions wide: the brain is held, and what it would have stored is stored for it.
TEST(Containment,
     what_forked_twice_dies_also_when_the_brain_died_between_its_record_and_the_sweep) {
  RunningSystem system("bad", with_bad_worker("double_fork"));
  system.await_all_ready();
  const int bad = system.worker("bad.0")["pid"];
  int daemon = 0;
  system.await([&](const auto&) { return (daemon = descendant_of(system, "bad.0", bad)) != 0; },
               "the daemon");
  const int brain = system.brain_pid();
  auto state = state_of(brain);
  const base::UniqueFd pidfd = base::open_pidfd(bad).value();
  pollfd death{pidfd.get(), POLLIN, 0};
  ::kill(brain, SIGSTOP);
  ::kill(bad, SIGKILL);
  ASSERT_EQ(::poll(&death, 1, 30'000), 1);
  supervisor::Slot slot = 0;
  while (state.claim(slot).pid != bad) ++slot;
  auto record = state.load(slot).value();
  record.pid = 0;
  record.status = supervisor::InstanceStatus::waiting;
  state.end(slot, record.generation);
  state.save(slot, record);
  ::kill(brain, SIGKILL);
  system.await([&](const auto&) { return !system.processes().contains(daemon); },
               "the end of what the dead worker left");
  system.request("shutdown");  // its successor forks twice, too
  system.await_end();
  system.await_no_process();
}

TEST(Containment, a_worker_that_floods_its_output_neither_blocks_nor_fills_the_disk) {
  RunningSystem system(
      "bad", with_bad_worker("flood_stdout", R"("logs": {"max_size": "64KiB", "keep": 2}, )"));
  system.await_all_ready();
  const auto directory = system.directory().path("run/bad/logs");
  system.await([&](const auto&) { return std::filesystem::exists(directory + "/bad.0.log.2"); },
               "two rotations");
  EXPECT_EQ(system.worker("good.0")["restarts"], 0);
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
  system.await_no_process();
  // Only now: while the flood goes on, a file that was listed may have been rotated away before it
  // is measured.
  std::uintmax_t total = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().filename().string().starts_with("bad.0")) total += file.file_size();
  }
  EXPECT_LE(total, 3U * 64 * 1024 + 64 * 1024);
}

TEST(Containment, a_worker_that_closes_all_its_descriptors_is_only_a_dead_worker) {
  RunningSystem system("bad",
                       with_bad_worker("close_fds", R"("watchdog": {"timeout": "500ms"}, )"));
  system.await([](const auto& status) { return row(status, "good.0")["state"] == "ready"; },
               "the good one");
  const int good = system.worker("good.0")["pid"];
  system.request("stop", {{"name", "bad"}});
  EXPECT_EQ(system.worker("bad.0")["state"], "disabled");
  EXPECT_EQ(system.worker("good.0")["pid"], good);
}

TEST(Containment, a_crash_loop_ends_half_open_and_says_why) {
  RunningSystem system("loop", R"({"version": 1, "name": "loop", "workers": {
    "good": {"command": ["sleep", "1000"]},
    "bad": {"command": ["crash-worker"], "ready": {"type": "notify"},
            "restart": {"backoff": {"initial": "1ms", "max": "1h"}, "limit": {"count": 3, "within": "1h"}},
            "config": {"mode": "exit", "after": "0ms", "code": 3}}}})");
  const auto status = system.await(
      [](const auto& now) { return row(now, "bad.0")["state"] == "half_open"; }, "half_open");
  EXPECT_EQ(row(status, "bad.0")["last_exit"]["code"], 3);
  EXPECT_NE(row(status, "bad.0")["next_start_in_ms"], nullptr);
  EXPECT_NE(row(status, "bad.0")["reason"], "");
}

TEST(Containment, a_worker_with_a_wrong_configuration_does_not_loop) {
  RunningSystem system("wrong", R"({"version": 1, "name": "wrong", "workers": {
    "good": {"command": ["sleep", "1000"]},
    "bad": {"command": ["crash-worker"], "config": {"mode": "no such mode"}}}})");
  const auto status = system.await(
      [](const auto& now) { return row(now, "bad.0")["state"] == "failed"; }, "failed");
  EXPECT_EQ(row(status, "bad.0")["last_exit"]["code"], 78);
  EXPECT_EQ(row(status, "bad.0")["restarts"], 0);
}

TEST(Containment, the_logger_dies_and_no_line_is_lost) {
  RunningSystem system("bad", R"({"version": 1, "name": "bad", "workers": {
    "writer": {"command": ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exec sleep 1000"]}}})");
  system.await_all_ready();
  const auto log = system.directory().path("run/bad/logs/writer.0.log");
  for (int round = 0; round < 5; ++round) {
    const auto status = system.request("status", {{"all", true}});
    if (const auto pid = row(status, "logger")["pid"]; !pid.is_null()) ::kill(pid, SIGKILL);
  }
  const auto holds = [&](const auto&) {
    std::ifstream file(log);
    int expected = 0;
    for (std::string line; std::getline(file, line);) {
      if (line == "line " + std::to_string(expected)) ++expected;
    }
    return expected == 20000;
  };
  system.await(holds, "every line in order, repeated ones aside");
}

}  // namespace
}  // namespace bulkhead::test
