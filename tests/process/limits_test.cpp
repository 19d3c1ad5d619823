// Whole systems whose workers have limits: held by cgroups where the machine lets us make some, else by rlimits.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>

#include "base/cgroup.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uint64_t limit = 8 << 20;

// A system of the same name may run in the same cgroup, started by somebody else's test.
std::string system_name() { return "limits" + std::to_string(::getpid()); }

// Why no cgroup can be made here; "" when one can.
std::string refusal(const char* controller, const char* file) {
  const auto own = base::own_cgroup(controller);
  if (!own) return own.error().to_string();
  const std::string trial = own->directory + "/" + system_name() + "-trial";
  std::error_code failed;
  fs::create_directory(trial, failed);
  if (failed) return "no cgroup can be made in " + own->directory + ": " + failed.message();
  const auto written = base::write_control(trial + file, "1048576");
  static_cast<void>(base::remove_cgroup(trial));
  return written ? "" : written.error().to_string();
}

std::string refusal_of_memory() {
  const auto own = base::own_cgroup("memory");
  const bool v2 = own && own->version == base::CgroupVersion::v2;
  return refusal("memory", v2 ? "/memory.max" : "/memory.limit_in_bytes");
}

json config_of(const std::string& script, const json& limits, const json& more = json::object()) {
  json worker{{"command", {"sh", "-c", script}}, {"runtime", false}, {"limits", limits}};
  worker.update(more);
  return {{"version", 1}, {"name", system_name()}, {"workers", {{"w", worker}}}};
}

// The cgroups of our systems, the innermost last.
std::vector<std::string> cgroups(const char* controller = "memory") {
  std::vector<std::string> found;
  const auto own = base::own_cgroup(controller);
  if (!own) return found;
  for (const auto& entry : fs::directory_iterator(own->directory)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("bulkhead-" + system_name() + "-")) continue;
    found.push_back(entry.path());
    for (const auto& leaf : fs::directory_iterator(entry.path())) {
      if (leaf.is_directory()) found.push_back(leaf.path());
    }
  }
  return found;
}

std::string by_cgroup() {
  return std::string(base::to_string(base::own_cgroup("memory").value().version));
}

