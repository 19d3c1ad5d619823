// Who has sent no WATCHDOG=1 for too long, in virtual time.
#include "supervisor/notify_watch.hpp"

#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using Slots = std::vector<Slot>;

TEST(NotifyWatch, tells_who_has_been_silent_for_its_timeout) {
  NotifyWatch watch;
  EXPECT_EQ(watch.next_look(), time_never);
  watch.begin(3, 100, 1000);
  watch.begin(4, 500, 1000);
  EXPECT_EQ(watch.next_look(), 1100U);
  EXPECT_EQ(watch.due(1099), Slots{});
  EXPECT_EQ(watch.due(1100), Slots{3});
  EXPECT_TRUE(watch.is_overdue(3, 1100));
  EXPECT_FALSE(watch.is_overdue(3, 1100)) << "once is enough";
  EXPECT_EQ(watch.next_look(), 1500U);
}

TEST(NotifyWatch, gives_a_full_timeout_after_each_word) {
  NotifyWatch watch;
  watch.begin(3, 100, 1000);
  watch.heard(3, 1099);
  EXPECT_EQ(watch.due(1198), Slots{});
  EXPECT_FALSE(watch.is_overdue(3, 1198)) << "its word was read after it had been found due";
  EXPECT_TRUE(watch.is_overdue(3, 1199));
}

TEST(NotifyWatch, takes_its_own_lateness_for_no_silence) {
  NotifyWatch watch;
  watch.begin(3, 100, 1000);
  EXPECT_EQ(watch.due(1151), Slots{3});
  EXPECT_FALSE(watch.is_overdue(3, 1151));
  EXPECT_EQ(watch.next_look(), 1251U);
  EXPECT_TRUE(watch.is_overdue(3, 1251));
}

TEST(NotifyWatch, does_not_watch_who_is_gone_or_has_no_timeout) {
  NotifyWatch watch;
  watch.begin(3, 100, 1000);
  watch.forget(3);
  watch.heard(3, 1001);
  watch.begin(4, 100, 1000);
  watch.begin(4, time_never, 1001);
  EXPECT_EQ(watch.next_look(), time_never);
  EXPECT_EQ(watch.due(99999), Slots{});
}

}  // namespace
}  // namespace bulkhead::supervisor
