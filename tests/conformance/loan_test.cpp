// Loans: written in place where the transport can, the same contract where it copies.
#include <algorithm>
#include <cstdint>

#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

using ipc::Side;

class LoanOf : public PairTest {
 protected:
  static void fill(Loan& loan, std::string_view text) {
    ASSERT_GE(loan.bytes().size(), text.size());
    std::ranges::copy(as_bytes(text), loan.bytes().begin());
    loan.shrink(text.size());
  }
};
BULKHEAD_OVER_ALL_TRANSPORTS(LoanOf);

TEST_P(LoanOf, arrives_as_it_was_written) {
  auto [a, b] = make_pair();
  auto loan = a.loan(64, soon());
  ASSERT_TRUE(loan) << loan.error().to_string();
  EXPECT_EQ(loan->bytes().size(), 64U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(loan->bytes().data()) % 64, 0U);
  fill(*loan, "in place");
  ASSERT_TRUE(loan->commit(soon()));
  EXPECT_TRUE(loan->bytes().empty());
  EXPECT_EQ(receive_text(b), "in place");
  EXPECT_EQ(a.stats().sent, 1U);
  EXPECT_EQ(a.stats().bytes_sent, 8U);
}

TEST_P(LoanOf, every_size_up_to_the_largest_message_is_whole) {
  ChannelOptions options;
  options.capacity = std::size_t{4} << 20;
  options.max_message = std::size_t{1} << 20;
  auto [a, b] = make_pair(options);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4097},
                                 std::size_t{65536}, options.max_message}) {
    auto loan = a.loan(size, soon());
    ASSERT_TRUE(loan) << size << ": " << loan.error().to_string();
    std::ranges::fill(loan->bytes(), std::byte(static_cast<unsigned char>(size % 251)));
    // A socket takes a message this large only while somebody reads it.
    auto sent = loan->commit(Deadline::now());
    auto message = b.try_receive();
    while (message && !*message) {
      if (!sent) sent = loan->commit(Deadline::now());
      message = b.try_receive();
    }
    ASSERT_TRUE(message) << message.error().to_string();
    ASSERT_EQ((*message)->bytes().size(), size);
    EXPECT_TRUE(std::ranges::all_of((*message)->bytes(), [&](std::byte byte) {
      return byte == std::byte(static_cast<unsigned char>(size % 251));
    }));
    while (!sent) sent = loan->commit(Deadline::now());
  }
}

TEST_P(LoanOf, several_arrive_in_the_order_in_which_they_are_committed) {
  auto [a, b] = make_pair();
  auto first = a.loan(100, soon()), second = a.loan(2000, soon()), third = a.loan(100, soon());
  ASSERT_TRUE(first && second && third);
  fill(*first, "first");
  fill(*second, "second");
  fill(*third, "third");
  ASSERT_TRUE(third->commit(soon()));
  send_text(a, "between");
  ASSERT_TRUE(first->commit(soon()));
  ASSERT_TRUE(second->commit(soon()));
  for (const auto* const text : {"third", "between", "first", "second"}) {
    EXPECT_EQ(receive_text(b), text);
  }
}

TEST_P(LoanOf, left_uncommitted_was_never_sent) {
  auto [a, b] = make_pair();
  for (int i = 0; i < 10000; ++i) {  // and its memory serves again
    auto loan = a.loan(60000, soon());
    ASSERT_TRUE(loan) << loan.error().to_string();
  }
  send_text(a, "only this");
  EXPECT_EQ(receive_text(b), "only this");
  EXPECT_EQ(a.stats().sent, 1U);
}

TEST_P(LoanOf, committed_once_is_over) {
  auto [a, b] = make_pair();
  auto loan = a.loan(8, soon());
  ASSERT_TRUE(loan);
  fill(*loan, "once");
  ASSERT_TRUE(loan->commit(soon()));
  EXPECT_TRUE(loan->commit(soon()).error().is(Errc::invalid_argument));
  EXPECT_EQ(receive_text(b), "once");
  EXPECT_FALSE(b.try_receive()->has_value());
}

TEST_P(LoanOf, more_than_max_message_is_refused) {
  ChannelOptions options;
  options.max_message = 1000;
  auto [a, b] = make_pair(options);
  EXPECT_TRUE(a.loan(1001, soon()).error().is(Errc::message_too_big));
}

TEST_P(LoanOf, moved_keeps_its_bytes_and_its_channel) {
  auto pair = make_pair();
  auto loan = pair.first.loan(16, soon());
  ASSERT_TRUE(loan);
  Loan moved = std::move(*loan);
  EXPECT_TRUE(loan->bytes().empty());
  fill(moved, "moved");
  Loan again = std::move(pair.first.loan(16, soon()).value());
  again = std::move(moved);
  ASSERT_TRUE(again.commit(soon()));
  EXPECT_EQ(receive_text(pair.second), "moved");
}

