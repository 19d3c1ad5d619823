// Programs that speak sd_notify(3) and know nothing of Bulkhead: what they say counts, whoever else says it does not,
// and what they say while no brain lives is heard by the next.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <cstddef>
#include <cstring>

#include "tests/support/plain_role.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

json config_of(const json& workers) {
  return {{"version", 1},
          {"name", "plain"},
          {"defaults", {{"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}}}},
          {"workers", workers}};
}

json plain_worker(const PlainRole& role, const json& more) {
  json worker{{"command", role.command()}, {"runtime", false}};
  worker.update(more);
  return worker;
}

const json says_ready{{"ready", {{"type", "notify"}, {"timeout", "60s"}}}};
const json ready_at_once = json::object();

class PlainNotify : public testing::Test {
 protected:
  void start(const json& more) {
    system.emplace("plain", config_of({{"a", plain_worker(role, more)}}).dump());
    role.await_up();
  }
  json a() { return system->worker("a.0"); }
  json said() { return a()["notify"]; }
  int pid() { return a()["pid"]; }
  // Everything that the program has said so far has been read.
  void settle() { role.tell("barrier"); }
  void await_text(const std::string& text) {
    system->await([&](const json& now) { return row(now, "a.0")["status_text"] == text; },
                  "status text " + text);
  }
  void expect_complaint(const std::string& words) const {
    EXPECT_NE(system->output().find(words), std::string::npos) << system->output();
  }

  PlainRole role;
  std::optional<RunningSystem> system;
};

TEST_F(PlainNotify, is_ready_when_it_says_so) {
  start(says_ready);
  system->await([](const json& now) { return row(now, "a.0")["state"] == "starting"; }, "starting");
  EXPECT_EQ(role.ask("variable BULKHEAD_CONTROL_FD"), "=");
  EXPECT_EQ(role.ask("variable WATCHDOG_USEC"), "=");
  const std::string address = role.ask("variable NOTIFY_SOCKET");
  EXPECT_TRUE(address.starts_with("=@bulkhead/a.0/")) << address;
  role.tell("say STATUS=loading");
  settle();
  EXPECT_EQ(a()["state"], "starting");
  EXPECT_EQ(a()["status_text"], "loading");
  role.tell("say READY=1;STATUS=serving");
  settle();
  EXPECT_EQ(a()["state"], "ready");
  EXPECT_EQ(a()["status_text"], "serving");

  role.send("exit 0");
  role.await_up();
  EXPECT_NE(role.ask("variable NOTIFY_SOCKET"), address) << "another incarnation, another socket";
  EXPECT_EQ(a()["state"], "starting");
  EXPECT_EQ(a()["status_text"], "");
}

TEST_F(PlainNotify, shows_what_the_program_says_of_itself) {
  start(ready_at_once);
  role.tell("say RELOADING=1;MONOTONIC_USEC=1;STATUS=rereading");
  role.tell("say ERRNO=2");
  settle();
  EXPECT_EQ(said()["phase"], "reloading");
  EXPECT_EQ(said()["errno"], 2);
  EXPECT_EQ(a()["state"], "ready");
  role.tell("say READY=1");
  settle();
  EXPECT_EQ(said()["phase"], nullptr);
  role.tell("say STOPPING=1");
  settle();
  EXPECT_EQ(said()["phase"], "stopping");
  EXPECT_EQ(said()["refused"], 0);
}

TEST_F(PlainNotify, what_is_said_while_no_brain_lives_is_heard_by_the_next) {
  start(says_ready);
  role.tell("say STATUS=loading");
  settle();
  const int worker = pid();
  ASSERT_EQ(::kill(system->keeper_pid(), SIGSTOP), 0);  // so that no other brain comes
  system->kill_brain();
  role.tell("say READY=1");
  ASSERT_EQ(::kill(system->keeper_pid(), SIGCONT), 0);
  system->await_all_ready();
  EXPECT_EQ(pid(), worker);
  EXPECT_EQ(a()["status_text"], "loading") << "what the dead brain had heard is not forgotten";
}

TEST_F(PlainNotify, waits_for_as_long_as_it_is_asked_to) {
  start({{"ready", {{"type", "notify"}, {"timeout", "20s"}}}});
  role.tell("say EXTEND_TIMEOUT_USEC=7200000000");
  settle();
  const std::string reason = a()["reason"];
  EXPECT_NE(reason.find("120 min left to become ready"), std::string::npos) << reason;
}

// --- who may say it ---

TEST_F(PlainNotify, believes_its_descendants) {
  start(says_ready);
  role.tell("in_waiting_child STATUS=of a child");
  EXPECT_EQ(a()["status_text"], "of a child");
  role.tell("as_orphan STATUS=of an orphan");
  EXPECT_EQ(a()["status_text"], "of an orphan");
  EXPECT_EQ(said()["refused"], 0);
}

TEST_F(PlainNotify, does_not_believe_a_sender_that_has_exited) {
  start(says_ready);
  const int brain = system->brain_pid();
  ASSERT_EQ(::kill(brain, SIGSTOP), 0);  // so that it reads after the exit
  role.tell("in_child READY=1");
  ASSERT_EQ(::kill(brain, SIGCONT), 0);
  settle();
  EXPECT_EQ(said()["refused"], 1);
  EXPECT_EQ(a()["state"], "starting");
  expect_complaint("which has exited already");
  expect_complaint("sd_notify_barrier(3)");
}

bool send_as_test(const std::string& address, const std::string& text) {
  const base::UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.data(), address.size());
  name.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  return ::sendto(fd.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&name),
                  size) >= 0;
}

TEST_F(PlainNotify, does_not_believe_a_stranger) {
  start(says_ready);
  ASSERT_TRUE(send_as_test(role.ask("variable NOTIFY_SOCKET").substr(1), "READY=1"));
  settle();
  EXPECT_EQ(a()["state"], "starting");
  EXPECT_EQ(said()["refused"], 1);
  expect_complaint("which is none of its processes");
}

TEST_F(PlainNotify, does_not_believe_another_worker) {
  PlainRole other;
  system.emplace("plain", config_of({{"a", plain_worker(role, says_ready)},
                                     {"b", plain_worker(other, ready_at_once)}})
                              .dump());
  role.await_up();
  other.await_up();
  const std::string address = role.ask("variable NOTIFY_SOCKET").substr(1);
  other.tell("say_to " + address + " READY=1");
  settle();
  EXPECT_EQ(a()["state"], "starting");
  EXPECT_EQ(said()["refused"], 1);
}

TEST_F(PlainNotify, is_heard_though_another_worker_talks_without_end) {
  PlainRole other;
  system.emplace("plain", config_of({{"a", plain_worker(role, says_ready)},
                                     {"b", plain_worker(other, ready_at_once)}})
                              .dump());
  role.await_up();
  other.await_up();
  other.tell("flood STATUS=talk;READY=1;MAINPID=1");
  system->await([](const json& now) { return row(now, "b.0")["notify"]["refused"] > 1000; },
                "a flood");
  role.tell("say READY=1;STATUS=a word");
  settle();
  EXPECT_EQ(a()["state"], "ready");
  EXPECT_EQ(a()["status_text"], "a word");
  system->request("stop", {{"name", "b"}});
  EXPECT_EQ(system->status()["supervisor"]["brain_generation"], 1);
}

TEST_F(PlainNotify, names_no_process_as_its_main_one_that_is_not_its_own) {
  start(ready_at_once);
  const int worker = pid();
  role.tell("say MAINPID=" + std::to_string(::getpid()));
  settle();
  EXPECT_EQ(said()["refused"], 1);
  EXPECT_EQ(said()["main_pid"], nullptr);
  expect_complaint("MAINPID=" + std::to_string(::getpid()) + ", which is none of its processes");
  role.tell("say MAINPID=" + std::to_string(worker));
  settle();
  EXPECT_EQ(said()["main_pid"], worker);
  EXPECT_EQ(said()["refused"], 1);
}

TEST_F(PlainNotify, refuses_by_name_what_it_cannot_take_and_lives_on) {
  start(ready_at_once);
  role.tell("long");
  settle();
  expect_complaint("of more than 4096 bytes");
  role.tell("nul");
  role.tell("attach STATUS=with a descriptor");
  role.tell("say WATCHDOG_USEC=now");
  role.tell("say STATUS=\xff\xfe");
  settle();
  EXPECT_EQ(said()["refused"], 4);
  EXPECT_EQ(a()["status_text"], "??") << "and the answer is valid JSON";
}

// --- the watchdog ---

TEST_F(PlainNotify, is_killed_and_restarted_when_it_falls_silent) {
  start({{"watchdog", {{"timeout", "2s"}}}});
  EXPECT_EQ(role.ask("variable WATCHDOG_USEC"), "=2000000");
  const int worker = pid();
  EXPECT_EQ(role.ask("variable WATCHDOG_PID"), "=" + std::to_string(worker));
  EXPECT_EQ(said()["watchdog_ms"], 2000);
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  EXPECT_EQ(system->await_reborn("a.0", worker)["last_exit"]["kind"], "watchdog");
}

TEST_F(PlainNotify, is_killed_when_it_says_that_it_is_stuck) {
  start(ready_at_once);
  const int worker = pid();
  role.send("say WATCHDOG=trigger");  // which it may not live to confirm
  EXPECT_EQ(system->await_reborn("a.0", worker)["last_exit"]["kind"], "watchdog");
}

TEST_F(PlainNotify, may_set_its_own_timeout_which_outlives_the_brain) {
  start(ready_at_once);
  const int worker = pid();
  role.tell("say WATCHDOG_USEC=500000");  // without WATCHDOG_USEC it never says WATCHDOG=1
  const int brain = system->brain_pid();
  system->kill_brain();
  EXPECT_EQ(system->await_reborn("a.0", worker)["last_exit"]["kind"], "watchdog");
  EXPECT_NE(system->brain_pid(), brain);
  EXPECT_EQ(said()["watchdog_ms"], nullptr) << "of the incarnation that said it";
}

}  // namespace
}  // namespace bulkhead::test
