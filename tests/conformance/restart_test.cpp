// One end dies and comes again while the other goes on. The test plays the supervisor.
#include <thread>
#include <vector>

#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;
using ipc::Side;

class Restart : public PairTest {
 protected:
  static ChannelOptions small_link() {
    ChannelOptions options;
    options.capacity = std::size_t{64} << 10;
    options.max_message = 16'000;
    return options;
  }
  static void expect(Channel& channel, std::uint64_t index, std::uint16_t epoch, bool redelivered) {
    auto message = channel.receive(soon());
    ASSERT_TRUE(message) << message.error().to_string();
    EXPECT_EQ(text_of(*message), std::to_string(index));
    EXPECT_EQ(message->index(), index);
    EXPECT_EQ(message->epoch(), epoch);
    EXPECT_EQ(message->redelivered(), redelivered);
  }
  static void send_numbers(Channel& channel, std::uint64_t last) {
    for (std::uint64_t i = channel.last_committed() + 1; i <= last; ++i) {
      send_text(channel, std::to_string(i));
    }
  }
};
BULKHEAD_OVER_ALL_TRANSPORTS(Restart);

TEST_P(Restart, of_the_sender_continues_its_numbers_and_shows_as_another_epoch) {
  TestBrain brain(GetParam(), {});
  Channel receiver = brain.start(Side::to);
  EXPECT_EQ(receiver.epoch(), 0U);
  {
    Channel first = brain.start(Side::from);
    send_numbers(first, 3);
  }
  brain.bury(Side::from);
  Channel second = brain.start(Side::from);
  EXPECT_EQ(second.last_committed(), 3U);
  send_numbers(second, 5);
  for (std::uint64_t i = 1; i <= 3; ++i) expect(receiver, i, 1, false);
  for (std::uint64_t i = 4; i <= 5; ++i) expect(receiver, i, 2, false);
  EXPECT_EQ(receiver.epoch(), 2U);
}

TEST_P(Restart, of_the_receiver_resumes_after_what_was_acknowledged) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(Side::from);
  {
    Channel first = brain.start(Side::to);
    send_numbers(sender, 5);
    expect(first, 1, 1, false);
    auto taken = first.receive(soon());
    ASSERT_TRUE(taken);
    taken->release();
  }
  brain.bury(Side::to);
  Channel second = brain.start(Side::to);
  EXPECT_EQ(second.resume_point(), 2U);
  send_numbers(sender, 7);
  EXPECT_EQ(sender.epoch(), 2U);
  expect(second, 2, 1, true);
  for (std::uint64_t i = 3; i <= 7; ++i) expect(second, i, 1, false);
  EXPECT_EQ(second.stats().redelivered, 1U);
}

TEST_P(Restart, of_the_receiver_marks_what_any_of_its_predecessors_had_taken) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(Side::from);
  send_numbers(sender, 6);
  for (const std::uint64_t takes : {4U, 2U}) {
    std::optional<Channel> started = brain.start(Side::to);
    Channel& receiver = *started;
    EXPECT_EQ(receiver.resume_point(), 1U);
    std::vector<Message> held;
    for (std::uint64_t i = 1; i <= takes; ++i) {
      auto message = receiver.receive(soon());
      ASSERT_TRUE(message) << message.error().to_string();
      EXPECT_EQ(message->redelivered(), takes == 2);
      held.push_back(std::move(*message));
    }
    while (!held.empty()) {  // from the last one on: none of them is acknowledged
      held.back().release();
      held.pop_back();
    }
    started.reset();
    brain.bury(Side::to);
  }
  Channel last = brain.start(Side::to);
  for (std::uint64_t i = 1; i <= 6; ++i) expect(last, i, 1, i <= 4);
}

TEST_P(Restart, of_both_ends_at_once_loses_nothing_and_marks_what_was_taken) {
  TestBrain brain(GetParam(), {});
  {
    Channel sender = brain.start(Side::from), receiver = brain.start(Side::to);
    send_numbers(sender, 6);
    expect(receiver, 1, 1, false);
    auto taken = receiver.receive(soon());
    ASSERT_TRUE(taken);
    taken->release();
  }
  brain.bury(Side::from);
  brain.bury(Side::to);
  Channel receiver = brain.start(Side::to);
  expect(receiver, 2, 1, true);
  Channel sender = brain.start(Side::from);
  send_numbers(sender, 8);
  for (std::uint64_t i = 3; i <= 6; ++i) expect(receiver, i, 1, false);
  for (std::uint64_t i = 7; i <= 8; ++i) expect(receiver, i, 2, false);
}