CommandOutput command(const RunningSystem& system, std::vector<std::string> words) {
  words.insert(words.begin(), BULKHEAD_PROGRAM);
  return run_command(std::move(words), {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
}

bool is_there(pid_t pid) {
  const auto stat = base::read_file("/proc/" + std::to_string(pid) + "/stat");
  return stat && stat->find(") Z ") == std::string::npos;
}

class MemoryLimit : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = refusal_of_memory(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(cgroups(), std::vector<std::string>{});
  }
  void TearDown() override {
    const auto left = cgroups();
    for (auto path = left.rbegin(); path != left.rend(); ++path) {  // nor to the next test
      ADD_FAILURE() << "left over: " << *path;
      base::kill_cgroup(*path, Deadline::in(std::chrono::seconds(30)));
      static_cast<void>(base::remove_cgroup(*path));
    }
  }
  static void end(RunningSystem& system) {
    system.request("shutdown");
    EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
    EXPECT_EQ(cgroups(), std::vector<std::string>{});
  }
};

// `tail` keeps the last lines of what has no lines.
constexpr const char* hungry_once =
    "[ -e been ] && exec sleep 100000; cat /proc/self/cgroup > been; exec tail /dev/zero";

TEST_F(MemoryLimit, kills_who_is_over_it_and_that_is_told_as_oom) {
  RunningSystem system(system_name(), config_of(hungry_once, {{"memory", "8MiB"}}).dump());
  const auto now = system.await(
      [](const json& status) { return row(status, "w.0")["generation"] == 2 && all_ready(status); },
      "w.0 again");
  const auto worker = row(now, "w.0");
  EXPECT_EQ(worker["last_exit"]["kind"], "oom");
  EXPECT_EQ(worker["last_exit"]["signal"], "SIGKILL");
  EXPECT_EQ(worker["restarts"], 1);
  EXPECT_EQ(worker["limits"]["memory"],
            (json{{"bytes", limit}, {"by", by_cgroup()}, {"refused", nullptr}, {"oom_kills", 0}}));
  EXPECT_EQ(system.events_of("w.0", "worker.backoff").size(), 1U) << "memory does not come at once";

  const auto where = base::read_file(system.directory().path("been"));
  ASSERT_TRUE(where);
  EXPECT_NE(where->find("/w.0.1\n"), std::string::npos)
      << "its first command ran outside of its cgroup: " << *where;

  const auto words = "out of memory: killed by the kernel at its limit of 8MiB";
  const auto incident = system.request("incidents")["incidents"][0];
  EXPECT_EQ(incident["cause"], "oom");
  EXPECT_EQ(incident["words"], words);
  EXPECT_NE(command(system, {"incidents"}).out.find(words), std::string::npos);
  EXPECT_NE(command(system, {"why", "w"}).out.find(words), std::string::npos);
  end(system);
}

// The runtime's own allocation, with nothing but the limit to stop it.
TEST_F(MemoryLimit, kills_a_worker_that_chaos_drives_into_it) {
  json config = config_of("", {{"memory", "48MiB"}});
  config["workers"]["w"] = {{"command", {"echo-worker"}},
                            {"provides", {"echo"}},
                            {"ready", {{"type", "notify"}}},
                            {"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}},
                            {"limits", {{"memory", "48MiB"}}}};
  RunningSystem system(system_name(), config.dump());
  system.await_all_ready();
  const auto output =
      command(system, {"chaos", "--only", "oom", "--duration", "1s", "--seed", "1", "--json"});
  EXPECT_EQ(output.code, 0) << output.out << output.err;
  const auto found = json::parse(output.out);
  EXPECT_GT(found["recovery"]["oom"]["n"], 0) << output.out;
  EXPECT_EQ(system.request("incidents")["incidents"][0]["words"],
            "out of memory: killed by the kernel at its limit of 48MiB");
  end(system);
}

// Its parent may live on, and die of something else.
TEST_F(MemoryLimit, that_kills_a_child_is_no_oom_of_the_worker) {
  if (by_cgroup() == "cgroup v2") GTEST_SKIP() << "there all of the worker is killed";
  RunningSystem system(
      system_name(),
      config_of("[ -e been ] && exec sleep 100000; touch been; tail /dev/zero; exit 3",
                {{"memory", "8MiB"}})
          .dump());
  const auto worker = system.await_reborn("w.0", 0);
  const auto now = system.await(
      [](const json& status) { return row(status, "w.0")["generation"] == 2; }, "w.0 again");
  EXPECT_EQ(row(now, "w.0")["last_exit"]["kind"], "exit");
  EXPECT_EQ(row(now, "w.0")["last_exit"]["code"], 3);
  EXPECT_EQ(system.request("incidents")["incidents"][0]["words"],
            "exited with code 3; before that the kernel killed one of its processes for want of "
            "memory (its limit is 8MiB)");
  end(system);
}

TEST_F(MemoryLimit, that_killed_a_child_long_ago_is_no_oom_of_who_is_killed_by_somebody_now) {
  if (by_cgroup() == "cgroup v2") GTEST_SKIP() << "there all of the worker is killed";
  RunningSystem system(
      system_name(),
      config_of("[ -e been ] || tail /dev/zero; touch been; while :; do sleep 1; done",
                {{"memory", "8MiB"}})
          .dump());
  const auto survived = system.await(
      [](const json& now) {
        const auto limits = row(now, "w.0")["limits"]["memory"];
        return limits.contains("oom_kills") && limits["oom_kills"] == 1;
      },
      "a death that it survives");
  ASSERT_EQ(::kill(row(survived, "w.0")["pid"], SIGKILL), 0);
  const auto now = system.await(
      [](const json& status) { return row(status, "w.0")["generation"] == 2; }, "w.0 again");
  EXPECT_EQ(row(now, "w.0")["last_exit"]["kind"], "signal");
  EXPECT_EQ(system.request("incidents")["incidents"][0]["words"],
            "killed by SIGKILL; before that the kernel killed one of its processes for want of "
            "memory (its limit is 8MiB)");
  end(system);
}

// What leaves its group and takes the mark out of its environment is still in the cgroup.
constexpr const char* leaves_somebody =
    "if [ ! -e been ]; then touch been; env -i setsid sleep 100000 & fi; exec sleep 100000";

pid_t other_member(const std::string& leaf, pid_t main) {
  for (const pid_t pid : base::cgroup_members(leaf)) {
    const auto name = base::read_file("/proc/" + std::to_string(pid) + "/environ");
    if (pid != main && name && name->empty()) return pid;
  }
  return 0;
}

pid_t await_detached(RunningSystem& system) {
  system.await_all_ready();
  const pid_t main = system.worker("w.0")["pid"];
  pid_t found = 0;
  system.await(
      [&](const json&) {
        const auto all = cgroups();
        found = all.empty() ? 0 : other_member(all.back(), main);
        return found != 0;
      },
      "somebody detached");
  return found;
}

// Who was a spare stays in the cgroup that it began in, whichever brain is asked.
TEST_F(MemoryLimit, holds_for_a_spare_that_has_become_an_instance) {
  const json worker{{"command", {"echo-worker"}},
                    {"provides", {"echo"}},
                    {"ready", {{"type", "notify"}}},
                    {"warm_spares", 1},
                    {"restart", {{"backoff", {{"initial", "0ms"}}}}},
                    {"limits", {{"memory", "64MiB"}}}};
  const json config{{"version", 1}, {"name", system_name()}, {"workers", {{"echo", worker}}}};
  RunningSystem system(system_name(), config.dump());
  const auto warm = [](const json& status) {
    return all_ready(status) && row(status, "echo.0")["spares"]["ready"] == 1;
  };
  const auto leaves = [] {
    std::set<std::string> names;
    for (const auto& path : cgroups()) names.insert(path.substr(path.rfind('/') + 1));
    return names;
  };
  system.await(warm, "the first spare");
  const int first = system.worker("echo.0")["pid"];
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  const int promoted = system.await_reborn("echo.0", first)["pid"];
  system.await(warm, "the second spare");
  for (const bool new_brain : {false, true}) {
    if (new_brain) system.kill_brain();
    const auto limited = system.worker("echo.0");
    EXPECT_EQ(limited["pid"], promoted);
    EXPECT_EQ(
        limited["limits"]["memory"],
        (json{{"bytes", 64 << 20}, {"by", by_cgroup()}, {"refused", nullptr}, {"oom_kills", 0}}))
        << (new_brain ? "to a new brain" : "to the brain that promoted it");
    EXPECT_TRUE(leaves().contains("echo+spare.0.1"));
  }
  ASSERT_EQ(::kill(promoted, SIGKILL), 0);
  system.await_reborn("echo.0", promoted);
  system.await([&](const json&) { return !leaves().contains("echo+spare.0.1"); },
               "the end of its cgroup");
  end(system);
}

TEST_F(MemoryLimit, takes_all_descendants_along_when_the_worker_is_gone) {
  RunningSystem system(system_name(), config_of(leaves_somebody, {{"memory", "8MiB"}}).dump());
  const pid_t detached = await_detached(system);
  system.request("kill", {{"name", "w.0"}});
  system.await([](const json& now) { return row(now, "w.0")["generation"] == 2; }, "w.0 again");
  system.await([&](const json&) { return !is_there(detached); }, "the end of what it left");
  EXPECT_EQ(system.worker("w.0")["last_exit"]["kind"], "signal");
  system.await(
      [](const json&) {
        for (const auto& path : cgroups()) {
          if (path.ends_with("/w.0.1")) return false;
        }
        return true;
      },
      "the end of its cgroup");
  end(system);
}

TEST_F(MemoryLimit, outlives_the_brain_and_leaves_nothing) {
  RunningSystem system(system_name(), config_of("exec sleep 100000", {{"memory", "8MiB"}}).dump());
  system.await_all_ready();
  const auto before = system.worker("w.0");
  const int brain = system.brain_pid();
  system.kill_brain();
  const auto now =
      system.await([&](const json& status) { return status["supervisor"]["brain_pid"] != brain; },
                   "a new brain");
  EXPECT_EQ(row(now, "w.0")["pid"], before["pid"]);
  EXPECT_EQ(row(now, "w.0")["limits"], before["limits"]);
  EXPECT_EQ(cgroups().size(), 2U) << "of the system, and of the worker that lives";
  end(system);
}

// The brain dies while nobody else could tell of the death, or remove what is left of the worker.
TEST_F(MemoryLimit, that_killed_while_there_was_no_brain_is_told_by_the_next) {
  RunningSystem system(
      system_name(),
      config_of("[ -e been ] && exec sleep 100000; trap 'touch been; exec tail /dev/zero' USR1; "
                "touch set; while :; do sleep 1; done",
                {{"memory", "8MiB"}})
          .dump());
  system.await_all_ready();
  const pid_t worker = system.worker("w.0")["pid"];
  system.await([&](const json&) { return fs::exists(system.directory().path("set")); }, "a trap");
  const int brain = system.brain_pid();
  ASSERT_EQ(::kill(brain, SIGSTOP), 0);
  const auto died = base::open_pidfd(worker);
  ASSERT_TRUE(died);
  ASSERT_EQ(::kill(worker, SIGUSR1), 0);
  base::ChildProcess watched({worker, base::duplicate(died->get()).value()},
                             base::ChildProcess::OnDestroy::detach);
  static_cast<void>(watched.wait(Deadline::in(std::chrono::seconds(30))));
  ASSERT_FALSE(is_there(worker));
  ::kill(brain, SIGKILL);  // or the keeper has done it, since it hung
  const auto now = system.await(
      [&](const json& status) {
        return status["supervisor"]["brain_pid"] != brain && row(status, "w.0")["generation"] == 2;
      },
      "w.0 again");
  EXPECT_EQ(row(now, "w.0")["last_exit"]["kind"], "oom");
  end(system);
}

TEST_F(MemoryLimit, of_a_system_whose_keeper_was_killed_is_cleared_away_by_the_next_start) {
  RunningSystem system(system_name(), config_of(leaves_somebody, {{"memory", "8MiB"}}).dump());
  const pid_t detached = await_detached(system);
  ASSERT_EQ(::kill(system.keeper_pid(), SIGKILL), 0);
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Signaled{SIGKILL, false}));
  EXPECT_TRUE(is_there(detached)) << "nobody was left to kill it";
  EXPECT_FALSE(cgroups().empty());
  system.start_again();
  system.await_all_ready();
  EXPECT_FALSE(is_there(detached));
  EXPECT_EQ(cgroups().size(), 2U);
  end(system);
}

