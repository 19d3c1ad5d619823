// Batches: several messages with one commit, whatever the transport.
#include <array>
#include <vector>

#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

using ipc::Side;

class BatchOf : public PairTest {
 protected:
  using Messages = std::vector<std::span<const std::byte>>;

  static Messages messages(const std::vector<std::string>& texts) {
    Messages all;
    for (const auto& text : texts) all.push_back(as_bytes(text));
    return all;
  }
  static ChannelOptions small_link() {
    ChannelOptions options;
    options.capacity = 4096;
    options.max_message = 1000;
    return options;
  }
};
BULKHEAD_OVER_ALL_TRANSPORTS(BatchOf);

TEST_P(BatchOf, arrives_in_order_between_single_messages) {
  auto [a, b] = make_pair();
  const std::vector<std::string> texts{"two", "", "four", std::string(500, 'f')};
  send_text(a, "one");
  ASSERT_TRUE(a.send_batch(messages(texts), soon()));
  send_text(a, "six");
  EXPECT_EQ(a.last_committed(), 6U);
  EXPECT_EQ(a.stats().sent, 6U);
  EXPECT_EQ(a.stats().bytes_sent, 3U + 3 + 0 + 4 + 500 + 3);
  EXPECT_EQ(receive_text(b), "one");
  for (const auto& text : texts) EXPECT_EQ(receive_text(b), text);
  EXPECT_EQ(receive_text(b), "six");
}

TEST_P(BatchOf, nothing_sends_nothing) {
  auto [a, b] = make_pair();
  ASSERT_TRUE(a.send_batch({}, soon()));
  EXPECT_EQ(a.last_committed(), 0U);
  EXPECT_EQ(receive_error(b, Deadline::now()), text_of_code(Errc::would_block));
}

TEST_P(BatchOf, with_a_message_that_is_too_large_sends_none_of_them) {
  auto [a, b] = make_pair(small_link());
  const std::string large(1001, 'x');
  const auto sent = a.send_batch(messages({"small", large}), soon());
  ASSERT_FALSE(sent);
  EXPECT_TRUE(sent.error().is(Errc::message_too_big)) << sent.error().to_string();
  EXPECT_EQ(a.last_committed(), 0U);
  send_text(a, "after it");
  EXPECT_EQ(receive_text(b), "after it");
}

TEST_P(BatchOf, more_than_the_link_can_hold_is_an_error_and_no_endless_wait) {
  auto [a, b] = make_pair(small_link());
  const std::vector<std::string> texts(64, std::string(900, 'x'));
  const auto sent = a.send_batch(messages(texts), soon());
  ASSERT_FALSE(sent);
  EXPECT_TRUE(sent.error().is(Errc::message_too_big)) << sent.error().to_string();
  EXPECT_EQ(a.last_committed(), 0U);
}

TEST_P(BatchOf, that_finds_no_room_for_all_sends_none) {
  auto [a, b] = make_pair(small_link());
  const std::string one(500, 'x');
  const std::size_t before = fill(a, as_bytes(one));
  const auto sent = a.send_batch(messages({one, one, one}), Deadline::now());
  ASSERT_FALSE(sent);
  EXPECT_TRUE(sent.error().is(Errc::would_block)) << sent.error().to_string();
  EXPECT_EQ(a.last_committed(), before);
  for (std::size_t i = 0; i < before; ++i) ASSERT_EQ(receive_text(b), one) << i;
  ASSERT_TRUE(a.send_batch(messages({"1", "2", "3"}), soon()));
  for (const char* const text : {"1", "2", "3"}) EXPECT_EQ(receive_text(b), text);
}

TEST_P(BatchOf, goes_round_the_ring_whole) {
  auto [a, b] = make_pair(small_link());
  for (std::size_t round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 4; ++i) {
      texts.emplace_back((round * 37 + i * 101) % 500, static_cast<char>('a' + i));
    }
    ASSERT_TRUE(a.send_batch(messages(texts), soon())) << round;
    for (const auto& text : texts) ASSERT_EQ(receive_text(b), text) << round;
  }
}

TEST_P(BatchOf, of_a_dead_sender_is_delivered_and_counted_on_from) {
  TestBrain brain(GetParam(), {});
  Channel receiver = brain.start(Side::to);
  {
    Channel first = brain.start(Side::from);
    ASSERT_TRUE(first.send_batch(messages({"1", "2", "3"}), soon()));
  }
  brain.bury(Side::from);
  Channel second = brain.start(Side::from);
  EXPECT_EQ(second.last_committed(), 3U);
  ASSERT_TRUE(second.send_batch(messages({"4", "5"}), soon()));
  for (const char* const text : {"1", "2", "3", "4", "5"}) EXPECT_EQ(receive_text(receiver), text);
}

}  // namespace
}  // namespace bulkhead::test
