// Waiting for topics from outside: several at once with wait_any, and with the event loop of a user. Where nothing but
// a wake-up can end a sleep the stage lets its ends sleep for an hour.
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <bulkhead/topic.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/transports.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/topic_stage.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;
using ipc::Side;

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }
Deadline briefly() { return Deadline::in(std::chrono::milliseconds(30)); }

TopicOptions small(Overflow overflow) {
  return {.capacity = 4096, .max_message = 1024, .policy = {overflow, 0}};
}
void publish(Topic& topic, const std::string& text) {
  const auto done = topic.publish(std::as_bytes(std::span(text)), soon());
  ASSERT_TRUE(done) << done.error().to_string();
}
std::string next(Topic& topic, Deadline deadline = soon()) {
  const auto message = topic.receive(deadline);
  if (!message) return message.error().code.message();
  return {reinterpret_cast<const char*>(message->bytes().data()), message->bytes().size()};
}
std::string text_of(Errc code) { return make_error_code(code).message(); }
std::string text_of(const Result<std::size_t>& found) {
  return found ? std::to_string(*found) : found.error().code.message();
}
bool is_readable(int fd, Deadline deadline = Deadline::now()) {
  pollfd entry{fd, POLLIN, 0};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
  return ::poll(&entry, 1, static_cast<int>(left.count())) == 1;
}

class TopicWaiting : public testing::TestWithParam<Transport> {
 protected:
  TopicWaiting() : descriptors_before_(open_descriptors()) {}
  void TearDown() override { EXPECT_EQ(open_descriptors(), descriptors_before_); }

  // Each a topic of its own, with one subscriber.
  std::vector<ConnectedTopic> make_topics(std::size_t count) {
    std::vector<ConnectedTopic> topics;
    while (topics.size() < count) {
      topics.push_back(connected_topic(GetParam(), small(Overflow::block), 1).value());
    }
    return topics;
  }
  static std::vector<Topic*> subscribers_of(std::vector<ConnectedTopic>& topics) {
    std::vector<Topic*> subscribers;
    for (auto& topic : topics) subscribers.push_back(&topic.subscribers[0]);
    return subscribers;
  }

 private:
  std::size_t descriptors_before_;
};

TEST_P(TopicWaiting, wait_any_finds_the_topic_that_has_a_message) {
  auto topics = make_topics(2);
  const auto both = subscribers_of(topics);
  EXPECT_EQ(text_of(wait_any(both, briefly())), text_of(Errc::timed_out));
  EXPECT_EQ(text_of(wait_any(both, Deadline::now())), text_of(Errc::timed_out));
  publish(topics[1].publisher, "here");
  EXPECT_EQ(text_of(wait_any(both, soon())), "1");
  EXPECT_EQ(text_of(wait_any(both, soon())), "1") << "it was not taken";
  EXPECT_EQ(next(*both[1]), "here");
  EXPECT_EQ(text_of(wait_any(both, briefly())), text_of(Errc::timed_out));
}

TEST_P(TopicWaiting, wait_any_wakes_for_every_message) {
  for (const auto overflow :
       {Overflow::block, Overflow::drop_oldest, Overflow::drop_newest, Overflow::conflate}) {
    SCOPED_TRACE(to_string(overflow));
    TopicStage one(GetParam(), {small(overflow)}), two(GetParam(), {small(overflow)});
    one.longest_sleep = two.longest_sleep = std::chrono::hours(1);
    std::array<Topic, 2> publishers{one.start_publisher(), two.start_publisher()};
    std::array<Topic, 2> subscribers{one.start_subscriber(0), two.start_subscriber(0)};
    const std::array<Topic*, 2> both{&subscribers[0], &subscribers[1]};
    constexpr std::uint64_t messages = 500;
    std::atomic<std::uint64_t> taken{0};
    std::thread publisher([&] {
      for (std::uint64_t i = 0; i < messages; ++i) {
        while (taken.load() != i) std::this_thread::yield();
        publish(publishers[i % 2], std::to_string(i));
      }
    });
    for (std::uint64_t i = 0; i < messages; ++i) {
      const auto found = wait_any(both, soon());
      EXPECT_EQ(text_of(found), std::to_string(i % 2));
      EXPECT_EQ(next(subscribers[i % 2], Deadline::now()), std::to_string(i));
      ++taken;
    }
    publisher.join();
    for (auto& subscriber : subscribers) EXPECT_EQ(subscriber.stats().safety_net, 0U);
  }
}