TEST_F(MemoryLimit, of_a_program_that_cannot_be_executed_leaves_no_cgroup) {
  const char* const makes_it =
      "b=$(dirname \"$2\")/broken; printf '#!/nonexistent\\n' > $b; chmod +x $b; exec \"$0\" "
      "\"$@\"";
  auto config = config_of("", {{"memory", "8MiB"}});
  config["workers"]["w"]["command"] = {"./broken"};
  config["workers"]["main"] = {{"command", {"sleep", "100000"}}};
  RunningSystem system(system_name(), config.dump(), {"/bin/sh", "-c", makes_it});
  const auto now = system.await(
      [](const json& status) { return row(status, "w.0")["state"] == "failed"; }, "the failure");
  EXPECT_EQ(row(now, "w.0")["last_exit"]["kind"], "exec_failed");
  system.await([](const json&) { return cgroups().size() == 1; }, "the end of its cgroup");
  end(system);
}

TEST(PidsLimit, of_a_cgroup_holds_for_root_too) {
  if (const auto why = refusal("pids", "/pids.max"); !why.empty()) GTEST_SKIP() << why;
  RunningSystem system(system_name(),
                       config_of("(exit 0); exit 0", {{"pids", 1}},
                                 {{"kind", "oneshot"}, {"restart", {{"policy", "never"}}}})
                           .dump());
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{1})) << "the shell cannot fork";
  EXPECT_EQ(cgroups("pids"), std::vector<std::string>{});
}

