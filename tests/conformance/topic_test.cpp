// What each policy of a topic promises, without a supervisor: to one process, to threads, and across
// incarnations. The kinds of death that only a real process can die are in tests/process/topic_test.cpp.
#include <gtest/gtest.h>

#include <bulkhead/topic.hpp>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "ipc/endpoint.hpp"
#include "ipc/segment.hpp"
#include "tests/conformance/transports.hpp"
#include "tests/support/topic_stage.hpp"

namespace bulkhead::test {
namespace {

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

TopicOptions small(Overflow overflow, std::uint32_t history = 0) {
  return {.capacity = 4096, .max_message = 1024, .policy = {overflow, history}};
}
std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}
void publish(Topic& topic, std::uint64_t up_to) {
  while (topic.last_published() < up_to) {
    const auto text = std::to_string(topic.last_published() + 1);
    const auto done = topic.publish(as_bytes(text), soon());
    ASSERT_TRUE(done) << done.error().to_string();
  }
}
std::string text_of(const TopicMessage& message) {
  return {reinterpret_cast<const char*>(message.bytes().data()), message.bytes().size()};
}
// "7", or "7 after 3" with a gap, "7 again" when it is redelivered. On tcp a message may be on its way.
std::string next(Topic& topic) {
  auto message = topic.receive(soon());
  if (!message) return message.error().code.message();
  EXPECT_EQ(text_of(*message), std::to_string(message->index()));
  std::string text = text_of(*message);
  if (message->gap() != 0) text += " after " + std::to_string(message->gap());
  if (message->redelivered()) text += " again";
  return text;
}
std::string text_of(Errc code) { return make_error_code(code).message(); }
bool is_empty(Topic& topic) {
  const auto message = topic.receive(Deadline::now());
  return !message && message.error().is(Errc::would_block);
}

// The messages that came and those that were told, together: everything that is there, or up to one that comes.
struct Account {
  std::uint64_t received = 0, told = 0, last = 0;

  void add(const TopicMessage& message) {
    ++received;
    told += message.gap();
    last = message.index();
    EXPECT_EQ(text_of(message), std::to_string(last));
  }
};
Account take_what_is_there(Topic& topic) {
  Account account;
  while (auto message = topic.receive(Deadline::now())) account.add(*message);
  return account;
}
Account take_all(Topic& topic, std::uint64_t up_to) {
  Account account;
  while (account.last != up_to) {
    const auto message = topic.receive(soon());
    EXPECT_TRUE(message) << message.error().to_string();
    if (!message) break;
    account.add(*message);
  }
  EXPECT_TRUE(is_empty(topic));
  return account;
}

class TopicEnds : public testing::TestWithParam<Transport> {};
class TopicRestart : public testing::TestWithParam<Transport> {};
class TopicPeer : public testing::TestWithParam<Transport> {};

TEST_P(TopicEnds, reaches_every_subscriber_in_order) {
  auto topic = connected_topic(GetParam(), TopicOptions{}, 3);
  ASSERT_TRUE(topic) << topic.error().to_string();
  publish(topic->publisher, 5);
  for (Topic& subscriber : topic->subscribers) {
    for (const char* text : {"1", "2", "3", "4", "5"}) EXPECT_EQ(next(subscriber), text);
    EXPECT_TRUE(is_empty(subscriber));
  }
}

TEST_P(TopicEnds, carries_empty_messages_and_the_largest) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1);
  ASSERT_TRUE(topic);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1024}}) {
    ASSERT_TRUE(topic->publisher.publish(std::vector<std::byte>(size, std::byte{7})));
    const auto message = topic->subscribers[0].receive(soon());
    ASSERT_TRUE(message);
    EXPECT_EQ(message->bytes().size(), size);
  }
  const auto large = topic->publisher.publish(std::vector<std::byte>(1025));
  EXPECT_TRUE(!large && large.error().is(Errc::message_too_big));
  EXPECT_EQ(topic->publisher.last_published(), 2U);
}

TEST_P(TopicEnds, each_end_does_only_what_it_is_for) {
  auto topic = connected_topic(GetParam(), TopicOptions{}, 1);
  ASSERT_TRUE(topic);
  EXPECT_TRUE(topic->publisher.receive(Deadline::now()).error().is(Errc::invalid_argument));
  EXPECT_TRUE(topic->subscribers[0].try_publish({}).error().is(Errc::invalid_argument));
}

