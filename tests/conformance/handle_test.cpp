// A channel in somebody's own event loop: its handle polls readable while receiving is worth a try.
#include <poll.h>

#include <chrono>
#include <optional>
#include <thread>

#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

using ipc::Side;

class Handle : public PairTest {
 protected:
  static bool is_readable(int fd, Deadline deadline = Deadline::now()) {
    pollfd entry{fd, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    return ::poll(&entry, 1, static_cast<int>(left.count())) == 1;
  }
  // As an event loop does: looks when it is told to, and goes on until nothing is there.
  static std::string next(Channel& channel) {
    while (is_readable(channel.native_handle(), soon())) {
      auto message = channel.try_receive();
      if (!message) return "error: " + message.error().to_string();
      if (*message) return text_of(**message);
    }
    return "nothing";
  }
  // A socket may have more to say than messages, so one look may find nothing.
  static bool falls_silent(Channel& channel) {
    for (int looks = 0; looks < 100; ++looks) {
      const auto message = channel.try_receive();
      if (!message || message->has_value()) return false;
      if (!is_readable(channel.native_handle())) return true;
    }
    return false;
  }
};
BULKHEAD_OVER_ALL_TRANSPORTS(Handle);

TEST_P(Handle, polls_readable_while_there_is_something_to_receive) {
  auto [a, b] = make_pair();
  const int handle = b.native_handle();
  EXPECT_TRUE(falls_silent(b));
  for (int round = 0; round < 20; ++round) {
    send_text(a, "one");
    send_text(a, "more");
    ASSERT_TRUE(is_readable(handle, soon()));
    EXPECT_EQ(receive_text(b), "one");
    ASSERT_TRUE(is_readable(handle, soon()));
    EXPECT_EQ(receive_text(b), "more");
    ASSERT_TRUE(falls_silent(b));
    EXPECT_EQ(receive_error(b, Deadline::in(std::chrono::milliseconds(1))),
              text_of_code(Errc::timed_out));
  }
  EXPECT_EQ(b.stats().safety_net, 0U);
  a.close();
  EXPECT_TRUE(is_readable(handle, soon()));
  EXPECT_EQ(receive_error(b, soon()), text_of_code(Errc::closed));
  EXPECT_EQ(b.native_handle(), handle);
}

TEST_P(Handle, shows_what_came_before_it_was_asked_for) {
  auto [a, b] = make_pair();
  send_text(a, "early");
  EXPECT_TRUE(is_readable(b.native_handle(), soon()));
  EXPECT_EQ(receive_text(b), "early");
}

TEST_P(Handle, shows_a_message_that_was_released) {
  auto [a, b] = make_pair();
  static_cast<void>(b.native_handle());
  send_text(a, "undone");
  auto message = b.receive(soon());
  ASSERT_TRUE(message);
  ASSERT_TRUE(falls_silent(b));
  message->release();
  EXPECT_TRUE(is_readable(b.native_handle()));
  EXPECT_EQ(next(b), "undone");
}

TEST_P(Handle, may_be_polled_after_other_waits) {
  auto [a, b] = make_pair();
  static_cast<void>(b.native_handle());
  Channel* const only[] = {&b};
  EXPECT_TRUE(wait_any(only, briefly()).error().is(Errc::timed_out));
  send_text(a, "a");
  EXPECT_EQ(next(b), "a");
  EXPECT_EQ(receive_error(b, briefly()), text_of_code(Errc::timed_out));
  send_text(a, "b");
  EXPECT_EQ(next(b), "b");
}

TEST_P(Handle, wakes_a_loop_for_each_of_many_messages) {
  auto [a, b] = make_pair();
  constexpr int count = 20'000;
  std::thread sender([&from = a] {
    for (int i = 0; i < count; ++i) send_text(from, std::to_string(i));
  });
  for (int i = 0; i < count; ++i) {
    const auto text = next(b);
    EXPECT_EQ(text, std::to_string(i));
    if (text != std::to_string(i)) break;
  }
  sender.join();
  EXPECT_EQ(b.stats().safety_net, 0U);
}

TEST_P(Handle, is_the_same_for_all_senders_one_after_the_other) {
  TestBrain brain(GetParam(), {});
  std::optional<Channel> receiver(brain.start(Side::to));
  const int handle = receiver->native_handle();
  std::uint64_t sent = 0;
  for (int life = 0; life < 4; ++life) {
    {
      Channel sender = brain.start(Side::from);
      for (int i = 0; i < 5; ++i) {
        send_text(sender, std::to_string(++sent));
        EXPECT_EQ(next(*receiver), std::to_string(sent));
      }
      send_text(sender, std::to_string(++sent));
    }
    brain.bury(Side::from);
    EXPECT_EQ(next(*receiver), std::to_string(sent)) << "what the dead one had committed";
    EXPECT_EQ(receiver->native_handle(), handle);
  }
}

}  // namespace
}  // namespace bulkhead::test
