// What a worker waits for before its body runs, against a supervisor whose words are all said beforehand.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.hpp"
#include "ipc/control_packet.hpp"
#include "ipc/worker_pages.hpp"
#include "workers/control_link.hpp"

namespace bulkhead::workers {
namespace {

class Greeting : public testing::Test {
 protected:
  // Answers the first request of the worker, its hello, and opens one link.
  void SetUp() override {
    ipc::HelloAnswer answer;
    answer.name = "one.0";
    answer.worker = "one";
    answer.generation = 1;
    answer.config = ipc::Json::object();
    answer.links = 1;
    const auto page = base::make_memfd("attention", false).value();
    ASSERT_EQ(::ftruncate(page.get(), ipc::worker_page_bytes), 0);
    say(ipc::result(1, ipc::encode(answer)), {page.get()});
    ipc::LinkOpen open;
    open.pair = "jobs/one.0/two.0";
    open.link = "jobs";
    open.peer = "two.0";
    open.epoch = 3;
    say(ipc::notification(ipc::method::link_open, ipc::encode(open)));
  }
  void say(const ipc::Json& message, std::vector<int> fds = {}) {
    ASSERT_TRUE(ipc::send_packet(sockets.second.get(), message, fds));
  }
  void say_kept(std::uint16_t epoch) {
    say(ipc::notification(ipc::method::link_kept,
                          ipc::encode(ipc::LinkKept{"jobs/one.0/two.0", epoch})));
  }
  Result<ipc::HelloAnswer> greet() {
    link = ControlLink::open(std::move(sockets.first), 1).value();
    return link->greet(Deadline::in(std::chrono::milliseconds(1)));
  }
  void TearDown() override {
    if (link) link->close();
  }
  base::FdPair sockets = base::make_socketpair(SOCK_SEQPACKET).value();
  std::shared_ptr<ControlLink> link;
};

TEST_F(Greeting, ends_when_every_link_is_kept) {
  say_kept(3);
  const auto answer = greet();
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->name, "one.0");
}

// What is committed to a segment that nobody keeps dies with the worker when its supervisor dies too.
TEST_F(Greeting, goes_on_while_a_link_is_only_offered) {
  const auto answer = greet();
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().is(Errc::timed_out));
}

TEST_F(Greeting, does_not_take_a_predecessors_segment_for_ours) {
  say_kept(2);
  const auto answer = greet();
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().is(Errc::timed_out));
}

}  // namespace
}  // namespace bulkhead::workers
