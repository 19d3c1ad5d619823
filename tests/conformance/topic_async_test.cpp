// Topics as Asio I/O objects. Where nothing but a wake-up can end a sleep the stage lets its ends sleep for an hour.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <bulkhead/async.hpp>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/transports.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/topic_stage.hpp"

namespace bulkhead::test {
namespace {

namespace asio = boost::asio;
using ipc::Side;

constexpr std::array all_policies{Overflow::block, Overflow::drop_oldest, Overflow::drop_newest,
                                  Overflow::conflate};

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

TopicOptions small(Overflow overflow, std::size_t capacity = 4096, std::size_t most = 1024) {
  return {.capacity = capacity, .max_message = most, .policy = {overflow, 0}};
}
std::vector<TopicOptions> one_of_each(std::size_t capacity = 4096, std::size_t most = 1024) {
  std::vector<TopicOptions> options;
  for (const auto overflow : all_policies) options.push_back(small(overflow, capacity, most));
  return options;
}
std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string text_of(const Result<TopicMessage>& message) {
  return message ? text_of(message->bytes()) : message.error().code.message();
}
std::string text_of(Errc code) { return make_error_code(code).message(); }
void publish(Topic& topic, const std::string& text) {
  const auto done = topic.publish(as_bytes(text), soon());
  ASSERT_TRUE(done) << done.error().to_string();
}
void publish_number(Topic& topic) { publish(topic, std::to_string(topic.last_published() + 1)); }

class TopicAsync : public testing::TestWithParam<Transport> {
 protected:
  // The system executor keeps its descriptors until the process ends: before the first count.
  static void SetUpTestSuite() {
    const auto before = open_sockets();
    std::set<std::string> of_topic;
    {
      auto topic = connected_topic(Transport::unix_socket, TopicOptions{}, 1).value();
      std::ranges::set_difference(open_sockets(), before, std::inserter(of_topic, of_topic.end()));
      auto received = topic.subscribers[0].async_receive(asio::use_future);
      EXPECT_TRUE(topic.publisher.publish({}, soon()));
      EXPECT_TRUE(received.get());
    }
    // A thread of the executor may have them for a moment longer than the future tells.
    const auto are_there = [&] {
      const auto now = open_sockets();
      return std::ranges::any_of(of_topic,
                                 [&](const auto& socket) { return now.contains(socket); });
    };
    while (are_there()) std::this_thread::yield();
  }
  void SetUp() override {
    descriptors_before_ = open_descriptors();
    context_.emplace();
  }
  void TearDown() override {
    context_.reset();
    EXPECT_EQ(open_descriptors(), descriptors_before_);
  }
  void run() {
    context_->restart();
    context_->run_for(std::chrono::seconds(30));
  }
  // Until nothing but a wake-up makes the operations go on.
  void run_until_all_sleep() {
    context_->restart();
    while (context_->poll() != 0) {
    }
  }
  // Completes into `text`.
  void receive_into(Topic& subscriber, std::string& text) {
    subscriber.async_receive(asio::bind_executor(
        *context_, [&text](Result<TopicMessage> message) { text = text_of(message); }));
  }
  void publish_into(Topic& publisher, const std::string& what, std::string& text) {
    publisher.async_publish(as_bytes(what),
                            asio::bind_executor(*context_, [&text](Result<void> done) {
                              text = done ? "published" : done.error().code.message();
                            }));
  }
  static void fill(Topic& publisher) {
    const std::string filler(1000, 'f');
    while (publisher.try_publish(as_bytes(filler))) {
    }
    while (publisher.try_publish({})) {  // what is left beside the fillers
    }
  }

  std::optional<asio::io_context> context_;

 private:
  std::size_t descriptors_before_ = 0;
};

TEST_P(TopicAsync, receive_that_waits_is_completed_by_a_later_publish) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1).value();
  std::string text;
  receive_into(topic.subscribers[0], text);
  run_until_all_sleep();
  EXPECT_EQ(text, "");
  publish(topic.publisher, "later");
  run();
  EXPECT_EQ(text, "later");
}

TEST_P(TopicAsync, completion_never_runs_inside_the_call) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1).value();
  std::string published, received;
  publish_into(topic.publisher, "there already", published);
  receive_into(topic.subscribers[0], received);
  EXPECT_EQ(published + received, "");
  run();
  EXPECT_EQ(published, "published");
  EXPECT_EQ(received, "there already");
}

TEST_P(TopicAsync, wrong_end_completes_with_invalid_argument) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1).value();
  std::string published, received;
  publish_into(topic.subscribers[0], "x", published);
  receive_into(topic.publisher, received);
  run();
  EXPECT_EQ(published, text_of(Errc::invalid_argument));
  EXPECT_EQ(received, text_of(Errc::invalid_argument));
}

