// How calls wait and how waiting ends: try_, deadlines, stop, back-pressure, close, several at once.
#include <array>
#include <set>
#include <thread>

#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

class Waiting : public PairTest {};
BULKHEAD_OVER_ALL_TRANSPORTS(Waiting);

ChannelOptions small_link() {
  ChannelOptions options;
  options.capacity = std::size_t{64} << 10;
  options.max_message = 16'000;
  return options;
}

TEST_P(Waiting, try_receive_takes_what_is_there_and_nothing_else) {
  auto [a, b] = make_pair();
  auto nothing = b.try_receive();
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(nothing->has_value());
  send_text(a, "there");
  auto something = b.try_receive();
  ASSERT_TRUE(something && something->has_value());
  EXPECT_EQ(text_of(**something), "there");
}

TEST_P(Waiting, try_send_refuses_when_full_and_loses_nothing) {
  auto [a, b] = make_pair(small_link());
  const std::size_t sent = fill(a, Bytes(10'000, std::byte{7}));
  EXPECT_GT(sent, 0U);
  EXPECT_EQ(a.last_committed(), sent);
  std::size_t more = 0;  // tcp probes a closed window from time to time, and may find it ajar
  Result<void> refused;
  while ((refused = a.try_send(Bytes(10'000, std::byte{8})))) ++more;
  EXPECT_TRUE(refused.error().is(Errc::would_block)) << refused.error().to_string();
  for (std::size_t i = 0; i < sent + more; ++i) EXPECT_EQ(receive_text(b).size(), 10'000U);
  EXPECT_EQ(receive_error(b, Deadline::now()), text_of_code(Errc::would_block));
  send_text(a, "goes on");
  EXPECT_EQ(receive_text(b), "goes on");
}

TEST_P(Waiting, receive_times_out_and_takes_nothing) {
  auto [a, b] = make_pair();
  EXPECT_EQ(receive_error(b, briefly()), text_of_code(Errc::timed_out));
  EXPECT_EQ(receive_error(b, Deadline::at({})), text_of_code(Errc::timed_out));
  send_text(a, "later");
  EXPECT_EQ(receive_text(b), "later");
}

TEST_P(Waiting, send_times_out_when_full_and_sends_nothing) {
  auto [a, b] = make_pair(small_link());
  const Bytes filler(10'000, std::byte{7});
  const std::size_t sent = fill(a, filler);
  std::size_t more = 0;  // see above
  for (const auto& deadline : {briefly(), Deadline::at({})}) {
    Result<void> refused;
    while ((refused = a.send(as_bytes(std::string(9'999, 'x')), deadline))) ++more;
    EXPECT_TRUE(refused.error().is(Errc::timed_out)) << refused.error().to_string();
  }
  EXPECT_EQ(a.last_committed(), sent + more);
  // The receiver makes room; what was refused never shows.
  for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(receive_text(b).size(), filler.size());
  for (std::size_t i = 0; i < more; ++i) EXPECT_EQ(receive_text(b), std::string(9'999, 'x'));
  send_text(a, "the next");
  EXPECT_EQ(receive_text(b), "the next");
  EXPECT_EQ(a.last_committed(), sent + more + 1);
}

TEST_P(Waiting, a_blocked_send_goes_on_when_the_receiver_makes_room) {
  auto pair = make_pair(small_link());
  Channel &a = pair.first, &b = pair.second;
  const std::size_t sent = fill(a, Bytes(10'000, std::byte{7}));
  std::thread sender([&] { EXPECT_TRUE(a.send(as_bytes(std::string(10'000, 'l')), soon())); });
  for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(receive_text(b).size(), 10'000U);
  EXPECT_EQ(receive_text(b), std::string(10'000, 'l'));
  sender.join();
}

TEST_P(Waiting, a_raised_stop_flag_ends_calls_at_once_and_takes_nothing) {
  auto [a, b] = make_pair();
  send_text(a, "left there");
  StopFlag stop;
  stop.raise();
  EXPECT_EQ(receive_error(b, soon().unless(stop)), text_of_code(Errc::stopped));
  const auto sent = a.send(as_bytes("never"), soon().unless(stop));
  EXPECT_TRUE(!sent && sent.error().is(Errc::stopped));
  EXPECT_EQ(receive_text(b), "left there");
}

TEST_P(Waiting, a_stop_wakes_a_sleeping_receiver) {
  TestBrain brain(GetParam(), {});
  Channel sender = brain.start(ipc::Side::from), receiver = brain.start(ipc::Side::to);
  StopFlag stop;
  std::thread stopper([&] { brain.stop(ipc::Side::to, stop); });
  EXPECT_EQ(receive_error(receiver, soon().unless(stop)), text_of_code(Errc::stopped));
  stopper.join();
}

TEST_P(Waiting, a_stop_wakes_a_sleeping_sender) {
  TestBrain brain(GetParam(), small_link());
  Channel sender = brain.start(ipc::Side::from), receiver = brain.start(ipc::Side::to);
  fill(sender, Bytes(10'000));
  StopFlag stop;
  std::thread stopper([&] { brain.stop(ipc::Side::from, stop); });
  Result<void> sent;  // tcp may take some more
  while ((sent = sender.send(Bytes(10'000), soon().unless(stop)))) {
  }
  EXPECT_TRUE(sent.error().is(Errc::stopped)) << sent.error().to_string();
  stopper.join();
}

TEST_P(Waiting, the_other_end_drains_what_was_sent_before_a_close_and_is_told) {
  auto [a, b] = make_pair();
  send_text(a, "last words");
  a.close();
  EXPECT_EQ(receive_text(b), "last words");
  EXPECT_EQ(receive_error(b, soon()), text_of_code(Errc::closed));
  EXPECT_EQ(receive_error(b, soon()), text_of_code(Errc::closed));
  const auto sent = b.send(as_bytes("too late"), soon());
  EXPECT_TRUE(!sent && sent.error().is(Errc::closed)) << sent.error().to_string();
}

TEST_P(Waiting, a_sender_is_told_of_a_close_without_ever_receiving) {
  auto [a, b] = make_pair();
  b.close();
  // On tcp the kernel takes one more message before it hears that nobody is there.
  Result<void> sent;
  while ((sent = a.send(as_bytes("too late"), soon()))) {
  }
  EXPECT_TRUE(sent.error().is(Errc::closed)) << sent.error().to_string();
}

TEST_P(Waiting, closing_a_full_link_is_no_death) {
  auto [a, b] = make_pair(small_link());
  const std::size_t sent = fill(a, Bytes(10'000));
  a.close();
  for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(receive_text(b).size(), 10'000U);
  EXPECT_EQ(receive_error(b, soon()), text_of_code(Errc::closed));
}

TEST_P(Waiting, our_own_closed_end_says_so) {
  auto [a, b] = make_pair();
  send_text(a, "unread");
  b.close();
  b.close();
  EXPECT_EQ(receive_error(b, soon()), text_of_code(Errc::closed));
  const auto sent = b.send(as_bytes("x"), soon());
  EXPECT_TRUE(!sent && sent.error().is(Errc::closed));
}

TEST_P(Waiting, destroying_an_end_closes_it) {
  auto [a, b] = make_pair();
  { const Channel gone = std::move(a); }
  EXPECT_EQ(receive_error(b, soon()), text_of_code(Errc::closed));
}

TEST_P(Waiting, a_close_by_another_thread_wakes_a_sleeping_receiver) {
  auto pair = make_pair();
  std::thread closer([&] { pair.second.close(); });
  EXPECT_EQ(receive_error(pair.second, soon()), text_of_code(Errc::closed));
  closer.join();
}

TEST_P(Waiting, wait_any_finds_the_channel_that_has_a_message) {
  auto [a0, b0] = make_pair();
  auto [a1, b1] = make_pair();
  const std::array<Channel*, 2> both{&b0, &b1};
  const auto none = wait_any(both, briefly());
  EXPECT_TRUE(!none && none.error().is(Errc::timed_out));
  send_text(a1, "here");
  const auto ready = wait_any(both, soon());
  ASSERT_TRUE(ready);
  EXPECT_EQ(*ready, 1U);
  EXPECT_EQ(receive_text(b1), "here");
}

TEST_P(Waiting, wait_any_wakes_for_a_message_that_comes_later) {
  auto pair0 = make_pair();
  auto pair1 = make_pair();
  const std::array<Channel*, 2> both{&pair0.second, &pair1.second};
  std::thread sender([&] { send_text(pair1.first, "later"); });
  const auto ready = wait_any(both, soon());
  ASSERT_TRUE(ready);
  EXPECT_EQ(*ready, 1U);
  sender.join();
}

TEST_P(Waiting, wait_any_is_fair_to_all_that_are_ready) {
  auto [a0, b0] = make_pair();
  auto [a1, b1] = make_pair();
  auto [a2, b2] = make_pair();
  const std::array<Channel*, 3> all{&b0, &b1, &b2};
  for (auto* sender : {&a0, &a1, &a2}) {
    for (int i = 0; i < 4; ++i) send_text(*sender, "work");
  }
  std::size_t turn = 0;
  for (int round = 0; round < 4; ++round) {
    std::set<std::size_t> served;
    for (int i = 0; i < 3; ++i) {
      const auto ready = wait_any(all, soon(), &turn);
      ASSERT_TRUE(ready);
      EXPECT_EQ(receive_text(*all[*ready]), "work");
      served.insert(*ready);
    }
    EXPECT_EQ(served.size(), 3U);
  }
}

// A stop that is heard of between the look at the deadline and the sleep, and of which nothing else will tell.
class StoppingAttention final : public ipc::Attention {
 public:
  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return -1; }
  void service() noexcept override { flag.raise(); }
  std::chrono::nanoseconds longest_sleep() const noexcept override { return std::chrono::hours(1); }
  StopFlag flag;

 private:
  std::atomic<std::uint32_t> word_{7};
};

TEST_P(Waiting, a_stop_that_the_call_itself_hears_of_ends_it) {
  for (const auto mode : {WaitMode::adaptive, WaitMode::spin, WaitMode::block}) {
    for (const bool several : {false, true}) {
      const auto attention = std::make_shared<StoppingAttention>();
      ipc::EndSpec spec;
      spec.link = "tested";
      spec.side = ipc::Side::to;
      spec.options.wait = mode;
      spec.attention = attention;
      Channel channel(ipc::open_endpoint(GetParam(), std::move(spec)).value());
      const auto deadline = Deadline::never().unless(attention->flag);
      Channel* const only[] = {&channel};
      const auto ended =
          several ? wait_any(only, deadline).error() : channel.receive(deadline).error();
      EXPECT_TRUE(ended.is(Errc::stopped)) << ended.to_string();
    }
  }
}

TEST_P(Waiting, wait_any_returns_for_the_end_of_a_channel) {
  auto [a, b] = make_pair();
  const std::array<Channel*, 1> only{&b};
  a.close();
  const auto ready = wait_any(only, soon());
  ASSERT_TRUE(ready);
  EXPECT_EQ(receive_error(b, soon()), text_of_code(Errc::closed));
}

}  // namespace
}  // namespace bulkhead::test