TEST_P(Restart, of_the_sender_costs_nothing_of_a_link_that_it_had_filled) {
  TestBrain brain(GetParam(), small_link());
  Channel receiver = brain.start(Side::to);
  std::uint64_t sent = 0;
  {
    // Some of it lies with the kernel, if anywhere, and of one message perhaps a part.
    Channel first = brain.start(Side::from);
    sent = fill(first, as_bytes(std::string(9'000, 'm')));
  }
  brain.bury(Side::from);
  Channel second = brain.start(Side::from);
  EXPECT_EQ(second.last_committed(), sent);
  send_text(second, "the successor");
  for (std::uint64_t i = 1; i <= sent; ++i) {
    auto message = receiver.receive(soon());
    ASSERT_TRUE(message) << message.error().to_string();
    EXPECT_EQ(message->index(), i);
    EXPECT_EQ(text_of(*message), std::string(9'000, 'm'));
  }
  EXPECT_EQ(receive_text(receiver), "the successor");
}

TEST_P(Restart, of_the_receiver_gets_everything_from_a_sender_that_is_not_called_any_more) {
  TestBrain brain(GetParam(), small_link());
  Channel sender = brain.start(Side::from);
  std::uint64_t sent = 0;
  {
    const Channel first = brain.start(Side::to);
    sent = fill(sender, as_bytes(std::string(9'000, 'm')));
  }
  brain.bury(Side::to);
  Channel second = brain.start(Side::to);
  for (std::uint64_t i = 1; i <= sent; ++i) {
    auto message = second.receive(soon());
    ASSERT_TRUE(message) << message.error().to_string();
    EXPECT_EQ(message->index(), i);
  }
  EXPECT_EQ(receive_error(second, Deadline::now()), text_of_code(Errc::would_block));
  send_text(sender, "there is room again");
  EXPECT_EQ(receive_text(second), "there is room again");
}

TEST_P(Restart, messages_committed_before_there_was_a_receiver_wait_for_it) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(Side::from);
  send_numbers(sender, 5);
  Channel receiver = brain.start(Side::to);
  for (std::uint64_t i = 1; i <= 5; ++i) expect(receiver, i, 1, false);
}

TEST_P(Restart, of_both_ends_in_turn_goes_on_for_many_incarnations) {
  TestBrain brain(GetParam(), {});
  std::optional<Channel> sender = brain.start(Side::from), receiver = brain.start(Side::to);
  std::uint64_t last = 0;
  for (std::uint16_t epoch = 1; epoch <= 6; ++epoch) {
    EXPECT_EQ(sender->last_committed(), last);
    EXPECT_EQ(receiver->resume_point(), last + 1);
    last += 3;
    send_numbers(*sender, last);
    for (std::uint64_t i = last - 2; i <= last; ++i) expect(*receiver, i, epoch, false);
    sender.reset();
    brain.bury(Side::from);
    receiver.reset();
    brain.bury(Side::to);
    sender.emplace(brain.start(Side::from));
    receiver.emplace(brain.start(Side::to));
  }
}

TEST_P(Restart, twice_without_a_message_in_between_keeps_the_numbers) {
  TestBrain brain(GetParam(), {});
  Channel receiver = brain.start(Side::to);
  {
    Channel first = brain.start(Side::from);
    send_numbers(first, 3);
    for (std::uint64_t i = 1; i <= 3; ++i) expect(receiver, i, 1, false);
  }
  for (int lives = 0; lives < 5; ++lives) {
    brain.bury(Side::from);
    Channel idle = brain.start(Side::from);
    EXPECT_EQ(idle.last_committed(), 3U);
    if (lives % 2 == 0) continue;  // the receiver has met only some of them
    EXPECT_TRUE(receiver.receive(Deadline::now()).error().is(Errc::would_block));
  }
  brain.bury(Side::from);
  Channel last = brain.start(Side::from);
  send_numbers(last, 5);
  for (std::uint64_t i = 4; i <= 5; ++i) expect(receiver, i, 7, false);
}

TEST_P(Restart, of_the_sender_is_waited_for_by_a_blocked_receiver) {
  TestBrain brain(GetParam(), {});
  Channel receiver = brain.start(Side::to);
  { const Channel first = brain.start(Side::from); }
  std::thread supervisor([&] {
    brain.bury(Side::from);
    Channel second = brain.start(Side::from);
    send_numbers(second, 1);
  });
  expect(receiver, 1, 2, false);
  supervisor.join();
}

TEST_P(Restart, of_the_receiver_is_waited_for_by_a_blocked_sender) {
  TestBrain brain(GetParam(), small_link());
  Channel sender = brain.start(Side::from);
  const std::string message(10'000, 'm');
  {
    const Channel first = brain.start(Side::to);
    fill(sender, as_bytes(message));
  }
  std::thread supervisor([&] {
    brain.bury(Side::to);
    Channel second = brain.start(Side::to);
    while (receive_text(second) == message) {
    }
  });
  EXPECT_TRUE(sender.send(as_bytes(message), soon()));
  EXPECT_TRUE(sender.send(as_bytes("the end"), soon()));
  supervisor.join();
}

TEST_P(Restart, of_the_receiver_in_the_middle_of_a_message_brings_it_whole) {
  ChannelOptions options;
  options.capacity = std::size_t{1} << 20;
  options.max_message = 500'000;
  TestBrain brain(GetParam(), options);
  Channel sender = brain.start(Side::from);
  std::optional<Channel> first = brain.start(Side::to);
  // Some transports hold more than others; the last one is on its way when the receiver dies.
  const Bytes message(options.max_message, std::byte{0x3C});
  fill(sender, message);
  std::thread supervisor([&] {
    first.reset();
    brain.bury(Side::to);
    Channel second = brain.start(Side::to);
    for (;;) {
      auto received = second.receive(soon());
      ASSERT_TRUE(received) << received.error().to_string();
      if (text_of(*received) == "the end") break;
      EXPECT_TRUE(received->copy() == message);
    }
  });
  EXPECT_TRUE(sender.send(message, soon()));
  EXPECT_TRUE(sender.send(as_bytes("the end"), soon()));
  supervisor.join();
}

TEST_P(Restart, a_death_alone_is_no_error_before_the_deadline) {
  TestBrain brain(GetParam(), {});
  Channel receiver = brain.start(Side::to);
  { const Channel first = brain.start(Side::from); }
  EXPECT_EQ(receive_error(receiver, briefly()), text_of_code(Errc::timed_out));
  brain.bury(Side::from);
  EXPECT_EQ(receive_error(receiver, briefly()), text_of_code(Errc::timed_out));
  EXPECT_EQ(receiver.epoch(), 0U);
}

TEST_P(Restart, a_connection_told_twice_is_known_already) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(Side::from), receiver = brain.start(Side::to);
  send_numbers(sender, 2);
  expect(receiver, 1, 1, false);
  brain.connect();
  send_numbers(sender, 3);
  expect(receiver, 2, 1, false);
  expect(receiver, 3, 1, false);
}

TEST_P(Restart, a_connection_that_reached_one_end_only_is_replaced) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(Side::from);
  // The brain died after it had told one of them.
  auto lost = ipc::make_sockets(GetParam()).value();
  brain.post(Side::from, {LinkUpdate::Kind::sockets, 1, std::move(lost.from)});
  lost.to.clear();
  Channel receiver = brain.start(Side::to);
  send_numbers(sender, 1);
  expect(receiver, 1, 1, false);
}

TEST_P(Restart, what_was_written_to_a_connection_that_reached_one_end_only_comes_again) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(Side::from);
  auto lost = ipc::make_sockets(GetParam()).value();
  brain.post(Side::from, {LinkUpdate::Kind::sockets, 1, std::move(lost.from)});
  send_numbers(sender, 2);
  lost.to.clear();
  send_numbers(sender, 4);
  Channel receiver = brain.start(Side::to);
  send_numbers(sender, 5);
  for (std::uint64_t i = 1; i <= 5; ++i) expect(receiver, i, 1, false);
}

TEST_P(Restart, does_not_wait_for_a_grandchild_that_holds_the_old_connection) {
  TestBrain brain(GetParam(), {});
  brain.hold_connections();
  Channel receiver = brain.start(Side::to);
  {
    Channel first = brain.start(Side::from);
    send_numbers(first, 2);
  }
  brain.bury(Side::from);
  Channel second = brain.start(Side::from);
  send_numbers(second, 3);
  expect(receiver, 1, 1, false);
  expect(receiver, 2, 1, false);
  expect(receiver, 3, 2, false);
}

TEST_P(Restart, a_peer_that_closed_for_good_ends_the_link_after_its_last_message) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(Side::from), receiver = brain.start(Side::to);
  send_numbers(sender, 1);
  sender.close();
  brain.post(Side::to, {LinkUpdate::Kind::peer_closed, 1, {}});
  expect(receiver, 1, 1, false);
  EXPECT_EQ(receive_error(receiver, soon()), text_of_code(Errc::closed));
  const auto sent = receiver.send(as_bytes("x"), soon());
  EXPECT_TRUE(!sent && sent.error().is(Errc::closed));
}

}  // namespace
}  // namespace bulkhead::test
