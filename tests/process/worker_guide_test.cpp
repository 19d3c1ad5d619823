// docs/guide-worker.md holds: what it quotes is in docs/examples, and those programs do what it says.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/quoted_code.hpp"
#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

const std::filesystem::path docs = BULKHEAD_DOCS;

TEST(WorkerGuide, quotes_only_code_that_is_compiled) {
  EXPECT_GE(check_quoted_code(docs, "guide-worker.md"), 5);
}

TEST(WorkerGuide, has_two_examples_that_talk_over_a_link_and_survive_each_other) {
  Stage stage;
  stage.link("lines", Transport::shm, "asker.0", "shout.0");
  stage.start({"shout.0", {beside_this_program("shout_worker")}, ipc::Json::object(), {}, {}});
  auto& asker =
      stage.start({"asker.0", {beside_this_program("asker_worker")}, ipc::Json::object(), {}, {}});
  ASSERT_TRUE(stage.until([&] { return asker.prints("LINE 1\nLINE 2\n"); }));
  stage.kill("shout.0");
  stage.restart("shout.0");
  const auto before = asker.printed.size();
  ASSERT_TRUE(stage.until([&] { return asker.printed.size() > before; }));
  stage.kill("asker.0");
  auto& successor = stage.restart("asker.0");
  ASSERT_TRUE(stage.until([&] { return successor.prints("LINE"); }));
  stage.stop("shout.0");
  EXPECT_EQ(stage.end("shout.0"), base::ExitStatus(base::Exited{0}));
}

TEST(WorkerGuide, has_a_service_and_a_client_that_understand_each_other) {
  Stage stage;
  auto& server = stage.start(
      {"square.0", {beside_this_program("square_worker")}, ipc::Json::object(), {"square"}, {}});
  auto& client = stage.start(
      {"client.0", {beside_this_program("square_client")}, ipc::Json::object(), {}, {}});
  ASSERT_TRUE(stage.until([&] { return client.prints("2 squared is 4\n"); }));
  stage.kill("square.0");
  stage.restart("square.0");
  ASSERT_TRUE(stage.until([&] { return client.prints("3 squared is 9\n"); }));
  stage.stop("client.0");
  EXPECT_EQ(stage.end("client.0"), base::ExitStatus(base::Exited{0})) << client.printed;
  EXPECT_EQ(server.printed, "");
}

TEST(WorkerGuide, has_a_queue_whose_ends_may_die) {
  Stage stage;
  stage.queue("jobs", 3, "pusher.0", {"squarer.0", "squarer.1"});
  const auto start = [&](const char* name, const char* program) -> Actor& {
    return stage.start({name, {beside_this_program(program)}, ipc::Json::object(), {}, {}});
  };
  start("squarer.0", "squarer_worker");
  start("squarer.1", "squarer_worker");
  ASSERT_TRUE(stage.until_ready("squarer.0"));
  auto& pusher = start("pusher.0", "pusher_worker");
  stage.kill("squarer.0");
  stage.restart("squarer.0");
  ASSERT_TRUE(stage.until([&] { return pusher.prints("task 100: 10000\n"); })) << pusher.printed;
  stage.stop("pusher.0");
  EXPECT_EQ(stage.end("pusher.0"), base::ExitStatus(base::Exited{0})) << pusher.printed;
}

}  // namespace
}  // namespace bulkhead::test