TEST_P(TopicAsync, futures_run_without_a_context_of_their_own) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1).value();
  auto received = topic.subscribers[0].async_receive(asio::use_future);
  EXPECT_TRUE(topic.publisher.async_publish(as_bytes("future"), asio::use_future).get());
  EXPECT_EQ(text_of(received.get()), "future");
}

// What a subscriber that accounts for every message sees.
struct Account {
  std::uint64_t accounted = 0, received = 0;
  std::string last, ended;
};
asio::awaitable<void> keep(Topic& subscriber, Account& account) {
  for (;;) {
    auto message = co_await subscriber.async_receive(asio::use_awaitable);
    if (!message) {
      account.ended = text_of(message);
      co_return;
    }
    account.accounted += 1 + message->gap();
    ++account.received;
    EXPECT_EQ(message->index(), account.accounted);
    account.last = text_of(message);
  }
}

TEST_P(TopicAsync, receives_or_is_told_of_every_message_under_every_policy) {
  constexpr std::uint64_t messages = 20'000;
  auto topic = connected_topic(GetParam(), one_of_each()).value();
  std::array<Account, all_policies.size()> accounts;
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    asio::co_spawn(*context_, keep(topic.subscribers[i], accounts[i]), asio::detached);
  }
  std::thread publisher([&] {
    while (topic.publisher.last_published() < messages) publish_number(topic.publisher);
    topic.publisher.close();
  });
  run();
  publisher.join();
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    SCOPED_TRACE(to_string(all_policies[i]));
    EXPECT_EQ(accounts[i].ended, text_of(Errc::closed));
    EXPECT_EQ(accounts[i].last, std::to_string(accounts[i].accounted));
    EXPECT_EQ(topic.subscribers[i].stats().safety_net, 0U);
    // The last message finds no room, or not, at who refuses the newest.
    if (all_policies[i] != Overflow::drop_newest) {
      EXPECT_EQ(accounts[i].accounted, messages);
    }
  }
  EXPECT_EQ(accounts[0].received, messages);
  EXPECT_EQ(topic.publisher.stats().safety_net, 0U);
}

asio::awaitable<void> count(Topic& subscriber, std::uint64_t up_to, std::atomic<int>& heard) {
  while (subscriber.stats().received < up_to) {
    auto message = co_await subscriber.async_receive(asio::use_awaitable);
    EXPECT_TRUE(message);
    if (!message) co_return;
    EXPECT_EQ(message->gap(), 0U);
    ++heard;
  }
}

TEST_P(TopicAsync, wakes_for_each_message_when_nothing_else_would) {
  constexpr std::uint64_t messages = 1000;
  TopicStage stage(GetParam(), one_of_each());
  stage.longest_sleep = std::chrono::hours(1);
  Topic publisher = stage.start_publisher();
  std::vector<Topic> subscribers;
  std::atomic<int> heard{0};
  for (std::size_t i = 0; i < all_policies.size(); ++i) {
    subscribers.push_back(stage.start_subscriber(i));
  }
  for (Topic& subscriber : subscribers) {
    asio::co_spawn(*context_, count(subscriber, messages, heard), asio::detached);
  }
  std::thread thread([&] {
    while (publisher.last_published() < messages) {
      publish_number(publisher);
      const auto all = static_cast<int>(publisher.last_published() * all_policies.size());
      for (const auto watchdog = soon(); heard.load() < all && !watchdog.expired();) {
        std::this_thread::yield();
      }
    }
  });
  run();
  thread.join();
  EXPECT_EQ(heard.load(), static_cast<int>(messages * all_policies.size()));
}

// Large enough that a kernel refuses some: those come from the lane, and who waits is woken by the doorbell.
TEST_P(TopicAsync, wakes_whoever_brings_the_message) {
  constexpr std::size_t size = 60'000;
  for (const auto overflow : {Overflow::block, Overflow::drop_oldest, Overflow::conflate}) {
    SCOPED_TRACE(to_string(overflow));
    TopicStage stage(GetParam(), {small(overflow, std::size_t{1} << 20, size)});
    stage.longest_sleep = std::chrono::hours(1);
    Topic publisher = stage.start_publisher(), subscriber = stage.start_subscriber(0);
    Account account;
    asio::co_spawn(*context_, keep(subscriber, account), asio::detached);
    std::thread thread([&] {
      const std::string text(size, 'x');
      for (int i = 0; i < 500; ++i) publish(publisher, text);
      publish(publisher, "end");
    });
    context_->restart();
    for (const auto watchdog = soon(); account.last != "end" && !watchdog.expired();) {
      context_->run_one_for(std::chrono::seconds(30));
    }
    EXPECT_EQ(account.accounted, 501U);
    thread.join();
    stage.post(0, Side::to, {ipc::LinkUpdate::Kind::peer_closed, 1, {}});
    run();
    EXPECT_EQ(account.ended, text_of(Errc::closed));
  }
}

