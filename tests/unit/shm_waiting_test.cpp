// How a shared-memory end waits, and everything that ends a wait: the peer, a deadline, a stop, the
// supervisor's word, a close.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <thread>

#include "tests/support/shm_stage.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;

class ShmWaiting : public testing::TestWithParam<WaitMode> {
 protected:
  std::pair<ShmEnd, ShmEnd> pair(ipc::PeerLife life = ipc::PeerLife::replaced) {
    return open_pair({.peer_life = life,
                      .channel = {.capacity = 4096, .max_message = 1024, .wait = GetParam()}});
  }
};

TEST_P(ShmWaiting, a_receive_ends_with_the_message) {
  auto [from, to] = pair();
  std::thread sender([&end = from] { ASSERT_TRUE(end.endpoint->send(as_bytes("x"), soon())); });
  EXPECT_TRUE(to.endpoint->receive(soon()));
  sender.join();
}

TEST_P(ShmWaiting, a_send_ends_with_space) {
  auto [from, to] = pair();
  while (from.endpoint->send(as_bytes("x"), Deadline::now())) {
  }
  std::thread receiver([&end = to] { ASSERT_TRUE(end.endpoint->receive(soon())); });
  EXPECT_TRUE(from.endpoint->send(as_bytes("y"), soon()));
  receiver.join();
}

TEST_P(ShmWaiting, ends_with_the_deadline) {
  auto [from, to] = pair();
  const auto late = to.endpoint->receive(Deadline::in(std::chrono::milliseconds(3)));
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().is(Errc::timed_out));
}

TEST_P(ShmWaiting, ends_when_the_supervisor_says_stop) {
  auto [from, to] = pair();
  StopFlag flag;
  to.attention->on_service = [&] { flag.raise(); };
  std::thread brain([&end = to] { end.attention->interrupt(); });
  const auto stopped = to.endpoint->receive(soon().unless(flag));
  ASSERT_FALSE(stopped);
  EXPECT_TRUE(stopped.error().is(Errc::stopped));
  brain.join();
}

TEST_P(ShmWaiting, a_stop_goes_before_a_message_that_is_there) {
  auto [from, to] = pair();
  StopFlag flag;
  flag.raise();
  ASSERT_TRUE(from.endpoint->send(as_bytes("x"), soon()));
  EXPECT_TRUE(to.endpoint->receive(soon().unless(flag)).error().is(Errc::stopped));
  EXPECT_TRUE(from.endpoint->send(as_bytes("x"), soon().unless(flag)).error().is(Errc::stopped));
  EXPECT_EQ(next(*to.endpoint), "1 x");
}

TEST_P(ShmWaiting, ends_with_the_death_of_a_peer_that_is_not_replaced) {
  auto [from, to] = pair(ipc::PeerLife::single);
  std::thread brain([&end = to] { end.bury(1); });
  const auto died = to.endpoint->receive(soon());
  ASSERT_FALSE(died);
  EXPECT_TRUE(died.error().is(Errc::peer_died));
  brain.join();
  EXPECT_TRUE(to.endpoint->send(as_bytes("x"), soon()).error().is(Errc::peer_died));
}

TEST_P(ShmWaiting, goes_on_with_the_next_incarnation) {
  auto [from, to] = pair();
  auto second = open_end({.epoch = 2, .predecessor = from.endpoint->segment_fd()});
  ASSERT_TRUE(second.endpoint->send(as_bytes("from the second"), soon()));
  std::thread brain([&, &end = to] {
    end.bury(1);
    end.meet(*second.endpoint);
  });
  const auto message = to.endpoint->receive(soon());
  ASSERT_TRUE(message) << message.error().to_string();
  EXPECT_EQ(message->epoch(), 2);
  brain.join();
}

TEST_P(ShmWaiting, ends_when_the_peer_closes_after_its_last_message) {
  auto [from, to] = pair(ipc::PeerLife::single);
  std::thread closer([&end = from] {
    ASSERT_TRUE(end.endpoint->send(as_bytes("last"), soon()));
    end.endpoint->close();
  });
  ASSERT_TRUE(to.endpoint->receive(soon()));
  EXPECT_TRUE(to.endpoint->receive(soon()).error().is(Errc::closed));
  EXPECT_TRUE(to.endpoint->send(as_bytes("x"), soon()).error().is(Errc::closed));
  closer.join();
}

