// base::spawn: what a child finds around itself, and what its parent learns when it cannot be started.
// The child is this binary with the role "describe".
#include "base/spawn.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

#include "base/child_process.hpp"
#include "base/urgency.hpp"
#include "tests/support/report_role.hpp"

namespace bulkhead::base {
namespace {

using namespace std::chrono_literals;
using Fields = std::map<std::string, std::string>;

const Deadline watchdog() { return Deadline::in(20s); }

SpawnPlan role(const std::string& name, int output) {
  SpawnPlan plan;
  plan.executable = "/proc/self/exe";
  plan.argv = {"spawn_test", name};
  plan.env = {"K=V"};
  plan.output = output;
  return plan;
}

std::string read_to_end(int fd) {
  std::string text;
  char chunk[4096];
  for (;;) {
    pollfd entry{fd, POLLIN, 0};
    if (::poll(&entry, 1, 20'000) <= 0) return text + "\nwatchdog\n";
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n <= 0) return text;
    text.append(chunk, static_cast<std::size_t>(n));
  }
}

// Runs the role "describe" under the plan that `change` made of the plain one.
template <class Change>
Fields describe_child(Change&& change) {
  auto pipe = make_pipe();
  EXPECT_TRUE(pipe);
  SpawnPlan plan = role("describe", pipe->second.get());
  change(plan);
  auto spawned = spawn(plan);
  EXPECT_TRUE(spawned) << (spawned ? "" : spawned.error().to_string());
  if (!spawned) return {};
  ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill);
  pipe->second.reset();
  auto fields = test::parse_description(read_to_end(pipe->first.get()));
  EXPECT_EQ(*child.wait(watchdog()), ExitStatus{Exited{0}});
  EXPECT_EQ(fields["pid"], std::to_string(child.pid()));
  return fields;
}

Fields describe_child() {
  return describe_child([](SpawnPlan&) {});
}

std::vector<std::string> descriptors_of(const Fields& fields) {
  std::vector<std::string> names;
  for (const auto& [name, value] : fields) {
    if (name.starts_with("fd")) names.push_back(name);
  }
  return names;
}

struct Failed {
  Error error;
  ExecFailure failure;
};

template <class Change>
Failed fail_to_spawn(Change&& change) {
  SpawnPlan plan = role("describe", -1);
  change(plan);
  ExecFailure failure;
  const auto spawned = spawn(plan, &failure);
  EXPECT_FALSE(spawned);
  if (spawned) return {};
  EXPECT_TRUE(spawned.error().is(Errc::exec_failed));
  siginfo_t info{};
  EXPECT_TRUE(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 && errno == ECHILD)
      << "a failed start left a child behind";
  return {spawned.error(), failure};
}

class TemporaryFile {
 public:
  TemporaryFile(const std::string& text, mode_t mode) {
    const int fd = ::mkostemp(path_, O_CLOEXEC);
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(::fchmod(fd, mode), 0);
    ::close(fd);
  }
  ~TemporaryFile() { ::unlink(path_); }
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/spawn_test_XXXXXX";
};

TEST(Spawn, gives_the_child_its_arguments_environment_and_directory) {
  const auto fields = describe_child([](SpawnPlan& plan) { plan.working_dir = "/proc"; });
  EXPECT_EQ(fields.at("K"), "V");
  EXPECT_EQ(fields.at("directory"), "/proc");
  EXPECT_EQ(fields.at("parent"), std::to_string(::getpid()));
  EXPECT_EQ(fields.at("fd0"), "/dev/null");
}

TEST(Spawn, leaks_no_descriptor_even_one_that_was_never_close_on_exec) {
  const UniqueFd leaky{::open("/dev/zero", O_RDONLY)};
  ASSERT_TRUE(leaky.is_open());
  EXPECT_EQ(descriptors_of(describe_child()), (std::vector<std::string>{"fd0", "fd1", "fd2"}));
}

TEST(Spawn, swaps_descriptors_whose_sources_and_targets_collide) {
  const UniqueFd zero{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
  const UniqueFd full{::open("/dev/full", O_RDONLY | O_CLOEXEC)};
  const UniqueFd random{::open("/dev/urandom", O_RDONLY | O_CLOEXEC)};
  const auto fields = describe_child([&](SpawnPlan& plan) {
    plan.fds = {{zero.get(), full.get()},
                {full.get(), random.get()},
                {random.get(), zero.get()},
                {zero.get(), random.get() + 1}};
    plan.input = full.get();
  });
  EXPECT_EQ(fields.at("fd" + std::to_string(full.get())), "/dev/zero");
  EXPECT_EQ(fields.at("fd" + std::to_string(random.get())), "/dev/full");
  EXPECT_EQ(fields.at("fd" + std::to_string(zero.get())), "/dev/urandom");
  EXPECT_EQ(fields.at("fd" + std::to_string(random.get() + 1)), "/dev/zero");
  EXPECT_EQ(fields.at("fd0"), "/dev/full");
  EXPECT_EQ(descriptors_of(fields).size(), 7u);
}

TEST(Spawn, keeps_a_descriptor_under_its_own_number) {
  const UniqueFd zero{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
  const auto fields = describe_child([&](SpawnPlan& plan) {
    plan.fds = {{zero.get(), zero.get()}};
  });
  EXPECT_EQ(fields.at("fd" + std::to_string(zero.get())), "/dev/zero");
}

void ignore_it(int) {}

TEST(Spawn, resets_the_signal_mask_and_every_disposition) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGUSR2, ignore_it);
  const auto fields = describe_child();
  EXPECT_EQ(fields.at("SigBlk"), "0000000000000000");
  EXPECT_EQ(fields.at("SigIgn"), "0000000000000000");

  sigset_t after;
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, &after), 0);
  EXPECT_TRUE(sigismember(&after, SIGUSR1)) << "the parent keeps its own mask";
  EXPECT_FALSE(sigismember(&after, SIGTERM)) << "the parent keeps its own mask";
  struct sigaction action {};
  ASSERT_EQ(::sigaction(SIGUSR2, nullptr, &action), 0);
  EXPECT_EQ(action.sa_handler, ignore_it) << "the parent keeps its own handlers";
  for (const int signal : {SIGPIPE, SIGHUP, SIGUSR2}) ::signal(signal, SIG_DFL);
}