TEST_P(TopicEnds, refuses_what_it_cannot_do_and_names_it) {
  EXPECT_TRUE(connected_topic(GetParam(), TopicOptions{}, 0).error().is(Errc::invalid_argument));
  const auto history = connected_topic(GetParam(), small(Overflow::conflate, 2), 1);
  EXPECT_TRUE(history.error().is(Errc::invalid_argument));
  const TopicOptions odd{.capacity = 5000};
  const auto rounded = connected_topic(GetParam(), odd, 1);
  if (GetParam() == Transport::shm) {
    EXPECT_TRUE(rounded.error().is(Errc::invalid_argument));
  } else {
    EXPECT_TRUE(rounded) << rounded.error().to_string();
  }
}

TEST_P(TopicEnds, block_gives_a_message_to_all_subscribers_or_to_none) {
  const std::vector<TopicOptions> options{small(Overflow::block), small(Overflow::block)};
  auto topic = connected_topic(GetParam(), options);
  ASSERT_TRUE(topic);
  Topic &publisher = topic->publisher, &quick = topic->subscribers[0];
  std::uint64_t taken = 0;
  for (;;) {
    const auto text = std::to_string(publisher.last_published() + 1);
    const auto done = publisher.try_publish(as_bytes(text));
    if (!done) {
      EXPECT_TRUE(done.error().is(Errc::would_block)) << done.error().to_string();
      break;
    }
    EXPECT_EQ(next(quick), std::to_string(++taken));
  }
  EXPECT_EQ(publisher.last_published(), taken);
  EXPECT_TRUE(is_empty(quick));
  const auto late = publisher.publish(as_bytes("x"), Deadline::in(std::chrono::milliseconds(1)));
  EXPECT_TRUE(late.error().is(Errc::timed_out));
  EXPECT_EQ(next(topic->subscribers[1]), "1");
  publish(publisher, taken + 1);
  EXPECT_EQ(take_all(topic->subscribers[1], taken + 1).last, taken + 1);
}

TEST_P(TopicEnds, drop_newest_keeps_what_came_first_and_tells_the_gap) {
  auto topic = connected_topic(GetParam(), small(Overflow::drop_newest), 1);
  ASSERT_TRUE(topic);
  publish(topic->publisher, 100);  // 63 fit, and a line whose head is 0
  EXPECT_EQ(topic->publisher.stats().dropped, 37U);
  Topic& slow = topic->subscribers[0];
  for (int i = 1; i <= 63; ++i) ASSERT_EQ(next(slow), std::to_string(i));
  EXPECT_TRUE(is_empty(slow));
  publish(topic->publisher, 101);
  EXPECT_EQ(next(slow), "101 after 37");
  EXPECT_EQ(slow.stats().dropped, 37U);
}

TEST_P(TopicEnds, drop_oldest_keeps_what_came_last_and_tells_the_gap) {
  auto topic = connected_topic(GetParam(), small(Overflow::drop_oldest), 1);
  ASSERT_TRUE(topic);
  Topic& slow = topic->subscribers[0];
  publish(topic->publisher, 1);
  EXPECT_EQ(next(slow), "1");
  publish(topic->publisher, 1000);
  const Account account = take_all(slow, 1000);
  EXPECT_EQ(account.last, 1000U);
  EXPECT_EQ(account.received + account.told, 999U);
  EXPECT_GE(account.received, 64U - 8U);
  EXPECT_EQ(slow.stats().dropped, account.told);
}

TEST_P(TopicEnds, conflate_shows_the_newest_alone_and_tells_the_gap) {
  auto topic = connected_topic(GetParam(), small(Overflow::conflate), 1);
  ASSERT_TRUE(topic);
  Topic& slow = topic->subscribers[0];
  publish(topic->publisher, 10);
  EXPECT_EQ(next(slow), "10 after 9");
  EXPECT_TRUE(is_empty(slow));
  publish(topic->publisher, 500);
  EXPECT_EQ(next(slow), "500 after 489");
}

TEST_P(TopicEnds, subscribers_with_different_policies_do_not_disturb_each_other) {
  const std::vector<TopicOptions> options{small(Overflow::block), small(Overflow::drop_oldest),
                                          small(Overflow::drop_newest), small(Overflow::conflate)};
  auto topic = connected_topic(GetParam(), options);
  ASSERT_TRUE(topic);
  for (std::uint64_t number = 1; number <= 500; ++number) {
    publish(topic->publisher, number);
    ASSERT_EQ(next(topic->subscribers[0]), std::to_string(number));
  }
  for (std::size_t i = 1; i < options.size(); ++i) {
    publish(topic->publisher, topic->publisher.last_published() + 1);
    const Account before = take_what_is_there(topic->subscribers[i]);
    publish(topic->publisher, topic->publisher.last_published() + 1);
    const Account after = take_all(topic->subscribers[i], topic->publisher.last_published());
    EXPECT_EQ(before.received + before.told + after.received + after.told, after.last) << i;
    EXPECT_EQ(after.last, topic->publisher.last_published()) << i;
  }
}

