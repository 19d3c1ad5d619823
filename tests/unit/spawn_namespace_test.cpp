// base::spawn into another pid namespace: numbers, parents and ends.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "base/child_process.hpp"
#include "base/pid_namespace.hpp"
#include "base/spawn.hpp"

namespace bulkhead::base {
namespace {

SpawnPlan shell(const std::string& command) {
  SpawnPlan plan;
  plan.executable = "/bin/sh";
  plan.argv = {"sh", "-c", command};
  return plan;
}
constexpr const char* for_long = "exec sleep 1000";

bool keep_pid(void* place, pid_t pid) noexcept {
  *static_cast<pid_t*>(place) = pid;
  return true;
}

// One that was begun by a process which does nothing; its number is 1 there.
class SpawnInNamespace : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto tried = try_pid_namespace(); !tried) GTEST_SKIP() << tried.error().to_string();
    auto plan = shell(for_long);
    plan.begins_pid_namespace = true;
    auto first = spawn(plan);
    ASSERT_TRUE(first) << first.error().to_string();
    file_ = open_pid_namespace(*first).value();
    first_.emplace(std::move(*first), ChildProcess::OnDestroy::kill);
  }
  SpawnPlan inside(const std::string& command) const {
    auto plan = shell(command);
    plan.pid_namespace = file_.get();
    return plan;
  }
  // What the command says, whose output ends with it.
  static std::string said_by(SpawnPlan plan, pid_t* pid = nullptr) {
    auto [read_end, write_end] = make_pipe().value();
    plan.output = write_end.get();
    auto spawned = spawn(plan);
    EXPECT_TRUE(spawned) << (spawned ? "" : spawned.error().to_string());
    if (!spawned) return "";
    if (pid != nullptr) *pid = spawned->pid;
    ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill);
    write_end.reset();
    char text[64];
    const ssize_t bytes = ::read(read_end.get(), text, sizeof text);
    EXPECT_EQ(*child.wait(Deadline::in(std::chrono::seconds(20))), ExitStatus{Exited{0}});
    return {text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0};
  }

  std::optional<ChildProcess> first_;
  UniqueFd file_;
};

TEST_F(SpawnInNamespace, a_child_has_one_number_for_itself_and_another_for_us) {
  pid_t claimed = 0, seen = 0;
  SpawnPlan plan = inside("echo $$");
  plan.claim = keep_pid;
  plan.claim_argument = &claimed;
  plan.death_signal = DeathSignal{SIGKILL, ::getpid()};  // a parent that it cannot see
  EXPECT_EQ(said_by(plan, &seen), "2\n");
  EXPECT_EQ(claimed, seen);
  // The next is in ours again, and has one number only.
  const auto text = said_by(shell("echo $$"), &seen);
  EXPECT_EQ(text, std::to_string(seen) + "\n");
}

TEST_F(SpawnInNamespace, a_child_whose_parent_is_another_than_expected_does_not_start) {
  auto plan = inside(for_long);
  plan.death_signal = DeathSignal{SIGKILL, ::getppid()};
  ExecFailure failure;
  EXPECT_FALSE(spawn(plan, &failure));
  EXPECT_EQ(failure.stage, SpawnStage::parent_gone);
}

TEST_F(SpawnInNamespace, a_child_dies_with_the_first_process) {
  auto spawned = spawn(inside(for_long));
  ASSERT_TRUE(spawned);
  ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill);
  ASSERT_TRUE(first_->send_signal(SIGKILL));
  EXPECT_EQ(*child.wait(Deadline::in(std::chrono::seconds(20))),
            ExitStatus(Signaled{SIGKILL, false}));
  ExecFailure failure;
  EXPECT_FALSE(spawn(inside(for_long), &failure));
  EXPECT_EQ(failure.stage, SpawnStage::clone);
}

}  // namespace
}  // namespace bulkhead::base
