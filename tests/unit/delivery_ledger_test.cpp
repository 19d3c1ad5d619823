// What a receiver remembers of the messages that are out.
#include <gtest/gtest.h>

#include "ipc/delivery_ledger.hpp"

namespace bulkhead::ipc {
namespace {

// Message n ends at position 64 n of epoch 1.
class Ledger : public testing::Test {
 protected:
  void take(std::uint64_t index) {
    ASSERT_EQ(ledger_.limit(), index);
    ledger_.add({}, {1, index * 64}, false);
  }
  std::uint64_t deliver_again() {
    const std::uint64_t index = ledger_.next();
    EXPECT_TRUE(ledger_.deliver_again().redelivered);
    return index;
  }
  DeliveryLedger ledger_{0};
};

TEST_F(Ledger, acknowledging_moves_the_cursor) {
  take(1);
  EXPECT_TRUE(ledger_.acknowledge(1));
  EXPECT_EQ(ledger_.settled(), 1U);
  EXPECT_EQ(ledger_.cursor(), (Cursor{1, 64}));
}

TEST_F(Ledger, the_cursor_waits_for_the_oldest_live_message) {
  for (const std::uint64_t index : {1, 2, 3}) take(index);
  EXPECT_FALSE(ledger_.acknowledge(3));
  EXPECT_EQ(ledger_.settled(), 0U);
  EXPECT_TRUE(ledger_.acknowledge(1));
  EXPECT_EQ(ledger_.settled(), 1U);
  EXPECT_TRUE(ledger_.acknowledge(2));
  EXPECT_EQ(ledger_.settled(), 3U);
}

TEST_F(Ledger, a_released_message_comes_again_and_everything_after_it) {
  for (const std::uint64_t index : {1, 2, 3}) take(index);
  EXPECT_FALSE(ledger_.release(3));
  EXPECT_FALSE(ledger_.release(2));
  EXPECT_TRUE(ledger_.acknowledge(1));
  ASSERT_TRUE(ledger_.has_returned());
  EXPECT_EQ(deliver_again(), 2U);
  EXPECT_EQ(deliver_again(), 3U);
  EXPECT_FALSE(ledger_.has_returned());
  EXPECT_TRUE(ledger_.acknowledge(2));
  EXPECT_TRUE(ledger_.acknowledge(3));
  EXPECT_EQ(ledger_.settled(), 3U);
}

TEST_F(Ledger, what_a_later_acknowledgement_covers_does_not_come_again) {
  take(1);
  take(2);
  EXPECT_FALSE(ledger_.release(1));
  ASSERT_TRUE(ledger_.has_returned());
  EXPECT_TRUE(ledger_.acknowledge(2));
  EXPECT_FALSE(ledger_.has_returned());
  EXPECT_EQ(ledger_.settled(), 2U);
}

TEST_F(Ledger, releasing_a_covered_message_only_ends_its_life) {
  take(1);
  take(2);
  EXPECT_FALSE(ledger_.acknowledge(2));
  EXPECT_TRUE(ledger_.release(1));
  EXPECT_FALSE(ledger_.has_returned());
  EXPECT_EQ(ledger_.settled(), 2U);
}

TEST_F(Ledger, a_message_that_is_out_twice_lives_until_both_are_let_go) {
  take(1);
  take(2);
  EXPECT_FALSE(ledger_.release(1));
  EXPECT_EQ(deliver_again(), 1U);
  EXPECT_EQ(deliver_again(), 2U);  // the first view of 2 is still out
  EXPECT_TRUE(ledger_.acknowledge(1));
  EXPECT_FALSE(ledger_.acknowledge(2));
  EXPECT_EQ(ledger_.settled(), 1U);
  EXPECT_TRUE(ledger_.acknowledge(2));
  EXPECT_EQ(ledger_.settled(), 2U);
}

TEST_F(Ledger, grows_with_the_number_of_live_messages) {
  for (std::uint64_t index = 1; index <= 1000; ++index) take(index);
  for (std::uint64_t index = 1000; index > 1; --index) EXPECT_FALSE(ledger_.acknowledge(index));
  EXPECT_TRUE(ledger_.acknowledge(1));
  EXPECT_EQ(ledger_.settled(), 1000U);
  EXPECT_EQ(ledger_.cursor(), (Cursor{1, 64000}));
}

TEST(LedgerOfASuccessor, counts_on_from_what_was_acknowledged) {
  DeliveryLedger ledger(41);
  EXPECT_EQ(ledger.limit(), 42U);
  ledger.add({}, {2, 64}, true);
  EXPECT_TRUE(ledger.acknowledge(42));
  EXPECT_EQ(ledger.settled(), 42U);
}

}  // namespace
}  // namespace bulkhead::ipc
