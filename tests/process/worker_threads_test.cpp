// What a worker's own code may do with the runtime: many threads, and wrong questions.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

Cast role(const std::string& name, const std::string& what) {
  const auto path = std::filesystem::canonical("/proc/self/exe").parent_path() / "worker_roles";
  return {name, {path.string(), what}, ipc::Json::object(), {}, {}};
}

class OwnCode : public testing::TestWithParam<Transport> {};
INSTANTIATE_TEST_SUITE_P(Transports, OwnCode,
                         testing::Values(Transport::shm, Transport::unix_socket, Transport::tcp,
                                         Transport::pipe),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(OwnCode, hears_in_all_threads_of_a_stop_that_one_of_them_took) {
  constexpr int links = 4;
  Stage stage;
  for (int i = 0; i < links; ++i) {
    stage.link("ticks", GetParam(), "ticker." + std::to_string(i), "many.0");
  }
  auto& worker = stage.start(role("many.0", "threads"));
  for (int i = 0; i < links; ++i) {
    stage.start({"ticker." + std::to_string(i),
                 {program("ticker-worker")},
                 {{"link", "ticks"}, {"rate_hz", 100}},
                 {},
                 {}});
    ASSERT_TRUE(stage.until_ready("ticker." + std::to_string(i)));
  }
  stage.stop("many.0");
  EXPECT_EQ(stage.end("many.0"), base::ExitStatus(base::Exited{0}));
  EXPECT_TRUE(worker.prints("stopped=4 of 4")) << worker.printed;
}

TEST_P(OwnCode, hears_the_last_message_of_a_peer_and_that_it_has_closed) {
  Stage stage;
  stage.link("words", GetParam(), "speaker.0", "listener.0");
  stage.start(role("speaker.0", "goodbye"));
  auto& listener = stage.start(role("listener.0", "hear"));
  EXPECT_EQ(stage.end("listener.0"), base::ExitStatus(base::Exited{0})) << listener.printed;
  EXPECT_EQ(listener.printed, "a\nb\nc\nthe channel is closed\n");
}

TEST_P(OwnCode, hears_that_its_peer_closed_before_it_came) {
  Stage stage;
  stage.link("words", GetParam(), "speaker.0", "listener.0");
  auto& speaker = stage.start(role("speaker.0", "goodbye"));
  ASSERT_TRUE(stage.until([&] { return !speaker.closed.empty(); }));
  auto& listener = stage.start(role("listener.0", "hear"));
  EXPECT_EQ(stage.end("listener.0"), base::ExitStatus(base::Exited{0})) << listener.printed;
  EXPECT_EQ(listener.printed, "a\nb\nc\nthe channel is closed\n");
}

TEST(OwnCodeOnSharedMemory, says_again_to_a_new_brain_that_it_closed) {
  Stage stage;
  stage.link("words", Transport::shm, "speaker.0", "listener.0");
  auto& speaker = stage.start(role("speaker.0", "goodbye"));
  ASSERT_TRUE(stage.until([&] { return !speaker.closed.empty(); }));
  stage.lose_brain();
  stage.recover_brain();
  ASSERT_TRUE(stage.until([&] { return speaker.closed.size() == 2; }));
}

TEST(Links, are_given_once_in_the_order_of_their_instances_and_errors_name_the_remedy) {
  Stage stage;
  for (const char* const peer : {"peer.10", "peer.2", "peer.0"}) {
    stage.link("many", Transport::shm, "asker.0", peer);
  }
  stage.link("one", Transport::shm, "asker.0", "peer.0");
  auto& worker = stage.start(role("asker.0", "links"));
  EXPECT_EQ(stage.end("asker.0"), base::ExitStatus(base::Exited{0})) << worker.printed;
  for (const char* const line :
       {"nowhere: link \"nowhere\" does not reach this worker (it has: many one): not found",
        "many: link \"many\" is 3 pairs here; take them with channels()", "one: taken",
        "one: link \"one\" was taken before; keep its Channel", "peer.0\npeer.2\npeer.10\n",
        "service \"unknown\" cannot be served: \"provides\" of worker asker does not name it"}) {
    EXPECT_TRUE(worker.prints(line)) << line << "\n---\n" << worker.printed;
  }
}

}  // namespace
}  // namespace bulkhead::test
