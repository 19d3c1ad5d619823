// What programs that do not use the runtime give away to have it back after their death, and readiness by a descriptor.
#include <gtest/gtest.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "tests/support/plain_role.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

class PlainStore : public testing::Test {
 protected:
  void start(json worker) {
    worker.update({{"command", role.command()}, {"runtime", false}});
    system.emplace(
        "stored",
        json{{"version", 1},
             {"name", "stored"},
             {"defaults", {{"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}}}},
             {"sockets", {{"api", {{"listen", "tcp:127.0.0.1:0"}}}}},
             {"workers", {{"a", worker}}}}
            .dump());
    role.await_up();
  }
  json a() { return system->worker("a.0"); }
  void settle() { role.tell("barrier"); }
  void be_reborn() {
    role.send("exit 1");
    role.await_up();
  }
  void expect_complaint(const std::string& words) const {
    EXPECT_NE(system->output().find(words), std::string::npos) << system->output();
  }

  PlainRole role;
  std::optional<RunningSystem> system;
};

TEST_F(PlainStore, gives_stored_descriptors_to_the_next_incarnation_after_the_sockets) {
  start({{"sockets", {"api"}}});
  EXPECT_EQ(role.ask("given"), "api=?");
  role.tell("store one first");
  role.tell("store two second");
  settle();
  EXPECT_EQ(a()["notify"]["stored"], 2);
  system->kill_brain();
  be_reborn();
  EXPECT_EQ(role.ask("given"), "api=? one=first two=second");
  be_reborn();
  EXPECT_EQ(role.ask("given"), "api=? one=first two=second") << "until they are removed";
  role.tell("say FDSTOREREMOVE=1;FDNAME=one");
  settle();
  be_reborn();
  EXPECT_EQ(role.ask("given"), "api=? two=second");
}

TEST_F(PlainStore, takes_what_was_stored_while_no_brain_lived) {
  start(json::object());
  ASSERT_EQ(::kill(system->keeper_pid(), SIGSTOP), 0);
  system->kill_brain();
  role.tell("store late word");
  role.send("exit 1");
  ASSERT_EQ(::kill(system->keeper_pid(), SIGCONT), 0);
  role.await_up();
  EXPECT_EQ(role.ask("given"), "late=word");
}

TEST_F(PlainStore, forgets_them_when_the_worker_is_stopped_by_hand) {
  start(json::object());
  role.tell("store one first");
  settle();
  system->request("stop", {{"name", "a"}});
  system->request("start", {{"name", "a"}});
  role.await_up();
  EXPECT_EQ(role.ask("given"), "none");
}

TEST_F(PlainStore, lets_go_of_one_whose_peer_has_hung_up_unless_it_is_asked_not_to) {
  start(json::object());
  role.tell("store_dead_pipe FDNAME=gone");
  role.tell("store_dead_pipe FDNAME=kept;FDPOLL=0");
  role.tell("store one first");
  settle();
  EXPECT_EQ(a()["notify"]["stored"], 3);
  be_reborn();
  EXPECT_EQ(role.ask("given"), "kept=? one=first");
}

// A message is carried out again when the brain is killed before it is dropped.
TEST_F(PlainStore, keeps_one_file_once) {
  const long self = ::getpid();
  if (::syscall(SYS_kcmp, self, self, KCMP_FILE, 1, 1) != 0) GTEST_SKIP() << "needs kcmp(2)";
  start(json::object());
  role.tell("attach FDSTORE=1;FDNAME=x");
  role.tell("attach FDSTORE=1;FDNAME=x");
  settle();
  EXPECT_EQ(a()["notify"]["stored"], 1);
  EXPECT_EQ(a()["notify"]["refused"], 0);
}

TEST_F(PlainStore, has_a_limit_that_is_told) {
  start(json::object());
  for (int i = 0; i < 33; ++i) role.tell("store n" + std::to_string(i) + " x");
  settle();
  EXPECT_EQ(a()["notify"]["stored"], 32);
  EXPECT_EQ(a()["notify"]["refused"], 1);
  expect_complaint("it has stored 32 descriptors, as many as it may");
}

// --- readiness by a newline ---

TEST_F(PlainStore, is_ready_when_it_writes_a_newline_to_its_readiness_descriptor) {
  start({{"ready", {{"type", "fd"}, {"fd", 4}, {"timeout", "60s"}}}, {"sockets", {"api"}}});
  EXPECT_EQ(a()["state"], "starting");
  role.tell("write 4 ");
  system->await_all_ready();
}

TEST_F(PlainStore, reads_a_newline_that_was_written_while_no_brain_lived) {
  start({{"ready", {{"type", "fd"}, {"fd", 3}, {"timeout", "60s"}}}});
  const int worker = a()["pid"];
  ASSERT_EQ(::kill(system->keeper_pid(), SIGSTOP), 0);
  system->kill_brain();
  role.tell("write 3 and more");
  role.tell("close 3");
  ASSERT_EQ(::kill(system->keeper_pid(), SIGCONT), 0);
  system->await_all_ready();
  EXPECT_EQ(a()["pid"], worker);
}

TEST_F(PlainStore, says_why_a_closed_readiness_descriptor_makes_nobody_ready) {
  start({{"ready", {{"type", "fd"}, {"fd", 3}, {"timeout", "300ms"}}}});
  role.tell("close 3");
  role.await_up();
  expect_complaint("its readiness descriptor was closed without a newline");
}

}  // namespace
}  // namespace bulkhead::test
