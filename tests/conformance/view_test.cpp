// Received messages as views: how long they last, what acknowledges and what brings them back.
#include <stdexcept>

#include "tests/conformance/pair_test.hpp"

namespace bulkhead::test {
namespace {

class View : public PairTest {};
BULKHEAD_OVER_ALL_TRANSPORTS(View);

TEST_P(View, stays_valid_while_later_messages_come_and_go) {
  auto [a, b] = make_pair();
  send_text(a, "kept");
  auto kept = b.receive(soon());
  ASSERT_TRUE(kept);
  for (int i = 0; i < 100; ++i) {
    send_text(a, "passing " + std::to_string(i));
    EXPECT_EQ(receive_text(b), "passing " + std::to_string(i));
  }
  EXPECT_EQ(text_of(*kept), "kept");
}

TEST_P(View, outlives_its_channel) {
  auto pair = std::make_unique<std::pair<Channel, Channel>>(make_pair());
  send_text(pair->first, "survivor");
  auto message = pair->second.receive(soon());
  ASSERT_TRUE(message);
  pair.reset();
  EXPECT_EQ(text_of(*message), "survivor");
}

TEST_P(View, destroyed_normally_acknowledges) {
  auto [a, b] = make_pair();
  send_text(a, "done");
  { auto message = b.receive(soon()); }
  EXPECT_EQ(a.stats().acknowledged, 1U);
}

TEST_P(View, acknowledging_covers_all_before_it) {
  auto [a, b] = make_pair();
  for (const auto* text : {"1", "2", "3"}) send_text(a, text);
  auto first = b.receive(soon());
  auto second = b.receive(soon());
  ASSERT_TRUE(first && second);
  second->acknowledge();
  EXPECT_TRUE(second->bytes().empty());
  first->release();  // covered already
  EXPECT_EQ(a.stats().acknowledged, 2U);
  EXPECT_EQ(receive_text(b), "3");
}

TEST_P(View, released_by_an_exception_comes_again_and_says_so) {
  auto [a, b] = make_pair();
  send_text(a, "difficult");
  send_text(a, "next");
  try {
    auto message = b.receive(soon());
    ASSERT_TRUE(message);
    EXPECT_FALSE(message->redelivered());
    throw std::runtime_error("could not");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(a.stats().acknowledged, 0U);
  {
    auto again = b.receive(soon());
    ASSERT_TRUE(again);
    EXPECT_EQ(text_of(*again), "difficult");
    EXPECT_EQ(again->index(), 1U);
    EXPECT_TRUE(again->redelivered());
  }
  EXPECT_EQ(receive_text(b), "next");
  EXPECT_EQ(b.stats().redelivered, 1U);
  EXPECT_EQ(a.stats().acknowledged, 2U);
}

TEST_P(View, releasing_brings_back_the_message_and_those_after_it_in_order) {
  auto [a, b] = make_pair();
  for (const auto* text : {"1", "2", "3", "4"}) send_text(a, text);
  EXPECT_EQ(receive_text(b), "1");
  auto second = b.receive(soon());
  auto third = b.receive(soon());
  ASSERT_TRUE(second && third);
  third->release();
  second->release();
  for (const auto* text : {"2", "3", "4"}) EXPECT_EQ(receive_text(b), text);
}

TEST_P(View, a_message_received_while_an_exception_unwinds_is_acknowledged_normally) {
  auto [a, b] = make_pair();
  send_text(a, "in a destructor");
  struct ReceivesInDestructor {
    ~ReceivesInDestructor() { EXPECT_EQ(receive_text(channel), "in a destructor"); }
    Channel& channel;
  };
  try {
    const ReceivesInDestructor last_act{b};
    throw std::runtime_error("unwind");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(a.stats().acknowledged, 1U);
}

TEST_P(View, moves_like_a_value) {
  auto [a, b] = make_pair();
  send_text(a, "first");
  send_text(a, "second");
  auto first = b.receive(soon());
  ASSERT_TRUE(first);
  Message moved = std::move(*first);
  EXPECT_EQ(text_of(moved), "first");
  EXPECT_TRUE(first->bytes().empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(a.stats().acknowledged, 0U);
  moved = b.receive(soon()).value();  // letting go of what it held
  EXPECT_EQ(a.stats().acknowledged, 1U);
  EXPECT_EQ(text_of(moved), "second");
}

}  // namespace
}  // namespace bulkhead::test