TEST_P(ShmWaiting, ends_when_its_own_end_is_closed_by_another_thread) {
  auto [from, to] = pair();
  std::thread closer([&end = to] { end.endpoint->close(); });
  EXPECT_TRUE(to.endpoint->receive(soon()).error().is(Errc::closed));
  closer.join();
  EXPECT_TRUE(to.endpoint->send(as_bytes("x"), soon()).error().is(Errc::closed));
}

TEST_P(ShmWaiting, a_thousand_round_trips_lose_no_wake_up) {
  auto [from, to] = pair();
  std::thread echo([&end = to] {
    for (int i = 0; i < 1000; ++i) {
      const auto message = end.endpoint->receive(soon());
      ASSERT_TRUE(message) << message.error().to_string();
      ASSERT_TRUE(end.endpoint->send(message->bytes(), soon()));
    }
  });
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(from.endpoint->send(as_bytes("ping"), soon()));
    const auto message = from.endpoint->receive(soon());
    ASSERT_TRUE(message) << message.error().to_string();
  }
  echo.join();
  EXPECT_EQ(from.endpoint->stats().safety_net + to.endpoint->stats().safety_net, 0U);
}

TEST_P(ShmWaiting, a_full_ring_between_a_fast_and_a_slow_thread_loses_nothing) {
  auto [from, to] = pair();
  std::thread sender([&end = from] {
    for (int i = 0; i < 20000; ++i)
      ASSERT_TRUE(end.endpoint->send(as_bytes(std::to_string(i)), soon()));
  });
  for (int i = 0; i < 20000; ++i) {
    const auto message = to.endpoint->receive(soon());
    ASSERT_TRUE(message) << message.error().to_string();
    ASSERT_EQ(text_of(*message), std::to_string(i));
  }
  sender.join();
  EXPECT_EQ(from.endpoint->stats().safety_net + to.endpoint->stats().safety_net, 0U);
}

INSTANTIATE_TEST_SUITE_P(, ShmWaiting,
                         testing::Values(WaitMode::adaptive, WaitMode::spin, WaitMode::block),
                         [](const auto& tested) {
                           return tested.param == WaitMode::adaptive ? "adaptive"
                                  : tested.param == WaitMode::spin   ? "spin"
                                                                     : "block";
                         });

// --- waits from outside ---

bool readable(const ipc::WaitPlan& plan, std::chrono::milliseconds within) {
  pollfd watched{plan.fd, plan.events, 0};
  return poll(&watched, 1, static_cast<int>(within.count())) == 1;
}
constexpr std::chrono::milliseconds at_once{0};
constexpr std::chrono::seconds at_last{30};

TEST(ShmDoorbell, is_rung_for_who_polls_and_for_nobody_else) {
  auto [from, to] = open_pair();
  ASSERT_TRUE(from.endpoint->send(as_bytes("a"), soon()));
  EXPECT_FALSE(readable(to.endpoint->receive_plan(), at_once)) << "nobody had armed";
  EXPECT_TRUE(to.endpoint->prepare_receive_wait());
  EXPECT_EQ(next(*to.endpoint), "1 a");
  ASSERT_FALSE(to.endpoint->prepare_receive_wait());
  ASSERT_TRUE(from.endpoint->send(as_bytes("b"), soon()));
  ASSERT_TRUE(from.endpoint->send(as_bytes("c"), soon()));
  EXPECT_TRUE(readable(to.endpoint->receive_plan(), at_last));
  to.endpoint->finish_receive_wait();
  EXPECT_FALSE(readable(to.endpoint->receive_plan(), at_once));
  EXPECT_EQ(from.endpoint->stats().wakes, 1U);
  EXPECT_EQ(next(*to.endpoint), "2 b");
}

TEST(ShmDoorbell, is_rung_for_space) {
  auto [from, to] = open_pair();
  while (from.endpoint->send(as_bytes("x"), Deadline::now())) {
  }
  ASSERT_FALSE(from.endpoint->prepare_send_wait(1));
  EXPECT_EQ(next(*to.endpoint), "1 x");
  EXPECT_TRUE(readable(from.endpoint->send_plan(), at_last));
  from.endpoint->finish_send_wait();
  EXPECT_TRUE(from.endpoint->send(as_bytes("y"), Deadline::now()));
}

