// The sink's judgement of a stream, by hand-made messages.
#include <gtest/gtest.h>

#include <vector>

#include "workers/builtin/latency.hpp"
#include "workers/builtin/ticks.hpp"

namespace bulkhead::workers {
namespace {

std::vector<std::byte> tick(std::uint64_t sequence, std::size_t size = 56) {
  std::vector<std::byte> message(size);
  write_tick(message, sequence);
  return message;
}

TEST(Tick, shows_its_number_in_every_size) {
  for (std::size_t size = tick_bytes_min; size < 200; ++size) {
    EXPECT_EQ(read_tick(tick(size * 1000, size)), size * 1000) << size;
  }
}

TEST(Tick, is_torn_when_any_byte_differs_or_its_end_is_missing) {
  const auto whole = tick(42);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto torn = whole;
    torn[at] ^= std::byte{1};
    EXPECT_FALSE(read_tick(torn)) << at;
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(read_tick(std::span(whole).first(size))) << size;
  }
}

TEST(Tick, is_torn_when_its_second_half_is_of_another) {
  auto mixed = tick(42);
  const auto other = tick(43);
  std::copy(other.begin() + 32, other.end(), mixed.begin() + 32);
  EXPECT_FALSE(read_tick(mixed));
}

TEST(TickCount, counts_what_comes_in_order_from_the_resume_point) {
  TickCount count(10);
  for (std::uint64_t n = 10; n < 15; ++n) EXPECT_FALSE(count.take(tick(n), 1, n < 12));
  EXPECT_EQ(count.summary(), "delivered=5 redelivered=2 gaps=0 torn=0 next=15 unexpected=0 told=0");
}

TEST(TickCount, takes_what_the_transport_told_as_missing_for_no_gap) {
  TickCount count(1);
  EXPECT_FALSE(count.take(tick(4), 1, false, 3));
  EXPECT_FALSE(count.take(tick(5), 1, false, 0));
  EXPECT_EQ(count.told(), 3U);
  EXPECT_EQ(count.gaps(), 0U);
}

TEST(TickCount, sees_a_gap_that_is_not_what_was_told) {
  TickCount count(1);
  EXPECT_TRUE(count.take(tick(4), 1, false, 2));  // one more is missing
  EXPECT_TRUE(count.take(tick(5), 1, false, 2));  // none is missing
  EXPECT_EQ(count.gaps(), 3U);
  EXPECT_EQ(count.told(), 0U);
}

TEST(TickCount, judges_history_only_by_its_bytes) {
  TickCount count(10);
  count.take_history(tick(8));
  auto torn = tick(9);
  torn[3] ^= std::byte{1};
  count.take_history(torn);
  EXPECT_FALSE(count.take(tick(10), 1, false));
  EXPECT_EQ(count.summary(), "delivered=1 redelivered=1 gaps=0 torn=1 next=11 unexpected=0 told=0");
}

TEST(TickCount, tells_from_where_to_where_messages_are_missing) {
  TickCount count(1);
  count.take(tick(1), 1, false);
  const auto gap = count.take(tick(5), 1, false);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->from, 2U);
  EXPECT_EQ(gap->to, 4U);
  EXPECT_EQ(count.gaps(), 3U);
  EXPECT_EQ(count.delivered(), 2U);
}

TEST(TickCount, sees_a_gap_before_the_first_message_that_it_gets) {
  TickCount count(7);
  const auto gap = count.take(tick(9), 1, false);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->from, 7U);
  EXPECT_EQ(count.gaps(), 2U);
}

TEST(TickCount, takes_the_first_message_as_it_is_when_there_is_no_resume_point) {
  TickCount count(0);
  EXPECT_FALSE(count.take(tick(100), 1, false));
  EXPECT_EQ(count.gaps(), 0U);
  EXPECT_EQ(count.next(), 101U);
}

TEST(TickCount, counts_what_comes_twice_as_unexpected_and_not_as_delivered) {
  TickCount count(1);
  count.take(tick(1), 1, false);
  count.take(tick(2), 1, false);
  EXPECT_FALSE(count.take(tick(1), 1, false));
  EXPECT_EQ(count.unexpected(), 1U);
  EXPECT_EQ(count.delivered(), 2U);
  EXPECT_EQ(count.next(), 3U);
}

TEST(TickCount, goes_on_after_a_sender_that_has_lost_count) {
  TickCount count(1);
  for (std::uint64_t n = 1; n < 10; ++n) count.take(tick(n), 1, false);
  count.take(tick(1), 2, false);
  EXPECT_FALSE(count.take(tick(2), 2, false));
  EXPECT_EQ(count.unexpected(), 1U);
  EXPECT_EQ(count.delivered(), 10U);
}

TEST(TickCount, shows_a_torn_message_as_torn_and_as_missing) {
  TickCount count(1);
  auto torn = tick(1);
  torn[20] ^= std::byte{8};
  EXPECT_FALSE(count.take(torn, 1, false));
  EXPECT_TRUE(count.take(tick(2), 1, false));
  EXPECT_EQ(count.torn(), 1U);
  EXPECT_EQ(count.gaps(), 1U);
}

TEST(LatencyCount, is_off_by_an_eighth_at_most) {
  for (std::int64_t value : {0, 1, 7, 8, 9, 100, 1'000, 12'345, 1'000'000, 987'654'321}) {
    LatencyCount count;
    count.add(std::chrono::nanoseconds(value));
    const auto told = count.percentile(0.5).count();
    EXPECT_GE(told, value);
    EXPECT_LE(told, value + value / 8);
  }
}

TEST(LatencyCount, finds_percentiles_and_zero_when_it_has_none) {
  LatencyCount count;
  EXPECT_EQ(count.percentile(0.99).count(), 0);
  for (int i = 0; i < 99; ++i) count.add(std::chrono::microseconds(1));
  count.add(std::chrono::milliseconds(1));
  EXPECT_LT(count.percentile(0.5), std::chrono::microseconds(2));
  EXPECT_LT(count.percentile(0.99), std::chrono::microseconds(2));
  EXPECT_GE(count.percentile(1.0), std::chrono::milliseconds(1));
  EXPECT_EQ(count.count(), 100U);
}

}  // namespace
}  // namespace bulkhead::workers