TEST_P(TopicWaiting, wait_any_is_fair_to_all_that_are_ready) {
  auto topics = make_topics(3);
  const auto all = subscribers_of(topics);
  for (auto& topic : topics) {
    for (int i = 0; i < 4; ++i) publish(topic.publisher, "work");
  }
  std::size_t turn = 0;
  for (int round = 0; round < 4; ++round) {
    std::set<std::size_t> served;
    for (int i = 0; i < 3; ++i) {
      const auto ready = wait_any(all, soon(), &turn);
      ASSERT_TRUE(ready);
      EXPECT_EQ(next(*all[*ready]), "work");
      served.insert(*ready);
    }
    EXPECT_EQ(served.size(), 3U);
  }
}

TEST_P(TopicWaiting, wait_any_takes_channels_and_topics_together) {
  auto topic = connected_topic(GetParam(), small(Overflow::conflate), 1).value();
  auto [near, far] = connected_pair(GetParam()).value();
  const std::array<Waitable, 2> both{near, topic.subscribers[0]};
  EXPECT_EQ(text_of(wait_any(both, briefly())), text_of(Errc::timed_out));
  publish(topic.publisher, "on the topic");
  EXPECT_EQ(text_of(wait_any(both, soon())), "1");
  EXPECT_EQ(next(topic.subscribers[0]), "on the topic");
  ASSERT_TRUE(far.send({}, soon()));
  EXPECT_EQ(text_of(wait_any(both, soon())), "0");
}

TEST_P(TopicWaiting, wait_any_refuses_what_receives_nothing) {
  auto topics = make_topics(1);
  const std::array<Topic*, 2> ends{&topics[0].subscribers[0], &topics[0].publisher};
  EXPECT_EQ(text_of(wait_any(ends, soon())), text_of(Errc::invalid_argument));
  const std::span<Topic* const> none;
  EXPECT_EQ(text_of(wait_any(none, Deadline::never())), text_of(Errc::invalid_argument));
}

TEST_P(TopicWaiting, wait_any_shows_the_newest_of_what_is_conflated) {
  auto topic = connected_topic(GetParam(), small(Overflow::conflate), 1).value();
  const std::array<Topic*, 1> only{&topic.subscribers[0]};
  publish(topic.publisher, "old");
  EXPECT_EQ(text_of(wait_any(only, soon())), "0");
  publish(topic.publisher, "new");
  EXPECT_EQ(next(topic.subscribers[0]), "new");
}

TEST_P(TopicWaiting, wait_any_returns_for_the_end_of_a_topic) {
  auto topics = make_topics(2);
  const auto both = subscribers_of(topics);
  publish(topics[1].publisher, "last");
  std::thread closer([&] { topics[1].publisher.close(); });
  EXPECT_EQ(text_of(wait_any(both, soon())), "1");
  EXPECT_EQ(next(*both[1]), "last");
  EXPECT_EQ(text_of(wait_any(both, soon())), "1");
  EXPECT_EQ(next(*both[1]), text_of(Errc::closed));
  closer.join();
}

TEST_P(TopicWaiting, wait_any_is_ended_by_a_stop) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  Topic publisher = stage.start_publisher(), subscriber = stage.start_subscriber(0);
  const std::array<Topic*, 1> only{&subscriber};
  StopFlag stop;
  std::thread stopper([&] { stage.stop(0, Side::to, stop); });
  EXPECT_EQ(text_of(wait_any(only, soon().unless(stop))), text_of(Errc::stopped));
  stopper.join();
  publish(publisher, "left there");
  EXPECT_EQ(text_of(wait_any(only, soon().unless(stop))), text_of(Errc::stopped));
  EXPECT_EQ(next(subscriber), "left there");
}

TEST_P(TopicWaiting, wait_any_goes_on_with_the_successor_of_a_publisher) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  Topic subscriber = stage.start_subscriber(0);
  const std::array<Topic*, 1> only{&subscriber};
  for (int life = 1; life <= 5; ++life) {
    std::thread lives([&] {
      Topic publisher = stage.start_publisher();
      publish(publisher, std::to_string(life));
    });
    EXPECT_EQ(text_of(wait_any(only, soon())), "0");
    EXPECT_EQ(next(subscriber), std::to_string(life));
    lives.join();
    stage.bury_publisher();
  }
}