TEST(ShmDoorbell, that_comes_late_is_rung_for_what_was_committed_before) {
  auto from = open_end();
  auto to = open_end({.side = ipc::Side::to});
  auto bells = std::move(ipc::make_doorbells()).value();
  to.meet(*from.endpoint);
  to.post(LinkUpdate::Kind::sockets, 1, std::move(bells.to));
  ASSERT_FALSE(to.endpoint->prepare_receive_wait());
  ASSERT_TRUE(from.endpoint->send(as_bytes("a"), soon()));
  EXPECT_FALSE(readable(to.endpoint->receive_plan(), at_once));
  from.meet(*to.endpoint);
  from.post(LinkUpdate::Kind::sockets, 1, std::move(bells.from));
  EXPECT_TRUE(readable(to.endpoint->receive_plan(), at_last));
}

TEST(ShmDoorbell, whose_other_end_is_gone_is_not_polled_for_ever) {
  auto to = open_end({.side = ipc::Side::to});
  HandmadePeer peer;
  to.meet(peer.segment);
  {
    auto bells = std::move(ipc::make_doorbells()).value();
    to.post(LinkUpdate::Kind::sockets, 1, std::move(bells.to));
  }
  ASSERT_FALSE(to.endpoint->prepare_receive_wait());
  EXPECT_TRUE(readable(to.endpoint->receive_plan(), at_last));
  to.endpoint->finish_receive_wait();
  EXPECT_EQ(to.endpoint->receive_plan().fd, -1);
}

TEST(ShmDoorbell, for_space_whose_other_end_is_gone_is_not_polled_for_ever) {
  auto [from, to] = open_pair();
  while (from.endpoint->send(as_bytes("x"), Deadline::now())) {
  }
  to.endpoint.reset();
  ASSERT_FALSE(from.endpoint->prepare_send_wait(1));
  EXPECT_TRUE(readable(from.endpoint->send_plan(), at_last));
  from.endpoint->finish_send_wait();
  ASSERT_FALSE(from.endpoint->prepare_send_wait(1));
  EXPECT_FALSE(readable(from.endpoint->send_plan(), at_once));
}

// Its bringer found nobody armed, and who makes room has not looked at its peer since.
TEST(ShmDoorbell, that_came_before_a_sender_armed_is_rung_for_space) {
  auto from = open_end();
  auto to = open_end({.side = ipc::Side::to});
  from.meet(*to.endpoint);
  to.meet(*from.endpoint);
  while (from.endpoint->send(as_bytes("x"), Deadline::now())) {
  }
  auto held = to.endpoint->receive(soon());
  ASSERT_TRUE(held);
  auto bells = std::move(ipc::make_doorbells()).value();
  to.post(LinkUpdate::Kind::sockets, 1, std::move(bells.to));
  from.post(LinkUpdate::Kind::sockets, 1, std::move(bells.from));
  ASSERT_FALSE(from.endpoint->prepare_send_wait(1));
  held->acknowledge();
  EXPECT_TRUE(readable(from.endpoint->send_plan(), at_last));
}

TEST(ShmDoorbell, of_an_earlier_incarnation_is_not_taken_for_that_of_the_newest) {
  auto [first, to] = open_pair();
  auto second = open_end({.epoch = 2, .predecessor = first.endpoint->segment_fd()});
  first.endpoint.reset();
  second.meet(*to.endpoint);
  to.bury(1);
  to.meet(*second.endpoint);
  while (second.endpoint->send(as_bytes("x"), Deadline::now())) {
  }
  auto held = to.endpoint->receive(soon());
  ASSERT_TRUE(held);
  auto bells = std::move(ipc::make_doorbells()).value();
  to.post(LinkUpdate::Kind::sockets, 2, std::move(bells.to));
  second.post(LinkUpdate::Kind::sockets, 1, std::move(bells.from));
  ASSERT_FALSE(second.endpoint->prepare_send_wait(1));
  held->acknowledge();
  EXPECT_TRUE(readable(second.endpoint->send_plan(), at_last));
}

TEST(ShmDoorbell, that_a_hostile_peer_filled_still_ends_the_drain) {
  auto to = open_end({.side = ipc::Side::to});
  auto bells = std::move(ipc::make_doorbells()).value();
  const auto flood = std::move(bells.from[0]);
  to.post(LinkUpdate::Kind::sockets, 1, std::move(bells.to));
  ASSERT_FALSE(to.endpoint->prepare_receive_wait());
  std::array<char, 1024> bytes{};
  while (send(flood.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
  }
  to.endpoint->finish_receive_wait();
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::would_block));
}

}  // namespace
}  // namespace bulkhead::test
