// The room of a queue's journal, held against a plain map of units.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "ipc/free_ranges.hpp"

namespace bulkhead::ipc {
namespace {

constexpr std::uint64_t unit = FreeRanges::unit;

TEST(FreeRanges, give_the_lowest_place_where_it_fits) {
  FreeRanges ranges(10 * unit);
  EXPECT_EQ(ranges.take(1), 0U);
  EXPECT_EQ(ranges.take(2 * unit), unit);
  EXPECT_EQ(ranges.take(0), 3 * unit) << "nobody has an empty range";
  ranges.give_back(0, 1);
  EXPECT_EQ(ranges.take(unit + 1), 4 * unit) << "too large for the gap";
  EXPECT_EQ(ranges.take(unit), 0U);
  EXPECT_EQ(ranges.free_bytes(), 4 * unit);
}

TEST(FreeRanges, join_neighbours_so_that_the_whole_fits_again) {
  FreeRanges ranges(4 * unit);
  for (std::uint64_t at = 0; at < 4; ++at) ASSERT_EQ(ranges.take(unit), at * unit);
  EXPECT_EQ(ranges.take(1), std::nullopt);
  for (const std::uint64_t at : {1, 3, 0, 2}) ranges.give_back(at * unit, unit);
  EXPECT_EQ(ranges.take(4 * unit), 0U);
}

TEST(FreeRanges, refuse_a_place_that_is_taken_or_outside) {
  FreeRanges ranges(8 * unit);
  EXPECT_TRUE(ranges.take_at(2 * unit, 2 * unit));
  EXPECT_FALSE(ranges.take_at(3 * unit, 1));
  EXPECT_FALSE(ranges.take_at(unit, 2 * unit));
  EXPECT_FALSE(ranges.take_at(7 * unit, unit + 1));
  EXPECT_FALSE(ranges.take_at(1, 1)) << "not where a range begins";
  EXPECT_FALSE(ranges.take_at(8 * unit, 1));
  EXPECT_FALSE(ranges.take_at(~std::uint64_t{0} / unit * unit, unit));
  EXPECT_FALSE(ranges.take_at(0, ~std::uint64_t{0}));
  EXPECT_TRUE(ranges.take_at(0, 2 * unit));
  EXPECT_EQ(ranges.free_bytes(), 4 * unit);
}

TEST(FreeRanges, never_give_a_unit_twice) {
  constexpr std::uint64_t units = 64;
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  FreeRanges ranges(units * unit);
  std::vector<bool> taken(units, false);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> held;  // in units
  for (int step = 0; step < 5000; ++step) {
    if (random() % 2 == 0 || held.empty()) {
      const std::uint64_t wanted = 1 + random() % 8;
      const auto offset = ranges.take(wanted * unit);
      if (!offset) continue;
      for (std::uint64_t at = *offset / unit; at < *offset / unit + wanted; ++at) {
        ASSERT_FALSE(taken.at(at));
        taken[at] = true;
      }
      held.emplace_back(*offset / unit, wanted);
    } else {
      const auto which = held.begin() + static_cast<long>(random() % held.size());
      ranges.give_back(which->first * unit, which->second * unit);
      for (std::uint64_t at = 0; at < which->second; ++at) taken[which->first + at] = false;
      held.erase(which);
    }
    ASSERT_EQ(ranges.free_bytes(),
              static_cast<std::uint64_t>(std::count(taken.begin(), taken.end(), false)) * unit);
  }
  for (const auto& [at, count] : held) ranges.give_back(at * unit, count * unit);
  EXPECT_EQ(ranges.take(units * unit), 0U);
}

}  // namespace
}  // namespace bulkhead::ipc