TEST_P(TopicAsync, publish_waits_for_a_slow_subscriber_to_make_room) {
  const std::vector<TopicOptions> options{small(Overflow::drop_oldest), small(Overflow::block)};
  auto topic = connected_topic(GetParam(), options).value();
  fill(topic.publisher);
  const auto before = topic.publisher.last_published();
  std::string published;
  publish_into(topic.publisher, "waited for", published);
  run_until_all_sleep();
  EXPECT_EQ(published, "");
  Topic& slow = topic.subscribers[1];
  for (std::uint64_t i = 0; i < before; ++i) EXPECT_TRUE(slow.receive(soon()));
  run();
  EXPECT_EQ(published, "published");
  EXPECT_EQ(text_of(slow.receive(soon())), "waited for");
}

asio::awaitable<void> publish_numbers(Topic& publisher, std::uint64_t messages) {
  while (publisher.last_published() < messages) {
    const auto text = std::to_string(publisher.last_published() + 1);
    const auto done = co_await publisher.async_publish(as_bytes(text), asio::use_awaitable);
    EXPECT_TRUE(done) << done.error().to_string();
    if (!done) co_return;
  }
}

TEST_P(TopicAsync, publish_waits_for_all_subscribers_when_nothing_else_would_wake_it) {
  constexpr std::uint64_t messages = 3000;
  TopicStage stage(GetParam(), std::vector<TopicOptions>(3, small(Overflow::block)));
  stage.longest_sleep = std::chrono::hours(1);
  Topic publisher = stage.start_publisher();
  std::vector<Topic> subscribers;
  for (std::size_t i = 0; i < 3; ++i) subscribers.push_back(stage.start_subscriber(i));
  std::vector<std::thread> readers;
  for (Topic& subscriber : subscribers) {
    readers.emplace_back([&subscriber] {
      for (std::uint64_t number = 1; number <= messages; ++number) {
        ASSERT_EQ(text_of(subscriber.receive(soon())), std::to_string(number));
        if (number % 64 == 0) std::this_thread::yield();
      }
    });
  }
  asio::co_spawn(*context_, publish_numbers(publisher, messages), asio::detached);
  run();
  EXPECT_EQ(publisher.last_published(), messages);
  for (auto& reader : readers) reader.join();
}

TEST_P(TopicAsync, cancellation_ends_a_receive_that_takes_nothing) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1).value();
  asio::cancellation_signal signal;
  std::string text;
  topic.subscribers[0].async_receive(asio::bind_cancellation_slot(
      signal.slot(), asio::bind_executor(*context_, [&](Result<TopicMessage> message) {
        text = text_of(message);
      })));
  run_until_all_sleep();
  signal.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(text, text_of(Errc::cancelled));
  publish(topic.publisher, "not taken");
  EXPECT_EQ(text_of(topic.subscribers[0].receive(soon())), "not taken");
}

TEST_P(TopicAsync, cancellation_ends_a_publish_that_reaches_nobody) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 2).value();
  fill(topic.publisher);
  const auto before = topic.publisher.last_published();
  asio::cancellation_signal signal;
  std::string text;
  topic.publisher.async_publish(
      as_bytes("never"), asio::bind_cancellation_slot(
                             signal.slot(), asio::bind_executor(*context_, [&](Result<void> done) {
                               text = done ? "published" : done.error().code.message();
                             })));
  run_until_all_sleep();
  signal.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(text, text_of(Errc::cancelled));
  EXPECT_EQ(topic.publisher.last_published(), before);
  for (Topic& subscriber : topic.subscribers) {
    for (std::uint64_t i = 0; i < before; ++i) EXPECT_TRUE(subscriber.receive(soon()));
    EXPECT_TRUE(subscriber.receive(Deadline::now()).error().is(Errc::would_block));
  }
}

TEST_P(TopicAsync, end_of_the_topic_completes_with_its_error) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1).value();
  std::string received;
  receive_into(topic.subscribers[0], received);
  run_until_all_sleep();
  topic.publisher.close();
  run();
  EXPECT_EQ(received, text_of(Errc::closed));

  auto other = connected_topic(GetParam(), small(Overflow::block), 1).value();
  fill(other.publisher);
  std::string published;
  publish_into(other.publisher, "too late", published);
  run_until_all_sleep();
  other.subscribers[0].close();
  run();
  EXPECT_EQ(published, text_of(Errc::closed));
}