TEST(Spawn, leaves_blocked_what_must_wait_for_the_programs_handler) {
  const auto fields =
      describe_child([](SpawnPlan& plan) { plan.blocked_signals = signal_bit(SIGTERM); });
  EXPECT_EQ(fields.at("SigBlk"), "0000000000004000");
}

TEST(Spawn, makes_a_session_or_a_process_group) {
  const auto session =
      describe_child([](SpawnPlan& plan) { plan.group = ProcessGroup::new_session; });
  EXPECT_EQ(session.at("session"), session.at("pid"));
  const auto group = describe_child([](SpawnPlan& plan) { plan.group = ProcessGroup::new_group; });
  EXPECT_EQ(group.at("group"), group.at("pid"));
  EXPECT_EQ(group.at("session"), std::to_string(::getsid(0)));
  EXPECT_EQ(describe_child().at("group"), std::to_string(::getpgrp()));
}

// The file stands for a cgroup.procs, and is written by the child as that would be.
TEST(Spawn, enters_cgroups_by_writing_itself_into_them) {
  auto procs = make_memfd("procs", false);
  ASSERT_TRUE(procs);
  SpawnPlan plan = role("describe", -1);
  plan.cgroups = {{procs->get(), {RLIMIT_CORE, 0, 0}}};
  auto spawned = spawn(plan);
  ASSERT_TRUE(spawned);
  EXPECT_EQ(spawned->cgroup_refusals, std::vector<int>{0});
  ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill);
  EXPECT_EQ(*child.wait(watchdog()), ExitStatus{Exited{0}});
  char text[8] = {};
  EXPECT_EQ(::pread(procs->get(), text, sizeof text, 0), 1);
  EXPECT_EQ(text[0], '0');
}

