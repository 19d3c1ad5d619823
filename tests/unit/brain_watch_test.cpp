// The keeper's two decisions about time.
#include "supervisor/brain_watch.hpp"

#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t lived = BrainRestart::short_life_ns;

// Looks every half second from `from` to `to`; true when the brain was called hung on the way.
bool hangs(BrainWatch& watch, std::uint64_t beat, bool taken_over, std::uint64_t from,
           std::uint64_t to) {
  bool hung = false;
  for (auto now = from; now <= to; now += BrainWatch::interval_ns) {
    hung = hung || watch.is_hung(beat, taken_over, now);
  }
  return hung;
}

TEST(BrainWatch, calls_a_brain_hung_whose_beat_stands_still_for_two_seconds) {
  BrainWatch watch;
  watch.begin(7, 10 * second);
  EXPECT_FALSE(hangs(watch, 7, true, 10 * second, 11 * second + second / 2));
  EXPECT_TRUE(watch.is_hung(7, true, 12 * second));
}

TEST(BrainWatch, waits_anew_after_every_beat) {
  BrainWatch watch;
  watch.begin(7, 10 * second);
  EXPECT_FALSE(hangs(watch, 7, true, 10 * second, 11 * second));
  EXPECT_FALSE(hangs(watch, 8, true, 11 * second + second / 2, 13 * second));
  EXPECT_TRUE(hangs(watch, 8, true, 13 * second + second / 2, 14 * second));
}

TEST(BrainWatch, gives_a_brain_that_has_not_taken_over_five_seconds) {
  BrainWatch watch;
  watch.begin(0, 10 * second);
  EXPECT_FALSE(hangs(watch, 0, false, 10 * second, 14 * second));
  EXPECT_TRUE(hangs(watch, 0, false, 14 * second + second / 2, 15 * second));
}

TEST(BrainWatch, does_not_hold_the_keepers_own_lateness_against_the_brain) {
  BrainWatch watch;
  watch.begin(7, 10 * second);
  EXPECT_FALSE(watch.is_hung(7, true, 60 * second)) << "the keeper itself was stopped";
  EXPECT_FALSE(hangs(watch, 7, true, 60 * second + second / 2, 61 * second + second / 2));
  EXPECT_TRUE(watch.is_hung(7, true, 62 * second));
}

TEST(BrainRestart, is_at_once_after_a_brain_that_had_taken_over) {
  BrainRestart restart;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(restart.delay_after_death(true, lived), 0u);
}

// Something kills every one that comes, over and over.
TEST(BrainRestart, backs_off_after_many_short_lives_in_a_row) {
  BrainRestart restart;
  for (std::uint32_t i = 0; i < BrainRestart::short_lives_max; ++i) {
    EXPECT_EQ(restart.delay_after_death(true, lived - 1), 0u);
  }
  EXPECT_EQ(restart.delay_after_death(true, lived - 1), 10'000'000u);
  EXPECT_EQ(restart.delay_after_death(true, lived - 1), 20'000'000u);
  for (int i = 0; i < 10; ++i) restart.delay_after_death(true, 0);
  EXPECT_EQ(restart.delay_after_death(true, 0), second);
  EXPECT_EQ(restart.delay_after_death(true, lived), 0u);
  EXPECT_EQ(restart.delay_after_death(true, 0), 0u) << "counted anew";
}

TEST(BrainRestart, backs_off_from_ten_milliseconds_to_a_second_while_none_takes_over) {
  BrainRestart restart;
  EXPECT_EQ(restart.delay_after_death(false, 0), 10'000'000u);
  EXPECT_EQ(restart.delay_after_death(false, 0), 20'000'000u);
  for (int i = 0; i < 5; ++i) restart.delay_after_death(false, 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(restart.delay_after_death(false, 0), second);
  EXPECT_EQ(restart.failures(), 107u);
  EXPECT_EQ(restart.delay_after_death(true, lived), 0u);
  EXPECT_EQ(restart.delay_after_death(false, 0), 10'000'000u) << "counted anew";
}

}  // namespace
}  // namespace bulkhead::supervisor
