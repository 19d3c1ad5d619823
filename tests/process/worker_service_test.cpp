// Clients and services in processes of their own, found through a brain that the test plays.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

using base::Exited;
using base::ExitStatus;

Cast math(const std::string& name) {
  return {name, {program("math-worker")}, ipc::Json::object(), {"math"}, {}};
}
Cast client(const std::string& name) {
  return {name,
          {program("client-worker")},
          {{"service", "math"},
           {"methods", {"add", "primes", "matrix"}},
           {"report_every", "20ms"},
           {"timeout", "20s"}},
          {},
          {}};
}

class WorkerService : public testing::Test {
 protected:
  std::uint64_t count(const std::string& name, const std::string& what) {
    return figure(stage.actor(name).status, what);
  }
  [[nodiscard]] bool until_ok(const std::string& name, std::uint64_t calls) {
    const auto wanted = count(name, "ok") + calls;
    return stage.until([&] { return count(name, "ok") >= wanted; });
  }
  void expect_only_answers(const std::string& name) {
    EXPECT_EQ(count(name, "wrong"), 0U) << stage.actor(name).status;
    EXPECT_EQ(count(name, "other"), 0U) << stage.actor(name).printed;
    EXPECT_EQ(count(name, "timed_out"), 0U) << stage.actor(name).printed;
  }
  Stage stage;
};

TEST_F(WorkerService, answers_every_client_in_turn) {
  stage.start(math("math.0"));
  for (const char* const name : {"client.0", "client.1", "client.2"}) stage.start(client(name));
  for (const char* const name : {"client.0", "client.1", "client.2"}) {
    ASSERT_TRUE(until_ok(name, 100));
    expect_only_answers(name);
    EXPECT_EQ(count(name, "peer_died"), 0U);
  }
}

TEST_F(WorkerService, fails_at_most_the_call_in_flight_when_the_server_dies) {
  stage.start(math("math.0"));
  stage.start(client("client.0"));
  constexpr int deaths = 5;
  for (int death = 0; death < deaths; ++death) {
    ASSERT_TRUE(until_ok("client.0", 50));
    stage.kill("math.0");
    stage.restart("math.0");
    ASSERT_TRUE(until_ok("client.0", 50));
  }
  expect_only_answers("client.0");
  EXPECT_LE(count("client.0", "peer_died"), std::uint64_t{deaths});
}

TEST_F(WorkerService, goes_on_with_others_when_a_client_dies) {
  stage.start(math("math.0"));
  stage.start(client("client.0"));
  stage.start(client("client.1"));
  ASSERT_TRUE(until_ok("client.0", 50));
  ASSERT_TRUE(until_ok("client.1", 50));
  stage.kill("client.0");
  ASSERT_TRUE(until_ok("client.1", 50));
  stage.restart("client.0");
  ASSERT_TRUE(stage.until([&] { return count("client.0", "ok") >= 50; }));
  expect_only_answers("client.1");
  EXPECT_EQ(count("client.1", "peer_died"), 0U);
}

TEST_F(WorkerService, is_found_by_a_client_that_asked_before_it_was_there_and_through_a_new_brain) {
  stage.start(client("client.0"));
  ASSERT_TRUE(stage.until_ready("client.0"));
  stage.lose_brain();
  stage.recover_brain();
  stage.start(math("math.0"));
  ASSERT_TRUE(until_ok("client.0", 50));
  expect_only_answers("client.0");
}

TEST_F(WorkerService, is_looked_for_again_when_it_dies_before_its_client_has_taken_the_session) {
  auto& asking = stage.start(client("client.0"));
  ASSERT_TRUE(stage.until([&] { return stage.is_asking("client.0"); }));
  // It sleeps through the opening, the answer and the death, and then learns of all three at once.
  ASSERT_TRUE(asking.process->send_signal(SIGSTOP));
  stage.sessions_stillborn = 1;
  stage.start(math("math.0"));
  ASSERT_TRUE(stage.until([&] { return stage.sessions_stillborn == 0; }));
  ASSERT_TRUE(asking.process->send_signal(SIGCONT));
  ASSERT_TRUE(until_ok("client.0", 50));
  expect_only_answers("client.0");
  EXPECT_EQ(count("client.0", "peer_died"), 0U);
}

TEST_F(WorkerService, keeps_its_sessions_when_brains_come_and_go) {
  stage.start(math("math.0"));
  stage.start(client("client.0"));
  ASSERT_TRUE(until_ok("client.0", 50));
  for (int brain = 0; brain < 3; ++brain) {
    stage.lose_brain();
    stage.recover_brain();
    auto& server = stage.actor("math.0");
    ASSERT_TRUE(stage.until([&] { return server.answered_resync; }));
    ASSERT_EQ(server.resync.sessions.size(), 1U);
    EXPECT_EQ(server.resync.sessions[0].peer, "client.0");
    ASSERT_TRUE(until_ok("client.0", 50));
  }
  expect_only_answers("client.0");
  EXPECT_EQ(count("client.0", "peer_died"), 0U);
}

TEST_F(WorkerService, lets_a_client_be_stopped_while_it_waits_for_a_service_that_never_comes) {
  stage.start(client("client.0"));
  ASSERT_TRUE(stage.until_ready("client.0"));
  stage.stop("client.0");
  EXPECT_EQ(stage.end("client.0"), ExitStatus(Exited{0}));
}

TEST_F(WorkerService, echoes_over_a_service_and_over_a_link) {
  stage.start({"echo.0", {program("echo-worker")}, ipc::Json::object(), {"echo"}, {}});
  auto cast = client("client.0");
  cast.config["service"] = "echo";
  cast.config["methods"] = {"echo"};
  stage.start(cast);
  ASSERT_TRUE(until_ok("client.0", 50));
  expect_only_answers("client.0");
}

}  // namespace
}  // namespace bulkhead::test