TEST_P(TopicEnds, goes_on_for_the_others_when_a_subscriber_closes_and_ends_with_the_last) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 2);
  ASSERT_TRUE(topic);
  publish(topic->publisher, 1);
  EXPECT_EQ(next(topic->subscribers[0]), "1");
  topic->subscribers[0].close();
  publish(topic->publisher,
          200 / 4);  // less than a lane holds, and nobody waits for the one that left
  EXPECT_EQ(take_all(topic->subscribers[1], 50).last, 50U);
  topic->subscribers[1].close();
  EXPECT_TRUE(topic->publisher.publish({}, soon()).error().is(Errc::closed));
}

TEST_P(TopicEnds, tells_subscribers_that_the_publisher_closed_after_its_last_message) {
  auto topic = connected_topic(GetParam(), small(Overflow::drop_oldest), 1);
  ASSERT_TRUE(topic);
  publish(topic->publisher, 2);
  topic->publisher.close();
  EXPECT_EQ(next(topic->subscribers[0]), "1");
  EXPECT_EQ(next(topic->subscribers[0]), "2");
  EXPECT_EQ(next(topic->subscribers[0]), text_of(Errc::closed));
}

// Every policy wakes a subscriber that sleeps, and block a publisher that does.
class TopicThreads : public testing::TestWithParam<std::tuple<Transport, Overflow>> {};

TEST_P(TopicThreads, account_for_every_message_while_subscribers_sleep) {
  constexpr std::uint64_t messages = 20'000;
  const auto [transport, overflow] = GetParam();
  TopicOptions options = small(overflow);
  options.wait = WaitMode::block;
  auto topic = connected_topic(transport, options, 2);
  ASSERT_TRUE(topic);
  std::vector<std::thread> threads;
  for (Topic& subscriber : topic->subscribers) {
    threads.emplace_back([&subscriber] {
      std::uint64_t accounted = 0;
      std::string text;
      for (;;) {
        auto message = subscriber.receive(soon());
        if (!message) {
          ASSERT_TRUE(message.error().is(Errc::closed)) << message.error().to_string();
          break;
        }
        accounted += 1 + message->gap();
        ASSERT_EQ(message->index(), accounted);
        text = text_of(*message);
        if (text == "end") continue;
        ASSERT_EQ(text, std::to_string(message->index()));
      }
      EXPECT_EQ(text, "end");
      EXPECT_EQ(subscriber.stats().safety_net, 0U);
    });
  }
  publish(topic->publisher, messages);
  // With drop_newest the last one might not fit: it is said until it is heard.
  for (auto dropped = topic->publisher.stats().dropped;; std::this_thread::yield()) {
    ASSERT_TRUE(topic->publisher.publish(as_bytes("end"), soon()));
    if (std::exchange(dropped, topic->publisher.stats().dropped) ==
        topic->publisher.stats().dropped) {
      break;
    }
  }
  topic->publisher.close();
  for (auto& thread : threads) thread.join();
}
INSTANTIATE_TEST_SUITE_P(, TopicThreads,
                         testing::Combine(testing::ValuesIn(all_transports),
                                          testing::Values(Overflow::block, Overflow::drop_oldest,
                                                          Overflow::drop_newest,
                                                          Overflow::conflate)),
                         [](const auto& tested) {
                           return std::string(to_string(std::get<0>(tested.param))) + "_" +
                                  std::string(to_string(std::get<1>(tested.param)));
                         });

TEST_P(TopicRestart, of_the_publisher_drains_the_old_incarnation_and_numbers_on) {
  TopicStage stage(GetParam(), {small(Overflow::block), small(Overflow::drop_oldest)});
  Topic one = stage.start_subscriber(0), two = stage.start_subscriber(1);
  {
    Topic first = stage.start_publisher();
    publish(first, 3);
  }
  stage.bury_publisher();
  Topic second = stage.start_publisher();
  EXPECT_EQ(second.last_published(), 3U);
  publish(second, 5);
  for (Topic* subscriber : {&one, &two}) {
    for (const char* text : {"1", "2", "3", "4", "5"}) EXPECT_EQ(next(*subscriber), text);
    EXPECT_EQ(subscriber->epoch(), 2U);
  }
}

