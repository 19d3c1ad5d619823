// What arrives, and how: order, boundaries, sizes, numbers, both ways at once.
#include <random>
#include <thread>

#include "tests/conformance/pair_test.hpp"

namespace bulkhead::test {
namespace {

class Delivery : public PairTest {};
BULKHEAD_OVER_ALL_TRANSPORTS(Delivery);

TEST_P(Delivery, keeps_the_order) {
  auto [a, b] = make_pair();
  for (int i = 0; i < 500; ++i) send_text(a, std::to_string(i));
  for (int i = 0; i < 500; ++i) EXPECT_EQ(receive_text(b), std::to_string(i));
}

TEST_P(Delivery, keeps_the_boundaries_of_messages_of_every_size) {
  auto [a, b] = make_pair();
  for (std::size_t size = 0; size < 300; ++size) {
    send_text(a, std::string(size, static_cast<char>('a' + size % 26)));
  }
  for (std::size_t size = 0; size < 300; ++size) {
    EXPECT_EQ(receive_text(b), std::string(size, static_cast<char>('a' + size % 26)));
  }
}

TEST_P(Delivery, carries_the_empty_message) {
  auto [a, b] = make_pair();
  send_text(a, "");
  send_text(a, "after it");
  auto message = b.receive(soon());
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->bytes().empty());
  message->acknowledge();
  EXPECT_EQ(receive_text(b), "after it");
}

TEST_P(Delivery, carries_the_largest_message_and_refuses_a_larger_one) {
  ChannelOptions options;
  options.capacity = std::size_t{4} << 20;
  options.max_message = 1'000'000;
  auto [a, b] = make_pair(options);
  Bytes largest(options.max_message);
  for (std::size_t i = 0; i < largest.size(); ++i) largest[i] = static_cast<std::byte>(i * 31 >> 3);
  // Some transports hold less than one such message.
  std::thread sender([&, &from = a] {
    EXPECT_TRUE(from.send(largest, soon()));
    const auto refused = from.send(Bytes(options.max_message + 1), soon());
    EXPECT_TRUE(!refused && refused.error().is(Errc::message_too_big));
    EXPECT_TRUE(from.send(as_bytes("the next"), soon()));
  });
  {
    auto message = b.receive(soon());
    EXPECT_TRUE(message && message->copy() == largest);
  }
  EXPECT_EQ(receive_text(b), "the next");
  sender.join();
}

TEST_P(Delivery, numbers_messages_from_one_without_holes_in_each_direction) {
  auto [a, b] = make_pair();
  EXPECT_EQ(a.last_committed(), 0U);
  EXPECT_EQ(b.resume_point(), 1U);
  for (int i = 0; i < 3; ++i) send_text(a, "to b");
  send_text(b, "to a");
  EXPECT_EQ(a.last_committed(), 3U);
  for (std::uint64_t index = 1; index <= 3; ++index) {
    auto message = b.receive(soon());
    ASSERT_TRUE(message);
    EXPECT_EQ(message->index(), index);
    EXPECT_EQ(message->epoch(), 1U);
    EXPECT_FALSE(message->redelivered());
  }
  auto message = a.receive(soon());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->index(), 1U);
}

TEST_P(Delivery, counts_what_it_did) {
  auto [a, b] = make_pair();
  send_text(a, "four");
  send_text(a, "seven..");
  EXPECT_EQ(receive_text(b), "four");
  const auto sent = a.stats(), received = b.stats();
  EXPECT_EQ(sent.sent, 2U);
  EXPECT_EQ(sent.bytes_sent, 11U);
  EXPECT_EQ(sent.acknowledged, 1U);
  EXPECT_EQ(received.received, 1U);
  EXPECT_EQ(received.bytes_received, 4U);
  EXPECT_EQ(sent.violations + received.violations, 0U);
}

// What message `index` of a seed is: size and content follow from the two.
Bytes generated(std::uint64_t seed, std::uint64_t index) {
  std::mt19937_64 random(seed * 1'000'003 + index);
  const std::size_t range = random() % 50 == 0 ? 60'000 : 200;
  Bytes bytes(random() % range);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

void send_generated(Channel& channel, std::uint64_t seed, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto sent = channel.send(generated(seed, i), soon());
    ASSERT_TRUE(sent) << sent.error().to_string();
  }
}

void receive_generated(Channel& channel, std::uint64_t seed, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    auto message = channel.receive(soon());
    ASSERT_TRUE(message) << message.error().to_string();
    ASSERT_EQ(message->copy(), generated(seed, i)) << "message " << i;
    ASSERT_EQ(message->index(), i + 1);
  }
}

TEST_P(Delivery, carries_many_messages_both_ways_at_once) {
  constexpr std::uint64_t count = 3000;
  ChannelOptions options;
  options.capacity = std::size_t{128} << 10;
  options.max_message = 60'000;
  for (const auto mode : {WaitMode::adaptive, WaitMode::block}) {
    options.wait = mode;
    auto pair = make_pair(options);
    Channel &a = pair.first, &b = pair.second;
    std::thread a_sends([&] { send_generated(a, 1, count); });
    std::thread b_sends([&] { send_generated(b, 2, count); });
    std::thread a_receives([&] { receive_generated(a, 2, count); });
    receive_generated(b, 1, count);
    a_sends.join();
    b_sends.join();
    a_receives.join();
    EXPECT_EQ(a.stats().sent, count);
    EXPECT_EQ(b.stats().received, count);
  }
}

TEST_P(Delivery, goes_on_when_the_channel_was_moved) {
  auto [a, b] = make_pair();
  send_text(a, "before");
  Channel moved = std::move(a);
  send_text(moved, "after");
  Channel receiver = std::move(b);
  EXPECT_EQ(receive_text(receiver), "before");
  b = std::move(receiver);
  EXPECT_EQ(receive_text(b), "after");
}

}  // namespace
}  // namespace bulkhead::test