// A mount namespace in which no cgroup is mounted stands for a machine where none can be set.
TEST(Limits, without_cgroups_are_rlimits_and_that_is_said) {
  const std::vector<std::string> without = {"/usr/bin/unshare", "--mount", "/bin/sh", "-c",
                                            "umount -R /sys/fs/cgroup && exec \"$0\" \"$@\""};
  auto trial = without;
  trial.push_back("/bin/true");
  if (const auto tried = run_command(trial); tried.code != 0) {
    GTEST_SKIP() << "no mount namespace without cgroups here: " << tried.err;
  }
  RunningSystem system(system_name(),
                       config_of("exec sleep 100000", {{"memory", "64MiB"}, {"nofile", 99}}).dump(),
                       without);
  system.await_all_ready();
  const auto worker = system.worker("w.0");
  const auto memory = worker["limits"]["memory"];
  EXPECT_EQ(memory["by"], "RLIMIT_AS");
  EXPECT_EQ(memory["bytes"], 64 << 20);
  ASSERT_TRUE(memory["refused"].is_string()) << memory;
  EXPECT_NE(memory["refused"].get<std::string>().find("mounted"), std::string::npos) << memory;
  EXPECT_EQ(worker["limits"]["nofile"],
            (json{{"count", 99}, {"by", "RLIMIT_NOFILE"}, {"refused", nullptr}}));
  const auto limits = base::read_file("/proc/" + worker["pid"].dump() + "/limits").value();
  EXPECT_NE(limits.find("Max address space         67108864"), std::string::npos) << limits;
  EXPECT_NE(command(system, {"status"}).out.find("limits.memory by RLIMIT_AS"), std::string::npos);
  const std::string words = "limits.memory is set as RLIMIT_AS, not by a cgroup: ";
  EXPECT_NE(worker["reason"].get<std::string>().find(words), std::string::npos) << worker;
  EXPECT_NE(command(system, {"why", "w"}).out.find(words), std::string::npos);
  EXPECT_NE(system.output().find("bulkhead: w: " + words), std::string::npos) << system.output();

  const int brain = system.brain_pid();
  system.kill_brain();
  const auto after = system.await(
      [&](const json& now) { return now["supervisor"]["brain_pid"] != brain; }, "a new brain");
  EXPECT_EQ(row(after, "w.0")["limits"], worker["limits"]) << "a successor knows why, too";

  auto doctor = without;
  doctor.insert(doctor.end(), {BULKHEAD_PROGRAM, "doctor"});
  EXPECT_NE(run_command(doctor).out.find("RLIMIT_AS"), std::string::npos);
  system.request("shutdown");
  EXPECT_EQ(system.await_end(), base::ExitStatus(base::Exited{0}));
}

TEST(Limits, doctor_says_that_a_cgroup_holds_the_memory_where_one_does) {
  if (const auto why = refusal_of_memory(); !why.empty()) GTEST_SKIP() << why;
  const auto said = run_command({BULKHEAD_PROGRAM, "doctor"});
  EXPECT_NE(said.out.find(by_cgroup()), std::string::npos) << said.out;
  EXPECT_NE(said.out.find("limits.memory"), std::string::npos) << said.out;
}

}  // namespace
}  // namespace bulkhead::test
