// The restart limit's memory.
#include "supervisor/restart_window.hpp"

#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using std::chrono::seconds;
constexpr TimeNs second = 1'000'000'000;

RestartLimit limit(std::uint32_t count) { return {.count = count, .within = seconds(60)}; }

TEST(RestartWindow, admits_a_first_failure) {
  const RestartWindow window;
  EXPECT_TRUE(window.admits(limit(1), 5 * second));
}

TEST(RestartWindow, refuses_the_restart_after_intensity_is_reached) {
  RestartWindow window;
  for (TimeNs at = 1; at <= 3; ++at) {
    EXPECT_TRUE(window.admits(limit(3), at * second)) << at;
    window.record(at * second);
  }
  EXPECT_FALSE(window.admits(limit(3), 4 * second));
}

TEST(RestartWindow, forgets_a_failure_once_it_lies_the_whole_span_back) {
  RestartWindow window;
  window.record(1 * second);
  EXPECT_FALSE(window.admits(limit(1), 61 * second - 1));
  EXPECT_TRUE(window.admits(limit(1), 61 * second));
}

TEST(RestartWindow, refuses_everything_when_the_count_is_nought) {
  const RestartWindow window;
  EXPECT_FALSE(window.admits(limit(0), second));
}

TEST(RestartWindow, counts_exactly_at_the_largest_count_with_its_ring_wrapped) {
  RestartWindow window;
  for (TimeNs at = 1; at <= 250; ++at) window.record(at * second / 10);
  const TimeNs now = 25 * second;
  EXPECT_FALSE(window.admits(limit(restart_history_max), now));
  RestartLimit shorter = limit(restart_history_max);
  shorter.within = std::chrono::milliseconds(9'900);  // the hundredth last lies 9.9 s back
  EXPECT_TRUE(window.admits(shorter, now));
}

TEST(RestartWindow, admits_again_after_it_was_cleared) {
  RestartWindow window;
  window.record(second);
  window.clear();
  EXPECT_TRUE(window.admits(limit(1), second));
  EXPECT_EQ(window.failures_since(0), 0U);
}

TEST(RestartWindow, counts_the_failures_since_a_time) {
  RestartWindow window;
  for (TimeNs at = 1; at <= 130; ++at) window.record(at * second);
  EXPECT_EQ(window.failures_since(128 * second), 3U);
  EXPECT_EQ(window.failures_since(0), restart_history_max);
}

}  // namespace
}  // namespace bulkhead::supervisor