TEST(Spawn, sets_the_limit_instead_of_a_cgroup_that_refuses_and_says_why) {
  const UniqueFd full{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
  ASSERT_TRUE(full.is_open());
  std::vector<int> refusals;
  const auto limits_of_child = [&](const UniqueFd& procs) {
    SpawnPlan plan = role("describe", -1);
    plan.executable = "/bin/sh";
    plan.argv = {"sh", "-c", "test \"$(ulimit -n)\" = 77"};
    plan.env = {"PATH=/usr/bin:/bin"};
    plan.cgroups = {{procs.get(), {RLIMIT_NOFILE, 77, 77}}};
    auto spawned = spawn(plan);
    EXPECT_TRUE(spawned);
    refusals = spawned->cgroup_refusals;
    ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill);
    return *child.wait(watchdog());
  };
  EXPECT_EQ(limits_of_child(full), ExitStatus{Exited{0}});
  EXPECT_EQ(refusals, std::vector<int>{ENOSPC});
  const UniqueFd takes{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  EXPECT_EQ(limits_of_child(takes), ExitStatus{Exited{1}}) << "it has entered, and needs no limit";
}

TEST(Spawn, without_the_limit_instead_of_a_cgroup_there_is_no_start) {
  const UniqueFd full{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
  SpawnPlan plan = role("describe", -1);
  plan.cgroups = {{full.get(), {9999, 0, 0}}};
  ExecFailure failure;
  EXPECT_FALSE(spawn(plan, &failure));
  EXPECT_EQ(failure.stage, SpawnStage::limits);
}

TEST(Spawn, sets_limits_umask_nice_affinity_and_no_new_privs) {
  const auto fields = describe_child([](SpawnPlan& plan) {
    plan.limits = {{RLIMIT_CORE, 0, 0}};
    plan.umask = 0123;
    plan.nice = ::getpriority(PRIO_PROCESS, 0) + 3;
    cpu_set_t now, one;
    CPU_ZERO(&one);
    ASSERT_EQ(::sched_getaffinity(0, sizeof now, &now), 0);
    for (unsigned cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &now)) CPU_SET(cpu, &one);
    }
    plan.affinity = one;
    plan.no_new_privs = true;
  });
  EXPECT_EQ(fields.at("core"), "0");
  EXPECT_EQ(fields.at("umask"), std::to_string(0123));
  EXPECT_EQ(fields.at("nice"), std::to_string(::getpriority(PRIO_PROCESS, 0) + 3));
  EXPECT_EQ(fields.at("cpus"), "1");
  EXPECT_EQ(fields.at("NoNewPrivs"), "1");
}

TEST(Spawn, starts_who_is_urgent_at_real_time_priority_where_that_is_permitted) {
  const auto urgent = describe_child([](SpawnPlan& plan) { plan.urgent = true; });
  const int expected =
      may_become_urgent() ? SCHED_RR | SCHED_RESET_ON_FORK : ::sched_getscheduler(0);
  EXPECT_EQ(urgent.at("policy"), std::to_string(expected));
  const auto other = describe_child([](SpawnPlan&) {});
  EXPECT_EQ(other.at("policy"), std::to_string(::sched_getscheduler(0)));
}