TEST_P(LoanOf, to_a_channel_that_was_closed_fails_and_may_be_dropped) {
  auto [a, b] = make_pair();
  auto loan = a.loan(16, soon());
  ASSERT_TRUE(loan);
  a.close();
  EXPECT_TRUE(loan->commit(soon()).error().is(Errc::closed));
}

// Shared memory only: the others have no memory of their own that could run out.
class LoanOfSharedMemory : public LoanOf {};
INSTANTIATE_TEST_SUITE_P(, LoanOfSharedMemory, testing::Values(Transport::shm), transport_name);

ChannelOptions small() {
  ChannelOptions options;
  options.capacity = 64 << 10;
  options.max_message = 16 << 10;
  return options;
}

TEST_P(LoanOfSharedMemory, shows_its_receiver_the_senders_own_bytes) {
  auto [a, b] = make_pair();
  auto loan = a.loan(5000, soon());
  ASSERT_TRUE(loan);
  auto* const written = loan->bytes().data();
  *written = std::byte{1};
  ASSERT_TRUE(loan->commit(soon()));
  auto message = b.receive(soon());
  ASSERT_TRUE(message);
  *written = std::byte{2};  // what no sender should do shows that there is no copy
  EXPECT_EQ(message->bytes()[0], std::byte{2});
}

TEST_P(LoanOfSharedMemory, waits_for_the_peer_to_let_go) {
  auto [a, b] = make_pair(small());
  for (int i = 0; i < 4; ++i) {
    auto loan = a.loan(16 << 10, soon());
    ASSERT_TRUE(loan) << loan.error().to_string();
    ASSERT_TRUE(loan->commit(soon()));
  }
  EXPECT_TRUE(a.loan(16 << 10, Deadline::now()).error().is(Errc::would_block));
  EXPECT_TRUE(a.loan(16 << 10, briefly()).error().is(Errc::timed_out));
  auto held = b.receive(soon());
  ASSERT_TRUE(held);
  EXPECT_TRUE(a.loan(16 << 10, Deadline::now()).error().is(Errc::would_block)) << "still in view";
  held->acknowledge();
  EXPECT_TRUE(a.loan(16 << 10, soon()));
}

TEST_P(LoanOfSharedMemory, says_so_when_its_own_loans_fill_the_area) {
  auto [a, b] = make_pair(small());
  std::vector<Loan> loans;
  for (int i = 0; i < 4; ++i) loans.push_back(std::move(a.loan(16 << 10, soon()).value()));
  const auto refused = a.loan(16 << 10, soon());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::out_of_budget)) << refused.error().to_string();
  loans.pop_back();
  EXPECT_TRUE(a.loan(16 << 10, soon()));
}

TEST_P(LoanOfSharedMemory, an_area_full_of_views_leaves_the_ring_to_copies) {
  auto [a, b] = make_pair(small());
  std::vector<Message> views;
  for (int i = 0; i < 4; ++i) {
    auto loan = a.loan(16 << 10, soon());
    ASSERT_TRUE(loan);
    ASSERT_TRUE(loan->commit(soon()));
    views.push_back(std::move(b.receive(soon()).value()));
  }
  send_text(a, "by the ring");
  EXPECT_EQ(receive_text(b), "by the ring");
}

TEST_P(LoanOfSharedMemory, committed_survives_the_death_of_either_end) {
  TestBrain brain(GetParam(), {});
  const auto send_lent = [](Channel& sender, std::string_view text) {
    auto loan = sender.loan(40000, soon());
    ASSERT_TRUE(loan);
    fill(*loan, text);
    ASSERT_TRUE(loan->commit(soon()));
  };
  {
    Channel sender = brain.start(Side::from);
    send_lent(sender, "one");
    send_lent(sender, "two");
    send_lent(sender, "three");
    auto abandoned = sender.loan(40000, soon());
    ASSERT_TRUE(abandoned);
    fill(*abandoned, "never");
  }
  brain.bury(Side::from);
  {
    Channel receiver = brain.start(Side::to);
    EXPECT_EQ(receive_text(receiver), "one");
    auto taken = receiver.receive(soon());
    ASSERT_TRUE(taken);
    taken->release();
  }
  brain.bury(Side::to);
  Channel sender = brain.start(Side::from), receiver = brain.start(Side::to);
  EXPECT_EQ(sender.last_committed(), 3U);
  send_lent(sender, "four");
  auto again = receiver.receive(soon());
  ASSERT_TRUE(again);
  EXPECT_EQ(text_of(*again), "two");
  EXPECT_TRUE(again->redelivered());
  again->acknowledge();
  EXPECT_EQ(receive_text(receiver), "three");
  EXPECT_EQ(receive_text(receiver), "four");
}

}  // namespace
}  // namespace bulkhead::test
