// Finding and killing what a worker left behind, wherever it fled to. The family is this binary: a parent, a
// child in the same group, and a grandchild that made a session of its own.
#include "base/process_tree.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/child_process.hpp"
#include "base/fd.hpp"

namespace bulkhead::base {
namespace {

using namespace std::chrono_literals;

constexpr const char* role_variable = "BULKHEAD_TEST_ROLE";

Deadline watchdog() { return Deadline::in(20s); }

SpawnPlan relative(const std::string& role, int output, const std::string& cookie) {
  SpawnPlan plan;
  plan.executable = "/proc/self/exe";
  plan.argv = {"process_tree_test"};
  plan.env = {std::string(role_variable) + "=" + role, cookie};
  plan.output = output;
  return plan;
}

// A family of three, and the pipe that all of them hold open.
class Family {
 public:
  explicit Family(const std::string& cookie) : pipe_(std::move(*make_pipe())) {
    SpawnPlan plan = relative("parent", pipe_.second.get(), cookie);
    plan.group = ProcessGroup::new_group;
    auto spawned = spawn(plan);
    EXPECT_TRUE(spawned);
    parent_ = std::make_unique<ChildProcess>(std::move(*spawned), ChildProcess::OnDestroy::kill);
    pipe_.second.reset();
    std::string text;
    while (std::count(text.begin(), text.end(), '\n') < 3) text += read_some();
    std::istringstream lines(text);
    for (pid_t pid = 0; lines >> pid;) members_.push_back(pid);
    std::sort(members_.begin(), members_.end());
  }
  ~Family() {
    for (const pid_t pid : members_) {
      if (pid != parent_->pid() && is_open()) ::kill(pid, SIGKILL);
    }
  }

  const std::vector<pid_t>& members() const { return members_; }
  pid_t parent() const { return parent_->pid(); }
  ChildProcess& parent_process() { return *parent_; }
  // The kernel closes the pipe when the last member is dead.
  bool is_dead() { return read_some().empty(); }

 private:
  bool is_open() const {
    pollfd entry{pipe_.first.get(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 0;
  }
  std::string read_some() {
    pollfd entry{pipe_.first.get(), POLLIN, 0};
    if (::poll(&entry, 1, 20'000) != 1) return "watchdog\n\n\n";
    char text[256];
    const ssize_t n = ::read(pipe_.first.get(), text, sizeof text);
    return {text, n > 0 ? static_cast<std::size_t>(n) : 0};
  }

  FdPair pipe_;
  std::unique_ptr<ChildProcess> parent_;
  std::vector<pid_t> members_;
};

class Tree : public testing::Test {
 protected:
  Tree() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
  ~Tree() override {
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) info = {};
  }
  static std::string cookie() {
    static int count = 0;
    return "BULKHEAD_COOKIE=" + std::to_string(::getpid()) + "/" + std::to_string(++count);
  }
};

std::vector<pid_t> sorted(std::vector<pid_t> pids) {
  std::sort(pids.begin(), pids.end());
  return pids;
}

TEST_F(Tree, is_found_by_its_cookie_in_every_session) {
  const auto mine = cookie();
  Family family(mine);
  EXPECT_EQ(family.members().size(), 3u);
  EXPECT_EQ(sorted(find_processes({mine, 0, 0})), family.members());
  EXPECT_TRUE(find_processes({mine + "0", 0, 0}).empty()) << "a longer cookie is another one";
  ASSERT_TRUE(kill_tree({mine, 0, 0}, watchdog()));
}

TEST_F(Tree, is_found_by_descent) {
  const auto mine = cookie();
  Family family(mine);
  EXPECT_EQ(sorted(find_processes({"", 0, family.parent()})), family.members());
  EXPECT_EQ(*kill_tree({"", 0, family.parent()}, watchdog()), 3u);
  EXPECT_TRUE(family.is_dead());
}

TEST_F(Tree, is_found_by_its_group_except_for_who_left_it) {
  const auto mine = cookie();
  Family family(mine);
  EXPECT_EQ(find_processes({"", family.parent(), 0}).size(), 2u);
  ASSERT_TRUE(kill_tree({mine, 0, 0}, watchdog()));
}

TEST_F(Tree, is_killed_to_the_last_one_even_after_its_root_is_gone) {
  const auto mine = cookie();
  Family family(mine);
  ASSERT_TRUE(family.parent_process().send_signal(SIGKILL));
  ASSERT_TRUE(family.parent_process().wait(watchdog()));
  EXPECT_EQ(*kill_tree({mine, 0, 0}, watchdog()), 2u);
  EXPECT_TRUE(family.is_dead());
}

TEST_F(Tree, counts_a_zombie_as_gone) {
  const auto mine = cookie();
  auto spawned = spawn(relative("zombie", -1, mine));
  ASSERT_TRUE(spawned);
  ChildProcess child(std::move(*spawned), ChildProcess::OnDestroy::kill);
  pollfd entry{child.pidfd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 20'000), 1);
  EXPECT_TRUE(find_processes({mine, 0, child.pid()}).empty());
  EXPECT_EQ(*kill_tree({mine, 0, child.pid()}, watchdog()), 0u);
}

TEST_F(Tree, spares_everybody_else) {
  const auto mine = cookie();
  Family doomed(mine), spared(cookie());
  EXPECT_EQ(*kill_tree({mine, 0, 0}, watchdog()), 3u);
  EXPECT_TRUE(doomed.is_dead());
  EXPECT_EQ(sorted(find_processes({"", 0, spared.parent()})), spared.members());
  ASSERT_TRUE(kill_tree({"", 0, spared.parent()}, watchdog()));
}

TEST_F(Tree, never_holds_the_caller) {
  const auto found = find_processes({"", ::getpgrp(), ::getpid()});
  EXPECT_EQ(std::count(found.begin(), found.end(), ::getpid()), 0);
}

int play(const std::string& role) {
  if (role == "zombie") return 0;
  const char* cookie = ::getenv("BULKHEAD_COOKIE");
  if (role != "grandchild") {
    SpawnPlan plan = relative(role == "parent" ? "child" : "grandchild", 1,
                              std::string("BULKHEAD_COOKIE=") + (cookie != nullptr ? cookie : ""));
    if (role == "child") plan.group = ProcessGroup::new_session;
    if (!spawn(plan)) return 1;
  }
  const std::string line = std::to_string(::getpid()) + "\n";
  if (::write(1, line.data(), line.size()) < 0) return 1;
  return ::pause();
}

// The kernel's list leaves out whoever stands behind a child that is reaped while the list is read.
TEST(ChildrenOf, misses_nobody_while_others_are_reaped) {
  const pid_t here = getpid();
  for (int round = 0; round < 3; ++round) {
    const auto fork_child = [] {
      const pid_t pid = fork();
      if (pid != 0) return pid;
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) pause();
    };
    std::vector<pid_t> passing;
    for (int i = 0; i < 200; ++i) passing.push_back(fork_child());
    const pid_t staying = fork_child();
    std::atomic<bool> reading{false}, over{false};
    std::thread reader([&] {
      do {
        const auto children = children_of(here);
        reading = true;
        ASSERT_TRUE(children);
        EXPECT_NE(std::find(children->begin(), children->end(), staying), children->end());
      } while (!over);
    });
    while (!reading) std::this_thread::yield();
    for (const pid_t pid : passing) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    over = true;
    reader.join();
    kill(staying, SIGKILL);
    waitpid(staying, nullptr, 0);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace bulkhead::base

int main(int argc, char** argv) {
  if (const char* role = ::getenv(bulkhead::base::role_variable)) return bulkhead::base::play(role);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