TEST(Spawn, changes_the_user_and_then_binds_the_death_signal) {
  // An open file, because the new user may not be able to reach the path.
  const UniqueFd self{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
  const auto as_nobody = [&](SpawnPlan& plan) {
    plan.executable_fd = self.get();
    plan.user = Credentials{65534, 65534, {65534}};
    plan.death_signal = DeathSignal{SIGKILL, ::getpid()};
    plan.working_dir = "/";
  };
  if (::geteuid() != 0) {
    const auto failed = fail_to_spawn(as_nobody);
    EXPECT_EQ(failed.failure.stage, SpawnStage::credentials);
    EXPECT_EQ(failed.failure.error_number, EPERM);
    return;
  }
  const auto fields = describe_child(as_nobody);
  EXPECT_EQ(fields.at("uid"), "65534");
  EXPECT_EQ(fields.at("gid"), "65534");
  EXPECT_EQ(fields.at("groups"), "1");
}

TEST(SpawnFailure, names_the_missing_program_and_the_working_directory) {
  const auto failed = fail_to_spawn([](SpawnPlan& plan) {
    plan.executable = "./echo";
    plan.working_dir = "/proc";
  });
  EXPECT_EQ(failed.error.context, "exec ./echo: No such file or directory (working dir /proc)");
  EXPECT_EQ(failed.failure.stage, SpawnStage::exec);
  EXPECT_EQ(failed.failure.error_number, ENOENT);
}

TEST(SpawnFailure, tells_a_missing_interpreter_from_a_missing_program) {
  const TemporaryFile script("#! /nowhere/interpreter -x\n", 0700);
  const auto failed = fail_to_spawn([&](SpawnPlan& plan) { plan.executable = script.path(); });
  EXPECT_EQ(failed.failure.error_number, ENOENT);
  EXPECT_NE(failed.error.context.find("its interpreter \"/nowhere/interpreter\" does not exist"),
            std::string::npos)
      << failed.error.context;
}

TEST(SpawnFailure, says_that_a_file_is_not_executable) {
  const TemporaryFile text("no program", 0600);
  const auto failed = fail_to_spawn([&](SpawnPlan& plan) { plan.executable = text.path(); });
  EXPECT_EQ(failed.failure.stage, SpawnStage::exec);
  EXPECT_EQ(failed.failure.error_number, EACCES);
}

TEST(SpawnFailure, has_a_stage_for_each_step_of_the_set_up) {
  EXPECT_EQ(fail_to_spawn([](SpawnPlan& plan) { plan.working_dir = "/nowhere"; }).failure.stage,
            SpawnStage::working_dir);
  EXPECT_EQ(fail_to_spawn([](SpawnPlan& plan) {
              plan.fds = {{200, 201}};
            }).failure.stage,
            SpawnStage::descriptors);
  EXPECT_EQ(fail_to_spawn([](SpawnPlan& plan) {
              plan.fds = {{200, 200}};
            }).failure.stage,
            SpawnStage::descriptors);
  EXPECT_EQ(fail_to_spawn([](SpawnPlan& plan) {
              plan.limits = {{9999, 0, 0}};
            }).failure.stage,
            SpawnStage::limits);
  EXPECT_EQ(fail_to_spawn([](SpawnPlan& plan) {
              plan.death_signal = DeathSignal{SIGKILL, 1 << 22};
            }).failure.stage,
            SpawnStage::parent_gone);
  EXPECT_EQ(fail_to_spawn([](SpawnPlan& plan) { plan.executable_fd = 200; }).failure.stage,
            SpawnStage::exec);
}

TEST(SpawnFailure, is_left_in_the_failure_word) {
  std::atomic<std::uint64_t> word{0};
  fail_to_spawn([&](SpawnPlan& plan) {
    plan.executable = "/nowhere/program";
    plan.failure_sink = {&word, 7};
  });
  EXPECT_EQ(failure_generation(word.load()), 7u);
  EXPECT_EQ(unpack_failure(word.load()).stage, SpawnStage::exec);
  EXPECT_EQ(unpack_failure(word.load()).error_number, ENOENT);
}

bool lose(void*, pid_t) noexcept { return false; }
bool note_pid(void* place, pid_t pid) noexcept {
  *static_cast<pid_t*>(place) = pid;
  return true;
}

TEST(SpawnClaim, runs_in_the_child_before_anything_else) {
  pid_t claimed = 0;
  const auto fields = describe_child([&](SpawnPlan& plan) {
    plan.claim = note_pid;
    plan.claim_argument = &claimed;
  });
  EXPECT_EQ(fields.at("pid"), std::to_string(claimed));
}

TEST(SpawnClaim, that_is_lost_ends_the_child_and_leaves_the_failure_word_alone) {
  std::atomic<std::uint64_t> word{0};
  const auto failed = fail_to_spawn([&](SpawnPlan& plan) {
    plan.claim = lose;
    plan.failure_sink = {&word, 7};
  });
  EXPECT_EQ(failed.failure.stage, SpawnStage::claim);
  EXPECT_EQ(word.load(), 0u);
}

TEST(SpawnSibling, becomes_a_child_of_our_parent) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
  auto pipe = make_pipe();
  auto middle = spawn(role("spawn_sibling", pipe->second.get()));
  ASSERT_TRUE(middle);
  ChildProcess child(std::move(*middle), ChildProcess::OnDestroy::kill);
  pipe->second.reset();
  const auto fields = test::parse_description(read_to_end(pipe->first.get()));
  EXPECT_EQ(*child.wait(watchdog()), ExitStatus{Exited{0}});
  EXPECT_EQ(fields.at("parent"), std::to_string(::getpid()));
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(std::stoi(fields.at("pid"))), &info, WEXITED), 0);
  EXPECT_EQ(info.si_status, 0);
}

