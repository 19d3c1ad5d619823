// The other end is a process of its own and dies by SIGKILL, without a supervisor.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/pair_test.hpp"

namespace bulkhead::test {
namespace {

class Death : public PairTest {
 protected:
  // Forks; the child runs `body` with one end, this process keeps the other one.
  template <class Body>
  Channel fork_peer(Body body, ChannelOptions options = {}) {
    auto [ours, theirs] = make_pair(options);
    child_ = ::fork();
    EXPECT_GE(child_, 0);
    if (child_ == 0) {
      { const Channel unused = std::move(ours); }
      Channel channel = std::move(theirs);
      body(channel);
      ::_exit(0);
    }
    return std::move(ours);
  }
  void kill_peer() {
    ASSERT_EQ(::kill(child_, SIGKILL), 0);
    wait_for_peer();
  }
  void wait_for_peer() {
    int status = 0;
    ASSERT_EQ(::waitpid(child_, &status, 0), child_);
  }
  [[noreturn]] static void die() {
    ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }

  pid_t child_ = -1;
};
BULKHEAD_OVER_ALL_TRANSPORTS(Death);

TEST_P(Death, messages_cross_a_fork_both_ways) {
  Channel channel = fork_peer([](Channel& peer) {
    send_text(peer, "answer to " + receive_text(peer));
    receive_text(peer);
  });
  send_text(channel, "question");
  EXPECT_EQ(receive_text(channel), "answer to question");
  send_text(channel, "you may go");
  wait_for_peer();
}

TEST_P(Death, an_end_closed_in_the_child_is_closed_and_not_dead) {
  Channel channel = fork_peer([](Channel& peer) {
    send_text(peer, "bye");
    peer.close();
  });
  EXPECT_EQ(receive_text(channel), "bye");
  EXPECT_EQ(receive_error(channel, soon()), text_of_code(Errc::closed));
  wait_for_peer();
}

TEST_P(Death, what_the_dead_one_sent_is_drained_and_then_its_death_is_told) {
  Channel channel = fork_peer([](Channel& peer) {
    for (int i = 0; i < 50; ++i) send_text(peer, std::to_string(i));
    receive_text(peer);  // for ever
  });
  EXPECT_EQ(receive_text(channel), "0");
  // Input that it never reads: on a socket its death then comes with a reset.
  for (int i = 1; i < 50; ++i) EXPECT_EQ(receive_text(channel), std::to_string(i));
  kill_peer();
  EXPECT_EQ(receive_error(channel, soon()), text_of_code(Errc::peer_died));
  EXPECT_EQ(receive_error(channel, soon()), text_of_code(Errc::peer_died));
  const auto sent = channel.send(as_bytes("to nobody"), soon());
  EXPECT_TRUE(!sent && sent.error().is(Errc::peer_died));
}

TEST_P(Death, unread_input_of_the_dead_one_does_not_cost_what_it_sent) {
  Channel channel = fork_peer([](Channel& peer) {
    receive_text(peer);
    for (int i = 0; i < 50; ++i) send_text(peer, std::to_string(i));
    ::raise(SIGSTOP);
  });
  for (int i = 0; i < 50; ++i) send_text(channel, "only the first of these is read");
  int status = 0;
  ASSERT_EQ(::waitpid(child_, &status, WUNTRACED), child_);
  ASSERT_TRUE(WIFSTOPPED(status));
  kill_peer();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(receive_text(channel), std::to_string(i));
  EXPECT_EQ(receive_error(channel, soon()), text_of_code(Errc::peer_died));
}

TEST_P(Death, wakes_a_sleeping_receiver) {
  Channel channel = fork_peer([](Channel& peer) {
    receive_text(peer);
    die();
  });
  send_text(channel, "die");
  EXPECT_EQ(receive_error(channel, soon()), text_of_code(Errc::peer_died));
  wait_for_peer();
}

TEST_P(Death, wakes_a_sender_that_waits_for_room) {
  Channel channel = fork_peer([](Channel& peer) {
    receive_text(peer);
    die();
  });
  const std::string message(10'000, 'm');
  Result<void> sent;
  while ((sent = channel.send(as_bytes(message), soon()))) {
  }
  EXPECT_TRUE(sent.error().is(Errc::peer_died)) << sent.error().to_string();
  wait_for_peer();
}

TEST_P(Death, in_the_middle_of_a_message_leaves_only_whole_ones) {
  ChannelOptions options;
  options.max_message = 200'000;
  Channel channel = fork_peer(
      [](Channel& peer) {
        std::string message(200'000, 'w');
        send_text(peer, "ready");
        while (peer.send(as_bytes(message), Deadline::never())) {
        }
      },
      options);
  EXPECT_EQ(receive_text(channel), "ready");
  EXPECT_EQ(receive_text(channel), std::string(200'000, 'w'));
  kill_peer();
  for (;;) {
    auto message = channel.receive(soon());
    if (!message) {
      EXPECT_TRUE(message.error().is(Errc::peer_died)) << message.error().to_string();
      break;
    }
    EXPECT_EQ(text_of(*message), std::string(200'000, 'w'));
  }
}

TEST_P(Death, of_a_parent_that_dropped_its_unused_end_changes_nothing_for_the_child) {
  // The parent's copy of the child's end goes first; only the child's own use counts.
  auto [ours, theirs] = make_pair();
  child_ = ::fork();
  ASSERT_GE(child_, 0);
  if (child_ == 0) {
    { const Channel unused = std::move(ours); }
    Channel peer = std::move(theirs);
    send_text(peer, receive_text(peer));
    receive_text(peer);
    ::_exit(0);
  }
  { const Channel unused = std::move(theirs); }
  send_text(ours, "still connected");
  EXPECT_EQ(receive_text(ours), "still connected");
  ours.close();
  wait_for_peer();
}

}  // namespace
}  // namespace bulkhead::test