TEST_P(TopicRestart, of_a_publisher_killed_inside_publish_is_a_gap_for_those_it_had_not_reached) {
  TopicStage stage(GetParam(),
                   {small(Overflow::block), small(Overflow::block), small(Overflow::conflate)});
  Topic one = stage.start_subscriber(0), two = stage.start_subscriber(1),
        three = stage.start_subscriber(2);
  Topic first = stage.start_publisher();
  publish(first, 2);
  stage.publish_and_die(std::move(first), 1, as_bytes("3"));
  Topic second = stage.start_publisher();
  EXPECT_EQ(second.last_published(), 3U);
  publish(second, 4);
  for (const char* text : {"1", "2", "3", "4"}) EXPECT_EQ(next(one), text);
  for (const char* text : {"1", "2", "4 after 1"}) EXPECT_EQ(next(two), text);
  for (const char* text : {"2 after 1", "4 after 1"}) EXPECT_EQ(next(three), text);
}

TEST_P(TopicRestart, of_a_publisher_forgets_no_drop_that_it_had_not_told) {
  TopicStage stage(GetParam(), {small(Overflow::drop_newest)});
  Topic subscriber = stage.start_subscriber(0);
  {
    Topic first = stage.start_publisher();
    publish(first, 70);  // 63 fit
  }
  stage.bury_publisher();
  Topic second = stage.start_publisher();
  publish(second, 71);
  EXPECT_EQ(take_all(subscriber, 71).told, 7U);
}

TEST_P(TopicRestart, of_a_subscriber_resumes_after_what_was_acknowledged) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  Topic publisher = stage.start_publisher();
  publish(publisher, 4);
  {
    Topic first = stage.start_subscriber(0);
    EXPECT_EQ(next(first), "1");
    try {
      const auto taken = first.receive(soon());
      throw 1;  // the message is not acknowledged
    } catch (int) {
    }
  }
  stage.bury_subscriber(0);
  Topic second = stage.start_subscriber(0);
  EXPECT_EQ(second.resume_point(), 2U);
  for (const char* text : {"2 again", "3", "4"}) EXPECT_EQ(next(second), text);
}

TEST_P(TopicRestart, of_a_subscriber_tells_a_gap_again_with_the_message_that_comes_again) {
  TopicStage stage(GetParam(), {small(Overflow::conflate)});
  Topic publisher = stage.start_publisher();
  publish(publisher, 4);
  {
    Topic first = stage.start_subscriber(0);
    try {
      const auto taken = first.receive(soon());
      EXPECT_EQ(taken->gap(), 3U);
      throw 1;
    } catch (int) {
    }
  }
  stage.bury_subscriber(0);
  Topic second = stage.start_subscriber(0);
  EXPECT_EQ(next(second), "4 after 3 again");
}

TEST_P(TopicRestart, of_a_subscriber_with_history_begins_further_back) {
  TopicStage stage(GetParam(), {small(Overflow::drop_oldest, 3), small(Overflow::block, 2),
                                small(Overflow::conflate, 1), small(Overflow::drop_newest)});
  Topic publisher = stage.start_publisher();
  publish(publisher, 10);
  for (std::size_t i = 0; i < 4; ++i) {
    {
      Topic first = stage.start_subscriber(i);
      EXPECT_EQ(take_all(first, 10).last, 10U);
    }
    stage.bury_subscriber(i);
  }
  Topic oldest = stage.start_subscriber(0), block = stage.start_subscriber(1),
        conflate = stage.start_subscriber(2), without = stage.start_subscriber(3);
  publish(publisher, 11);
  for (const char* text : {"9 again", "10 again", "11"}) EXPECT_EQ(next(oldest), text);
  for (const char* text : {"10 again", "11"}) EXPECT_EQ(next(block), text);
  EXPECT_EQ(next(conflate), "11");
  EXPECT_EQ(next(without), "11");
}

TEST_P(TopicRestart, of_a_subscriber_of_an_idle_topic_shows_the_newest_again_with_history) {
  TopicStage stage(GetParam(), {small(Overflow::conflate, 1)});
  Topic publisher = stage.start_publisher();
  publish(publisher, 10);
  for (int life = 0; life < 3; ++life) {
    {
      Topic subscriber = stage.start_subscriber(0);
      EXPECT_EQ(next(subscriber), life == 0 ? "10 after 9" : "10 again");
    }
    stage.bury_subscriber(0);
  }
}

