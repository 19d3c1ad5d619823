// Who was started as urgent takes its leave of that, and nobody else does.
#include "base/urgency.hpp"

#include <gtest/gtest.h>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bulkhead::base {
namespace {

constexpr int refused = 255;

// What a child has as its policy, without the flag, after it has taken one and called become_ordinary().
int policy_after(int taken, bool as_nobody) {
  const pid_t child = ::fork();
  if (child == 0) {
    const sched_param lowest{1};
    if (::sched_setscheduler(0, taken, &lowest) != 0) ::_exit(refused);
    if (as_nobody && ::setresuid(65534, 65534, 65534) != 0) ::_exit(refused);
    become_ordinary();
    ::_exit(::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  return WEXITSTATUS(status);
}

class Urgency : public testing::Test {
 protected:
  void SetUp() override {
    if (!may_become_urgent()) GTEST_SKIP() << "real-time priority is not permitted here";
  }
};

TEST_F(Urgency, of_a_start_ends) {
  EXPECT_EQ(policy_after(SCHED_RR | SCHED_RESET_ON_FORK, false), SCHED_OTHER);
}

TEST_F(Urgency, of_a_start_ends_without_privilege_too) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  EXPECT_EQ(policy_after(SCHED_RR | SCHED_RESET_ON_FORK, true), SCHED_OTHER);
}

TEST_F(Urgency, that_somebody_chose_stays) {
  EXPECT_EQ(policy_after(SCHED_RR, false), SCHED_RR);
  EXPECT_EQ(policy_after(SCHED_FIFO | SCHED_RESET_ON_FORK, false), SCHED_FIFO);
}

}  // namespace
}  // namespace bulkhead::base