// The end of the pipe is held by the grandchild alone once the middle process is dead.
TEST(SpawnDeathSignal, kills_the_child_when_its_parent_is_killed) {
  auto pipe = make_pipe();
  auto middle = spawn(role("spawn_bound", pipe->second.get()));
  ASSERT_TRUE(middle);
  ChildProcess child(std::move(*middle), ChildProcess::OnDestroy::kill);
  pipe->second.reset();
  char ready = 0;
  ASSERT_EQ(::read(pipe->first.get(), &ready, 1), 1);
  ASSERT_TRUE(child.send_signal(SIGKILL));
  EXPECT_EQ(read_to_end(pipe->first.get()), "") << "the grandchild lives";
  EXPECT_EQ(*child.wait(watchdog()), (ExitStatus{Signaled{SIGKILL, false}}));
}

TEST(ChildProcess, wait_times_out_while_the_child_runs_and_reports_the_signal_that_ended_it) {
  auto spawned = spawn(role("pause", -1));
  ASSERT_TRUE(spawned);
  ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill);
  EXPECT_TRUE(child.wait(Deadline::now()).error().is(Errc::timed_out));
  ASSERT_TRUE(child.send_signal(SIGTERM));
  EXPECT_EQ(*child.wait(watchdog()), (ExitStatus{Signaled{SIGTERM, false}}));
  EXPECT_EQ(*child.wait(Deadline::now()), (ExitStatus{Signaled{SIGTERM, false}}));
  EXPECT_EQ(to_string(*child.wait(Deadline::now())), "SIGTERM");
}

TEST(ChildProcess, kills_and_reaps_when_it_is_destroyed) {
  auto spawned = spawn(role("pause", -1));
  ASSERT_TRUE(spawned);
  { const ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill); }
  siginfo_t info{};
  EXPECT_TRUE(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 && errno == ECHILD);
}

int run_role(const std::string& name) {
  if (name == "describe") {
    const std::string text = test::describe_self();
    return ::write(1, text.data(), text.size()) < 0;
  }
  if (name == "pause") return ::pause();
  SpawnPlan plan = role(name == "spawn_sibling" ? "describe" : "pause", 1);
  plan.sibling = name == "spawn_sibling";
  if (name == "spawn_bound") plan.death_signal = DeathSignal{SIGKILL, ::getpid()};
  if (!spawn(plan)) return 2;
  if (name == "spawn_sibling") return 0;
  if (::write(1, "r", 1) != 1) return 3;
  return ::pause();
}

}  // namespace
}  // namespace bulkhead::base

int main(int argc, char** argv) {
  if (argc == 2 && argv[1][0] != '-') return bulkhead::base::run_role(argv[1]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
