// The claim ledger by hand: what its words say at each step, and what many threads make of it.
#include <gtest/gtest.h>
#include <bulkhead/detail/claim_ledger.hpp>

#include <atomic>
#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace bulkhead::detail {
namespace {

struct LedgerMemory {
  LedgerMemory(std::uint32_t items, std::uint32_t slots)
      : bytes(sizeof(ClaimLedger) + slots * sizeof(ClaimSlot) + items + 64),
        memory(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{64}))) {
    std::memset(memory, 0, bytes);
    ledger().items = items;
    ledger().slots = slots;
    ledger().marks_at = sizeof(ClaimLedger) + slots * sizeof(ClaimSlot);
  }
  ~LedgerMemory() { ::operator delete (memory, std::align_val_t{64}); }
  LedgerMemory(const LedgerMemory&) = delete;
  ClaimLedger& ledger() { return *reinterpret_cast<ClaimLedger*>(memory); }

  const std::size_t bytes;
  std::byte* const memory;
};

std::vector<std::uint32_t> take_all(ClaimSeat& seat) {
  std::vector<std::uint32_t> items;
  for (std::uint32_t item = 0; seat.take(item);) items.push_back(item);
  return items;
}

TEST(ClaimLedger, gives_one_seat_every_item_in_order) {
  LedgerMemory memory(1000, 1);
  ClaimSeat seat(memory.ledger(), 0, true);
  const auto items = take_all(seat);
  ASSERT_EQ(items.size(), 1000U);
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(items[i], i);
}

TEST(ClaimLedger, names_an_item_before_it_is_taken_and_keeps_the_name) {
  LedgerMemory memory(2, 1);
  ClaimSeat seat(memory.ledger(), 0, true);
  auto& slot = *memory.ledger().slot(0);
  EXPECT_EQ(slot.current.load(), 0U);
  std::uint32_t item = 9;
  ASSERT_TRUE(seat.take(item));
  EXPECT_EQ(slot.current.load(), item + 1);
  seat.mark(item, ItemMark::done);
  EXPECT_EQ(slot.current.load(), item + 1);  // until the next (L3)
  ASSERT_TRUE(seat.take(item));
  EXPECT_EQ(slot.current.load(), item + 1);
  EXPECT_FALSE(seat.take(item));
  seat.leave();
  EXPECT_EQ(slot.current.load(), 0U);
}

TEST(ClaimLedger, lets_a_closed_seat_work_off_its_range_and_no_more) {
  LedgerMemory memory(100, 2);
  memory.ledger().slot(1)->range = ClaimRange{10, 13};
  ClaimSeat seat(memory.ledger(), 1, false);
  EXPECT_EQ(take_all(seat), (std::vector<std::uint32_t>{10, 11, 12}));
  EXPECT_EQ(memory.ledger().next.load(), 0U);
}

TEST(ClaimLedger, lets_an_idle_seat_take_the_back_half_of_the_longest_range) {
  LedgerMemory memory(100, 3);
  memory.ledger().next = 100;  // all are claimed
  memory.ledger().slot(0)->range = ClaimRange{10, 12};
  memory.ledger().slot(1)->range = ClaimRange{50, 60};
  ClaimSeat seat(memory.ledger(), 2, true);
  std::uint32_t item = 0;
  ASSERT_TRUE(seat.take(item));
  EXPECT_EQ(item, 55U);
  const ClaimRange left = memory.ledger().slot(1)->range;
  EXPECT_EQ(left.begin, 50U);
  EXPECT_EQ(left.end, 55U);
}

TEST(ClaimLedger, leaves_a_last_item_to_who_holds_it) {
  LedgerMemory memory(100, 2);
  memory.ledger().next = 100;
  memory.ledger().slot(0)->range = ClaimRange{10, 11};
  ClaimSeat seat(memory.ledger(), 1, true);
  std::uint32_t item = 0;
  EXPECT_FALSE(seat.take(item));
}

TEST(ClaimLedger, takes_no_range_that_reaches_beyond_the_items) {
  LedgerMemory memory(100, 2);
  memory.ledger().next = 100;
  memory.ledger().slot(0)->range = ClaimRange{90, 4'000'000};
  ClaimSeat seat(memory.ledger(), 1, true);
  std::uint32_t item = 0;
  EXPECT_FALSE(seat.take(item));
}

TEST(ClaimLedger, gives_each_item_to_exactly_one_of_many_threads) {
  constexpr std::uint32_t items = 200'000, seats = 4;
  LedgerMemory memory(items, seats);
  std::vector<std::vector<std::uint32_t>> taken(seats);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < seats; ++i) {
    threads.emplace_back([&, i] {
      ClaimSeat seat(memory.ledger(), i, true);
      taken[i] = take_all(seat);
    });
  }
  for (auto& thread : threads) thread.join();
  std::vector<unsigned> times(items, 0);
  for (const auto& each : taken) {
    for (const auto item : each) ++times[item];
  }
  EXPECT_EQ(std::count(times.begin(), times.end(), 1U), std::ptrdiff_t{items});
}

}  // namespace
}  // namespace bulkhead::detail