TEST_P(TopicAsync, operation_that_its_context_abandons_leaves_nothing_behind) {
  auto topic = connected_topic(GetParam(), small(Overflow::block), 1).value();
  std::string text;
  {
    receive_into(topic.subscribers[0], text);
    run_until_all_sleep();
    context_.emplace();
  }
  publish(topic.publisher, "still works");
  EXPECT_EQ(text_of(topic.subscribers[0].receive(soon())), "still works");
}

// Ends that are killed while they are armed: what they were waiting for, their successors get.
TEST_P(TopicAsync, restart_of_the_publisher_is_waited_for) {
  TopicStage stage(GetParam(), one_of_each());
  stage.longest_sleep = std::chrono::hours(1);
  std::vector<Topic> subscribers;
  for (std::size_t i = 0; i < all_policies.size(); ++i) {
    subscribers.push_back(stage.start_subscriber(i));
  }
  for (int life = 1; life <= 4; ++life) {
    Topic publisher = stage.start_publisher();
    std::array<std::string, all_policies.size()> texts;
    for (std::size_t i = 0; i < texts.size(); ++i) receive_into(subscribers[i], texts[i]);
    run_until_all_sleep();
    if (life % 2 == 0) {  // it dies without a word
      { const Topic gone(std::move(publisher)); }
      stage.bury_publisher();
      run_until_all_sleep();
      Topic second = stage.start_publisher();
      publish_number(second);
      run();
      for (const auto& text : texts) EXPECT_EQ(text, std::to_string(second.last_published()));
    } else {
      publish_number(publisher);
      run();
      for (const auto& text : texts) EXPECT_EQ(text, std::to_string(publisher.last_published()));
      { const Topic gone(std::move(publisher)); }
    }
    stage.bury_publisher();
  }
}

TEST_P(TopicAsync, subscriber_that_dies_armed_leaves_the_next_message_to_its_successor) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  Topic publisher = stage.start_publisher();
  for (int life = 1; life <= 4; ++life) {
    {
      Topic subscriber = stage.start_subscriber(0);
      std::string text;
      receive_into(subscriber, text);
      run_until_all_sleep();
      publish_number(publisher);
      run();
      EXPECT_EQ(text, std::to_string(publisher.last_published()));
      receive_into(subscriber, text);
      run_until_all_sleep();
      context_.emplace();
    }
    stage.bury_subscriber(0);
    EXPECT_EQ(publisher.stats().violations, 0U);
  }
}

TEST_P(TopicAsync, publisher_that_dies_waiting_leaves_its_number_to_its_successor) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  Topic subscriber = stage.start_subscriber(0);
  std::uint64_t filled = 0;
  {
    Topic publisher = stage.start_publisher();
    fill(publisher);
    filled = publisher.last_published();
    std::string text;
    publish_into(publisher, "never", text);
    run_until_all_sleep();
    EXPECT_EQ(text, "");
    context_.emplace();
  }
  stage.bury_publisher();
  Topic second = stage.start_publisher();
  EXPECT_EQ(second.last_published(), filled);
  publish(second, "by the second");
  for (std::uint64_t i = 0; i < filled; ++i) EXPECT_TRUE(subscriber.receive(soon()));
  const auto message = subscriber.receive(soon());
  EXPECT_EQ(text_of(message), "by the second");
  EXPECT_EQ(message->gap(), 0U);
}

TEST_P(TopicAsync, publish_waits_for_the_successor_of_a_subscriber_that_died) {
  TopicStage stage(GetParam(), {small(Overflow::block)});
  stage.longest_sleep = std::chrono::hours(1);
  Topic publisher = stage.start_publisher();
  std::string text;
  {
    const Topic first = stage.start_subscriber(0);
    fill(publisher);
    publish_into(publisher, "for the second", text);
    run_until_all_sleep();
  }
  stage.bury_subscriber(0);
  run_until_all_sleep();
  EXPECT_EQ(text, "");
  const auto before = publisher.last_published();
  Topic second = stage.start_subscriber(0);
  for (std::uint64_t i = 0; i < before; ++i) EXPECT_TRUE(second.receive(soon()));
  run();
  EXPECT_EQ(text, "published");
  EXPECT_EQ(text_of(second.receive(soon())), "for the second");
}

BULKHEAD_OVER_ALL_TRANSPORTS(TopicAsync);

}  // namespace
}  // namespace bulkhead::test