TEST_P(TopicWaiting, handle_polls_readable_while_there_is_something_to_receive) {
  auto topic = connected_topic(GetParam(), small(Overflow::drop_oldest), 1).value();
  Topic& subscriber = topic.subscribers[0];
  EXPECT_EQ(topic.publisher.native_handle(), -1);
  const int handle = subscriber.native_handle();
  EXPECT_FALSE(is_readable(handle));
  for (const std::string text : {"one", "two", "three"}) {
    publish(topic.publisher, text);
    publish(topic.publisher, "more");
    ASSERT_TRUE(is_readable(handle, soon()));
    EXPECT_EQ(next(subscriber), text);
    ASSERT_TRUE(is_readable(handle, soon()));
    EXPECT_EQ(next(subscriber), "more");
    EXPECT_EQ(next(subscriber, Deadline::now()), text_of(Errc::would_block));
    EXPECT_FALSE(is_readable(handle));
    EXPECT_EQ(next(subscriber, briefly()), text_of(Errc::timed_out));
    EXPECT_FALSE(is_readable(handle));
  }
  topic.publisher.close();
  EXPECT_TRUE(is_readable(handle, soon()));
  EXPECT_EQ(next(subscriber), text_of(Errc::closed));
  EXPECT_EQ(subscriber.native_handle(), handle);
}

TEST_P(TopicWaiting, handle_shows_what_came_before_it_was_asked_for) {
  auto topics = make_topics(1);
  publish(topics[0].publisher, "early");
  const int handle = topics[0].subscribers[0].native_handle();
  EXPECT_TRUE(is_readable(handle, soon()));
  EXPECT_EQ(next(topics[0].subscribers[0]), "early");
}

TEST_P(TopicWaiting, handle_may_be_polled_after_other_waits) {
  auto topics = make_topics(1);
  Topic& subscriber = topics[0].subscribers[0];
  const int handle = subscriber.native_handle();
  EXPECT_EQ(text_of(wait_any(subscribers_of(topics), briefly())), text_of(Errc::timed_out));
  publish(topics[0].publisher, "a");
  EXPECT_TRUE(is_readable(handle, soon()));
  EXPECT_EQ(next(subscriber, Deadline::now()), "a");
}

TEST_P(TopicWaiting, handle_is_the_same_for_all_publishers_one_after_the_other) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  Topic subscriber = stage.start_subscriber(0);
  const int handle = subscriber.native_handle();
  std::uint64_t received = 0;
  const auto receive_all = [&](std::uint64_t up_to) {
    while (received < up_to) {
      ASSERT_TRUE(is_readable(handle, soon()));
      const auto text = next(subscriber, Deadline::now());
      if (text != text_of(Errc::would_block)) {
        EXPECT_EQ(text, std::to_string(++received));
      }
    }
  };
  for (int life = 1; life <= 4; ++life) {
    {
      Topic publisher = stage.start_publisher();
      for (int i = 0; i < 5; ++i) {
        publish(publisher, std::to_string(publisher.last_published() + 1));
        receive_all(publisher.last_published());
      }
    }
    stage.bury_publisher();
  }
}

// The brain of a system says things one after the other, and may die in between.
TEST_P(TopicWaiting, doorbell_that_comes_late_is_rung_for_what_was_published_before) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  stage.connects = false;
  Topic publisher = stage.start_publisher(), subscriber = stage.start_subscriber(0);
  auto ends = ipc::make_sockets(GetParam()).value();
  stage.post(0, Side::to, {LinkUpdate::Kind::sockets, 1, std::move(ends.to)});
  const int handle = subscriber.native_handle();
  EXPECT_EQ(next(subscriber, Deadline::now()), text_of(Errc::would_block));
  ASSERT_FALSE(is_readable(handle));
  publish(publisher, "early");
  EXPECT_FALSE(is_readable(handle));
  stage.post(0, Side::from, {LinkUpdate::Kind::sockets, 1, std::move(ends.from)});
  EXPECT_TRUE(is_readable(handle, soon()));
  EXPECT_EQ(next(subscriber, Deadline::now()), "early");
}

TEST_P(TopicWaiting, doorbell_whose_other_end_was_never_given_away_is_replaced) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  stage.connects = false;
  Topic publisher = stage.start_publisher(), subscriber = stage.start_subscriber(0);
  for (const auto side : {Side::from, Side::to}) {
    auto ends = ipc::make_sockets(GetParam()).value();
    stage.post(0, side,
               {LinkUpdate::Kind::sockets, 1, std::move(side == Side::from ? ends.from : ends.to)});
  }
  stage.connect(0);
  const int handle = subscriber.native_handle();
  for (const std::string text : {"one", "two"}) {
    while (next(subscriber, Deadline::now()) != text_of(Errc::would_block)) {
    }
    ASSERT_FALSE(is_readable(handle));
    publish(publisher, text);
    EXPECT_TRUE(is_readable(handle, soon()));
    EXPECT_EQ(next(subscriber, Deadline::now()), text);
  }
}

BULKHEAD_OVER_ALL_TRANSPORTS(TopicWaiting);

}  // namespace
}  // namespace bulkhead::test