TEST_P(TopicRestart, of_a_blocking_subscriber_lets_the_publisher_go_on) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  Topic publisher = stage.start_publisher();
  {
    Topic first = stage.start_subscriber(0);
    publish(publisher, 63);
    EXPECT_TRUE(publisher.try_publish({}).error().is(Errc::would_block));
  }
  stage.bury_subscriber(0);
  Topic second = stage.start_subscriber(0);
  std::thread reader([&second] {
    for (std::uint64_t number = 1; number <= 100; ++number) {
      const auto message = second.receive(soon());
      ASSERT_TRUE(message) << message.error().to_string();
      ASSERT_EQ(message->index(), number);
      ASSERT_EQ(message->gap(), 0U);
    }
  });
  publish(publisher, 100);
  reader.join();
}

TEST_P(TopicRestart, of_everybody_in_turn_accounts_for_every_message) {
  for (const auto overflow :
       {Overflow::block, Overflow::drop_oldest, Overflow::drop_newest, Overflow::conflate}) {
    SCOPED_TRACE(to_string(overflow));
    TopicStage stage(GetParam(), {small(overflow)});
    std::uint64_t accounted = 0;
    for (int life = 1; life <= 6; ++life) {
      Topic publisher = stage.start_publisher();
      EXPECT_EQ(publisher.last_published(), static_cast<std::uint64_t>(life - 1) * 50);
      publish(publisher, static_cast<std::uint64_t>(life) * 50);
      Topic subscriber = stage.start_subscriber(0);
      EXPECT_EQ(subscriber.resume_point(), accounted + 1);
      const Account account = take_all(subscriber, publisher.last_published());
      accounted += account.received + account.told;
      EXPECT_EQ(accounted, publisher.last_published());
      { const Topic gone(std::move(publisher)); }
      stage.bury_publisher();
      { const Topic gone(std::move(subscriber)); }
      stage.bury_subscriber(0);
    }
  }
}

TEST_P(TopicPeer, that_acknowledges_what_it_cannot_have_is_dropped_and_disturbs_nobody) {
  TopicStage stage(GetParam(), {small(Overflow::block), small(Overflow::block)});
  Topic publisher = stage.start_publisher();
  Topic good = stage.start_subscriber(1);
  auto hostile = ipc::Segment::create({.name = "hostile", .epoch = 1}).value();
  ipc::store_acknowledged(hostile.page(), {{1, 1 << 20}, 7});
  ipc::LinkUpdate offer{ipc::LinkUpdate::Kind::peer_segment, 1, {}};
  offer.fds.push_back(base::duplicate(hostile.fd()).value());
  stage.post(0, ipc::Side::from, std::move(offer));
  for (std::uint64_t number = 1; number <= 200; ++number) {
    publish(publisher, number);
    ASSERT_EQ(next(good), std::to_string(number));
  }
  EXPECT_EQ(publisher.stats().violations, 1U);
}

TEST_P(TopicPeer, that_publishes_nonsense_is_a_violation_until_its_next_incarnation) {
  TopicStage stage(GetParam(), {small(Overflow::drop_oldest)});
  Topic subscriber = stage.start_subscriber(0);
  auto hostile =
      ipc::Segment::create({.name = "hostile", .epoch = 1, .ring_capacity = 4096}).value();
  ipc::store_committed(hostile.page(), {64, 1});
  ipc::topic_word(hostile.ring().data(), 0) = ~std::uint64_t{0};
  ipc::LinkUpdate offer{ipc::LinkUpdate::Kind::peer_segment, 1, {}};
  offer.fds.push_back(base::duplicate(hostile.fd()).value());
  stage.post(0, ipc::Side::to, std::move(offer));
  EXPECT_EQ(next(subscriber), text_of(Errc::protocol_violation));
  EXPECT_EQ(next(subscriber), text_of(Errc::protocol_violation));
  EXPECT_EQ(subscriber.stats().violations, 1U);
  stage.post(0, ipc::Side::to, {ipc::LinkUpdate::Kind::peer_died, 1, {}});
  auto sound = ipc::Segment::create({.name = "sound", .epoch = 2, .ring_capacity = 4096}).value();
  ipc::TopicProducer producer(sound.ring(), sound.page(), ipc::TopicProducer::Overtake::yes, 0, 0);
  ASSERT_TRUE(producer.push(as_bytes("1")));
  ipc::LinkUpdate again{ipc::LinkUpdate::Kind::peer_segment, 2, {}};
  again.fds.push_back(base::duplicate(sound.fd()).value());
  stage.post(0, ipc::Side::to, std::move(again));
  EXPECT_EQ(next(subscriber), "1");
}

BULKHEAD_OVER_ALL_TRANSPORTS(TopicEnds);
BULKHEAD_OVER_ALL_TRANSPORTS(TopicRestart);
BULKHEAD_OVER_ALL_TRANSPORTS(TopicPeer);

}  // namespace
}  // namespace bulkhead::test
