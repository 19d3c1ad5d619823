// The indexed heap of timers, against a plain list.
#include "supervisor/due_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace bulkhead::supervisor {
namespace {

TEST(DueQueue, has_nothing_due_when_it_is_new) {
  DueQueue queue;
  queue.reset(3);
  EXPECT_EQ(queue.next_due(), time_never);
}

TEST(DueQueue, gives_the_lower_slot_first_at_equal_times) {
  DueQueue queue;
  queue.reset(3);
  queue.set(2, 5);
  queue.set(1, 5);
  EXPECT_EQ(queue.next_slot(), 1U);
}

TEST(DueQueue, agrees_with_a_plain_list_after_any_sequence_of_changes) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  constexpr std::size_t slots = 50;
  std::vector<TimeNs> plain(slots, time_never);
  DueQueue queue;
  queue.reset(slots);
  for (int change = 0; change < 20'000; ++change) {
    const auto slot = static_cast<Slot>(random() % slots);
    const TimeNs due = random() % 3 == 0 ? time_never : random() % 200;
    queue.set(slot, due);
    plain[slot] = due;
    const auto earliest = std::min_element(plain.begin(), plain.end());
    ASSERT_EQ(queue.next_due(), *earliest);
    if (*earliest != time_never) {
      ASSERT_EQ(queue.next_slot(), static_cast<Slot>(earliest - plain.begin()));
    }
  }
}

}  // namespace
}  // namespace bulkhead::supervisor
